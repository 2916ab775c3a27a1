"""How a network is to be written, and what is known of its neurons over a box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slir_milp.activations.table import Table
from slir_milp.bounding.backward import Rows, backward, minimise
from slir_milp.bounding.lines import enclose
from slir_milp.bounding.magnitude import Slack, activation_interval, affine_interval, slack
from slir_milp.bounding.neurons import bound_neurons
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.errors import OptionError
from slir_milp.lp.hulls import supporting
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network

Ends = tuple[Vector, Vector]


class Formulation(StrEnum):
    """How activations are written.

    ``EXACT``
        Hinges (ReLU, leaky ReLU, absolute value, …) with one binary each; other activations are refused.
    ``ENVELOPES``
        Hinges likewise, other activations between lines (SLiR), in pieces if so wished.
    ``RELAXED``
        Hinges by their convex hulls, other activations between lines: no binaries unless there are pieces.
    """

    EXACT = "exact"
    ENVELOPES = "envelopes"
    RELAXED = "relaxed"


@dataclass(frozen=True)
class Detail:
    """How closely activations that are no hinges are enclosed.

    Attributes
    ----------
    lines
        Lines on each side of every piece: one is that of least area, several touch the convex hull of the graph at the
        Chebyshev nodes of the piece.
    touching
        Arguments at which further lines touch, wherever they lie in a piece.
    pieces
        Equal parts into which each neuron's interval is divided, with a binary for each if there are several.

    Raises
    ------
    OptionError
        A number makes no sense.
    """

    lines: int = 3
    touching: tuple[float, ...] = ()
    pieces: int = 1

    def __post_init__(self) -> None:
        if self.lines < 1 or self.pieces < 1:
            raise OptionError("the numbers of lines and of pieces must be at least one.")
        if not np.isfinite(self.touching).all():
            raise OptionError("the places where lines are to touch must be finite numbers.")

    def places(self, lower: float, upper: float) -> Vector:
        """Where lines touch on one piece."""
        nodes = np.cos(np.pi * (2.0 * np.arange(self.lines) + 1.0) / (2.0 * self.lines))
        chosen = [x for x in self.touching if lower <= x <= upper]
        places = np.concatenate([0.5 * lower + 0.5 * upper + 0.5 * (upper - lower) * nodes, chosen])
        return np.asarray(np.clip(places, lower, upper))


@dataclass(frozen=True, eq=False)
class Bounded:
    """A network over a box.

    Attributes
    ----------
    network
        The network.
    region
        The box.
    neurons
        Sound bounds of every pre-activation.
    values
        Per layer sound bounds of the activations.
    outputs
        Sound bounds of every output.
    """

    network: Network
    region: Region
    neurons: NeuronBounds
    values: tuple[Ends, ...]
    outputs: Ends


def box_of(network: Network, lower: ArrayLike, upper: ArrayLike) -> Region:
    """The box between two ends, each a number for all inputs or one for each.

    Raises
    ------
    OptionError
        They do not fit the network, or are no ends of a bounded box.
    """
    ends = []
    for name, end in (("lower", lower), ("upper", upper)):
        values = np.asarray(end, dtype=np.float64).ravel()
        if values.size == 1:
            values = np.full(network.input_size, values[0])
        if values.size != network.input_size:
            raise OptionError(f"{name} has {values.size} numbers, but the network has {network.input_size} inputs.")
        if not np.isfinite(values).all():
            raise OptionError(f"{name} has a number that is not finite; a network can be written over a box only.")
        ends.append(values)
    if (ends[0] > ends[1]).any():
        raise OptionError(f"the box is empty: input {int(np.argmax(ends[0] > ends[1]))} has lower above upper.")
    return Region.box(*ends)


def bounded(network: Network, region: Region, *, tighten: bool = False) -> Bounded:
    """Bound every neuron and output over a box.

    Parameters
    ----------
    network, region
        The network and the box.
    tighten
        Whether to bound every unstable neuron by two linear programs besides, each made certain by its duals.

    Raises
    ------
    OptionError
        Some neuron has no finite bounds.
    """
    charges = slack(network, region.lower, region.upper)
    found = bound_neurons(network, charges, replace(region, neurons=_intervals(network, region)))
    neurons = None if found is None else found.bounds
    if neurons is not None and tighten:
        from slir_milp.lp.tighten import tighten as tightened
        from slir_milp.solvers import solver

        neurons = tightened(network, charges, region, neurons, solver())
    if neurons is None or not all(np.isfinite(end).all() for end in (*neurons.lower, *neurons.upper)):
        raise OptionError("some neuron has no finite bounds over the box; take a smaller one.")
    values = tuple(map(activation_interval, network.layers, neurons.lower, neurons.upper))
    outputs = _output_bounds(network, charges, region, neurons, values)
    if not all(np.isfinite(end).all() for end in (*outputs, *(end for pair in values for end in pair))):
        raise OptionError("some activation or output has no finite bounds over the box; take a smaller one.")
    return Bounded(network, region, neurons, values, outputs)


def _intervals(network: Network, region: Region) -> NeuronBounds:
    """Bounds of every pre-activation by interval arithmetic."""
    lower, upper = [], []
    low, high = region.lower, region.upper
    for layer in network.layers:
        a, b = affine_interval(layer.affine, low, high)
        lower.append(a)
        upper.append(b)
        low, high = activation_interval(layer, a, b)
    return NeuronBounds(tuple(lower), tuple(upper))


def _output_bounds(
    network: Network, charges: Slack, region: Region, neurons: NeuronBounds, values: tuple[Ends, ...]
) -> Ends:
    low, high = affine_interval(network.output, *(values[-1] if values else (region.lower, region.upper)))
    lines = tuple(map(enclose, network.layers, neurons.lower, neurons.upper))
    unit = np.eye(network.output_size)
    rows = Rows(np.vstack([unit, -unit]), None, np.zeros(2 * len(unit)))
    found, _, _ = minimise(backward(network, charges, lines, rows), charges, region)
    return np.maximum(low, found[: len(unit)]), np.minimum(high, -found[len(unit) :])


@dataclass(frozen=True, eq=False)
class Strips:
    """What is known of a curve on one piece: ``slope·x + offset`` below and above its graph.

    Attributes
    ----------
    lower, upper
        The piece.
    below, above
        Slopes and offsets of lines, finite, no two alike.
    """

    lower: float
    upper: float
    below: tuple[tuple[float, float], ...]
    above: tuple[tuple[float, float], ...]


def strips(table: Table, lower: float, upper: float, detail: Detail) -> tuple[Strips, ...]:
    """Enclose a curve on an interval, piece by piece.

    Soundness
    ---------
    Each line holds for every real ``x`` of its piece: offsets are those of :mod:`slir_milp.activations.shift`.
    """
    ends = np.linspace(lower, upper, detail.pieces + 1)
    ends[0], ends[-1] = lower, upper
    found = []
    for low, high in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        at = detail.places(low, high)
        sides = []
        for below in (True, False):
            slope, offset = supporting(table, below, np.full(len(at), low), np.full(len(at), high), at)
            sides.append(_distinct(slope, offset))
        found.append(Strips(low, high, *sides))
    return tuple(found)


def _distinct(slope: NDArray[np.float64], offset: Sequence[float] | Vector) -> tuple[tuple[float, float], ...]:
    """Finite lines without repetitions, but for rounding."""
    lines: list[tuple[float, float]] = []
    for a, b in zip(slope.tolist(), np.asarray(offset).tolist(), strict=True):
        is_new = all(abs(a - c) > 1e-9 * max(1.0, abs(a)) for c, _ in lines)
        if np.isfinite([a, b]).all() and is_new:
            lines.append((a, b))
    return tuple(lines)
