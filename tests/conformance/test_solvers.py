"""What every back end must do; runs for each that is installed."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from solver_cases import INF, diet, examples, hard, index, is_optimal, knapsack, near, one, program

from slir_milp.errors import OptionError
from slir_milp.solvers import Feature, RowBlock, Solver, SolverError, Status, available_solvers, solver
from slir_milp.solvers.residuals import dual_objective, is_farkas_ray, primal_residual, residuals


def test_optimum_and_signs_of_duals(backend: Solver, needs) -> None:
    solution = backend.solve(diet())
    assert solution.status is Status.OPTIMAL
    assert solution.x == near(backend, [0, 0.5])
    assert solution.objective == near(backend, 0.5)
    needs(Feature.DUALS)
    assert solution.row_duals == near(backend, [0.5])  # held by its lower side: not negative
    assert solution.reduced_costs == near(backend, [0.5, 0])
    assert (solution.objective, solution.dual_bound) == near(backend, (0.5, 0.5))
    assert solution.seconds >= 0


def test_a_row_held_from_above_has_a_negative_dual(backend: Solver, needs) -> None:
    needs(Feature.DUALS)
    solution = backend.solve(program([[1, 2]], [-1, -1], rows=(-INF, 1), columns=(0, INF), offset=3))
    assert solution.x == near(backend, [1, 0])
    assert solution.row_duals == near(backend, [-1])
    assert solution.objective == near(backend, 2)


def test_a_column_at_its_upper_bound_has_a_negative_reduced_cost(backend: Solver, needs) -> None:
    needs(Feature.DUALS)
    solution = backend.solve(program([[0.0]], [-2], rows=(-INF, INF), columns=(-1, 4)))
    assert solution.reduced_costs == near(backend, [-2])
    assert solution.objective == near(backend, -8)


@pytest.mark.parametrize("name", available_solvers())
def test_primal_dual_and_complementarity(name: str) -> None:
    examples(name, 60)(_primal_dual_and_complementarity)(name)


def _primal_dual_and_complementarity(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(0, 9)), int(rng.integers(1, 10))
    matrix = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.7)
    point = rng.normal(size=columns)
    slack = 0 if rng.random() < 0.5 else rng.random(rows)
    ends = (matrix @ point - slack, matrix @ point + slack)
    bounded = program(matrix, rng.normal(size=columns), rows=ends, columns=(point - 1, point + rng.random(columns)))
    backend = solver(name)
    solution = backend.solve(bounded)
    assert solution.status is Status.OPTIMAL
    if Feature.DUALS in backend.features:
        assert is_optimal(backend, bounded, solution)
        assert solution.dual_bound == pytest.approx(dual_objective(bounded, solution.row_duals))
    assert primal_residual(bounded, solution.x) <= 10 * backend.tolerance
    assert solution.objective <= float(bounded.costs @ point) + 10 * backend.tolerance


def test_residuals_see_a_wrong_answer() -> None:
    wrong = residuals(diet(), np.array([0.0, 0.4]), np.array([0.7]), np.array([0.0, 0.0]))
    assert (wrong.primal, wrong.dual, wrong.complementarity) == pytest.approx((0.2, 0.4, 0.14))


@pytest.mark.parametrize("name", available_solvers())
def test_an_infeasible_program_has_a_farkas_ray(name: str, needs_of) -> None:
    needs_of(solver(name), Feature.FARKAS_RAY)
    examples(name, 40)(_an_infeasible_program_has_a_farkas_ray)(name)


def _an_infeasible_program_has_a_farkas_ray(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 6, 2)
    matrix = rng.normal(size=(rows, columns))
    # The last row contradicts a combination of the others and of the bounds.
    weights = rng.random(rows)
    matrix = np.vstack([matrix, -(weights @ matrix)])
    upper = np.append(rng.normal(size=rows), 0)
    upper[-1] = -(weights @ upper[:-1]) - 0.1
    free = program(matrix, rng.normal(size=columns), rows=(-INF, upper), columns=(-INF, INF))
    backend = solver(name)
    session = backend.open(free)
    for _ in range(2):
        solution = session.solve()
        assert solution.status is Status.INFEASIBLE
        assert is_farkas_ray(free, solution.ray)
    session.change_row_bounds(np.arange(rows + 1, dtype=np.int32), np.full(rows + 1, -INF), np.full(rows + 1, INF))
    assert session.solve().status is Status.UNBOUNDED  # the costs still count


def test_infeasible_by_bounds_alone(backend: Solver) -> None:
    solution = backend.solve(program([[1, 1]], [0, 0], rows=(3, INF), columns=(0, 1)))
    assert solution.status is Status.INFEASIBLE
    if Feature.FARKAS_RAY in backend.features:
        assert (solution.ray > 0).all()


def test_what_is_no_farkas_ray() -> None:
    infeasible = program([[1, 1]], [0, 0], rows=(3, INF), columns=(0, 1))
    assert is_farkas_ray(infeasible, one(2))
    assert not any(is_farkas_ray(infeasible, one(value)) for value in (0, -1, np.nan, INF))
    assert not is_farkas_ray(diet(), one(1))


def test_unbounded(backend: Solver) -> None:
    solution = backend.solve(program([[1, -1]], [-1, 0], rows=(0, 0), columns=(0, INF)))
    assert solution.status is Status.UNBOUNDED


def test_no_rows_and_no_columns(backend: Solver) -> None:
    assert backend.solve(program([], [1, -1], rows=(0, 0), columns=(-2, 3))).objective == near(backend, -5)
    empty = backend.solve(program([], [], rows=(0, 0), columns=(0, 0), offset=7))
    assert (empty.status, empty.objective) == (Status.OPTIMAL, 7)


def test_changes_and_a_warm_start(backend: Solver, needs) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(60, 60))
    start = program(matrix, rng.normal(size=60), rows=(-1, 1), columns=(-1, 1))
    session = backend.open(start)
    session.solve()
    session.change_column_bounds(index(3), one(-0.5), one(0.5))
    session.change_row_bounds(index(5), one(-0.9), one(0.9))
    session.change_coefficients(index(2), index(7), one(0.25))
    session.change_costs(index(9), one(0.125))
    again = session.solve()
    assert np.array_equal(start.values, matrix.ravel())  # what was handed over is not touched
    lower, upper, row_lower, row_upper, costs = (
        array.copy()
        for array in (start.column_lower, start.column_upper, start.row_lower, start.row_upper, start.costs)
    )
    lower[3], upper[3], row_lower[5], row_upper[5], costs[9] = -0.5, 0.5, -0.9, 0.9, 0.125
    changed = matrix.copy()
    changed[2, 7] = 0.25
    fresh = backend.solve(program(changed, costs, rows=(row_lower, row_upper), columns=(lower, upper)))
    assert again.objective == near(backend, fresh.objective)
    if Feature.DUALS in backend.features:
        assert again.dual_bound == near(backend, fresh.objective)
    if Feature.WARM_START in backend.features:
        assert again.iterations < fresh.iterations / 2


def test_added_rows_and_a_warm_start(backend: Solver, needs) -> None:
    rng = np.random.default_rng(1)
    matrix, costs = rng.normal(size=(60, 60)), rng.normal(size=60)
    session = backend.open(program(matrix[:55], costs, rows=(-1, 1), columns=(-1, 1)))
    before = session.solve()
    more = program(matrix[55:], costs, rows=(-0.01, 0.01), columns=(-1, 1))
    session.add_rows(RowBlock(more.row_lower, more.row_upper, more.starts, more.indices, more.values))
    again = session.solve()
    sides = np.concatenate([np.ones(55), np.full(5, 0.01)])
    whole = program(matrix, costs, rows=(-sides, sides), columns=(-1, 1))
    fresh = backend.solve(whole)
    assert again.objective == near(backend, fresh.objective) and again.objective > before.objective
    assert Feature.DUALS not in backend.features or is_optimal(backend, whole, again)
    session.change_row_bounds(index(57), one(2.0), one(2.0))  # the new rows are counted on from the old ones
    session.change_coefficients(index(57), index(0), one(0.5))
    assert session.solve().objective > again.objective
    if Feature.WARM_START in backend.features:
        assert again.iterations < fresh.iterations / 2


def test_infeasible_and_back(backend: Solver) -> None:
    session = backend.open(diet())
    session.change_column_bounds(np.array([0, 1], dtype=np.int32), np.zeros(2), np.full(2, 0.1))
    assert session.solve().status is Status.INFEASIBLE
    session.change_column_bounds(np.array([0, 1], dtype=np.int32), np.zeros(2), np.full(2, INF))
    assert session.solve().objective == near(backend, 0.5)


def test_only_stored_coefficients_can_be_changed(backend: Solver) -> None:
    sparse = replace(
        diet(),
        starts=np.array([0, 1], dtype=np.int32),
        indices=np.array([0], dtype=np.int32),
        values=np.array([1.0]),
    )
    with pytest.raises(SolverError, match="row 0"):
        backend.open(sparse).change_coefficients(index(0), index(1), one(1.0))


@pytest.mark.parametrize("value", [np.nan, INF])
def test_entries_that_are_no_numbers_are_refused(backend: Solver, value: float) -> None:
    with pytest.raises(SolverError):
        backend.open(program([[1, value]], [1, 1], rows=(1, INF), columns=(0, INF)))


def test_nothing_is_printed(backend: Solver, needs, capfd: pytest.CaptureFixture[str]) -> None:
    needs(Feature.INTEGER)
    backend.solve(knapsack())
    if Feature.TIME_LIMIT in backend.features:
        backend.solve(hard(), deadline=time.monotonic() + 0.1)
    assert capfd.readouterr() == ("", "")


def test_threads_solve_at_the_same_time(backend: Solver) -> None:
    objectives: list[float] = []
    times = 2 if backend.name.startswith("pyomo:") else 50

    def work() -> None:
        for _ in range(times):
            objectives.append(backend.solve(diet()).objective)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objectives == near(backend, [0.5] * 4 * times)


def test_the_registry() -> None:
    assert available_solvers()[0] == "highs"
    with pytest.raises(OptionError, match="no solver 'simplex'; choose one of: highs, "):
        solver("simplex")


def test_every_status_of_highs_has_a_meaning() -> None:
    highspy = pytest.importorskip("highspy")
    from slir_milp.solvers.highs_library import STATUSES

    assert set(STATUSES) == set(highspy.HighsModelStatus.__members__)
