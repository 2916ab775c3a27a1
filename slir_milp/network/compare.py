"""Comparing a network in normal form with the original file, run in its own element type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import Curve
from slir_milp.errors import NetworkError
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network
from slir_milp.network.runtime import Deployed

_SCALES = (0.0, 0.01, 1.0, 1.0, 30.0)
_POSITIVE_SCALES = (1.0, 0.3, 3.0)
"""Used if no output had a value at any of the other points."""

_SLACK = 4.0
"""The original graph may add in another order than the normal form."""

_SLACK_IN_DOUBT = 32.0
"""It may also take many steps where the normal form takes one."""

_STEPS = 8.0
"""Roundings granted to an activation that the file spreads over several operators."""

Opened = Callable[[NDArray[np.floating]], tuple[Vector, float]]
"""Outputs of the original at a point, and the largest magnitude inside of it."""


def compare(network: Network, runtime: Deployed, opened: Callable[[], Opened] | None = None) -> None:
    """Check that a network computes what the runtime computes, at a few random points (always the same).

    Parameters
    ----------
    network
        The lowered network.
    runtime
        The original.
    opened
        Gives the original in a form that shows its insides, see :class:`slir_milp.network.intermediates.OpenModel`.
        Asked for only if the two differ by more than rounding in the normal form explains.  There are two harmless
        reasons: a graph that adds a large number and takes it away again is less precise than its normal form, in
        proportion to that number; and ONNX Runtime, where it fuses operators, rounds some float64 factors to float32.

    Raises
    ------
    NetworkError
        If they differ by more than rounding explains.
    """
    random = np.random.default_rng(20160301)
    dtype = np.dtype(network.inputs[0].dtype if network.inputs else "float32")
    look_inside: Opened | None = None
    compared = False
    for number, scale in enumerate((*_SCALES, *_POSITIVE_SCALES)):
        if number >= len(_SCALES) and compared:
            break
        sample = scale * random.standard_normal(network.input_size)
        point = (np.abs(sample) if number >= len(_SCALES) else sample).astype(dtype)
        expected = runtime.outputs(point).astype(np.float64)
        traced = _trace(network, point.astype(np.float64), _unit(network))
        value, error = traced.value, _SLACK * traced.error
        if expected.shape != value.shape:
            raise NetworkError(f"the network gives {value.size} numbers, but its runtime {expected.size}")
        usable = np.isfinite(expected) & np.isfinite(error)
        compared |= bool(usable.any())
        wrong = usable & (_distance(value, expected) > error)
        if wrong.any() and opened is not None:
            look_inside = look_inside or opened()
            expected, largest = look_inside(point)
            allowed = max(1.0, largest / traced.largest) * (error[usable].max() + _unit(network) * largest)
            wrong &= ~(_distance(value, expected) <= _SLACK_IN_DOUBT * allowed)
        if wrong.any():
            where = int(np.argmax(wrong))
            raise NetworkError(
                f"what was read disagrees with the runtime: output {where} is {value[where]:.9g} instead of "
                f"{expected[where]:.9g}; this is a defect of this program, please report it with the file"
            )


def _distance(value: Vector, expected: Vector) -> Vector:
    with np.errstate(invalid="ignore"):
        return np.abs(value - expected)


def _unit(network: Network) -> float:
    """Unit roundoff of the coarsest element type that goes in or out."""
    kinds = {spec.dtype for spec in (*network.inputs, *network.outputs)}
    return 2.0**-24 if "float32" in kinds else 2.0**-53


def evaluate_with_error(network: Network, x: Vector, unit: float) -> tuple[Vector, Vector]:
    """Outputs at a point, and how far rounding may take an evaluation with the given unit roundoff from them."""
    traced = _trace(network, x, unit)
    return traced.value, _SLACK * traced.error


@dataclass(frozen=True, eq=False)
class _Trace:
    """Values, the rounding errors they may have, and the largest magnitude on the way to them."""

    value: Vector
    error: Vector
    largest: float

    def through(self, affine: Affine, unit: float) -> _Trace:
        """Trace of the image under an affine map, evaluated with the given unit roundoff."""
        size = abs(affine.weight)
        terms: NDArray[np.int64] = np.asarray((affine.weight != 0).sum(axis=1)).ravel()
        reach = np.asarray(size @ np.abs(self.value)) + np.abs(affine.bias)
        error = np.asarray(size @ self.error) + (terms + 8) * unit * reach
        return _Trace(affine(self.value), error, max(self.largest, float(np.max(reach, initial=0.0))))

    def activated(self, layer: Layer, unit: float) -> _Trace:
        """Trace of what a layer's activations make of it."""
        value = layer.activate(self.value)
        steepest = np.maximum(np.abs(layer.negative_slope), np.abs(layer.positive_slope))
        error = steepest * self.error + unit * np.abs(value)
        for curve, here in layer.curves:
            error[here] = _curve_error(curve, self.value[here], self.error[here], unit)
        return _Trace(value, error, self.largest)


def _curve_error(curve: Curve, x: Vector, error: Vector, unit: float) -> Vector:
    """How far a curve's value may be from the true one if its argument is, and if it takes several operations.

    The change of the value is seen at a few points of the argument's range.  The operations that a decomposed
    activation takes are of the size of the argument and of the value, or of one (``1 + tanh(x)``).
    """
    value, change = curve(x), np.zeros(x.size)
    for share in (-1.0, -0.5, 0.5, 1.0):
        change = np.fmax(change, np.abs(curve(x + share * error) - value))
    conditioned = (1.0 + np.abs(x)) * np.minimum(np.abs(curve.derivative(x)), 1e30)
    return 2.0 * change + _STEPS * unit * (1.0 + np.abs(value) + np.where(np.isfinite(conditioned), conditioned, 0.0))


def _trace(network: Network, x: Vector, unit: float) -> _Trace:
    trace = _Trace(x, np.full(x.size, 2.0**-140), max(float(np.max(np.abs(x), initial=0.0)), 2.0**-100))
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in network.layers:
            trace = trace.through(layer.affine, unit)
            trace = trace.activated(layer, unit)
        trace = trace.through(network.output, unit)
    return _Trace(trace.value, trace.error + 2.0**-140, trace.largest)
