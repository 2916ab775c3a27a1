"""Shift a line of a given slope until it touches: the least offset above, the greatest offset below.

For a slope ``s`` the line ``s·x + b`` lies above ``f`` on ``[l, u]`` exactly if ``b ≥ max (f(x) − s·x)``.  This module
bounds that maximum from a :class:`~slir_milp.activations.table.Table` alone, piece by piece, and takes the largest
bound.  Write ``F(x)`` for an upper bound on ``f`` at a float64 number ``x`` and ``[a, b]`` for the part of the piece
(or segment) in ``[l, u]``.

**Convex piece.**  ``f − s·x`` is convex, so its maximum is at an end: ``max (F(a) − s·a, F(b) − s·b)``.

**Concave piece.**  Let ``x₀`` be *any* point of ``[a, b]`` and ``D⁻ ≤ f′(x₀−)``, ``D⁺ ≥ f′(x₀+)`` bounds on the
one-sided derivatives.  A concave function lies below its one-sided tangents: ``f(x) ≤ f(x₀) + D⁺·(x − x₀)`` right and
``f(x) ≤ f(x₀) − D⁻·(x₀ − x)`` left of ``x₀``.  Hence, for ``a ≤ a′ ≤ x₀ ≤ b′ ≤ b``, everywhere on ``[a′, b′]`` ::

    f(x) − s·x ≤ F(x₀) − s·x₀ + max(0, (D⁺ − s)·(b′ − x₀), (s − D⁻)·(x₀ − a′)).

If some one-sided derivative at ``b′`` is at most ``s``, then ``f − s·x`` does not increase beyond ``b′``, and likewise
for ``a′``; so the bound holds on ``[a, b]`` (take ``b′ = b`` where nothing of the kind is known).  Whether ``x₀``
solves ``f′(x₀) = s``, and how exactly, decides only how tight the bound is.

**Rough segment** (curvature unknown, and both infinite segments).  With difference quotients in ``[g, h]`` and values
at most ``H``, ``f`` lies below the three lines ``F(a) + h·(x − a)``, ``H`` and ``F(b) − g·(b − x)``.  For *any*
``a ≤ y ≤ z ≤ b``, the largest of the first line on ``[a, y]``, the second on ``[y, z]`` and the third on ``[z, b]``,
each minus ``s·x`` and so greatest at an end, bounds ``f − s·x``; ``y`` and ``z`` are taken where the lines cross.
The second line on all of ``[a, b]`` gives another bound.  Where the segment has a polynomial ``p``, its chord gives a
third: ``|p″| ≤ K`` makes ``p`` at most its chord plus ``K·(b − a)²/8``, and ``f ≤ p + error_high``.  The least counts.

Every operation is rounded outward (:mod:`slir_milp.activations.outward`); polynomials have the error of Horner's rule
in their own errors.  Lines below are lines above ``−f``, mirrored.  The touching point is where the bound is attained,
up to rounding: a hint for gradients (``∂b/∂s = −x``), on which no bound depends.

Source: Kern, Antal, Ábráham, Sinz, SLiR, arXiv 2606.20292, for shifting; the bounds here are our own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.outward import add_down, add_up, rise_up, times_up
from slir_milp.activations.table import DEGREE, Table, Vector, evaluation_error

Indices = NDArray[np.intp]


class Touch(NamedTuple):
    """A line of a given slope that touches: its offset, rounded outward, and the touching point."""

    offset: float
    x: float


def touch_above(table: Table, slope: float, lower: float, upper: float) -> Touch:
    """The lowest line of this slope that is proven to lie above the function.

    Parameters
    ----------
    table
        What is known of the function.
    slope
        Slope of the line.
    lower, upper
        The interval; both may be the same number, and either may be infinite.

    Returns
    -------
    Touch
        ``f(x) ≤ slope·x + offset`` for every real ``x`` from ``lower`` to ``upper``; the offset is plus infinity where
        nothing is known, and never NaN.

    Raises
    ------
    ValueError
        If the interval holds no real number.
    """
    if not (lower <= upper and lower < math.inf and upper > -math.inf):
        raise ValueError(f"[{lower}, {upper}] is no interval of real numbers")
    if not math.isfinite(slope):
        return Touch(math.inf, max(min(0.0, upper), lower))
    first = int(segment_of(table, np.array(lower)))
    last = max(first, int(np.searchsorted(table.knots, upper, "left")) - 1)
    piece = int(np.searchsorted(table.piece_first, first, "right")) - 1
    rough: list[Indices] = []
    found: list[Touch] = []
    while piece < len(table.piece_curvature) and table.piece_first[piece] <= last:
        begin = max(first, int(table.piece_first[piece]))
        end = min(last, int(table.piece_first[piece + 1]) - 1)
        curvature = table.piece_curvature[piece]
        inner = (begin, end) if curvature == 0 else (max(begin, 1), min(end, table.segments - 2))
        if curvature == 0 or inner[0] > inner[1]:
            rough.append(np.arange(begin, end + 1))
        else:
            rough += [np.arange(begin, inner[0]), np.arange(inner[1] + 1, end + 1)]
            a, b = max(lower, float(table.knots[inner[0]])), min(upper, float(table.knots[inner[1] + 1]))
            found.append((_convex if curvature > 0 else _concave)(table, slope, *inner, a, b))
        piece += 1
    segments = np.concatenate([np.empty(0, dtype=np.intp), *rough])
    if len(segments):
        found.append(_rough(table, slope, segments, lower, upper))
    return max(found, key=lambda touch: touch.offset)


def touch_below(table: Table, slope: float, lower: float, upper: float) -> Touch:
    """The highest line of this slope that is proven to lie below the function; see :func:`touch_above`."""
    mirrored = touch_above(table.negated, -slope, lower, upper)
    return Touch(-mirrored.offset, mirrored.x)


def segment_of(table: Table, x: Vector) -> Indices:
    """Index of the segment that begins at or holds each number."""
    return np.clip(np.searchsorted(table.knots, x, "right") - 1, 0, table.segments - 1)


def value_above(table: Table, segment: Indices, x: Vector) -> Vector:
    """Upper bounds on the function at finite numbers, each in the segment named: its polynomial, its range, its ends.

    Parameters
    ----------
    table
        What is known of the function.
    segment, x
        Same shape; ``x`` lies in the closed segment.
    """
    with np.errstate(all="ignore"):
        t = x - table.centre[segment]
        value = polynomial(table.coefficients[segment], t)[0]
        best = np.minimum(add_up(value, table.error_high[segment]), table.high[segment])
        for end, slope in ((segment, table.slope_high[segment]), (segment + 1, -table.slope_low[segment])):
            rise = rise_up(slope, np.abs(x - table.knots[end]))
            best = np.minimum(best, add_up(table.knot_high[end], rise))
    return np.where(np.isnan(best), np.inf, best)


def polynomial(coefficients: Vector, t: Vector) -> tuple[Vector, Vector]:
    """Horner's rule: the polynomial and its derivative; coefficients along the last axis."""
    value, slope = coefficients[..., DEGREE], np.zeros_like(t)
    for k in range(DEGREE - 1, -1, -1):
        slope = slope * t + value
        value = value * t + coefficients[..., k]
    return value, slope


