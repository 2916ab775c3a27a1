"""Lines around activations (the enclosures that backward evaluation rests on).

Statement 1.  For every slope ``s``, ``min (f(x) - s·x) + s·x ≤ f(x) ≤ max (f(x) - s·x) + s·x`` on an interval, with
minimum and maximum over that interval.  So a proof may name any slope; the offset is found here.  For a hinge
(``negative·x`` left of zero, ``positive·x`` right of it) ``f(x) - s·x`` is linear on either side of zero, hence the
extremes are among its values at the interval's ends and at zero.  For curves see :mod:`.curves`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from slir_milp.activations.catalogue import activation
from slir_milp.certificate.check.arithmetic import LARGEST, Array, Balls, Exact, float_beyond, rational
from slir_milp.certificate.check.curves import CurveLines
from slir_milp.network.normal_form import Layer

_TIE = 1 + 2.0**-20
"""The usual line through a kink turns where the upper bound exceeds the lower one by this factor: never by rounding."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes that a proof names; shape ``(nodes, neurons)``, meaningful where ``named``."""

    named: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, eq=False)
class Lines:
    """``lower_slope·x + lower_offset ≤ f(x) ≤ upper_slope·x + upper_offset``; each of shape ``(nodes, neurons)``."""

    lower_slope: Array
    lower_offset: Array
    upper_slope: Array
    upper_offset: Array


