"""What every back end with integer columns must do."""

import time
from dataclasses import replace

import numpy as np
import pytest
from solver_cases import INF, hard, knapsack, near, program

from slir_milp.solvers import Feature, Solver, Status
from slir_milp.solvers.residuals import primal_residual


def test_integers(backend: Solver, needs) -> None:
    needs(Feature.INTEGER)
    solution = backend.solve(knapsack())
    assert solution.status is Status.OPTIMAL
    assert solution.x == near(backend, [2, 0, 1])
    assert (solution.objective, solution.dual_bound) == near(backend, (-13, -13))
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


def test_points_and_a_target(backend: Solver, needs) -> None:
    needs(Feature.INCUMBENTS, Feature.TARGET)
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
