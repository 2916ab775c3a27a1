"""The lines around one function on one interval, in numbers: what ``slir-milp relax`` shows."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np

from slir_milp.activations import ABS, IDENTITY, RELU, Curve, Hinge, shift, start
from slir_milp.activations.offsets.breakpoints import Breakpoints
from slir_milp.activations.parse import parse
from slir_milp.activations.table import Table, Vector
from slir_milp.errors import OptionError

LEAST_AREA, HAND_CRAFTED, CHORD = "least area", "hand-crafted", "chord's slope"

_NAMES = {IDENTITY: "identity", RELU: "relu", ABS: "abs"}
_EVEN_CANDIDATES, _PIECE_CANDIDATES, _FROM_THE_ENDS = 7, 16, 0.05
_PARTS = 256
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True)
class Line:
    """A line ``slope·x + offset`` on one side of a function.

    Attributes
    ----------
    slope, offset
        The line; the offset is rounded outward, so the line is valid for the real function.
    touch
        About where it touches.
    area
        Between the line and the function over the interval, by quadrature.
    """

    slope: float
    offset: float
    touch: float
    area: float

    def __call__(self, x: Vector) -> Vector:
        """Height of the line, in plain float64."""
        return self.slope * x + self.offset


@dataclass(frozen=True)
class Band:
    """Two lines chosen by one rule, ``None`` for a side on which nothing is known; ``area`` is that between them."""

    rule: str
    above: Line | None
    below: Line | None
    area: float


@dataclass(frozen=True, eq=False)
class Relaxation:
    """A function, an interval, and the lines around it.

    Attributes
    ----------
    curve
        The function.
    lower, upper
        The interval.
    bands
        Lines by several rules; first those that a search starts from.
    split
        Where a search would divide the interval.
    seconds
        Time it took to build the function's table.
    """

    curve: Curve
    lower: float
    upper: float
    bands: tuple[Band, ...]
    split: float
    seconds: float

    @property
    def formula(self) -> str:
        """The function's formula; empty if it has none."""
        return self.curve.formula.text if self.curve.formula is not None else ""


def as_curve(function: Curve | Hinge) -> Curve:
    """The function as a curve, which a hinge becomes by its breakpoint at zero."""
    if isinstance(function, Curve):
        return function
    left, right = function.negative_slope, function.positive_slope
    name = _NAMES.get(function, f"leaky_relu(slope={left:.9g})")
    text = {IDENTITY: "x", RELU: "relu(x)", ABS: "abs(x)"}.get(function, f"where(x < 0, {left!r} * x, {right!r} * x)")
    return Curve(name, parse(text), Breakpoints([0.0], [0.0], left, right))


def relax(
    curve: Curve, lower: float, upper: float, *, towards: float | None = None, slope: float | None = None
) -> Relaxation:
    """The lines around a function.

    Parameters
    ----------
    curve
        The function.
    lower, upper
        The interval.
    towards
        A point of it: a further band has the lines that are nearest to the function there.
    slope
        A further band has lines of this slope.

    Raises
    ------
    OptionError
        If the interval is empty, ``towards`` lies outside of it, or nothing bounds the function on it.
    """
    if not math.isfinite(upper - lower):
        raise OptionError(f"the interval [{lower:g}, {upper:g}] is too wide; its width must be a finite number.")
    if lower >= upper:
        wrong = "empty" if lower == upper else "reversed"
        raise OptionError(f"the interval [{lower:g}, {upper:g}] is {wrong}; give its lower end first, then its upper.")
    if towards is not None and not lower <= towards <= upper:
        raise OptionError(f"the point {towards:g} lies outside of the interval [{lower:g}, {upper:g}].")
    with np.errstate(all="ignore"):  # (what overflows is no line, and is left out)
        return _relax(curve, lower, upper, towards, slope)


def _relax(curve: Curve, lower: float, upper: float, towards: float | None, slope: float | None) -> Relaxation:
    started = time.perf_counter()
    table = curve.table
    seconds = time.perf_counter() - started
    sides = _Sides(curve, table, lower, upper)
    least = sides.band(LEAST_AREA, None, None)
    if least.above is None and least.below is None:
        raise OptionError(_unbounded(curve, table, lower, upper))
    bands = [least]
    if towards is not None:
        bands.append(sides.band(f"towards {towards:g}", *(sides.slope_towards(sign, towards) for sign in (-1, 1))))
    if slope is not None:
        bands.append(sides.band(f"slope {slope:g}", slope, slope))
    bands.append(sides.band(HAND_CRAFTED, *start.hand_crafted(table, lower, upper)))
    chord = start.chord_slope(table, lower, upper)
    bands.append(sides.band(CHORD, chord, chord))
    return Relaxation(curve, lower, upper, tuple(bands), split_point(table, lower, upper), seconds)


def split_point(table: Table, lower: float, upper: float) -> float:
    """Where the search divides an interval: where the lines of least area leave the least area in both parts together.

    Candidates are seven even points and the ends of pieces (inflections, corners, jumps) that are not too near to an
    end of the interval; the compiled kernel follows the same rule.
    """
    width = upper - lower
    even = lower + width * np.arange(1, _EVEN_CANDIDATES + 1) / (_EVEN_CANDIDATES + 1)
    ends = table.knots[table.piece_first[1:-1]]
    inside = ends[(ends > lower) & (ends < upper)][:_PIECE_CANDIDATES]
    at = np.concatenate([even, inside])
    at = at[(at > lower + _FROM_THE_ENDS * width) & (at < upper - _FROM_THE_ENDS * width)]
    if not len(at):
        return 0.5 * lower + 0.5 * upper
    area = _least_area(table, np.full_like(at, lower), at) + _least_area(table, at, np.full_like(at, upper))
    return float(at[np.argmin(area)]) if np.isfinite(area).any() else 0.5 * lower + 0.5 * upper


