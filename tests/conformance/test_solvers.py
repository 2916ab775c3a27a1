"""What every back end must do; runs for each that is installed."""

import _thread
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.errors import OptionError
from slir_milp.solvers import Feature, LinearProgram, RowBlock, Solver, SolverError, Status, available_solvers, solver
from slir_milp.solvers.residuals import dual_objective, is_farkas_ray, primal_residual, residuals

INF = np.inf
CLOSE = 1e-7


@pytest.fixture(params=available_solvers())
def backend(request: pytest.FixtureRequest) -> Solver:
    return solver(request.param)


@pytest.fixture
def needs(backend: Solver):
    def check(feature: Feature) -> None:
        if feature not in backend.features:
            pytest.skip(f"{backend.name} does not offer {feature}")

    return check


def program(matrix, costs, *, rows, columns, integral=None, offset=0.0) -> LinearProgram:
    """A program from a dense matrix; ``rows`` and ``columns`` are pairs of ends."""
    matrix = np.array(matrix, dtype=np.float64).reshape(len(matrix), len(costs))
    entries = np.ones_like(matrix, dtype=bool)  # zeros are stored, so that any coefficient can be changed
    starts = np.concatenate([[0], np.cumsum(entries.sum(axis=1))]).astype(np.int32)
    (row_lower, row_upper), (column_lower, column_upper) = (
        [np.broadcast_to(np.asarray(end, dtype=np.float64), size).copy() for end in ends]
        for ends, size in ((rows, len(matrix)), (columns, len(costs)))
    )
    return LinearProgram(
        np.array(costs, dtype=np.float64),
        column_lower,
        column_upper,
        row_lower,
        row_upper,
        starts,
        np.nonzero(entries)[1].astype(np.int32),
        matrix[entries],
        None if integral is None else np.array(integral, dtype=bool),
        offset,
    )


def diet() -> LinearProgram:
    """Minimise x + y with x + 2y ≥ 1, x, y ≥ 0: half a unit of y."""
    return program([[1, 2]], [1, 1], rows=(1, INF), columns=(0, INF))


def one(value: float) -> np.ndarray:
    return np.array([value])


def index(value: int) -> np.ndarray:
    return np.array([value], dtype=np.int32)


def test_optimum_and_signs_of_duals(backend: Solver) -> None:
    solution = backend.solve(diet())
    assert solution.status is Status.OPTIMAL
    assert solution.x == pytest.approx([0, 0.5])
    assert solution.row_duals == pytest.approx([0.5])  # held by its lower side: not negative
    assert solution.reduced_costs == pytest.approx([0.5, 0])
    assert (solution.objective, solution.dual_bound) == pytest.approx((0.5, 0.5))
    assert solution.seconds >= 0


def test_a_row_held_from_above_has_a_negative_dual(backend: Solver) -> None:
    solution = backend.solve(program([[1, 2]], [-1, -1], rows=(-INF, 1), columns=(0, INF), offset=3))
    assert solution.x == pytest.approx([1, 0])
    assert solution.row_duals == pytest.approx([-1])
    assert solution.objective == pytest.approx(2)


def test_a_column_at_its_upper_bound_has_a_negative_reduced_cost(backend: Solver) -> None:
    solution = backend.solve(program([[0.0]], [-2], rows=(-INF, INF), columns=(-1, 4)))
    assert solution.reduced_costs == pytest.approx([-2])
    assert solution.objective == pytest.approx(-8)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), equations=st.booleans())
