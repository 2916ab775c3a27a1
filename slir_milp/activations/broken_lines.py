"""Formulas that are piecewise linear, turned into their breakpoints."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from slir_milp.activations.broken import breakpoints_without_jumps, is_piecewise_linear
from slir_milp.activations.formula import Formula
from slir_milp.activations.offsets.breakpoints import Breakpoints

_OPERATORS = {"x", "constant", "add", "sub", "mul", "div", "neg", "abs", "relu", "max", "min", "where_less", "sign"}
_MOST = 64
_PRECISION = 1200
"""Enough that the smallest float64 number is not lost beside one."""

_Line = tuple[Fraction, Fraction]


class _Other(Exception):
    """The formula is not piecewise linear with few breakpoints that float64 holds."""


def breakpoints_of(formula: Formula) -> Breakpoints | None:
    """The formula's breakpoints if it is piecewise linear and float64 holds them (at jumps, their values too).

    Decided in interval and rational arithmetic; nothing where it cannot be decided.
    """
    if not {node.operator for node in formula.nodes} <= _OPERATORS or formula.is_analytic:
        return None
    if is_piecewise_linear(formula):
        return breakpoints_without_jumps(formula)
    from flint import ctx

    with ctx.workprec(_PRECISION):
        return _breakpoints(formula)


def _breakpoints(formula: Formula) -> Breakpoints | None:
    try:
        pieces = _pieces(formula, -math.inf, math.inf, _MOST)
        points: list[float] = []
        values: list[float] = []
        for (left, end), (right, _) in pairwise(pieces):
            z = Fraction(end)
            at = _value(formula, end)
            limits = [_exact(left[0] * z + left[1]), at, _exact(right[0] * z + right[1])]
            kept = limits if len(set(limits)) > 1 else [at]
            if kept == [at] and left == right:
                continue
            points += [end] * len(kept)
            values += kept
        if not points:
            return None
        return Breakpoints(tuple(points), tuple(values), _exact(pieces[0][0][0]), _exact(pieces[-1][0][0]))
    except _Other:
        return None


def _pieces(formula: Formula, lower: float, upper: float, most: int) -> list[tuple[_Line, float]]:
    """Lines from left to right, each with the number where it ends."""
    from slir_milp.activations.branches import Undecided, Undefined, resolve

    inner = (math.nextafter(lower, math.inf), math.nextafter(upper, -math.inf))
    inner = (lower if math.isinf(lower) else inner[0], upper if math.isinf(upper) else inner[1])
    if inner[0] > inner[1] or most <= 0:
        raise _Other
    try:
        line = resolve(formula, *inner).exact_affine
    except Undefined:
        raise _Other from None
    except Undecided as undecided:
        affine = undecided.switch.exact_affine
        if affine is None or not affine[0]:
            raise _Other from None
        z = _exact(-affine[1] / affine[0])
        if not lower < z < upper:
            raise _Other from None
        left = _pieces(formula, lower, z, most // 2)
        return left + _pieces(formula, z, upper, most // 2)
    if line is None:
        raise _Other
    return [(line, upper)]


def _value(formula: Formula, x: float) -> float:
    from slir_milp.activations.interval import down, enclose, interval, up

    low, high = enclose(formula, interval(x, x))
    if down(low) != up(high):
        raise _Other
    return down(low)


def _exact(number: Fraction) -> float:
    try:
        rounded = float(number)
    except OverflowError:
        raise _Other from None
    if Fraction(rounded) != number:
        raise _Other
    return rounded
