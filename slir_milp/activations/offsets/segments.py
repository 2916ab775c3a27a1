"""From a formula to its table; why it is valid stands in :mod:`slir_milp.activations.offsets.critical_points`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from flint import arb, ctx

from slir_milp.activations.branches import Undecided, Undefined, outcome, resolve, root
from slir_milp.activations.formula import Formula
from slir_milp.activations.interval import Interval, down, enclose, interval, up
from slir_milp.activations.offsets.polynomial import Fit, fit
from slir_milp.activations.rewrite import stable
from slir_milp.activations.series import Expansion
from slir_milp.activations.table import DEGREE, Table, evaluation_error

CONVEX, CONCAVE = 1, 2
"""Bits of the curvatures that hold; a straight segment has both."""

PRECISION = 160
FAR = 2.0**30
_HUGE = 2.0**400
_NARROW = 2.0**-40
"""Least width of a segment with a polynomial, next to a singular point at zero; elsewhere ``2^-20``, relatively."""
_MOST = 4000
"""Series that one octave may take before the rest of it is left rough."""
_MOST_FAR = 300
"""The same from 4 on: then all beyond is left to the tail."""


@dataclass(slots=True)
class Segment:
    """A segment before it becomes a row of the table; with a fit, the analytic formula and its slopes at the ends."""

    lower: float
    upper: float
    values: Interval
    slopes: Interval
    fit: Fit | None = None
    curvature: int = 0
    ends: tuple[Interval, Interval] | None = None
    formula: Formula | None = None
    at_lower: arb | None = None


class _TooMany(Exception):
    """An octave takes too many segments."""


def build(formula: Formula) -> Table:
    """The table of a formula."""
    with ctx.workprec(PRECISION):
        return _Builder(stable(formula)).table()


class _Builder:
    def __init__(self, formula: Formula) -> None:
        self.formula = formula
        self.segments: list[Segment] = []
        self.expansions: dict[Formula, Expansion] = {}
        self.at_knots: dict[tuple[Formula, float], list[arb]] = {}
        self.left = 0
        self.far = False

    def table(self) -> Table:
        right = self.half_line(1)
        self.at_knots.clear()
        left = self.half_line(-1)
        left.sort(key=lambda s: s.lower)
        return _assemble(self.formula, _merged(left + right))

    def half_line(self, sign: int) -> list[Segment]:
        """Segments from zero outward, the tail included."""
        done: list[Segment] = []
        near, far = 0.0, 1.0
        while True:
            lower, upper = (near, far) if sign > 0 else (-far, -near)
            self.segments, self.left, self.far = [], (_MOST_FAR if near >= 4 else _MOST), near >= 4
            try:
                self.cover(lower, upper)
            except _TooMany:
                break
            done += self.segments
            near, far = far, 2 * far
            if near >= FAR or self.is_settled(sign * near):
                break
        ends = (near, math.inf) if sign > 0 else (-math.inf, -near)
        return [*done, Segment(*ends, *outcome(self.formula, *ends))]

    def is_settled(self, end: float) -> bool:
        """Whether all beyond is known as well as a segment would know it, or cannot be known better."""
        ends = (end, math.inf) if end > 0 else (-math.inf, end)
        try:
            resolve(self.formula, *ends)
        except Undefined:
            return True
        except Undecided:
            return False
        values = enclose(self.formula, interval(*ends))
        if values[0] > _HUGE or values[1] < -_HUGE:
            return True
        size = (abs(values[1]) + 2.0**-30) * 2.0**-54
        if not (size.is_finite() and values[1] - values[0] <= size):
            return False
        slopes = outcome(self.formula, *ends)[1]
        return bool(slopes[1] - slopes[0] <= size)

    def cover(self, lower: float, upper: float, rooted: bool = False) -> None:
        """Append segments from ``lower`` to ``upper``."""
        try:
            formula = stable(resolve(self.formula, lower, upper))
        except Undefined:
            self.rough(lower, upper)
            return
        except Undecided as undecided:
            self.split(undecided, lower, upper, rooted)
            return
        self.smooth(formula, lower, upper)

    def spend(self) -> bool:
        """Count a step; whether there was none left."""
        self.left -= 1
        if self.left < 0 and self.far:
            raise _TooMany
        return self.left < 0

    def split(self, undecided: Undecided, lower: float, upper: float, rooted: bool) -> None:
        middle = 0.5 * (lower + upper)
        if self.spend() or not lower < middle < upper or upper - lower <= 2.0**-50 * max(abs(lower), abs(upper), 1e-3):
            self.rough(lower, upper)
            return
        place = None if rooted else root(undecided.switch, lower, upper)
        if place is None:
            self.cover(lower, middle)
            self.cover(middle, upper)
            return
        a, b = place
        if undecided.jump and a == b:
            a, b = math.nextafter(a, -math.inf), math.nextafter(b, math.inf)
        a, b = max(a, lower), min(b, upper)
        if lower < a:
            self.cover(lower, a, True)
        if a < b:
            self.rough(a, b)
        if b < upper:
            self.cover(b, upper, True)

    def rough(self, lower: float, upper: float) -> None:
        self.segments.append(Segment(lower, upper, *outcome(self.formula, lower, upper)))

    def smooth(self, formula: Formula, lower: float, upper: float) -> None:
        """Segments of an analytic formula."""
        expansion = self.expansions.get(formula)
        if expansion is None:
            expansion = self.expansions[formula] = Expansion(formula)
        if self.spend() or upper - lower <= _least_width(lower, upper):
            self.rough(lower, upper)
            return
        found = fit(expansion, lower, upper)
        if found is None:
            if self.is_huge(formula, lower, upper):
                self.rough(lower, upper)
                return
        else:
            cuts = self.curvatures(formula, expansion, found, lower, upper)
            if cuts is not None:
                for a, b, curvature in cuts:
                    self.segments.append(self.polished(formula, expansion, found, a, b, curvature))
                return
        middle = 0.5 * (lower + upper)
        self.smooth(formula, lower, middle)
        self.smooth(formula, middle, upper)

    def is_huge(self, formula: Formula, lower: float, upper: float) -> bool:
        """Whether no float64 arithmetic should be done with the values."""
        low, high = enclose(formula, interval(lower, upper))
        return bool(low > _HUGE or high < -_HUGE)

    def knot(self, formula: Formula, expansion: Expansion, x: float) -> list[arb]:
        """Value, slope and half the second derivative at a knot."""
        found = self.at_knots.get((formula, x))
        if found is None:
            found = self.at_knots[formula, x] = expansion(arb(x), 3)
        return found

    def curvatures(
        self, formula: Formula, expansion: Expansion, found: Fit, lower: float, upper: float
    ) -> list[tuple[float, float, int]] | None:
        """Stretches of the segment with the curvature proven on each, or nothing if it should be halved."""
        over = found.over
        if over[2] >= 0 or over[2] <= 0:
            return [(lower, upper, (CONVEX if over[2] >= 0 else 0) | (CONCAVE if over[2] <= 0 else 0))]
        width = upper - lower
        bend = abs(over[2]).upper() * width * width
        if bend <= found.tolerance * 2.0**-20:  # far out: as good as straight
            return [(lower, upper, 0)]
        order = next((k for k in range(3, 9) if over[k] > 0 or over[k] < 0), 0)
        if order:
            known = _from_ends(expansion, lower, upper, order, over[order] > 0)
            if known:
                return [(lower, upper, known)]
        if order == 3:
            caught = self.inflection(formula, expansion, found, lower, upper)
            if caught is not None:
                a, b = caught
                before, after = (CONCAVE, CONVEX) if over[3] > 0 else (CONVEX, CONCAVE)
                cuts = [(lower, a, before), (a, b, 0), (b, upper, after)]
                return [cut for cut in cuts if cut[0] < cut[1]]
        if bend <= found.tolerance or width <= 2 * _least_width(lower, upper):
            return [(lower, upper, 0)]
        return None

    def inflection(
        self, formula: Formula, expansion: Expansion, found: Fit, lower: float, upper: float
    ) -> tuple[float, float] | None:
        """Numbers around the only zero of the second derivative, with proven signs there."""
        rising = found.over[3] > 0
        a, b = lower, upper
        while a < (m := 0.5 * (a + b)) < b:
            if (found.second(m) < 0) == rising:
                a = m
            else:
                b = m
        width = upper - lower
        for z in (0.0, a, b):
            if lower < z < upper and abs(z - a) <= 2.0**-30 * width and expansion(arb(z), 3)[2].is_zero():
                return z, z
        for exponent in (-44, -40, -36, -30):
            spread = 2.0**exponent * width
            left, right = max(a - spread, lower), min(b + spread, upper)
            signs = [self.knot(formula, expansion, z)[2] for z in (left, right)]
            if (left == lower or (signs[0] < 0 if rising else signs[0] > 0)) and (
                right == upper or (signs[1] > 0 if rising else signs[1] < 0)
            ):
                return left, right
        return None

    def polished(
        self, formula: Formula, expansion: Expansion, found: Fit, lower: float, upper: float, curvature: int
    ) -> Segment:
        """A segment with the tightest ranges that its ends and its curvature give."""
        ends = tuple(self.knot(formula, expansion, x) for x in (lower, upper))
        slopes = _hull(ends[0][1], ends[1][1])
        if not curvature:
            bend = 2 * abs(found.over[2]).upper() * (arb(upper) - arb(lower))
            slopes = ((slopes[0] - bend).lower(), (slopes[1] + bend).upper())
        values = _hull(ends[0][0], ends[1][0])
        if slopes[0] < 0 < slopes[1]:
            values = self.around(expansion, found, values, slopes, lower, upper, curvature)
        corners = tuple((e[1].lower(), e[1].upper()) for e in ends)
        return Segment(lower, upper, values, slopes, found, curvature, (corners[0], corners[1]), formula, ends[0][0])

    def around(
        self,
        expansion: Expansion,
        found: Fit,
        values: Interval,
        slopes: Interval,
        lower: float,
        upper: float,
        curvature: int,
    ) -> Interval:
        """Range of a segment that may hold an extreme: by the tangent next to it, or by the slopes."""
        width = arb(upper) - arb(lower)
        steepest = slopes[1] if slopes[1] > -slopes[0] else -slopes[0]
        reach = steepest * width
        if curvature:
            a, b = lower, upper
            while a < (m := 0.5 * (a + b)) < b:
                if (found.first(m) < 0) == bool(curvature & CONVEX):
                    a = m
                else:
                    b = m
            value, slope = expansion(arb(a), 2)
            spread = abs(slope).upper() * width
            if curvature & CONVEX:
                return (value - spread).lower(), values[1]
            return values[0], (value + spread).upper()
        return (values[0] - reach).lower(), (values[1] + reach).upper()


def _from_ends(expansion: Expansion, lower: float, upper: float, order: int, positive: bool) -> int:
    """Curvature by Taylor's formula about either end, with a remainder of known sign."""
    for x, turn in ((lower, 1), (upper, -1)):
        terms = [c * turn**k for k, c in enumerate(expansion(arb(x), order))][2:]
        last = positive == (turn**order > 0)
        if last and all(c >= 0 for c in terms):
            return CONVEX
        if not last and all(c <= 0 for c in terms):
            return CONCAVE
    return 0


