"""Linear programs for the conformance tests of solvers, and how near an answer has to be."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.solvers import LinearProgram, Solution, Solver
from slir_milp.solvers.residuals import residuals

INF = np.inf


def near(backend: Solver, value: Any) -> Any:
    """The value within what the back end promises."""
    return pytest.approx(value, rel=backend.tolerance, abs=backend.tolerance)


def examples(name: str, most: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Feed a test ``seed``; programs that a process of its own has to solve are slow, so they get a few only."""
    count = min(most, 5) if name.startswith("pyomo:") else most

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        return settings(max_examples=count, deadline=None)(given(seed=st.integers(0, 2**32 - 1))(test))

    return decorate


def is_optimal(backend: Solver, solved: LinearProgram, solution: Solution) -> bool:
    """Whether an answer meets every condition of optimality as nearly as the back end promises."""
    assert solution.x is not None and solution.row_duals is not None and solution.reduced_costs is not None
    found = residuals(solved, solution.x, solution.row_duals, solution.reduced_costs)
    finite = [array[np.isfinite(array)] for array in (solved.row_lower, solved.row_upper, solved.values, solved.costs)]
    numbers = [*finite, solution.x, solution.row_duals, solution.reduced_costs]
    scale = max(1.0, *(float(np.abs(array).max(initial=0.0)) for array in numbers))
    worst = max(found.primal, found.dual, found.complementarity, abs(found.gap))
    return worst <= backend.tolerance * scale


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


def knapsack() -> LinearProgram:
    """Least of −5x − 4y − 3z with 2x + 3y + z ≤ 5, 4x + y + 2z ≤ 11, 3x + 4y + 2z ≤ 8 in integers from 0 to 3."""
    matrix = [[2, 3, 1], [4, 1, 2], [3, 4, 2]]
    return program(matrix, [-5, -4, -3], rows=(-INF, [5, 11, 8]), columns=(0, 3), integral=[True] * 3)


def hard() -> LinearProgram:
    """A market split: small, and more than any solver does in seconds."""
    rng = np.random.default_rng(0)
    matrix = rng.integers(0, 100, (6, 50)).astype(float)
    side = matrix.sum(axis=1) // 2
    matrix = np.hstack([matrix, np.eye(6), -np.eye(6)])
    ends = (0, np.concatenate([np.ones(50), np.full(12, INF)]))
    costs = np.concatenate([np.zeros(50), np.ones(12)])
    return program(matrix, costs, rows=(side, side), columns=ends, integral=[True] * 50 + [False] * 12)