@pytest.mark.parametrize("name", available_solvers())
def test_primal_dual_and_complementarity(name: str, seed: int, equations: bool) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(0, 9)), int(rng.integers(1, 10))
    matrix = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.7)
    point = rng.normal(size=columns)
    slack = 0 if equations else rng.random(rows)
    ends = (matrix @ point - slack, matrix @ point + slack)
    bounded = program(matrix, rng.normal(size=columns), rows=ends, columns=(point - 1, point + rng.random(columns)))
    solution = solver(name).solve(bounded)
    assert solution.status is Status.OPTIMAL
    found = residuals(bounded, solution.x, solution.row_duals, solution.reduced_costs)
    assert max(found.primal, found.dual, found.complementarity, abs(found.gap)) < CLOSE
    assert solution.dual_bound == pytest.approx(dual_objective(bounded, solution.row_duals))
    assert solution.objective <= float(bounded.costs @ point) + CLOSE


def test_residuals_see_a_wrong_answer() -> None:
    wrong = residuals(diet(), np.array([0.0, 0.4]), np.array([0.7]), np.array([0.0, 0.0]))
    assert wrong.primal == pytest.approx(0.2)
    assert wrong.dual == pytest.approx(0.4)
    assert wrong.complementarity == pytest.approx(0.14)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("name", available_solvers())
def test_an_infeasible_program_has_a_farkas_ray(name: str, seed: int) -> None:
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
    if Feature.FARKAS_RAY not in backend.features:
        pytest.skip("no Farkas rays")
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
    assert backend.solve(program([], [1, -1], rows=(0, 0), columns=(-2, 3))).objective == pytest.approx(-5)
    empty = backend.solve(program([], [], rows=(0, 0), columns=(0, 0), offset=7))
    assert (empty.status, empty.objective) == (Status.OPTIMAL, 7)


def test_changes_and_a_warm_start(backend: Solver) -> None:
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
    assert again.objective == pytest.approx(fresh.objective)
    assert again.dual_bound == pytest.approx(fresh.objective)
    if Feature.WARM_START in backend.features:
        assert again.iterations < fresh.iterations / 2


def test_added_rows_and_a_warm_start(backend: Solver) -> None:
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
    assert again.objective == pytest.approx(fresh.objective) and again.objective > before.objective
    found = residuals(whole, again.x, again.row_duals, again.reduced_costs)
    assert max(found.primal, found.dual, found.complementarity, abs(found.gap)) < 1e-7
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
    assert session.solve().objective == pytest.approx(0.5)


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


def knapsack() -> LinearProgram:
    """Least of −5x − 4y − 3z with 2x + 3y + z ≤ 5, 4x + y + 2z ≤ 11, 3x + 4y + 2z ≤ 8 in integers from 0 to 3."""
    matrix = [[2, 3, 1], [4, 1, 2], [3, 4, 2]]
    return program(matrix, [-5, -4, -3], rows=(-INF, [5, 11, 8]), columns=(0, 3), integral=[True] * 3)


