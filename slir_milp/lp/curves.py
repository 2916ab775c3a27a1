"""Curves in a linear program: a band between two parallel lines, cut down by the lines that a solution violates.

An unstable neuron that is no hinge has two columns: ``χ``, its argument measured from the middle of its interval, and
``e``, how far above a line its value is, so that ``f(x) = slope·x + offset + size·e``.  The line has the slope of the
chord; shifted until it touches below and above, it gives ``e`` its bounds.  Every other line ``a·x + b`` on either side
is a row of two entries, and there may be any number of them.

The tightest that lines can do is the convex hull of the curve on the interval.  Only the part of it near the solution
matters, so a program begins with the bands alone and lines are added (:mod:`slir_milp.lp.cutting`): where the solution
leaves a neuron's hull, the line that touches the hull at the solution's ``x``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import shift
from slir_milp.activations.table import Table
from slir_milp.bounding.lines import start_slopes
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Layer
from slir_milp.solvers import RowBlock

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

_THINNEST = 2.0**-40
"""Bands thinner than this, relative to their values, are left as they are: their lines are rounding."""
_SMALLEST = 2.0**-500


@dataclass(frozen=True, eq=False)
class Base:
    """Per neuron of a layer, meaningful for curves: parallel lines that enclose the function."""

    slope: Vector
    below: Vector
    above: Vector

    @staticmethod
    def of(layer: Layer, lower: Vector, upper: Vector) -> Base:
        """The lines of a layer's curves: parallel to their chords."""
        base = Base(*(np.full(layer.size, np.nan) for _ in range(3)))
        if not layer.curves:
            return base
        usual = start_slopes(layer, lower, upper).lower
        for curve, here in layer.curves:
            low, high = lower[here], upper[here]
            with np.errstate(all="ignore"):
                chord = (shift.values(curve.table, high)[0] - shift.values(curve.table, low)[0]) / (high - low)
            least, greatest = shift.slope_range(curve.table, low, high)
            slope = np.where(np.isfinite(chord), np.fmin(np.fmax(chord, least), greatest), usual[here])
            slope = np.where(np.isfinite(slope), slope, 0.0)
            base.slope[here] = slope
            base.below[here] = shift.below(curve.table, low, high, slope).offset
            base.above[here] = shift.above(curve.table, low, high, slope).offset
        return base

    @property
    def offset(self) -> Vector:
        """Of the line that values are measured from: the lower one, or what there is."""
        return np.where(np.isfinite(self.below), self.below, np.where(np.isfinite(self.above), self.above, 0.0))


@dataclass(frozen=True, eq=False)
class Bands:
    """The curves among the unstable neurons of an elimination.

    Attributes
    ----------
    at
        Shape ``(bands,)``: which of the unstable neurons they are.
    lower, upper
        Their intervals.
    slope, offset, size
        ``f(x) = slope·x + offset + size·e``.
    least, greatest
        Bounds of ``e``; infinite where nothing is known.
    tables
        What is known of the functions, each with the bands (not neurons) that it is for.
    """

    at: Indices
    lower: Vector
    upper: Vector
    slope: Vector
    offset: Vector
    size: Vector
    least: Vector
    greatest: Vector
    tables: tuple[tuple[Table, Indices], ...]

    @staticmethod
    def of(
        layers: tuple[Layer, ...], opened: tuple[Indices, ...], bases: tuple[Base, ...], ends: list[Vector]
    ) -> Bands:
        """Collect them, layer after layer; ``ends`` are the lower and the upper ends of all unstable neurons."""
        curved = [layer.is_curved[here] for layer, here in zip(layers, opened, strict=True)]
        at = np.flatnonzero(np.concatenate([*curved, np.zeros(0, dtype=np.bool_)]))
        parts = [
            (base.slope[here][mask], base.below[here][mask], base.above[here][mask], base.offset[here][mask])
            for base, here, mask in zip(bases, opened, curved, strict=True)
        ]
        nothing = (np.zeros(0),) * 4
        slope, below, above, offset = (np.concatenate(values) for values in zip(nothing, *parts, strict=True))
        lower, upper = ends[0][at], ends[1][at]
        found: dict[Table, list[int]] = {}
        for layer, here, mask in zip(layers, opened, curved, strict=True):
            first = sum(map(len, found.values()))
            neurons = {int(n): first + i for i, n in enumerate(here[mask])}
            for curve, users in layer.curves:
                found.setdefault(curve.table, []).extend(neurons[n] for n in users.tolist() if n in neurons)
        with np.errstate(all="ignore"):
            values = np.abs(offset) + np.abs(slope) * np.maximum(np.abs(lower), np.abs(upper))
            size = np.maximum(above - below, _THINNEST * values)
            size = np.where(np.isfinite(size) & (size > _SMALLEST), size, 1.0)
            least = np.where(np.isfinite(below), 0.0, -np.inf)
            greatest = np.where(np.isfinite(above), (above - offset) / size, np.inf)
        tables = tuple((table, np.array(bands, dtype=np.intp)) for table, bands in found.items())
        return Bands(at, lower, upper, slope, offset, size, least, greatest, tables)

    @property
    def middle(self) -> Vector:
        """Where ``χ`` is zero."""
        return 0.5 * self.lower + 0.5 * self.upper

    @property
    def radius(self) -> Vector:
        """One unit of ``χ``."""
        radius = 0.5 * self.upper - 0.5 * self.lower
        return np.where(radius > 0, radius, 1.0)

    @property
    def thick(self) -> Mask:
        """Which bands are worth cutting."""
        with np.errstate(invalid="ignore"):
            return np.asarray(~(self.greatest - self.least < 0.5) & (self.lower < self.upper))

    def offsets(self, of: Indices, below: Mask, slope: Vector) -> Vector:
        """Offsets of lines of these slopes, each on its side of its band's function."""
        offset = np.empty(len(of))
        for table, members in self.tables:
            mine = np.isin(of, members)
            for side, shifted in ((below, shift.below), (~below, shift.above)):
                here = np.flatnonzero(mine & side)
                chosen = of[here]
                offset[here] = shifted(table, self.lower[chosen], self.upper[chosen], slope[here]).offset
        return offset


