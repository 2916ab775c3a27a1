"""From what somebody says of a function to a curve: check it, then choose the tightest back end that it allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.activations import checks
from slir_milp.activations.curve import Curve, Offsets
from slir_milp.activations.formula import Formula
from slir_milp.activations.offsets.curvature import Curvature
from slir_milp.activations.offsets.lipschitz import Lipschitz
from slir_milp.activations.offsets.samples import NOWHERE, Function, evaluate, grid, take
from slir_milp.activations.offsets.segment_slopes import SegmentSlopes
from slir_milp.activations.offsets.slope_range import SlopeRange
from slir_milp.activations.parse import parse
from slir_milp.activations.table import Table, Vector
from slir_milp.activations.through_points import line_formula, line_through
from slir_milp.activations.touch import segment_of
from slir_milp.errors import OptionError

if TYPE_CHECKING:
    from flint import arb

Range = tuple[float, float]
CriticalPointsOf = Callable[[float], Sequence[float]]

LEVELS = 256
"""For how many slopes the critical points are asked."""

NEAR = 2.0**-40
"""Within this, relative to one more than its magnitude, a critical point is believed."""


_MOST_SAMPLES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is declared of a function; see :func:`~slir_milp.activations.registry.register_activation`."""

    derivative: Function | Formula | str | None = None
    lipschitz: float | None = None
    slope_range: Range | None = None
    curvature: Range | None = None
    critical_points: CriticalPointsOf | None = None
    inflections: Sequence[float] | None = None
    breakpoints: Sequence[float] | None = None
    values: Range | None = None
    domain: Range = NOWHERE
    interval: Range = (-16.0, 16.0)
    error: float = 0.0
    samples: int = 1024

    def __post_init__(self) -> None:
        for word in ("slope_range", "curvature", "values", "domain", "interval"):
            pair = getattr(self, word)
            if pair is not None and not (len(pair) == 2 and pair[0] <= pair[1]):
                raise OptionError(f"{word}: {pair} is no range; give (lower, upper).")
        if not self.domain[0] <= self.interval[0] < self.interval[1] <= self.domain[1]:
            raise OptionError(
                f"a function is sampled on {self.interval}, which must lie in its domain {self.domain}; "
                "name an interval."
            )
        if not math.isfinite(self.interval[1] - self.interval[0]):
            raise OptionError(f"interval: {self.interval} is too long to be sampled; name a shorter one.")
        if not (math.isfinite(self.error) and self.error >= 0.0):
            raise OptionError(f"error: {self.error} must be finite and not negative.")
        if self.samples < 2:
            raise OptionError(f"samples: {self.samples} are too few; take at least 2.")
        if self.samples > _MOST_SAMPLES:
            raise OptionError(f"samples: {self.samples} are too many; take at most {_MOST_SAMPLES}.")
        if self.lipschitz is not None and not (math.isfinite(self.lipschitz) and self.lipschitz >= 0.0):
            raise OptionError(f"lipschitz: {self.lipschitz} must be finite and not negative.")
        if self.inflections is not None and not np.isfinite(np.asarray(self.inflections, dtype=float)).all():
            raise OptionError("inflections must be finite numbers.")
        if self.breakpoints is not None and not len(self.breakpoints):
            raise OptionError("breakpoints: give at least one.")

    @property
    def slopes(self) -> Range:
        """Everything declared of the slopes, as one range."""
        low, high = self.slope_range or NOWHERE
        if self.lipschitz is not None:
            low, high = max(low, -self.lipschitz), min(high, self.lipschitz)
        return low, high


@dataclass(frozen=True, eq=False)
class OnDomain:
    """Another back end's table, with nothing claimed beyond the samples where the domain ends."""

    offsets: Offsets
    domain: Range

    @property
    def name(self) -> str:
        """That of the other back end."""
        return self.offsets.name

    def table(self) -> Table:
        """The other table, cut."""
        return self._table

    @cached_property
    def _table(self) -> Table:
        table = self.offsets.table()
        ends = np.array([i for i, end in ((0, self.domain[0]), (-1, self.domain[1])) if math.isfinite(end)], dtype=int)
        unknown = {word: getattr(table, word).copy() for word in _RANGES}
        for word, array in unknown.items():
            array[ends] = -np.inf if word in ("low", "slope_low") else np.inf
        return replace(table, **unknown)


_RANGES = ("low", "high", "slope_low", "slope_high", "error_low", "error_high", "slope_error")


def formula_of(value: Function | Formula | str | None) -> Formula | None:
    """Formula that something is or spells, ``None`` for a function or nothing."""
    return parse(value) if isinstance(value, str) else value if isinstance(value, Formula) else None


