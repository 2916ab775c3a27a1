"""Exact optima against known ones, against HiGHS, and against enumeration; MPS files to the bit."""

from dataclasses import fields, replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lp_exact import least_maximum, random_case, seeds, sound_bounds

from slir_milp.errors import SlirError
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.milp import Goal, with_binaries
from slir_milp.lp.program import relax, sparse_program
from slir_milp.solvers import LinearProgram, SolverError, Status, solver
from slir_milp.solvers.exact import Finding, dual_bound, enclosure, proves_infeasible, solve_exactly
from slir_milp.solvers.exact_integer import solve_integer_exactly
from slir_milp.solvers.mps import read_mps, write_mps

INF = np.inf
HIGHS = solver()


def small(
    costs: list[float], rows: list[list[float]], sides: list[tuple[float, float]], bounds: list[tuple[float, float]]
) -> LinearProgram:
    low, high = zip(*bounds, strict=True)
    below, above = zip(*sides, strict=True)
    return sparse_program(
        costs=np.array(costs),
        column_lower=np.array(low),
        column_upper=np.array(high),
        row_lower=np.array(below),
        row_upper=np.array(above),
        matrix=np.array(rows),
    )


def a_program(seed: int, *, integral: bool = False) -> LinearProgram:
    """The program of a random region."""
    case = random_case(seed)
    neurons = within_sides(case.network, case.region, sound_bounds(case))
    relaxation = relax(case.network, case.rows, case.region, neurons, own_scales=integral)
    assert relaxation is not None
    return with_binaries(relaxation, Goal.OPTIMUM) if integral else relaxation.program


# --- exact optima --------------------------------------------------------------------------------------------------


def test_a_known_optimum_is_found_to_the_last_digit() -> None:
    third = small([-1.0, -1.0], [[3.0, 0.0], [0.0, 7.0]], [(-INF, 1.0), (-INF, 1.0)], [(0.0, 9.0), (0.0, 9.0)])
    answer = solve_exactly(third)
    assert (answer.finding, answer.objective) == (Finding.OPTIMUM, -Fraction(1, 3) - Fraction(1, 7))
    assert answer.x == (Fraction(1, 3), Fraction(1, 7))


def test_less_than_any_tolerance_decides() -> None:
    # x + y ≥ 2 + 2⁻⁴⁰ in a box that reaches to 1: float64 solvers may call this feasible.
    gap = 2.0**-40
    program = small([0.0, 0.0], [[1.0, 1.0]], [(2.0 + gap, INF)], [(0.0, 1.0), (0.0, 1.0)])
    assert solve_exactly(program).finding is Finding.INFEASIBLE
    wider = replace(program, column_upper=np.array([1.0, 1.0 + gap]))
    assert solve_exactly(wider).finding is Finding.OPTIMUM


def test_a_basis_that_is_optimal_but_for_tolerances_is_mended() -> None:
    # The second column is better by 10⁻¹² only: within HiGHS's tolerance either is an optimum.
    program = small([-1.0, -1.0 - 1e-12], [[1.0, 1.0]], [(-INF, 1.0)], [(0.0, 1.0), (0.0, 1.0)])
    assert solve_exactly(program).objective == Fraction(-1.0 - 1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=seeds())
def test_exact_and_float_answers_agree(seed: int) -> None:
    program = a_program(seed)
    exact, claimed = solve_exactly(program), HIGHS.solve(program)
    if exact.finding is Finding.INFEASIBLE:
        assert claimed.status is Status.INFEASIBLE
    else:
        assert exact.finding is Finding.OPTIMUM
        assert exact.objective is not None and exact.x is not None
        assert claimed.objective == pytest.approx(float(exact.objective), abs=1e-7)
        bound = dual_bound(program, claimed.row_duals)
        assert bound is not None and bound <= exact.objective
        assert float(exact.objective - bound) < 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=seeds())