class Activations:
    """The activations of one hidden layer.

    Parameters
    ----------
    layer
        The layer.
    numbers
        The arithmetic.
    curves
        Lines of every function that is no hinge.
    """

    def __init__(self, layer: Layer, numbers: Balls | Exact, curves: dict[Any, CurveLines]) -> None:
        self._numbers = numbers
        square = activation("square") if layer.curves else None
        self._curves = [(curves[curve], here.tolist()) for curve, here in layer.curves if curve != square]
        squares = [here for curve, here in layer.curves if curve == square]
        self._squares = np.concatenate([*squares, np.zeros(0, dtype=np.intp)])
        self._curved, self.has_curves = layer.is_curved, bool(layer.curves)
        self.negative = numbers.array(np.where(layer.is_curved, 0.0, layer.negative_slope))
        self.positive = numbers.array(np.where(layer.is_curved, 0.0, layer.positive_slope))

    def unstable(self, lower: Array, upper: Array) -> Array:
        """Mask of the neurons whose two lines may differ."""
        bent = (lower < 0) & (upper > 0) & (self.negative != self.positive)
        return np.where(self._curved, lower < upper, bent).astype(bool)

    def ranges(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Bounds of the activations over intervals of their arguments."""
        ends = [_times(np.where(x < 0, self.negative, self.positive), x) for x in (lower, upper)]
        kink = np.where((lower < 0) & (upper > 0), 0 * ends[0], ends[0])
        low, high = np.minimum(np.minimum(*ends), kink), np.maximum(np.maximum(*ends), kink)
        low, high = low - 2 * self._numbers.unit * abs(low), high + 2 * self._numbers.unit * abs(high)
        if len(self._squares):
            flat = 0 * lower[:, self._squares]
            low[:, self._squares], high[:, self._squares] = self._square_offsets(lower, upper, flat, flat)
        for lines, b, i in self._each_curve(len(lower)):
            interval = _outward(lower[b, i], upper[b, i])
            low[b, i] = self._rounded(lines.offset(*interval, rational(0), above=False), up=False)
            high[b, i] = self._rounded(lines.offset(*interval, rational(0), above=True), up=True)
        return low, high

    def lines(self, lower: Array, upper: Array, slopes: Slopes | None, kept: Lines | None = None) -> Lines:
        """Lines with the slopes that are named, and those ``kept`` or the usual ones elsewhere (Statement 1)."""
        numbers, left, right = self._numbers, self.negative, self.positive
        bent = self.unstable(lower, upper) & ~self._curved
        straight = np.where(lower >= 0, right, left)
        kink = np.where(upper > -lower * numbers.array(_TIE), right, left)
        width = np.where(bent, upper - lower, numbers.array(1.0))
        rise = np.where(bent, _times(right, upper) - _times(left, lower), 0)
        chord = numbers.coarse(rise / width)
        chord = numbers.known(chord, 0.0)  # (of an unbounded neuron)
        if slopes is not None:
            kink = np.where(slopes.named, slopes.lower, kink)
        convex = right > left
        lower_slope = np.where(bent, np.where(convex, kink, chord), straight)
        upper_slope = np.where(bent, np.where(convex, chord, kink), straight)
        lower_ends = (_times(left - lower_slope, lower), _times(right - lower_slope, upper))
        upper_ends = (_times(left - upper_slope, lower), _times(right - upper_slope, upper))
        outward = 1 + 8 * numbers.unit  # differences, products, and what is done here are rounded
        lower_offset = np.where(bent, np.minimum(np.minimum(*lower_ends), 0) * outward - numbers.tiny, 0)
        upper_offset = np.where(bent, np.maximum(np.maximum(*upper_ends), 0) * outward + numbers.tiny, 0)
        lower_offset, upper_offset = numbers.known(lower_offset, -np.inf), numbers.known(upper_offset, np.inf)
        found = Lines(lower_slope, lower_offset, upper_slope, upper_offset)
        if kept is not None and slopes is not None:
            pairs = zip(vars(found).values(), vars(kept).values(), strict=True)
            found = Lines(*(np.where(slopes.named, new, old) for new, old in pairs))
        if len(self._squares):
            self._square_lines(lower, upper, slopes, found, kept is not None)
        for lines, b, i in self._each_curve(len(lower)):
            if kept is not None and slopes is not None and not slopes.named[b, i]:
                continue
            interval = _outward(lower[b, i], upper[b, i])
            named = (slopes.lower[b, i], slopes.upper[b, i]) if slopes is not None and slopes.named[b, i] else None
            self._curve_lines(lines, interval, named, found, (b, i))
        return self._flat(lower, upper, found) if numbers.unit else found

    def _flat(self, lower: Array, upper: Array, found: Lines) -> Lines:
        """Lines, but of slope zero where a coefficient that vanishes by underflow may stand before something huge."""
        huge = ~(np.maximum(abs(lower), abs(upper)) < LARGEST)
        if not huge.any():
            return found
        low, high = self.ranges(lower, upper)
        return Lines(
            np.where(huge, 0.0, found.lower_slope),
            np.where(huge, np.minimum(low, 0.0), found.lower_offset),
            np.where(huge, 0.0, found.upper_slope),
            np.where(huge, np.maximum(high, 0.0), found.upper_offset),
        )

    def _square_lines(self, lower: Array, upper: Array, slopes: Slopes | None, found: Lines, only_named: bool) -> None:
        here = self._squares
        named = np.zeros(lower[:, here].shape, dtype=bool) if slopes is None else slopes.named[:, here]
        usual = lower[:, here] + upper[:, here]
        below, above = (usual, usual) if slopes is None else (slopes.lower[:, here], slopes.upper[:, here])
        below, above = np.where(named, below, usual), np.where(named, above, usual)
        least, most = self._square_offsets(lower, upper, below, above)
        for part, new in zip(vars(found).values(), (below, least, above, most), strict=True):
            part[:, here] = np.where(named, new, part[:, here]) if only_named else new

    def _square_offsets(self, lower: Array, upper: Array, below: Array, above: Array) -> tuple[Array, Array]:
        """Statement 1 for squares: ``x² - s·x`` is greatest at an end, least at ``s/2`` or the end next to it."""
        unit, tiny, low, high = self._numbers.unit, self._numbers.tiny, lower[:, self._squares], upper[:, self._squares]
        ends = np.maximum(_times(low, low - above), _times(high, high - above))
        inside = np.minimum(np.maximum(below / 2, low), high)
        bottom = _times(inside, inside - below)
        most = self._numbers.known(ends + 8 * unit * abs(ends) + tiny, np.inf)
        return self._numbers.known(bottom - 8 * unit * abs(bottom) - tiny, -np.inf), most

    def _curve_lines(
        self, lines: CurveLines, interval: tuple[float, float], named: Any, found: Lines, at: tuple[int, int]
    ) -> None:
        below, above = named or (self._numbers.array(lines.chord(*interval))[()],) * 2
        found.lower_slope[at], found.upper_slope[at] = below, above
        found.lower_offset[at] = self._rounded(lines.offset(*interval, rational(below), above=False), up=False)
        found.upper_offset[at] = self._rounded(lines.offset(*interval, rational(above), above=True), up=True)

    def _rounded(self, offset: Any, up: bool) -> Any:
        if offset is None:
            return np.inf if up else -np.inf
        if isinstance(self._numbers, Exact):
            return offset
        return float_beyond(offset, up)

    def _each_curve(self, nodes: int) -> Any:
        return ((lines, b, i) for lines, here in self._curves for b in range(nodes) for i in here)


def _times(slope: Array, x: Array) -> Array:
    """``slope·x``, where a slope of zero makes zero even of an infinite end."""
    with np.errstate(invalid="ignore"):
        return np.where(slope == 0, 0 * slope, slope * x)


def _outward(lower: Any, upper: Any) -> tuple[float, float]:
    """An interval with float64 ends that contains the given one."""
    if isinstance(lower, float):
        return lower, upper
    return float_beyond(lower, up=False), float_beyond(upper, up=True)