def declared_curve(name: str, function: Function | Formula | str, facts: Facts) -> Curve:
    """A curve from a function and what is declared of it, once it has been checked.

    Raises
    ------
    OptionError
        If a declaration is refuted, or too little is declared.
    """
    formula = formula_of(function)
    if formula is not None:
        return _from_formula(name, formula, facts)
    if not callable(function):
        raise OptionError(f"activation {name}: give a formula as text, or a function; {function!r} is neither.")
    if facts.breakpoints is not None:
        places = np.concatenate([checks.places(facts.interval), checks.far_places(facts.interval, facts.domain)])
        line = line_through(name, function, facts.breakpoints, places, facts.error)
        return Curve(name, line_formula(line), OnDomain(line, facts.domain))
    _check(name, function, facts)
    offsets = OnDomain(_offsets(name, function, facts), facts.domain)
    slope = facts.derivative
    derivative = formula_of(slope) or (_elementwise(slope) if callable(slope) else None)

    def enclosed(x: arb) -> arb:
        return _enclosed(function, offsets.table(), facts.error, x)

    return Curve(name, None, offsets, _elementwise(function), derivative, enclosed)


def _elementwise(function: Function) -> Function:
    """The function, for any array, with its complaints as errors of this program."""
    return lambda x: evaluate(function, np.asarray(x, dtype=np.float64))


def _enclosed(function: Function, table: Table, error: float, x: arb) -> arb:
    """Enclosure over a ball: the value at a float64 number, and the steepest slope from there."""
    from flint import arb

    from slir_milp.activations.interval import down, up

    nothing = arb(0, arb.pos_inf())
    middle, low, high = float(x.mid()), down(x), up(x)
    if not (math.isfinite(low) and math.isfinite(high)):
        return nothing
    first, last = (int(i) for i in segment_of(table, np.array([min(low, middle), max(high, middle)])))
    steepest = np.abs([table.slope_low[first : last + 1], table.slope_high[first : last + 1]]).max()
    distance = abs(x - arb(middle))
    if not np.isfinite(steepest) and not distance.is_zero():
        return nothing
    at = take(function, np.array([middle]), error)
    value = arb(float(at.low[0])).union(arb(float(at.high[0])))
    return value if distance.is_zero() else value + arb(0, (arb(float(steepest)) * distance).upper())


def _from_formula(name: str, formula: Formula, facts: Facts) -> Curve:
    from slir_milp.activations.catalogue import curve_of

    where = np.linspace(*facts.interval, 401)
    if not np.isfinite(formula(where)).any():
        raise OptionError(
            f"activation {name}: '{formula.text[:80]}' has no finite value on {facts.interval}; if it has some "
            "elsewhere, name that interval."
        )
    derivative = formula_of(facts.derivative)
    slopes = facts.slopes if facts.slopes != NOWHERE else None
    checks.check_formula(name, formula, where, derivative, slopes, facts.curvature)
    if callable(facts.derivative) and derivative is None:
        checks.check_derivative(name, formula, facts.derivative, where, facts.error)
    return curve_of(formula, name)


def _check(name: str, function: Function, facts: Facts) -> None:
    near = take(function, checks.places(facts.interval, facts.inflections or ()), facts.error)
    far = checks.far_samples(function, checks.far_places(facts.interval, facts.domain), facts.error)
    for samples in (near, far):
        if facts.values is not None:
            checks.check_values(name, samples, facts.values)
        if facts.lipschitz is not None:
            checks.check_slopes(
                name, samples, -facts.lipschitz, facts.lipschitz, f"a Lipschitz constant {facts.lipschitz}"
            )
        if facts.slope_range is not None:
            checks.check_slopes(name, samples, *facts.slope_range, f"the range {facts.slope_range}")
        if facts.curvature is not None:
            checks.check_curvature(name, samples, *facts.curvature)
    derivative = formula_of(facts.derivative) or facts.derivative
    if callable(derivative):
        checks.check_derivative(name, function, derivative, near.x[:-1], facts.error)
        if facts.inflections is not None:
            for samples in (near, far):
                checks.check_monotone(name, derivative, samples.x, sorted(facts.inflections), facts.error)
    if facts.critical_points is not None:
        checks.check_critical_points(name, near, facts.critical_points, _levels(near.x, near.value)[::16].tolist())


def _offsets(name: str, function: Function, facts: Facts) -> Offsets:
    (lower, upper), slopes, values = facts.interval, facts.slopes, facts.values or NOWHERE
    derivative = formula_of(facts.derivative) or facts.derivative
    if isinstance(derivative, Formula):
        return _from_derivative_formula(function, derivative, facts)
    if callable(derivative) and facts.inflections is not None:
        return _from_inflections(function, derivative, facts)
    if facts.critical_points is not None:
        return _from_critical_points(function, facts.critical_points, facts)
    samples, error = facts.samples, facts.error
    if facts.curvature is not None:
        return Curvature(function, *facts.curvature, lower, upper, samples, error, values, slopes)
    if facts.slope_range is not None and slopes[0] > -math.inf and slopes[1] < math.inf:
        return SlopeRange(function, *slopes, lower, upper, samples, error, values)
    if facts.lipschitz is not None:
        return Lipschitz(function, facts.lipschitz, lower, upper, samples, error, values)
    also = " between its inflections (none: inflections=())" if callable(derivative) else ""
    raise OptionError(
        f"activation {name}: samples alone prove nothing of what is between them; declare a Lipschitz constant, the "
        f"range of the derivative, of the second derivative, a derivative{also}, critical points or breakpoints, or "
        "give a formula."
    )


