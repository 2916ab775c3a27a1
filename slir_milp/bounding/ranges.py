"""Rows that the ranges of the last activations refute exactly: a probability is not negative, whatever the network.

Lines touch the ends of a range only in the limit, and with rounding not even there.  Where a strict row asks for a
value beyond an end, the last layer alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from slir_milp.activations import Curve, Hinge
from slir_milp.bounding.exact import ExactRow
from slir_milp.bounding.region import NeuronBounds
from slir_milp.network import storage
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network

if TYPE_CHECKING:
    from flint import arb

_BITS = 2**20
"""An end of a range with more bits on either side of the point is left alone."""


def refuted_by_ranges(
    network: Network, rows: Sequence[ExactRow], lower: Vector, upper: Vector, neurons: NeuronBounds
) -> bool:
    """Whether some row has no solution, by interval arithmetic on the last layer in rational numbers.

    Parameters
    ----------
    network
        A network whose output map is exact; of others nothing is claimed.
    rows
        The conjunction.
    lower, upper
        A box that holds its inputs.
    neurons
        Sound bounds of every pre-activation there.
    """
    if not network.layers or not network.output.is_exact:
        return False
    layer, known = network.layers[-1], dict[int, tuple[Fraction, Fraction] | None]()
    places, columns, weights = storage.entries(network.output.weight)

    def range_of(neuron: int) -> tuple[Fraction, Fraction] | None:
        if neuron not in known:
            function = layer.functions[layer.function_index[neuron]]
            known[neuron] = _range(function, float(neurons.lower[-1][neuron]), float(neurons.upper[-1][neuron]))
        return known[neuron]

    for row in rows:
        least = row.constant
        coefficients: dict[int, Fraction] = {}
        for output, factor in row.outputs.items():
            least += factor * Fraction(float(network.output.bias[output]))
            for place in (places == output).nonzero()[0].tolist():
                column = int(columns[place])
                coefficients[column] = coefficients.get(column, Fraction(0)) + factor * Fraction(float(weights[place]))
        for q, factor in row.inputs.items():
            least += factor * Fraction(float(lower[q] if factor > 0 else upper[q]))
        for neuron, factor in coefficients.items():
            ends = range_of(neuron) if factor else (Fraction(0), Fraction(0))
            if ends is None:
                break
            least += factor * ends[0 if factor > 0 else 1]
        else:
            if least > 0 or (row.strict and least == 0):
                return True
    return False


def _range(function: Hinge | Curve, lower: float, upper: float) -> tuple[Fraction, Fraction] | None:
    """Exact ends of an enclosure of an activation's values, if they are handy."""
    if not abs(lower) + abs(upper) < float("inf"):
        return None
    if isinstance(function, Hinge):
        values = [
            Fraction(x) * Fraction(function.negative_slope if x < 0 else function.positive_slope)
            for x in (lower, upper)
        ]
        kink = [Fraction(0)] if lower < 0 < upper else []
        return min(values + kink), max(values + kink)
    if function.formula is None:
        return None
    from slir_milp.activations.interval import enclose, interval

    low, high = (_fraction(end) for end in enclose(function.formula, interval(lower, upper)))
    return None if low is None or high is None else (low, high)


def _fraction(end: arb) -> Fraction | None:
    if not end.is_finite() or not end.is_exact():
        return None
    mantissa, exponent = (int(part) for part in end.man_exp())
    if abs(exponent) > _BITS:
        return None
    return Fraction(mantissa << exponent) if exponent >= 0 else Fraction(mantissa, 1 << -exponent)