@dataclass(frozen=True, eq=False)
class Cuts:
    """Lines that stand in a program as rows ``factor·e − k·χ ≥ d`` (below the function) or ``≤ d`` (above).

    Attributes
    ----------
    of
        The band of each.
    below
        Whether the line lies below the function.
    slope
        Its slope.
    factor
        The row's coefficient of ``e``.
    """

    of: Indices
    below: Mask
    slope: Vector
    factor: Vector

    @staticmethod
    def none() -> Cuts:
        """No line at all."""
        return Cuts(np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.bool_), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.of)

    def __add__(self, other: Cuts) -> Cuts:
        return Cuts(
            np.concatenate([self.of, other.of]),
            np.concatenate([self.below, other.below]),
            np.concatenate([self.slope, other.slope]),
            np.concatenate([self.factor, other.factor]),
        )


def rows_of(bands: Bands, of: Indices, below: Mask, slope: Vector, columns: tuple[int, int]) -> tuple[Cuts, RowBlock]:
    """Rows of lines; those of which nothing is known are left out.

    Parameters
    ----------
    bands
        The bands.
    of, below, slope
        Which bands, on which side, and the slopes.
    columns
        The first of the columns ``e`` and of the columns ``χ``, over all unstable neurons.
    """
    tilt, height = in_band(bands, of, slope, bands.offsets(of, below, slope))
    usable = np.isfinite(tilt) & np.isfinite(height)
    of, below, slope, tilt, height = of[usable], below[usable], slope[usable], tilt[usable], height[usable]
    factor = 1.0 / np.maximum(1.0, np.abs(tilt))
    entries = np.stack([factor, -factor * tilt], axis=1).ravel()
    block = RowBlock(
        lower=np.where(below, factor * height, -np.inf),
        upper=np.where(below, np.inf, factor * height),
        starts=np.arange(0, 2 * len(of) + 1, 2, dtype=np.int32),
        indices=np.stack([columns[0] + bands.at[of], columns[1] + bands.at[of]], axis=1).ravel().astype(np.int32),
        values=entries,
    )
    return Cuts(of, below, slope, factor), block


def in_band(bands: Bands, of: Indices, slope: Vector, offset: Vector) -> tuple[Vector, Vector]:
    """Lines as ``e = tilt·χ + height``."""
    with np.errstate(all="ignore"):
        steeper = slope - bands.slope[of]
        tilt = steeper * bands.radius[of] / bands.size[of]
        height = (steeper * bands.middle[of] + (offset - bands.offset[of])) / bands.size[of]
    return tilt, height
