"""Unstable neurons over the inputs and the unstable neurons before them: whatever is linear in a region is substituted.

Any hinge is ``f(x) = s·x + (s' − s)·r`` with its slopes ``s`` left and ``s'`` right of zero and ``r = max(x, 0)``, and
``x = r − p`` with ``p = max(−x, 0)``.  So every pre-activation of a region is an affine function of the inputs and of
the positive parts ``r`` of the unstable neurons before it, whatever their kinds of hinge.  Deep in a search few neurons
are unstable, and the program that is left has that many rows, not one for each neuron.

Columns are scaled: an input is ``midpoint + radius·ξ`` with ``ξ`` in [−1, 1], and the parts of a neuron are multiples
of a size that is typical of the region.  A solver's absolute tolerances then mean the same in every region.  (A size
for each neuron would cost the simplex half as many steps again on large regions; mixed-integer programs have it: there
the tolerance decides on which side of zero a neuron may be.)

A curve has a column for what is not linear in it, too, and one for its argument (:mod:`slir_milp.lp.curves`).

Everything here is plain float64: it feeds proposals, never bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.lines import unstable
from slir_milp.bounding.region import NeuronBounds, Region, Side
from slir_milp.lp.curves import Bands, Base
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network

Matrix = NDArray[np.float64]
Neurons = NDArray[np.intp]

MOST_ENTRIES = 40_000_000
"""Dense entries beyond which no program is made (320 MB); such networks want bounds, not linear programs."""


@dataclass(frozen=True, eq=False)
class Affines:
    """Values ``matrix @ (ξ, r) + constant`` over the scaled inputs and positive parts (of a curve: ``e``)."""

    matrix: Matrix
    constant: Vector


@dataclass(frozen=True, eq=False)
class Elimination:
    """A network on a region, as far as it is not linear there.

    Attributes
    ----------
    midpoint, radius
        Of the region's box.
    open_neurons, split_neurons
        Per layer the indices of the unstable neurons, and of the hinges that were put on a side.
    lower, upper, scale
        Shape ``(unstable,)``: bounds of the unstable neurons' pre-activations, layer after layer, and the unit of their
        parts (of a curve: of ``e``).
    bands
        The curves among the unstable neurons.
    open_values, split_values
        Pre-activations of the unstable and of the split neurons, layer after layer.
    last
        The values that were asked for: outputs, or the pre-activations of one layer.
    """

    midpoint: Vector
    radius: Vector
    open_neurons: tuple[Neurons, ...]
    split_neurons: tuple[Neurons, ...]
    lower: Vector
    upper: Vector
    scale: Vector
    bands: Bands
    open_values: Affines
    split_values: Affines
    last: Affines

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return len(self.midpoint)

    @property
    def hinges(self) -> Neurons:
        """Which of the unstable neurons are hinges."""
        return np.asarray(np.delete(np.arange(self.count), self.bands.at))

    @property
    def count(self) -> int:
        """Number of unstable neurons."""
        return len(self.scale)

    def point(self, columns: Vector, region: Region) -> Vector:
        """Inputs, within the region's box, that the first columns of a solution stand for."""
        point = self.midpoint + self.radius * columns[: self.inputs]
        return np.asarray(np.clip(point, region.lower, region.upper))


def within_sides(network: Network, region: Region, neurons: NeuronBounds) -> NeuronBounds:
    """Bounds cut at zero where a hinge has been put on a side; crossing ends mean that the region is empty."""
    if region.sides is None:
        return neurons
    sides = [np.where(layer.is_curved, 0, side) for layer, side in zip(network.layers, region.sides, strict=False)]
    pairs = list(zip(neurons.lower, neurons.upper, sides, strict=True))
    return NeuronBounds(
        tuple(np.where(side == Side.POSITIVE, np.maximum(lower, 0.0), lower) for lower, _, side in pairs),
        tuple(np.where(side == Side.NEGATIVE, np.minimum(upper, 0.0), upper) for _, upper, side in pairs),
    )