def _hull(a: arb, b: arb) -> Interval:
    lows, highs = (a.lower(), b.lower()), (a.upper(), b.upper())
    return (lows[0] if lows[0] <= lows[1] else lows[1], highs[0] if highs[0] >= highs[1] else highs[1])


def _least_width(lower: float, upper: float) -> float:
    return _NARROW if min(abs(lower), abs(upper)) < _NARROW else 2.0**-20 * max(abs(lower), abs(upper))


def _merged(segments: list[Segment]) -> list[Segment]:
    """Neighbours of which nothing at all is known become one."""
    result: list[Segment] = []
    for segment in segments:
        last = result[-1] if result else None
        if last is not None and _is_empty(last) and _is_empty(segment):
            last.upper = segment.upper
        else:
            result.append(segment)
    return result


def _is_empty(segment: Segment) -> bool:
    infinite = [not e.is_finite() for e in (*segment.values, *segment.slopes)]
    return segment.fit is None and all(infinite) and segment.values[0] < segment.values[1]


def _assemble(formula: Formula, segments: list[Segment]) -> Table:
    knots = np.array([segments[0].lower, *(s.upper for s in segments)])
    knot_values = [
        interval(s.at_lower, s.at_lower) if s.at_lower is not None else enclose(formula, interval(s.lower, s.lower))
        for s in segments[1:]
    ]
    coefficients = np.array([s.fit.coefficients if s.fit else [0.0] * (DEGREE + 1) for s in segments])
    radius = np.array([s.fit.radius if s.fit else 0.0 for s in segments])
    errors = np.array([[s.fit.error, s.fit.slope_error] if s.fit else [np.inf, np.inf] for s in segments])
    rounding = evaluation_error(coefficients, radius)
    error, slope_error = (np.nextafter(e + r, np.inf) for e, r in zip(errors.T, rounding, strict=True))
    first, curvature = _pieces(segments)
    return Table(
        knots=knots,
        knot_low=np.array([-np.inf, *(down(v[0]) for v in knot_values), -np.inf]),
        knot_high=np.array([np.inf, *(up(v[1]) for v in knot_values), np.inf]),
        low=np.array([down(s.values[0]) for s in segments]),
        high=np.array([up(s.values[1]) for s in segments]),
        slope_low=np.array([down(s.slopes[0]) for s in segments]),
        slope_high=np.array([up(s.slopes[1]) for s in segments]),
        centre=np.array([s.fit.centre if s.fit else 0.0 for s in segments]),
        coefficients=coefficients,
        error_low=error,
        error_high=error.copy(),
        slope_error=slope_error,
        piece_first=np.array(first, dtype=np.int32),
        piece_curvature=np.array(curvature, dtype=np.int8),
    )


def _pieces(segments: list[Segment]) -> tuple[list[int], list[int]]:
    """Longest runs of segments on which one curvature is proven, across knots too."""
    first, curvature = [0], [segments[0].curvature]
    for i in range(1, len(segments)):
        here = segments[i].curvature
        before = segments[i - 1].ends
        after = segments[i].ends
        joint = CONVEX | CONCAVE
        if segments[i].fit is not None and before is not None and after is not None:
            left, right = before[1], after[0]
            if segments[i].formula != segments[i - 1].formula:
                joint = (CONVEX if left[1] <= right[0] else 0) | (CONCAVE if left[0] >= right[1] else 0)
        both = curvature[-1] & here & joint
        if both or (here == 0 and curvature[-1] == 0):
            curvature[-1] = both
        else:
            first.append(i)
            curvature.append(here)
    return [*first, len(segments)], [1 if c & CONVEX else -1 if c else 0 for c in curvature]
