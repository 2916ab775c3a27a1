"""A piecewise linear function from its values at its breakpoints, checked against the function itself."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from slir_milp.activations.formula import Formula, X, apply
from slir_milp.activations.offsets.breakpoints import Breakpoints
from slir_milp.activations.offsets.samples import Function, evaluate
from slir_milp.activations.table import Vector
from slir_milp.errors import OptionError


def line_through(
    name: str, function: Function, breakpoints: Sequence[float], places: Vector, error: float
) -> Breakpoints:
    """The function through the values at its breakpoints; its slopes outside are taken one unit away from them.

    Parameters
    ----------
    name
        Of the activation.
    function
        To compute it.
    breakpoints
        Where it bends or jumps.
    places
        Where it must be the same.
    error
        How far computed values may be from the true ones.

    Raises
    ------
    OptionError
        If it is not linear between the breakpoints.
    """
    points = np.unique(np.asarray(breakpoints, dtype=np.float64))
    value = evaluate(function, points)
    reach = np.nextafter(points, -np.inf), np.nextafter(points, np.inf)
    near = [evaluate(function, x) for x in reach]
    size = 1e-9 * (1.0 + np.abs(value))
    kept: list[tuple[float, float]] = []
    for x, y, before, after, small in zip(points, value, *near, size, strict=True):
        if abs(before - y) > small or abs(after - y) > small:
            left = before if abs(before - y) > small else y
            kept += [(x, left), (x, y), (x, after if abs(after - y) > small else y)]
        else:
            kept.append((x, y))
    ends = np.array([points[0] - 1.0, points[-1] + 1.0])
    outer = evaluate(function, ends)
    line = Breakpoints(
        [x for x, _ in kept], [y for _, y in kept], float(kept[0][1] - outer[0]), float(outer[1] - kept[-1][1])
    )
    x = places[~np.isin(places, [*reach[0], *reach[1]])]
    given, meant = evaluate(function, x), line(x)
    gap = np.abs(given - meant) - 1e-9 * (1.0 + np.abs(meant)) - error
    if (gap > 0).any():
        i = int(gap.argmax())
        raise OptionError(
            f"activation {name}: between its breakpoints it must be linear, but at {x[i]} it is {given[i]:.9g} and the "
            f"line through the breakpoints is {meant[i]:.9g}; name every breakpoint."
        )
    return line


def line_formula(line: Breakpoints) -> Formula:
    """The formula of a piecewise linear function of float64 values, exact: slopes are quotients of differences."""
    places = [(x, (float(left), float(value), float(right))) for x, (left, value, right) in line.places]
    x, (left, _, _) = places[0]
    result = left + float(line.left_slope) * (X - x)
    for i, (x, (_, value, right)) in enumerate(places):
        if i + 1 < len(places):
            y, (following, _, _) = places[i + 1]
            rise = Fraction(following) - Fraction(right)
            slope = (Formula.constant(following) - right) / (Formula.constant(y) - x) if rise else Formula.constant(0)
            after = right + slope * (X - x)
        else:
            after = right + float(line.right_slope) * (X - x)
        at_least = after if value == right else apply("where_less", x, X, after, value)
        result = apply("where_less", X, x, result, at_least)
    return result