def _over(value: Vector, slope: float, x: Vector) -> Vector:
    """Upper bound on ``value − slope·x``."""
    return add_up(value, times_up(-slope, x))


def _convex(table: Table, slope: float, first: int, last: int, a: float, b: float) -> Touch:
    ends = np.array([a, b])
    over = _over(value_above(table, np.array([first, last]), ends), slope, ends)
    return Touch(float(over.max()), float(ends[over.argmax()]))


def _concave(table: Table, slope: float, first: int, last: int, a: float, b: float) -> Touch:
    def derivative(segment: int, x: float) -> float:
        return float(polynomial(table.coefficients[segment], np.asarray(x - table.centre[segment]))[1])

    at, end = first, last  # the last segment that begins steeper than the line
    while at < end:
        middle = (at + end + 1) // 2
        at, end = (middle, end) if derivative(middle, float(table.knots[middle])) > slope else (at, middle - 1)
    left, right = max(a, float(table.knots[at])), min(b, float(table.knots[at + 1]))
    x = _contact(table, at, slope, left, right)

    # Beyond these points the function falls away from the line for certain.
    begin, beyond = a, b
    for segment in (at, at - 1):
        if segment >= first:
            from_ = max(a, float(table.knots[segment]))
            steepness = add_down(derivative(segment, from_), -table.slope_error[segment])
            if max(steepness, table.slope_low[segment]) >= slope:
                begin = from_
                break
    for segment in (at, at + 1):
        if segment <= last:
            to = min(b, float(table.knots[segment + 1]))
            steepness = add_up(derivative(segment, to), table.slope_error[segment])
            if min(steepness, table.slope_high[segment]) <= slope:
                beyond = to
                break

    before = at - 1 if x == table.knots[at] and at > first else at
    after = at + 1 if x == table.knots[at + 1] and at < last else at
    left_slope = max(add_down(derivative(before, x), -table.slope_error[before]), table.slope_low[before])
    right_slope = min(add_up(derivative(after, x), table.slope_error[after]), table.slope_high[after])
    excess = max(
        0.0,
        float(rise_up(add_up(right_slope, -slope), beyond - x)),
        float(rise_up(add_up(slope, -left_slope), x - begin)),
    )
    over = _over(value_above(table, np.array([at]), np.array([x])), slope, np.array([x]))
    return Touch(float(add_up(over, excess)[0]), x)


