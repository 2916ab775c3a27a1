"""Lines through given points: tables that are exact but for the last bit of the slopes between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.outward import enclosure
from slir_milp.activations.table import DEGREE, Table, evaluation_error
from slir_milp.errors import OptionError

_Place = tuple[float, tuple[float | Fraction, float | Fraction, float | Fraction]]


@dataclass(frozen=True)
class Breakpoints:
    """A piecewise linear function, by its breakpoints.

    **Theorem.**  A piecewise linear ``f`` minus a line is piecewise linear, so on an interval it is greatest at an end
    or at a breakpoint (at a jump: at the value or a limit there).  The table holds the values there exactly; runs of
    segments whose slopes do not fall (rise), which rational arithmetic decides, are its convex (concave) pieces.
    *Proof:* on each closed segment ``f − s·x`` is affine, and an affine function on an interval is greatest at an end;
    a continuous function made of affine ones with non-decreasing slopes is convex.  At a jump ``k`` the values between
    the float64 numbers next to ``k`` are known by their range only.

    Lines are optimal up to a few roundings, except that an interval that ends within one float64 step of a jump is
    taken to reach it.

    Parameters
    ----------
    points
        Breakpoints, in order.  A point given twice is a jump: its first value is the limit from the left, its second
        one the value there and the limit from the right.  Given three times: the limit from the left, the value, the
        limit from the right.
    values
        As many values as points, float64 or rational numbers.
    left_slope, right_slope
        Slopes before the first and after the last point.

    Raises
    ------
    OptionError
        If the points are not in order, given more than three times, or anything is not finite.
    """

    name: ClassVar[str] = "breakpoints"
    points: Sequence[float]
    values: Sequence[float | Fraction]
    left_slope: float | Fraction
    right_slope: float | Fraction

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(float(x) for x in self.points))
        object.__setattr__(self, "values", tuple(y if isinstance(y, Fraction) else float(y) for y in self.values))
        if not self.points or len(self.points) != len(self.values):
            raise OptionError(
                f"breakpoints: {len(self.points)} point(s) and {len(self.values)} value(s); give one value per point."
            )
        if not all(map(math.isfinite, (*self.points, *self.values, self.left_slope, self.right_slope))):
            raise OptionError("breakpoints: points, values and slopes must be finite.")
        for i, (a, b) in enumerate(pairwise(self.points)):
            if a > b:
                raise OptionError(f"breakpoints: {b} follows {a}; give the points in increasing order.")
            if i + 3 < len(self.points) and a == self.points[i + 3]:
                raise OptionError(f"breakpoints: {a} is given more than three times.")

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value at ``x``, elementwise, in plain float64: not a bound."""
        places = self.places
        knots = np.array([place for place, _ in places])
        after = np.array([float(values[-1]) for _, values in places])
        before = np.array([float(values[0]) for _, values in places])
        i = np.clip(np.searchsorted(knots, x, "right") - 1, 0, max(len(knots) - 2, 0))
        inner = before[0] * np.ones_like(x)
        if len(knots) > 1:
            share = (x - knots[i]) / (knots[i + 1] - knots[i])
            inner = (1.0 - share) * after[i] + share * before[i + 1]
        result = np.where(x < knots[0], before[0] + float(self.left_slope) * (x - knots[0]), inner)
        result = np.where(x > knots[-1], after[-1] + float(self.right_slope) * (x - knots[-1]), result)
        for place in range(len(knots)):
            result = np.where(x == knots[place], float(places[place][1][1]), result)
        return np.asarray(result)

    @property
    def places(self) -> list[_Place]:
        """Distinct points with the limit from the left, the value, and the limit from the right."""
        grouped: dict[float, list[float | Fraction]] = {}
        for x, y in zip(self.points, self.values, strict=True):
            grouped.setdefault(x + 0.0, []).append(y)
        return [(x, (y[0], y[min(1, len(y) - 1)], y[-1])) for x, y in grouped.items()]

    def table(self) -> Table:
        """Exact segments, and one of a float64 step on either side of a jump."""
        segments = self._segments()
        knots = [*(segment.lower for segment in segments), math.inf]
        at_knot = dict.fromkeys(knots, (-math.inf, math.inf))
        for segment in segments:
            for x in (segment.lower, segment.upper):
                if segment.slope is not None and math.isfinite(x):
                    at_knot[x] = segment.at(x)
        at_knot |= {x: enclosure(Fraction(value)) for x, (_, value, _) in self.places}
        slopes = [(-math.inf, math.inf) if s.slope is None else enclosure(s.slope) for s in segments]
        centre = np.array([s.centre for s in segments])
        coefficients = np.zeros((len(segments), DEGREE + 1))
        coefficients[:, :2] = [s.polynomial for s in segments]
        # (A tail's polynomial is a constant or nothing: its radius does not matter.)
        radius = np.maximum(np.abs(np.subtract(knots[:-1], centre)), np.abs(np.subtract(knots[1:], centre)))
        radius = np.where(np.isfinite(radius), radius * (1 + 2.0**-50), 0.0)
        usable = np.array([s.has_polynomial for s in segments])
        value_error, slope_error = evaluation_error(coefficients, radius)
        # An end value and a slope are rounded by half a step each.
        step = np.abs(coefficients[:, :2]) * 2.0**-52
        moved = step[:, 0] + step[:, 1] * radius
        first, curvature = _pieces(segments)
        return Table(
            knots=np.array(knots),
            knot_low=np.array([at_knot[x][0] for x in knots]),
            knot_high=np.array([at_knot[x][1] for x in knots]),
            low=np.array([s.low for s in segments]),
            high=np.array([s.high for s in segments]),
            slope_low=np.array([low for low, _ in slopes]),
            slope_high=np.array([high for _, high in slopes]),
            centre=centre,
            coefficients=coefficients,
            error_low=np.where(usable, value_error + moved, np.inf),
            error_high=np.where(usable, value_error + moved, np.inf),
            slope_error=np.where(usable, slope_error + step[:, 1], np.inf),
            piece_first=first,
            piece_curvature=curvature,
        )

    def _segments(self) -> list[_Segment]:
        places = self.places
        segments = [_tail(-math.inf, places[0], Fraction(self.left_slope))]
        for (x, (_, value, right)), (y, (left, following, _)) in pairwise(places):
            slope = (Fraction(left) - Fraction(right)) / (Fraction(y) - Fraction(x))
            begin = x if right == value else math.nextafter(x, math.inf)
            end = y if left == following else math.nextafter(y, -math.inf)
            if begin >= end and (begin, end) != (x, y):
                segments.append(_jump(x, y, [value, right, left, following]))
                continue
            line = _Segment(begin, end, slope, x, right)
            line = _Segment(begin, end, slope, x, right, *_hull([*line.at(begin), *line.at(end)]))
            if begin > x:
                segments.append(_jump(x, begin, [value, right, *line.at(begin)]))
            segments.append(line)
            if end < y:
                segments.append(_jump(end, y, [*line.at(end), left, following]))
        segments.append(_tail(math.inf, places[-1], Fraction(self.right_slope)))
        for place, tail, at in ((places[0], segments[0], 0), (places[-1], segments[-1], len(segments))):
            x, (left, value, right) = place
            if tail.upper < x:
                segments.insert(at + 1, _jump(tail.upper, x, [*tail.at(tail.upper), left, value]))
            elif tail.lower > x:
                segments.insert(len(segments) - 1, _jump(x, tail.lower, [value, right, *tail.at(tail.lower)]))
        return segments


