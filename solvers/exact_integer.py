"""Exact answers of small mixed-integer programs: branch and bound in which every bound is a rational number.

The linear programs of the tree are answered by :func:`slir_milp.solvers.exact.solve_exactly`; a float64 solver only
says where to look.  Columns that must be integers are taken to be binary or to have few values.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from slir_milp.solvers.exact import MOST_BASIC, ExactAnswer, Finding, solve_exactly
from slir_milp.solvers.protocol import LinearProgram, Vector


@dataclass(frozen=True)
class IntegerAnswer:
    """An exact answer, or what is known.

    Attributes
    ----------
    finding
        ``OPTIMUM`` and ``INFEASIBLE`` are certain.
    objective
        The optimum; while it is open, the objective of the best point that is certain, if there is one.
    nodes
        Linear programs that were answered exactly.
    why
        Why it stays open, as a phrase; else ``""``.
    """

    finding: Finding
    objective: Fraction | None = None
    nodes: int = 0
    why: str = ""


def solve_integer_exactly(
    program: LinearProgram,
    guess: Vector | None = None,
    *,
    most_nodes: int = 400,
    seconds: float = 2.0,
    most_basic: int = MOST_BASIC,
) -> IntegerAnswer:
    """Find the exact optimum of a mixed-integer program, or prove that it has no feasible point.

    Parameters
    ----------
    program
        The program.
    guess
        A point to begin with, such as a solver's answer; its integers are rounded, and the other columns found anew.
    most_nodes, seconds
        When to give up.
    most_basic
        As for :func:`slir_milp.solvers.exact.solve_exactly`.
    """
    integral = np.flatnonzero(program.integral) if program.integral is not None else np.zeros(0, dtype=np.intp)
    linear = replace(program, integral=None)
    best: Fraction | None = None
    nodes, ends_at = 0, time.monotonic() + seconds
    if guess is not None and len(integral) and np.isfinite(guess[integral]).all():
        near = np.clip(np.round(guess[integral]), program.column_lower[integral], program.column_upper[integral])
        answer = _within(linear, integral, near, near, most_basic)
        nodes, best = 1, answer.objective
    stack = [(program.column_lower[integral], program.column_upper[integral])]
    while stack:
        if nodes >= most_nodes or time.monotonic() > ends_at:
            return IntegerAnswer(Finding.OPEN, best, nodes, "the tree of exact programs is too large")
        low, high = stack.pop()
        answer = _within(linear, integral, low, high, most_basic)
        nodes += 1
        if answer.finding is Finding.OPEN:
            return IntegerAnswer(Finding.OPEN, best, nodes, answer.why)
        if answer.finding is Finding.INFEASIBLE or answer.objective is None or answer.x is None:
            continue
        if best is not None and answer.objective >= best:
            continue
        values = [answer.x[j] for j in integral.tolist()]
        distance = [abs(value - round(value)) for value in values]
        k = max(range(len(values)), key=distance.__getitem__, default=-1)
        if k < 0 or distance[k] == 0:
            best = answer.objective
            continue
        below, above = high.copy(), low.copy()
        below[k], above[k] = math.floor(values[k]), math.ceil(values[k])
        parts = [(low, below), (above, high)]
        stack += parts if values[k] - math.floor(values[k]) > Fraction(1, 2) else parts[::-1]
    return IntegerAnswer(Finding.INFEASIBLE if best is None else Finding.OPTIMUM, best, nodes)


def _within(linear: LinearProgram, integral: np.ndarray, low: Vector, high: Vector, most_basic: int) -> ExactAnswer:
    """The linear program with other bounds of the integers."""
    lower, upper = linear.column_lower.copy(), linear.column_upper.copy()
    lower[integral], upper[integral] = low, high
    return solve_exactly(replace(linear, column_lower=lower, column_upper=upper), most_basic=most_basic)
