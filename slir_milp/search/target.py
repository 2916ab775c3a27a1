"""What is to be refuted: one conjunction of rows over one box, prepared for bounding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slir_milp.bounds.backward import Rows
from slir_milp.bounds.kernel import Conjunction
from slir_milp.bounds.magnitude import Slack, activation_interval, affine_interval
from slir_milp.bounds.region import HalfSpaces, NeuronBounds, Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Clause


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


def conjunction_of(clause: Clause, root: Root, slack: Slack) -> Conjunction:
    """Rows of a clause as exact float64 functionals that every counterexample makes non-positive.

    Each row is scaled by a power of two (which is exact) to a largest coefficient near one, so that rows of different
    units can be combined.  What a coefficient is off its true value by is charged to the constant, with the largest
    values that inputs and outputs can take.
    """
    matrix = clause.row_matrix()
    constants = matrix.constant.copy()
    if matrix.coefficient_radius is not None:
        largest_input = np.maximum(np.abs(root.region.lower), np.abs(root.region.upper))
        largest_output = np.maximum(np.abs(root.output_lower), np.abs(root.output_upper))
        with np.errstate(over="ignore", invalid="ignore"):
            charge = matrix.coefficient_radius @ np.concatenate([largest_input, largest_output]) * (1.0 + 2.0**-30)
            constants = np.nextafter(constants - np.nan_to_num(charge, nan=np.inf), -np.inf)
    largest = np.maximum(np.abs(matrix.outputs).max(axis=1, initial=0.0), np.abs(matrix.inputs).max(axis=1, initial=0.0))
    exponent = np.frexp(np.where(largest > 0, largest, 1.0))[1]
    scale = np.ldexp(1.0, np.clip(-exponent, -200, 200))
    outputs, inputs = matrix.outputs * scale[:, None], matrix.inputs * scale[:, None]
    exact = (
        (outputs / scale[:, None] == matrix.outputs).all(axis=1)
        & (inputs / scale[:, None] == matrix.inputs).all(axis=1)
        & (constants * scale / scale == constants)
    )
    scale = np.where(exact, scale, 1.0)
    return Conjunction(
        Rows(matrix.outputs * scale[:, None], matrix.inputs * scale[:, None], constants * scale), matrix.strict.copy()
    )