def test_integers(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    solution = backend.solve(knapsack())
    assert solution.status is Status.OPTIMAL
    assert solution.x == pytest.approx([2, 0, 1])
    assert (solution.objective, solution.dual_bound) == pytest.approx((-13, -13))
    assert solution.row_duals is None
    assert solution.reduced_costs is None


def test_integers_can_be_infeasible_where_reals_are_not(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    odd = program([[2, 2]], [1, 0], rows=(3, 3), columns=(0, 5), integral=[True, True])
    assert backend.solve(odd).status is Status.INFEASIBLE
    assert backend.solve(replace(odd, integral=None)).status is Status.OPTIMAL


def test_unbounded_with_integers(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    free = program([[1, -1]], [-1, 0], rows=(0, 0), columns=(0, INF), integral=[True, False])
    assert backend.solve(free).status is Status.UNBOUNDED


def hard() -> LinearProgram:
    """A market split: small, and more than any solver does in seconds."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 100, (6, 50)).astype(float)
    side = matrix.sum(axis=1) // 2
    matrix = np.hstack([matrix, np.eye(6), -np.eye(6)])
    ends = (0, np.concatenate([np.ones(50), np.full(12, INF)]))
    costs = np.concatenate([np.zeros(50), np.ones(12)])
    return program(matrix, costs, rows=(side, side), columns=ends, integral=[True] * 50 + [False] * 12)


def test_a_time_limit_is_kept_in_every_solve_of_a_session(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    session = backend.open(hard())
    for _ in range(2):
        begun = time.monotonic()
        solution = session.solve(deadline=begun + 0.4)
        assert solution.status is Status.TIME_LIMIT
        assert 0.3 < time.monotonic() - begun < 0.9


def test_a_time_limit_is_kept_by_a_large_linear_program(backend: Solver) -> None:
    rng = np.random.default_rng(1)
    large = program(rng.normal(size=(700, 700)), rng.normal(size=700), rows=(-1, 1), columns=(-10, 10))
    session = backend.open(large)
    begun = time.monotonic()
    assert session.solve(deadline=begun + 0.05).status is Status.TIME_LIMIT
    assert time.monotonic() - begun < 0.55


def test_a_deadline_that_has_passed(backend: Solver) -> None:
    solution = backend.solve(diet(), deadline=time.monotonic())
    assert (solution.status, solution.x) == (Status.TIME_LIMIT, None)


def test_a_flag_stops_from_another_thread(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    begun = time.monotonic()
    assert backend.solve(hard(), cancel=cancel).status is Status.INTERRUPTED
    assert time.monotonic() - begun < 0.8
    assert backend.solve(diet(), cancel=cancel).status is Status.INTERRUPTED
    timer.join()


def test_control_c_stops_and_comes_through(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    session = backend.open(hard())
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.solve(deadline=begun + 5)
    assert time.monotonic() - begun < 0.8
    timer.join()
    assert session.solve(deadline=time.monotonic() + 0.1).status is Status.TIME_LIMIT  # still usable
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_that_raises_leaves_a_usable_session(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)

    def give_up(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGINT, give_up)
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    session = backend.open(hard())
    try:
        with pytest.raises(ZeroDivisionError):
            session.solve(deadline=time.monotonic() + 5)
    finally:
        signal.signal(signal.SIGINT, before)
    timer.join()
    assert session.solve(deadline=time.monotonic() + 0.1).status is Status.TIME_LIMIT


def test_points_and_a_target(backend: Solver, needs) -> None:
    needs(Feature.INCUMBENTS)
    points: list[np.ndarray] = []
    free, begun = hard(), time.monotonic()
    solution = backend.open(free).solve(target=1000.0, on_point=points.append, deadline=begun + 5)
    assert solution.status is Status.TARGET_REACHED
    assert solution.objective <= 1000
    assert points
    assert all(primal_residual(free, point) < 1e-6 for point in points)


def test_an_error_of_the_callback_comes_through(backend: Solver, needs) -> None:
    needs(Feature.INCUMBENTS)

    def fail(_: np.ndarray) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backend.open(hard()).solve(on_point=fail, deadline=time.monotonic() + 5)


def test_nothing_is_printed(backend: Solver, needs, capfd: pytest.CaptureFixture[str]) -> None:
    needs(Feature.INTEGER)
    backend.solve(knapsack())
    backend.solve(hard(), deadline=time.monotonic() + 0.1)
    assert capfd.readouterr() == ("", "")


def test_threads_solve_at_the_same_time(backend: Solver) -> None:
    objectives: list[float] = []

    def work() -> None:
        for _ in range(50):
            objectives.append(backend.solve(diet()).objective)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert objectives == pytest.approx([0.5] * 200)


def test_the_registry() -> None:
    assert available_solvers()[0] == "highs"
    with pytest.raises(OptionError, match=r"no solver 'simplex'; choose one of: highs\."):
        solver("simplex")


def test_every_status_of_highs_has_a_meaning() -> None:
    highspy = pytest.importorskip("highspy")
    from slir_milp.solvers.highs import STATUSES

    assert set(STATUSES) == set(highspy.HighsModelStatus.__members__)
