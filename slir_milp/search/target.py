"""What is to be refuted: one conjunction of rows over one box, prepared for bounding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from slir_milp.bounding.backward import Rows, backward, minimise
from slir_milp.bounding.kernel import Conjunction, compile_network
from slir_milp.bounding.lines import enclose
from slir_milp.bounding.magnitude import Slack, activation_interval, affine_interval, slack
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Atom, Clause


@dataclass(frozen=True, eq=False)
class Root:
    """A box of inputs with interval bounds of everything inside.

    Attributes
    ----------
    region
        The box, with sound bounds of every neuron.
    output_lower, output_upper
        Sound bounds of every output over the box.
    """

    region: Region
    output_lower: Vector
    output_upper: Vector


def root_of(network: Network, lower: Vector, upper: Vector) -> Root:
    """Bound every neuron and output of a network over a box by interval arithmetic."""
    lows, highs = [], []
    low, high = np.array(lower), np.array(upper)
    for layer in network.layers:
        a, b = affine_interval(layer.affine, low, high)
        lows.append(a)
        highs.append(b)
        low, high = activation_interval(layer, a, b)
    output_lower, output_upper = affine_interval(network.output, low, high)
    region = Region(
        np.array(lower), np.array(upper), HalfSpaces.none(len(lower)), None, NeuronBounds(tuple(lows), tuple(highs))
    )
    return Root(region, output_lower, output_upper)


@dataclass(frozen=True, eq=False)
class Charges:
    """Rounding charges of a box, and the network compiled with them."""

    slack: Slack
    compiled: Any

    @property
    def are_finite(self) -> bool:
        """Whether every bound can be finite: no neuron is unbounded in the box."""
        return self.finite(self.slack)

    @staticmethod
    def finite(slack: Slack) -> bool:
        """The same of charges that are not compiled yet."""
        return all(bool(np.isfinite(charge).all()) for charge in slack.affine)


class GrowingCharges:
    """Charges for a growing hull of boxes, so that many boxes share one compiled network."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._hull: tuple[Vector, Vector] | None = None
        self._charges: Charges | None = None

    def for_box(self, lower: Vector, upper: Vector) -> Charges:
        """Charges that are valid for the box."""
        if self._hull is not None and (lower >= self._hull[0]).all() and (upper <= self._hull[1]).all():
            if self._charges is not None:
                return self._charges
        elif self._hull is not None:
            low, high = np.minimum(lower, self._hull[0]), np.maximum(upper, self._hull[1])
            # Growing by the hull's own width makes the number of times this happens logarithmic.
            lower, upper = low - (high - low), high + (high - low)
        self._hull = np.array(lower), np.array(upper)
        charge = slack(self._network, *self._hull)
        self._charges = Charges(charge, compile_network(self._network, charge))
        return self._charges


class OutputBounds:
    """Sound bounds of every output over the union of all boxes seen, for a run that ends undecided.

    Interval bounds are kept of every box; the neuron bounds of the first few are kept too, and made into better output
    bounds when they are asked for.
    """

    _KEPT = 64

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lower = np.full(network.output_size, np.inf)
        self._upper = np.full(network.output_size, -np.inf)
        self._regions: list[Region] | None = []

    def cover(self, root: Root) -> None:
        """Take a box into the union."""
        self._lower = np.minimum(self._lower, root.output_lower)
        self._upper = np.maximum(self._upper, root.output_upper)

    def refine(self, region: Region) -> None:
        """Offer better neuron bounds of the box taken in last."""
        if self._regions is not None:
            self._regions.append(region)
            if len(self._regions) > self._KEPT:
                self._regions = None

    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Lower and upper bound of every output; empty if no box was seen."""
        lower, upper = self._lower, self._upper
        if self._regions:
            ends = [self._backward(region) for region in self._regions]
            lower = np.maximum(lower, np.minimum.reduce([low for low, _ in ends]))
            upper = np.minimum(upper, np.maximum.reduce([high for _, high in ends]))
        if not (lower <= upper).all():
            return ()
        return tuple(zip(lower.tolist(), upper.tolist(), strict=True))

    def _backward(self, region: Region) -> tuple[Vector, Vector]:
        neurons = region.neurons
        if neurons is None:
            return self._lower, self._upper
        lines = tuple(map(enclose, self._network.layers, neurons.lower, neurons.upper))
        charge = slack(self._network, region.lower, region.upper, neurons)
        unit = np.eye(self._network.output_size)
        ends = []
        for sign in (1.0, -1.0):
            rows = Rows(sign * unit, None, np.zeros(len(unit)))
            values, _, _ = minimise(backward(self._network, charge, lines, rows), charge, region)
            ends.append(sign * values)
        return ends[0], ends[1]


def conjunction_of(clause: Clause, root: Root, slack: Slack, least_share: float = 0.0) -> Conjunction:
    """Rows of a clause as exact float64 functionals that every counterexample makes non-positive.

    Each row is scaled by a power of two (which is exact) to a largest coefficient near one, so that rows of different
    units can be combined.  What a coefficient is off its true value by is charged to the constant, with the largest
    values that inputs and outputs can take.  No input is split to less than ``least_share`` of the root's width.
    """
    matrix = clause.row_matrix()
    constants = matrix.constant.copy()
    if matrix.coefficient_radius is not None:
        largest_input = np.maximum(np.abs(root.region.lower), np.abs(root.region.upper))
        largest_output = np.maximum(np.abs(root.output_lower), np.abs(root.output_upper))
        with np.errstate(over="ignore", invalid="ignore"):
            charge = matrix.coefficient_radius @ np.concatenate([largest_input, largest_output]) * (1.0 + 2.0**-30)
            constants = np.nextafter(constants - np.nan_to_num(charge, nan=np.inf), -np.inf)
    largest = np.maximum(
        np.abs(matrix.outputs).max(axis=1, initial=0.0), np.abs(matrix.inputs).max(axis=1, initial=0.0)
    )
    exponent = np.frexp(np.where(largest > 0, largest, 1.0))[1]
    scale = np.ldexp(1.0, np.clip(-exponent, -200, 200))
    outputs, inputs = matrix.outputs * scale[:, None], matrix.inputs * scale[:, None]
    exact = (
        (outputs / scale[:, None] == matrix.outputs).all(axis=1)
        & (inputs / scale[:, None] == matrix.inputs).all(axis=1)
        & (constants * scale / scale == constants)
    )
    scale = np.where(exact, scale, 1.0)
    rows = Rows(matrix.outputs * scale[:, None], matrix.inputs * scale[:, None], constants * scale)
    least_width = least_share * (root.region.upper - root.region.lower)
    if not clause.place.atoms:
        return Conjunction(rows, matrix.strict.copy(), least_width)
    atoms = np.array(clause.place.atoms, dtype=np.uint32)
    scales = np.array([float(scale) for scale in scales_of(clause.rows, rows, clause.inputs)])
    return Conjunction(rows, matrix.strict.copy(), least_width, atoms, scales)


def scales_of(atoms: Sequence[Atom], rows: Rows, inputs: int) -> list[Fraction]:
    """By which positive number each inequality was multiplied to become the kernel's row."""
    scales = []
    for r, atom in enumerate(atoms):
        variable, value = atom.terms[0]
        matrix, column = (
            (rows.inputs, variable)
            if variable < inputs and rows.inputs is not None
            else (rows.coefficients, variable - inputs)
        )
        scales.append(Fraction(float(matrix[r, column])) / value)
    return scales