def test_an_exact_optimum_meets_every_row_and_no_bound_of_any_duals_exceeds_it(seed: int) -> None:
    program = a_program(seed)
    exact = solve_exactly(program)
    if exact.x is None or exact.objective is None:
        assert exact.finding is Finding.INFEASIBLE
        return
    activity = [Fraction(0)] * program.rows
    for i, j, value in zip(program.row_of_entry, program.indices, program.values, strict=True):
        activity[i] += exact.x[j] * Fraction(float(value))
    for value, low, high in zip(activity, program.row_lower.tolist(), program.row_upper.tolist(), strict=True):
        assert low <= value <= high
    for value, low, high in zip(exact.x, program.column_lower.tolist(), program.column_upper.tolist(), strict=True):
        assert low <= value <= high
    rng = np.random.default_rng(seed)
    for scale in (0.1, 1.0):
        bound = dual_bound(program, scale * rng.normal(size=program.rows))
        assert bound is None or bound <= exact.objective
        assert not proves_infeasible(program, rng.normal(size=program.rows))


@settings(max_examples=25, deadline=None)
@given(seed=seeds())
@example(seed=3984)  # a node of it is empty by so little that the solver's Farkas ray does not hold
def test_exact_integer_optima_are_those_of_the_network(seed: int) -> None:
    case = random_case(seed)
    neurons = within_sides(case.network, case.region, sound_bounds(case))
    relaxation = relax(case.network, case.rows, case.region, neurons, own_scales=True)
    assert relaxation is not None
    answer = solve_integer_exactly(with_binaries(relaxation, Goal.OPTIMUM), seconds=60.0)
    truth = least_maximum(case)
    if truth is None or answer.finding is Finding.INFEASIBLE:
        # The program's numbers are rounded: a region may be empty by less than that.
        assert truth is None or answer.finding is Finding.OPTIMUM or answer.objective is None
        return
    assert answer.finding is Finding.OPTIMUM and answer.objective is not None
    assert float(answer.objective) * relaxation.objective_scale == pytest.approx(float(truth), abs=1e-9)


def test_exact_integer_optima_against_enumeration() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        matrix, costs = rng.integers(-5, 6, (3, 4)).astype(float), rng.integers(-5, 6, 4).astype(float)
        sides = rng.integers(0, 8, 3).astype(float)
        program = replace(
            small(costs.tolist(), matrix.tolist(), [(-INF, s) for s in sides], [(0.0, 2.0)] * 4),
            integral=np.ones(4, dtype=np.bool_),
        )
        points = [np.array(p) for p in product(range(3), repeat=4)]
        best = min(float(costs @ p) for p in points if (matrix @ p <= sides).all())
        assert solve_integer_exactly(program).objective == best
        # A guess is a solver's word: what lies outside of the bounds is none of the points.
        for guess in (np.full(4, 3.6), np.full(4, -7.0), np.full(4, np.nan)):
            assert solve_integer_exactly(program, guess).objective == best


def test_large_and_unbounded_programs_stay_open() -> None:
    unbounded = small([-1.0], [[0.0]], [(-INF, 1.0)], [(0.0, INF)])
    assert solve_exactly(unbounded).finding is Finding.OPEN
    program = a_program(3)
    answer = solve_exactly(program, most_basic=0)
    assert (answer.finding, answer.why) == (Finding.OPEN, "the basis is too large for exact arithmetic")


def test_an_enclosure_is_as_narrow_as_can_be() -> None:
    low, high = enclosure(Fraction(1, 3))
    assert low < Fraction(1, 3) < high and np.nextafter(low, 1.0) == high
    assert enclosure(Fraction(1, 4)) == (0.25, 0.25)


# --- MPS -----------------------------------------------------------------------------------------------------------

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ENDS = st.floats(allow_nan=False)


