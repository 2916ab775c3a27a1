"""Bounds of every pre-activation of a region, layer by layer: what the kernel's ``neurons.h`` does, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slir_milp.bounding.backward import Rows, Rows2D, backward, minimise
from slir_milp.bounding.lines import Lines, enclose, unstable
from slir_milp.bounding.magnitude import Slack, activation_interval, affine_interval
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Layer, Network


@dataclass(frozen=True, eq=False)
class Neurons:
    """Bounds of every pre-activation, and what they hang on.

    Attributes
    ----------
    bounds
        The bounds.
    shares
        Per layer, shape ``(layer.size, inputs)``: each input's share in the width of each neuron's bounds; zero for
        neurons that were stable from the start.
    """

    bounds: NeuronBounds
    shares: tuple[Rows2D, ...]


def bound_neurons(network: Network, slack: Slack, region: Region) -> Neurons | None:
    """Bound every pre-activation, layer by layer: interval arithmetic, then both signs of the unstable ones backward.

    Parameters
    ----------
    network, slack
        The network, and the rounding charges of a box that contains the region.
    region
        The region; its own neuron bounds are only ever tightened.

    Returns
    -------
    Neurons or None
        ``None`` if some neuron has no value left.
    """
    lower: list[Vector] = []
    upper: list[Vector] = []
    shares: list[Rows2D] = []
    lines: list[Lines] = []
    half_width = 0.5 * (region.upper - region.lower)
    for k, layer in enumerate(network.layers):
        low, high = _inherited(region, k, layer)
        if k:
            below = activation_interval(network.layers[k - 1], lower[-1], upper[-1])
            a, b = affine_interval(layer.affine, *below)
            tightened = unstable(layer, low, high)
            low, high = np.where(tightened, np.maximum(low, a), low), np.where(tightened, np.minimum(high, b), high)
        chosen = np.flatnonzero(unstable(layer, low, high))
        unit = np.eye(layer.size)[chosen]
        rows = Rows(np.vstack([unit, -unit]), None, np.zeros(2 * len(chosen)))
        walked = backward(network, slack, tuple(lines), rows, start=k)
        values, _, _ = minimise(walked, slack, region)
        low[chosen] = np.maximum(low[chosen], values[: len(chosen)])
        high[chosen] = np.minimum(high[chosen], -values[len(chosen) :])
        if (low[chosen] > high[chosen]).any():
            return None
        reach = (np.abs(walked.normals[: len(chosen)]) + np.abs(walked.normals[len(chosen) :])) * half_width
        total = reach.sum(axis=1, keepdims=True)
        share = np.zeros((layer.size, len(half_width)))
        share[chosen] = np.divide(reach, total, out=np.zeros_like(reach), where=total > 0)
        lower.append(low)
        upper.append(high)
        shares.append(share)
        lines.append(enclose(layer, low, high))
    return Neurons(NeuronBounds(tuple(lower), tuple(upper)), tuple(shares))


def _inherited(region: Region, k: int, layer: Layer) -> tuple[Vector, Vector]:
    low, high = np.full(layer.size, -np.inf), np.full(layer.size, np.inf)
    if region.neurons is not None:
        low, high = region.neurons.lower[k].copy(), region.neurons.upper[k].copy()
    if region.sides is not None:
        low = np.where((region.sides[k] > 0) & ~layer.is_curved, np.maximum(low, 0.0), low)
        high = np.where((region.sides[k] < 0) & ~layer.is_curved, np.minimum(high, 0.0), high)
    return low, high