@dataclass(frozen=True)
class _Segment:
    """A segment: the line of some slope through ``(x, y)``; with no slope, a jump of which only the range is known."""

    lower: float
    upper: float
    slope: Fraction | None
    x: float
    y: float | Fraction
    low: float = -math.inf
    high: float = math.inf

    def at(self, x: float) -> tuple[float, float]:
        """Enclosure of the value at a number."""
        return enclosure(Fraction(self.y) + (self.slope or 0) * (Fraction(x) - Fraction(self.x)))

    @property
    def is_tail(self) -> bool:
        return not (math.isfinite(self.lower) and math.isfinite(self.upper))

    @property
    def has_polynomial(self) -> bool:
        """A jump has none, nor what is as steep; and only a constant holds to infinity in float64."""
        return self.slope is not None and (abs(self.slope) < 2**900 if not self.is_tail else self.slope == 0)

    @property
    def centre(self) -> float:
        return 0.0 if self.is_tail or self.slope is None else self.x

    @property
    def polynomial(self) -> tuple[float, float]:
        return (float(self.y), float(self.slope or 0)) if self.has_polynomial else (0.0, 0.0)


def _hull(values: Sequence[float | Fraction]) -> tuple[float, float]:
    return enclosure(Fraction(min(values)))[0], enclosure(Fraction(max(values)))[1]


def _jump(lower: float, upper: float, values: Sequence[float | Fraction]) -> _Segment:
    return _Segment(lower, upper, None, 0.0, 0.0, *_hull(values))


def _tail(end: float, place: _Place, slope: Fraction) -> _Segment:
    """The infinite segment towards ``end``."""
    x, (left, value, right) = place
    limit = left if end < 0 else right
    start = x if limit == value else math.nextafter(x, end)
    lower, upper = (end, start) if end < 0 else (start, end)
    bound = _Segment(lower, upper, slope, x, limit).at(start)
    outward = slope * (1 if end > 0 else -1)
    low, high = bound[0] if outward >= 0 else -math.inf, bound[1] if outward <= 0 else math.inf
    return _Segment(lower, upper, slope, x, limit, low, high)


def _pieces(segments: Sequence[_Segment]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """First segments and curvatures of the longest runs, left to right; jumps and tails have no curvature."""
    first: list[int] = []
    curvature: list[int] = []
    turn = 0
    before: Fraction | None = None
    for i, segment in enumerate(segments):
        slope = segment.slope if segment.has_polynomial and not segment.is_tail else None
        change = 0 if slope is None or before is None else (slope > before) - (slope < before)
        if slope is not None and before is not None and (change == 0 or turn in (0, change)):
            turn = turn or change
            curvature[-1] = turn or 1
        else:
            turn = 0
            first.append(i)
            curvature.append(0 if slope is None else 1)
        before = slope
    return np.array([*first, len(segments)], dtype=np.int32), np.array(curvature, dtype=np.int8)