def _contact(table: Table, segment: int, slope: float, left: float, right: float) -> float:
    """About where the segment's polynomial, falling in slope, has the slope of the line: Newton, kept by bisection."""
    coefficients, centre = table.coefficients[segment].tolist(), float(table.centre[segment])

    def derivatives(x: float) -> tuple[float, float]:
        t = x - centre
        value, first, second = coefficients[DEGREE], 0.0, 0.0
        for k in range(DEGREE - 1, -1, -1):
            second = second * t + first
            first = first * t + value
            value = value * t + coefficients[k]
        return first - slope, 2.0 * second

    if derivatives(left)[0] <= 0.0:
        return left
    if derivatives(right)[0] >= 0.0:
        return right
    x = left + 0.5 * (right - left)
    for _ in range(60):
        excess, bend = derivatives(x)
        if excess > 0.0:
            left = x
        else:
            right = x
        step = excess / bend if bend < 0.0 else math.inf
        following = x - step if left < x - step < right else left + 0.5 * (right - left)
        if abs(following - x) <= 2.0**-52 * abs(x) or excess == 0.0:
            return x
        x = following
    return x


def _rough(table: Table, slope: float, segments: Indices, lower: float, upper: float) -> Touch:
    a, b = np.maximum(table.knots[segments], lower), np.minimum(table.knots[segments + 1], upper)
    low, high, most = table.slope_low[segments], table.slope_high[segments], table.high[segments]
    at_a, at_b = (
        np.where(np.isfinite(x), value_above(table, segments, np.clip(x, -_MAX, _MAX)), np.inf) for x in (a, b)
    )
    has_left, has_right = np.isfinite(at_a) & np.isfinite(high), np.isfinite(at_b) & np.isfinite(low)
    with np.errstate(all="ignore"):
        width = b - a
        y = np.where(high > 0.0, a + (most - at_a) / high, b)
        z = np.where(low < 0.0, b + (most - at_b) / low, a)
        y, z = (np.clip(np.where(np.isnan(x), a, x), a, b) for x in (y, z))
        cross = np.where(high > low, a + (at_b - at_a - low * width) / (high - low), b)
        cross = np.clip(np.where(np.isnan(cross), a, cross), a, b)
        y, z = np.where(y > z, cross, y), np.where(y > z, cross, z)
        # Only one line is known to be finite towards an infinite end, and it depends on the slope which.
        y = np.where(has_left, np.where((b == np.inf) & ((slope < 0.0) | np.isinf(most)), b, y), a)
        z = np.where(has_right, np.where((a == -np.inf) & ((slope > 0.0) | np.isinf(most)), a, z), b)
        y = np.minimum(y, z)

        first = add_up(_over(at_a, slope, a), np.maximum(0.0, rise_up(add_up(high, -slope), y - a)))
        third = add_up(_over(at_b, slope, b), np.maximum(0.0, rise_up(add_up(slope, -low), b - z)))
        second = np.maximum(_over(most, slope, y), _over(most, slope, z))
    single = a == b
    over = np.maximum.reduce(
        [
            np.where((y > a) | single, np.where(has_left | single, first, np.inf), -np.inf),
            np.where(z > y, second, -np.inf),
            np.where((z < b) & ~single, np.where(has_right, third, np.inf), -np.inf),
        ]
    )
    over = np.minimum(over, np.maximum(_over(most, slope, a), _over(most, slope, b)))
    x = np.select([over == first, (over == second) & (slope >= 0.0)], [np.where(high > slope, y, a), y], z)
    x = np.where((over == third) & (over != first), np.where(low < slope, z, b), x)
    chord = _chord(table, slope, segments, a, b)
    over, x = np.minimum(over, chord), np.where(chord < over, np.where(slope > 0, a, b), x)
    over = np.where(np.isnan(over), np.inf, over)
    best = int(over.argmax())
    return Touch(float(over[best]), float(np.clip(x[best], -_MAX, _MAX)))


def _chord(table: Table, slope: float, segments: Indices, a: Vector, b: Vector) -> Vector:
    """The bound from the chord of the polynomial; infinite where there is none."""
    coefficients, error = table.coefficients[segments], table.error_high[segments]
    usable = np.isfinite(a) & np.isfinite(b) & np.isfinite(error)
    if not usable.any():
        return np.full(len(segments), np.inf)
    with np.errstate(all="ignore"):
        ends = a - table.centre[segments], b - table.centre[segments]
        radius = np.maximum(np.abs(ends[0]), np.abs(ends[1]))
        degree = np.arange(DEGREE + 1)
        bends = np.abs(coefficients) * degree * (degree - 1)
        bend = (bends[:, 2:] * radius[:, None] ** degree[:-2]).sum(axis=1)
        above = add_up(error, evaluation_error(coefficients, radius)[0])
        # The factor covers the roundings of these few products and sums of positive numbers.
        above = add_up(above, np.where(bend == 0.0, 0.0, (0.125 + 2.0**-40) * bend * (b - a) ** 2))
        at = [_over(polynomial(coefficients, t)[0], slope, x) for t, x in zip(ends, (a, b), strict=True)]
        over = add_up(np.maximum(*at), above)
    return np.where(usable & ~np.isnan(over), over, np.inf)


_MAX = float(np.finfo(float).max)