def eliminate(
    network: Network, region: Region, neurons: NeuronBounds, *, until: int | None = None, own_scales: bool = False
) -> Elimination | None:
    """Substitute everything that is linear.

    Parameters
    ----------
    network, region
        The network and the region.
    neurons
        Bounds within the region's sides (:func:`within_sides`) of at least the layers before ``until``.
    until
        Index of the affine map whose results are asked for; ``None``: the output map.
    own_scales
        Measure each neuron's parts by its own range, not by the median of all ranges.

    Returns
    -------
    Elimination or None
        ``None`` if the result would be too large or is not finite.
    """
    until = len(network.layers) if until is None else until
    layers = network.layers[:until]
    opened, split = [], []
    for k, layer in enumerate(layers):
        is_open = unstable(layer, neurons.lower[k], neurons.upper[k])
        divided = region.sides[k] != 0 if region.sides is not None else np.zeros(layer.size, dtype=np.bool_)
        # The bounds of a curve that was divided are conditions, even where it is linear between them.
        opened.append(np.flatnonzero(is_open | (divided & layer.is_curved)))
        split.append(np.flatnonzero(divided & ~layer.is_curved))
    bases = tuple(map(Base.of, layers, neurons.lower, neurons.upper))
    count, inputs = sum(map(len, opened)), len(region.lower)
    widest = max(affine.rows for affine in network.affines[: until + 1])
    if (count + sum(map(len, split)) + 2 * widest) * (inputs + count) > MOST_ENTRIES:
        return None
    lower = _joined([neurons.lower[k][opened[k]] for k in range(until)])
    upper = _joined([neurons.upper[k][opened[k]] for k in range(until)])
    bands = Bands.of(layers, tuple(opened), bases, [lower, upper])
    scale = np.maximum(-lower, upper)
    hinges = np.delete(np.arange(count), bands.at)
    if not own_scales and len(hinges):
        scale = np.full(count, np.median(scale[hinges]))
    scale[bands.at] = bands.size
    midpoint = region.midpoint
    radius = np.maximum(region.upper - midpoint, midpoint - region.lower)
    matrix = np.zeros((inputs, inputs + count))
    matrix[:, :inputs] = np.diag(radius)
    constant = midpoint
    open_rows: list[Affines] = []
    split_rows: list[Affines] = []
    first = 0
    with np.errstate(all="ignore"):
        for k, layer in enumerate(layers):
            here = opened[k]
            matrix, constant = np.asarray(layer.affine.weight @ matrix), layer.affine(constant)
            open_rows.append(Affines(matrix[here], constant[here]))
            split_rows.append(Affines(matrix[split[k]], constant[split[k]]))
            slope = np.where(neurons.lower[k] >= 0, layer.positive_slope, layer.negative_slope)
            slope[here] = layer.negative_slope[here]
            rise = (layer.positive_slope - layer.negative_slope)[here]
            if layer.curves:
                slope, rise = (
                    np.where(layer.is_curved, bases[k].slope, slope),
                    np.where(layer.is_curved[here], 1.0, rise),
                )
            matrix, constant = slope[:, None] * matrix, slope * constant
            if layer.curves:
                constant = constant + np.where(layer.is_curved, bases[k].offset, 0.0)
            columns = inputs + first + np.arange(len(here))
            matrix[here, columns] += rise * scale[first : first + len(here)]
            first += len(here)
        affine = network.affines[until]
        last = Affines(np.asarray(affine.weight @ matrix), affine(constant))
    result = Elimination(
        midpoint,
        radius,
        tuple(opened),
        tuple(split),
        lower,
        upper,
        scale,
        bands,
        _stacked(open_rows, last),
        _stacked(split_rows, last),
        last,
    )
    parts = (scale, *(a for v in (result.open_values, result.split_values, last) for a in (v.matrix, v.constant)))
    return result if all(np.isfinite(part).all() for part in parts) else None


def _joined(parts: list[Vector]) -> Vector:
    return np.concatenate(parts) if parts else np.zeros(0)


def _stacked(parts: list[Affines], like: Affines) -> Affines:
    empty = like.matrix[:0]
    return Affines(np.concatenate([empty, *(p.matrix for p in parts)]), _joined([p.constant for p in parts]))
