"""Slopes to start from: the line of least area, the chord, and the hand-crafted rules of other verifiers.

The area between ``f`` and a line above it, of slope ``s`` and least offset ``b(s)``, is ``(u − l)·(s·m + b(s))`` up to
a constant, with ``m`` the middle of ``[l, u]``.  So the line of least area is the lowest at ``m``, the supporting line
there of the concave hull of ``f``.  ``s·m + b(s)`` is convex in ``s`` with slope ``m − x``, ``x`` the touching point:
touching left (right) of ``m`` says that a smaller (greater) slope is better, and no line is lower at ``m`` than the
chord between a contact left and one right of it.  So: begin with the tangent at ``m``, replace the contact on that
side on which the line touches, go on with the chord of both contacts, and stop when the line is nearly as low as that
chord.

No bound depends on a slope being well chosen: offsets come from :mod:`slir_milp.activations.touch`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slir_milp.activations.table import Table
from slir_milp.activations.touch import polynomial, segment_of, touch_above, value_above

STEPS = 8
"""Most lines that are tried for one that leaves the least area."""

CLOSE_ENOUGH = 1e-3
"""Stop when what is left to gain is this share of what the first line had to gain."""


@dataclass(frozen=True)
class Line:
    """A line on one side of a function: ``slope·x + offset``, about where it touches, and how many shifts it took."""

    slope: float
    offset: float
    x: float
    shifts: int


def least_area_above(table: Table, lower: float, upper: float) -> Line:
    """Line above the function that leaves nearly the least area on ``[lower, upper]``.

    An infinite interval has no such line; it gets a line of slope zero, or of a tail's slope if that is needed for a
    finite offset.
    """
    if not math.isfinite(upper - lower):
        return _above_unbounded(table, lower, upper)
    middle = 0.5 * lower + 0.5 * upper
    slope = slope_near(table, middle)
    touch = touch_above(table, slope, lower, upper)
    best = Line(slope, touch.offset, touch.x, 1)
    left, right = (lower, _top(table, lower)), (upper, _top(table, upper))
    first_gap = math.inf
    for shifts in range(2, STEPS + 1):
        contact = (touch.x, touch.offset + slope * touch.x)
        left, right = (contact, right) if touch.x < middle else (left, contact)
        if not (left[0] < middle < right[0]) or touch.x == middle:
            break
        following = (right[1] - left[1]) / (right[0] - left[0])
        gap = (best.slope - following) * (middle - left[0]) + best.offset + best.slope * left[0] - left[1]
        first_gap = min(first_gap, gap)
        if not math.isfinite(following) or following == slope or (gap <= CLOSE_ENOUGH * first_gap and shifts > 2):
            break
        slope = following
        touch = touch_above(table, slope, lower, upper)
        if touch.offset + slope * middle < best.offset + best.slope * middle:
            best = Line(slope, touch.offset, touch.x, shifts)
        best = Line(best.slope, best.offset, best.x, shifts)
        if touch.x in (left[0], right[0]):
            break
    return best


def least_area_below(table: Table, lower: float, upper: float) -> Line:
    """Line below the function that leaves nearly the least area; see :func:`least_area_above`."""
    mirrored = least_area_above(table.negated, lower, upper)
    return Line(-mirrored.slope, -mirrored.offset, mirrored.x, mirrored.shifts)


def chord_slope(table: Table, lower: float, upper: float) -> float:
    """Slope of the line through both ends of the graph; that of the tangent if the ends are one."""
    if lower == upper:
        return slope_near(table, lower)
    slope = (value_near(table, upper) - value_near(table, lower)) / (upper - lower)
    return slope if math.isfinite(slope) else 0.0


def hand_crafted(table: Table, lower: float, upper: float) -> tuple[float, float]:
    """Slopes below and above by the rule that CROWN and its successors use for s-shaped functions.

    On a convex interval the chord is above and the tangent at the middle below, on a concave one the other way round.
    Elsewhere, on each side: the chord if it is valid, else the tangent through an end of the graph, the one of less
    area.

    Source: Zhang et al., *Efficient Neural Network Robustness Certification with General Activation Functions*, 2018.
    """
    mirrored = table.negated
    return -_hand_crafted_above(mirrored, lower, upper), _hand_crafted_above(table, lower, upper)


def value_near(table: Table, x: float) -> float:
    """Middle of what is known of the value at a finite number; zero if nothing is: no bound."""
    low, high = -_top(table.negated, x), _top(table, x)
    return 0.5 * low + 0.5 * high if math.isfinite(high - low) else 0.0


def slope_near(table: Table, x: float) -> float:
    """About the derivative at a finite number, from the right where there are two; zero if it is unknown: no bound."""
    i = int(segment_of(table, np.array(x)))
    if math.isfinite(table.slope_error[i]) or table.coefficients[i].any():
        slope = polynomial(table.coefficients[i], np.asarray(x - table.centre[i]))[1]
        return float(np.clip(slope, table.slope_low[i], table.slope_high[i]))
    known = [s for s in (float(table.slope_low[i]), float(table.slope_high[i])) if math.isfinite(s)]
    return sum(known) / len(known) if known else 0.0


def _top(table: Table, x: float) -> float:
    return float(value_above(table, segment_of(table, np.array([x])), np.array([x]))[0])


def _above_unbounded(table: Table, lower: float, upper: float) -> Line:
    lines: list[Line] = []
    for slope in (0.0, float(table.slope_high[-1]), float(table.slope_low[0])):
        touch = touch_above(table, slope, lower, upper)
        lines.append(Line(slope if math.isfinite(slope) else 0.0, touch.offset, touch.x, len(lines) + 1))
        if touch.offset < math.inf:
            break
    return min(lines, key=lambda line: line.offset)


def _hand_crafted_above(table: Table, lower: float, upper: float) -> float:
    first, last = (int(i) for i in segment_of(table, np.array([lower, np.nextafter(upper, -np.inf)])))
    pieces = np.searchsorted(table.piece_first, [first, max(first, last)], "right") - 1
    curvature = set(table.piece_curvature[pieces[0] : pieces[1] + 1].tolist())
    if lower == upper or curvature == {-1}:
        return slope_near(table, 0.5 * lower + 0.5 * upper)
    chord = chord_slope(table, lower, upper)
    if curvature == {1}:
        return chord
    middle, tangents = 0.5 * lower + 0.5 * upper, []
    for end in (lower, upper):
        slope, value = chord, _top(table, end)
        for _ in range(STEPS):  # turn the line about the end until nothing is above it
            touch = touch_above(table, slope, lower, upper)
            turned = (touch.offset + slope * touch.x - value) / (touch.x - end) if touch.x != end else slope
            if not math.isfinite(turned) or abs(turned - slope) <= 1e-12 * abs(slope):
                break
            slope = turned
        tangents.append((touch_above(table, slope, lower, upper).offset + slope * middle, slope))
    return min(tangents)[1]