@st.composite
def programs(draw: st.DrawFn) -> LinearProgram:
    """Any numbers whatever, but for rows between two sides."""
    columns, rows = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    positions = draw(st.lists(st.tuples(st.integers(0, max(rows - 1, 0)), st.integers(0, columns - 1)), unique=True))
    positions = sorted(positions) if rows else []
    count = len(positions)

    def numbers(strategy: st.SearchStrategy[float], size: int) -> np.ndarray:
        return np.array(draw(st.lists(strategy, min_size=size, max_size=size)), dtype=np.float64)

    kinds = draw(st.lists(st.sampled_from("ELGN"), min_size=rows, max_size=rows))
    sides = numbers(NUMBERS, rows)
    low = np.array([s if k in "EG" else -INF for k, s in zip(kinds, sides, strict=True)])
    high = np.array([s if k in "EL" else INF for k, s in zip(kinds, sides, strict=True)])
    ends = np.sort(np.stack([numbers(ENDS, columns), numbers(ENDS, columns)]), axis=0)
    starts = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(np.bincount([i for i, _ in positions], minlength=rows), out=starts[1:])
    integral = np.array(draw(st.lists(st.booleans(), min_size=columns, max_size=columns)))
    return LinearProgram(
        costs=numbers(NUMBERS, columns),
        column_lower=ends[0],
        column_upper=ends[1],
        row_lower=low.reshape(rows),
        row_upper=high.reshape(rows),
        starts=starts,
        indices=np.array([j for _, j in positions], dtype=np.int32),
        values=numbers(NUMBERS, count),
        integral=integral if integral.any() else None,
        offset=draw(NUMBERS),
    )


def assert_same(one: LinearProgram, other: LinearProgram) -> None:
    for field in fields(LinearProgram):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if a is None or b is None:
            assert a is b, field.name
        else:
            assert np.asarray(a).dtype == np.asarray(b).dtype, field.name
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), field.name


@settings(max_examples=80, deadline=None)
@given(program=programs())
def test_files_are_exact_to_the_bit(program: LinearProgram, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.mps"
    write_mps(program, path, comments=("a line",))
    back = read_mps(path)
    if program.offset == 0.0:  # (of which the sign is lost)
        program, back = replace(program, offset=0.0), replace(back, offset=0.0)
    assert_same(program, back)


@settings(max_examples=60, deadline=None)
@given(low=NUMBERS, high=NUMBERS)
def test_rows_between_two_sides_are_exact_or_refused(
    low: float, high: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    low, high = min(low, high), max(low, high)
    program = small([0.0], [[1.0]], [(low, high)], [(0.0, 1.0)])
    path = tmp_path_factory.getbasetemp() / "range.mps"
    try:
        write_mps(program, path)
    except SolverError:
        return
    back = read_mps(path)
    assert (back.row_lower[0], back.row_upper[0]) == (low, high)


@pytest.mark.parametrize("integral", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_highs_reads_the_same_program(seed: int, integral: bool, tmp_path: Path) -> None:
    import highspy

    program = a_program(seed, integral=integral)
    write_mps(program, tmp_path / "program.mps")
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    assert highs.readModel(str(tmp_path / "program.mps")).name == "kOk"
    read = highs.getLp()
    assert np.array(read.col_cost_).tobytes() == program.costs.tobytes()
    assert np.array_equal(np.array(read.col_lower_), program.column_lower)
    assert np.array_equal(np.array(read.col_upper_), program.column_upper)
    assert np.array_equal(np.array(read.row_lower_), program.row_lower)
    assert np.array_equal(np.array(read.row_upper_), program.row_upper)
    matrix = np.zeros((program.rows, program.columns))
    matrix[program.row_of_entry, program.indices] = program.values
    found = np.zeros_like(matrix)
    starts, indices, values = (
        np.array(part) for part in (read.a_matrix_.start_, read.a_matrix_.index_, read.a_matrix_.value_)
    )
    for j in range(program.columns):
        found[indices[starts[j] : starts[j + 1]], j] = values[starts[j] : starts[j + 1]]
    assert np.array_equal(found, matrix)


@pytest.mark.parametrize(
    "text", ["", "NAME x\nROWS\n N obj\n", "NAME x\nQUADOBJ\nENDATA\n", "NAME x\nROWS\n L cost\nENDATA\n"]
)
def test_other_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.mps"
    path.write_text(text)
    with pytest.raises(SlirError, match=r"other\.mps is no MPS file as slir-milp writes it"):
        read_mps(path)


def test_an_absent_file_is_said_to_be() -> None:
    with pytest.raises(SlirError, match="cannot be read"):
        read_mps(Path("nowhere.mps"))