def _least_area(table: Table, lower: Vector, upper: Vector) -> Vector:
    above, below = shift.above(table, lower, upper), shift.below(table, lower, upper)
    middle = 0.5 * lower + 0.5 * upper
    height = (above.slope - below.slope) * middle + above.offset - below.offset
    return np.asarray((upper - lower) * height)


@dataclass(frozen=True, eq=False)
class _Sides:
    """Lines on both sides of one function on one interval; sign +1 is above, −1 below."""

    curve: Curve
    table: Table
    lower: float
    upper: float
    integral: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "integral", _integral(self.curve, self.table, self.lower, self.upper))

    def band(self, rule: str, slope_below: float | None, slope_above: float | None) -> Band:
        """Lines of these slopes, of least area where none is given."""
        below, above = self.line(-1, slope_below), self.line(1, slope_above)
        if above is None or below is None:
            return Band(rule, above, below, math.inf)
        middle, width = 0.5 * self.lower + 0.5 * self.upper, self.upper - self.lower
        height = (above.slope - below.slope) * middle + above.offset - below.offset
        return Band(rule, above, below, width * height)

    def shifted(self, sign: int, slope: float | None) -> tuple[float, float, float]:
        """Slope, offset and touching point."""
        shift_to = shift.above if sign > 0 else shift.below
        ends = np.array([self.lower]), np.array([self.upper])
        found = shift_to(self.table, *ends, None if slope is None else np.array([slope]))
        return float(found.slope[0]), float(found.offset[0]), float(found.at[0])

    def line(self, sign: int, slope: float | None) -> Line | None:
        """A line on one side, if there is one."""
        slope, offset, touch = self.shifted(sign, slope)
        if not math.isfinite(offset):
            return None
        middle, width = 0.5 * self.lower + 0.5 * self.upper, self.upper - self.lower
        area = sign * (width * (slope * middle + offset) - self.integral)
        return Line(slope, offset, touch, max(area, 0.0) if math.isfinite(area) else math.nan)

    def slope_towards(self, sign: int, x: float) -> float:
        """Slope of the line that is nearest to the function at a point: the supporting line of its hull there.

        The distance at ``x`` is convex in the slope, and the touching point tells on which side of the best slope one
        is: bisection.  Slopes that are as good but for rounding are told apart by area.
        """
        middle = 0.5 * self.lower + 0.5 * self.upper
        tried: list[tuple[float, float, float]] = []

        def touch(turned: float) -> float:
            slope, offset, at = self.shifted(sign, sign * turned)
            tried.append((sign * (slope * x + offset), sign * (slope * middle + offset), slope))
            return at

        turned = sign * start.slope_near(self.table, x)
        at, step = touch(turned), max(1.0, abs(turned)) * 2.0**-10
        bracket = {at < x: (turned, at)}
        while at != x and len(bracket) < 2 and step < 1e300:
            turned += -step if at < x else step
            at, step = touch(turned), 2.0 * step
            bracket[at < x] = (turned, at)
        if len(bracket) == 2:
            (low, right), (high, left) = bracket[False], bracket[True]
            for _ in range(100):
                turned = 0.5 * low + 0.5 * high
                if not low < turned < high or at == x:
                    break
                at = touch(turned)
                low, right, high, left = (low, right, turned, at) if at < x else (turned, at, high, left)
            values = start.value_near(self.table, left), start.value_near(self.table, right)
            if right > left:
                touch(sign * (values[1] - values[0]) / (right - left))
        best = min(height for height, _, _ in tried)
        if not math.isfinite(best):
            return 0.0
        close = best + 1e-14 * (1.0 + abs(best))
        return min((area, slope) for height, area, slope in tried if height <= close)[1] + 0.0


def _integral(curve: Curve, table: Table, lower: float, upper: float) -> float:
    """Integral of the function by Gauss's rule on each segment; NaN where it has no values."""
    inside = table.knots[(table.knots > lower) & (table.knots < upper)]
    edges = np.unique(np.concatenate([inside, np.linspace(lower, upper, _PARTS + 1)]))
    half = 0.5 * np.diff(edges)
    x = edges[:-1, None] + half[:, None] * (1.0 + _NODES)
    return float(half @ (np.asarray(curve(x.ravel())).reshape(x.shape) @ _WEIGHTS))


def _unbounded(curve: Curve, table: Table, lower: float, upper: float) -> str:
    """Why there is no line, and where it fails."""
    unknown = (table.low == -np.inf) & (table.high == np.inf)
    unknown &= ~np.isfinite(table.error_low) & ~np.isfinite(table.error_high)
    unknown &= (table.knots[1:] > lower) & (table.knots[:-1] < upper)
    where = ""
    if unknown.any():
        first = int(np.argmax(unknown))
        last = first
        while last + 1 < len(unknown) and unknown[last + 1]:
            last += 1
        begin, end = max(lower, float(table.knots[first])), min(upper, float(table.knots[last + 1]))
        first_place, last_place = f"{begin + 0.0:.6g}", f"{end + 0.0:.6g}"
        place = f"near {first_place}" if first_place == last_place else f"from {first_place} to {last_place}"
        where = f": nothing is known of it {place}"
    return f"nothing bounds {curve.name} on [{lower:g}, {upper:g}]{where}."
