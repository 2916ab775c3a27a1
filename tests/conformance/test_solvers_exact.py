"""Every back end against the exact optimum of small programs with small integers, which are degenerate as often as not.

The optimum is found by looking at every vertex in rational arithmetic.
"""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from solver_cases import INF, examples, gives_up, is_optimal, near, program

from slir_milp.solvers import Feature, LinearProgram, Status, available_solvers, solver

MOST = 30


def random_program(seed: int) -> LinearProgram:
    """Up to three columns within bounds, up to four rows: ranged, one-sided, free, equations, parallel ones too."""
    rng = np.random.default_rng(seed)
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(0, 5))
    matrix = rng.integers(-2, 3, (rows, columns)).astype(float)
    if rows > 1 and rng.random() < 0.5:
        matrix[-1] = matrix[0] * rng.choice([-2, -1, 1, 2])
    lower = rng.integers(-3, 2, rows).astype(float)
    upper = lower + rng.choice([0, 1, 4], rows)
    lower[rng.random(rows) < 0.3] = -INF
    upper[rng.random(rows) < 0.3] = INF
    low = rng.integers(-2, 2, columns).astype(float)
    return program(matrix, rng.integers(-2, 3, columns), rows=(lower, upper), columns=(low, low + rng.integers(0, 4)))


def exact_optimum(small: LinearProgram) -> Fraction | None:
    """The least objective of a program whose columns are bounded; ``None`` if it is infeasible."""
    size = small.columns
    rows = [[Fraction(0)] * size for _ in range(small.rows)]
    for i, j, value in zip(small.row_of_entry, small.indices, small.values, strict=True):
        rows[i][j] = Fraction(value)
    units = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    planes = [
        (normal, Fraction(end))
        for normal, *ends in zip(
            rows + units,
            [*small.row_lower, *small.column_lower],
            [*small.row_upper, *small.column_upper],
            strict=True,
        )
        for end in ends
        if np.isfinite(end)
    ]
    best = None
    for chosen in combinations(planes, size):
        x = solve([[*normal, end] for normal, end in chosen])
        if x is None:
            continue
        values = [sum(a * b for a, b in zip(normal, x, strict=True)) for normal in rows]
        ends = (
            (values, small.row_lower, small.row_upper),
            (x, small.column_lower, small.column_upper),
        )
        if all(low <= value <= high for group in ends for value, low, high in zip(*group, strict=True)):
            objective = sum((Fraction(c) * v for c, v in zip(small.costs, x, strict=True)), Fraction(0))
            best = objective if best is None else min(best, objective)
    return best


def solve(system: list[list[Fraction]]) -> list[Fraction] | None:
    """The one solution of a square system, ``None`` if it has none or many."""
    size = len(system)
    system = [list(row) for row in system]
    for k in range(size):
        pivot = next((i for i in range(k, size) if system[i][k]), None)
        if pivot is None:
            return None
        system[k], system[pivot] = system[pivot], system[k]
        system[k] = [value / system[k][k] for value in system[k]]
        for i in range(size):
            if i != k and system[i][k]:
                system[i] = [a - system[i][k] * b for a, b in zip(system[i], system[k], strict=True)]
    return [row[-1] for row in system]


def test_the_oracle() -> None:
    """Least of x + y with x + 2y ≥ 1 and x, y from 0 to 1."""
    assert exact_optimum(program([[1, 2]], [1, 1], rows=(1, INF), columns=(0, 1))) == Fraction(1, 2)
    assert exact_optimum(program([[1, 2]], [1, 1], rows=(4, INF), columns=(0, 1))) is None


@pytest.mark.parametrize("name", available_solvers())
def test_a_row_without_entries_that_cannot_be_met(name: str) -> None:
    odd = program([[-2], [0], [-2]], [-2], rows=([0, -INF, 0], [1, -1, 4]), columns=(0, 3))
    assert solver(name).solve(odd).status is Status.INFEASIBLE


@pytest.mark.parametrize("name", available_solvers())
def test_small_programs_have_their_exact_optimum(name: str) -> None:
    examples(name, MOST)(_small_programs_have_their_exact_optimum)(name)


def _small_programs_have_their_exact_optimum(name: str, seed: int) -> None:
    small, backend = random_program(seed), solver(name)
    truth, found = exact_optimum(small), backend.solve(small)
    if gives_up(backend, found):
        return
    if truth is None:
        assert found.status is Status.INFEASIBLE
        return
    assert found.status is Status.OPTIMAL
    assert found.objective == near(backend, float(truth))
    if Feature.DUALS in backend.features:
        assert found.dual_bound == pytest.approx(float(truth), abs=10 * backend.tolerance)
        assert is_optimal(backend, small, found)


@pytest.mark.parametrize("seed", [15026, 15663, 15770, 16160])
def test_interior_point_goes_on_where_presolving_spoils_its_duals(seed: int) -> None:
    _small_programs_have_their_exact_optimum("highs-ipm", seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", available_solvers())
def test_many_small_programs(name: str) -> None:
    for seed in range(50 if name.startswith("pyomo:") else 400):
        _small_programs_have_their_exact_optimum(name, seed)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_ranged_rows_name_the_side_that_holds(side: float) -> None:
    """A row from −2 to 3, pressed against either side by a cost."""
    for name in available_solvers():
        backend = solver(name)
        ranged = program([[1, 1]], [side, side], rows=(-2, 3), columns=(-INF, INF))
        found = backend.solve(ranged)
        assert found.objective == near(backend, -2 if side > 0 else -3), name
        if Feature.DUALS in backend.features:
            assert found.row_duals == near(backend, [side]), name
