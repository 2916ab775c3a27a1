"""What can be said of a program without a solver, and what of an infeasible one with any solver that gives duals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from slir_milp.solvers.held import answer, is_integer
from slir_milp.solvers.protocol import LinearProgram, Solution, Status, Vector
from slir_milp.solvers.residuals import is_farkas_ray


def without_solver(program: LinearProgram) -> Solution | None:
    """Answer a program whose bounds or sides cross, or with a row that cannot be met for it has no entries.

    One in which no row has entries is answered as well; any other gets ``None``.
    """
    lower, upper = program.column_lower, program.column_upper
    if program.integral is not None:
        lower = np.where(program.integral, np.ceil(lower), lower)
        upper = np.where(program.integral, np.floor(upper), upper)
    if (lower > upper).any() or (program.row_lower > program.row_upper).any():
        return answer(program, Status.INFEASIBLE)  # without a ray: its signs would have to name both ends
    empty = np.bincount(program.row_of_entry, weights=program.values != 0, minlength=program.rows) == 0
    ray = (empty & (program.row_lower > 0)).astype(np.float64) - (empty & (program.row_upper < 0))
    if ray.any():
        return answer(program, Status.INFEASIBLE, ray=None if is_integer(program) else ray)
    if not empty.all():
        return None
    wanted = np.where(program.costs > 0, lower, np.where(program.costs < 0, upper, np.clip(0.0, lower, upper)))
    if not np.isfinite(wanted).all():
        return answer(program, Status.UNBOUNDED)
    value = float(program.costs @ wanted) + program.offset
    return answer(program, Status.OPTIMAL, x=wanted, row_duals=np.zeros(program.rows), bound=value)


def elastic(program: LinearProgram) -> LinearProgram:
    """The least sum by which rows must be violated for the bounds of the columns to be kept, as a linear program.

    It is feasible and bounded; its optimum is positive exactly if ``program``, without integers, has no feasible point.
    """
    rows, columns = program.rows, program.columns
    entries = np.diff(program.starts)
    starts = program.starts + 2 * np.arange(rows + 1, dtype=np.int32)
    at = np.repeat(starts[:-1], entries) + np.arange(len(program.values)) - np.repeat(program.starts[:-1], entries)
    indices, values = np.zeros(starts[-1], dtype=np.int32), np.zeros(starts[-1])
    indices[at], values[at] = program.indices, program.values
    for k, sign in ((0, 1.0), (1, -1.0)):
        last = starts[1:] - 2 + k
        indices[last], values[last] = columns + k * rows + np.arange(rows), sign
    return replace(
        program,
        costs=np.concatenate([np.zeros(columns), np.ones(2 * rows)]),
        column_lower=np.concatenate([program.column_lower, np.zeros(2 * rows)]),
        column_upper=np.concatenate([program.column_upper, np.full(2 * rows, np.inf)]),
        starts=starts.astype(np.int32),
        indices=indices,
        values=values,
        integral=None,
        offset=0.0,
    )


def farkas_ray_by(solve: Callable[[LinearProgram], Solution], program: LinearProgram) -> Vector | None:
    """Find a Farkas ray with a solver that gives duals.

    The costs of the elastic program are zero for the columns of ``program``, so that its row duals are, by definition,
    a Farkas ray as soon as its optimum is positive.
    """
    ray = solve(elastic(program)).row_duals
    return ray if ray is not None and is_farkas_ray(program, ray) else None
