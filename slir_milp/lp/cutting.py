"""Cutting planes: solve, add the lines of curves that the solution violates, and solve again from the last basis."""

from __future__ import annotations

import time
from dataclasses import replace
from threading import Event

import numpy as np

from slir_milp.lp.curves import Indices, Mask
from slir_milp.lp.duals import shares
from slir_milp.lp.hulls import violated
from slir_milp.lp.program import Relaxation
from slir_milp.network.affine import Vector
from slir_milp.solvers import Session, Solution, Status

ROUNDS = 12
"""Most rounds of lines that are added to a program."""
_LEAST_VIOLATION = 1e-4
"""In units of a band's thickness."""


def solve_with_cuts(
    session: Session,
    relaxation: Relaxation,
    *,
    target: float = np.inf,
    patience: float = np.inf,
    deadline: float | None = None,
    cancel: Event | None = None,
) -> tuple[Solution, Relaxation]:
    """Solve a program, with more and more lines if it has curves.

    Parameters
    ----------
    session, relaxation
        The program as the solver holds it, and what it stands for.
    target
        Objective beyond which no further lines are asked for.
    patience
        Lines are added as long as what the last round gained, this many times, would reach the target.
    deadline, cancel
        A moment of ``time.monotonic()`` and a flag at which to stop.

    Returns
    -------
    solution, relaxation
        The last solution, and the program as the session now holds it.  If the last round was stopped, the solution is
        that of the round before, in which the newest lines have no part.
    """
    solution = session.solve(deadline=deadline, cancel=cancel)
    gain = np.inf
    for _ in range(ROUNDS if len(relaxation.parts.bands.at) else 0):
        if solution.status is not Status.OPTIMAL or solution.objective > target:
            break
        if patience * gain < target - solution.objective or _is_over(deadline, cancel):
            break
        lines = _missing_lines(relaxation, solution)
        if lines is None:
            break
        relaxation, block = relaxation.with_lines(*lines)
        session.add_rows(block)
        again = session.solve(deadline=deadline, cancel=cancel)
        if again.status is not Status.OPTIMAL and again.ray is None:
            duals = np.zeros(0) if solution.row_duals is None else solution.row_duals
            return replace(solution, row_duals=np.concatenate([duals, np.zeros(len(block))])), relaxation
        gain = max(again.objective - solution.objective, 0.0)
        solution = again
    return solution, relaxation


def _is_over(deadline: float | None, cancel: Event | None) -> bool:
    return (cancel is not None and cancel.is_set()) or (deadline is not None and time.monotonic() >= deadline)


def _missing_lines(relaxation: Relaxation, solution: Solution) -> tuple[Indices, Mask, Vector] | None:
    """The lines to add to an optimum's program; ``None`` if it leaves no hull that matters."""
    bands = relaxation.parts.bands
    if solution.x is None or solution.row_duals is None or solution.reduced_costs is None:
        return None
    lower, _, upper, _ = shares(relaxation, solution.row_duals, solution.reduced_costs)
    e, chi = solution.x[relaxation.positive_parts][bands.at], solution.x[relaxation.negative_parts][bands.at]
    lines = violated(bands, e, chi, lower > 0, upper > 0, _LEAST_VIOLATION)
    return lines if len(lines[0]) else None