def _from_derivative_formula(function: Function, derivative: Formula, facts: Facts) -> SegmentSlopes:
    from slir_milp.activations.interval import INFINITY, down, enclose, interval, up

    x = grid(*facts.interval, facts.samples)

    def between(a: float, b: float) -> Range:
        low, high = enclose(derivative, interval(a if a > -math.inf else -INFINITY, b if b < math.inf else INFINITY))
        return max(down(low), facts.slopes[0]), min(up(high), facts.slopes[1])

    ranges = np.array([between(a, b) for a, b in zip(x[:-1].tolist(), x[1:].tolist(), strict=True)])
    return SegmentSlopes(
        "slope range",
        take(function, x, facts.error),
        (ranges[:, 0], ranges[:, 1]),
        facts.values or NOWHERE,
        between(-math.inf, float(x[0])),
        between(float(x[-1]), math.inf),
    )


def _from_inflections(function: Function, derivative: Function, facts: Facts) -> SegmentSlopes:
    turns = sorted(float(x) for x in facts.inflections or ())
    lower, upper = facts.interval
    # The first and last inflection are sampled, so that the derivative is monotone beyond the samples.
    x = grid(min([lower, *turns]), max([upper, *turns]), facts.samples)
    x = np.unique(np.concatenate([x, turns]))
    slope = take(derivative, x, facts.error)
    least, most = facts.slopes
    low, high = np.minimum(slope.low[:-1], slope.low[1:]), np.maximum(slope.high[:-1], slope.high[1:])

    def tail(end: int, inner: int) -> Range:
        if slope.low[end] > slope.high[inner]:
            return max(float(slope.low[end]), least), most
        if slope.high[end] < slope.low[inner]:
            return least, min(float(slope.high[end]), most)
        return least, most

    return SegmentSlopes(
        "inflections",
        take(function, x, facts.error),
        (np.maximum(low, least), np.minimum(high, most)),
        facts.values or NOWHERE,
        tail(0, 1),
        tail(-1, -2),
    )


def _from_critical_points(function: Function, critical_points: CriticalPointsOf, facts: Facts) -> SegmentSlopes:
    x = grid(*facts.interval, facts.samples)
    levels, places = _levels(x, evaluate(function, x)), [np.empty(0)]
    for slope in levels.tolist():
        found = np.asarray(critical_points(slope), dtype=np.float64).ravel()
        places.append(found[(found >= x[0]) & (found <= x[-1])])
    least_of_all = _never(critical_points, x, float(levels[0]), -1)
    most_of_all = _never(critical_points, x, float(levels[-1]), 1)
    cells = np.concatenate([[least_of_all], levels, [most_of_all]])
    # A critical point is believed to within a small distance, in which the slope may be on either side.
    at = np.concatenate(places)
    reach = NEAR * (1.0 + np.abs(at))
    before, after = np.sort(np.clip(at - reach, x[0], x[-1])), np.sort(np.clip(at + reach, x[0], x[-1]))
    knots = np.unique(np.concatenate([x[[0, -1]], before, after]))
    passed = np.searchsorted(before, knots[1:], "left") - np.searchsorted(after, knots[:-1], "right")
    samples = take(function, knots, facts.error)
    least, most = checks.secants(samples)
    low = cells[np.clip(np.searchsorted(cells, least, "right") - 1 - passed, 0, None)]
    high = cells[np.clip(np.searchsorted(cells, most, "left") + passed, None, len(cells) - 1)]
    return SegmentSlopes(
        "critical points",
        samples,
        (np.maximum(low, facts.slopes[0]), np.minimum(high, facts.slopes[1])),
        facts.values or NOWHERE,
        facts.slopes,
        facts.slopes,
    )


def _never(critical_points: CriticalPointsOf, x: Vector, slope: float, side: int) -> float:
    """A slope beyond the samples' that the derivative never has, and so none beyond it either; infinite if unknown."""
    for distance in (1e-6, 1e-3, 1.0):
        beyond = slope + side * distance * (1.0 + abs(slope))
        found = np.asarray(critical_points(beyond), dtype=np.float64)
        if not ((found >= x[0]) & (found <= x[-1])).any():
            return beyond
    return side * math.inf


def _levels(x: Vector, value: Vector) -> Vector:
    """Slopes to ask critical points for: those of the samples' secants, thinned."""
    secants = np.unique(np.diff(value) / np.diff(x))
    return np.unique(secants[np.linspace(0, len(secants) - 1, LEVELS).round().astype(int)])
