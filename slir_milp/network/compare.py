"""Comparing a network in normal form with the original file, run in its own element type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Network
from slir_milp.network.runtime import Runtime

_SCALES = (0.0, 0.01, 1.0, 1.0, 30.0)
_SLACK = 4.0
"""The original graph may add in another order and in more steps than the normal form."""

Reference = Callable[[Vector], Vector]


def compare(network: Network, runtime: Runtime, reference: Callable[[], Reference] | None = None) -> None:
    """Check that a network computes what the runtime computes, at a few random points (always the same).

    Parameters
    ----------
    network
        The lowered network.
    runtime
        The original.
    reference
        Gives an evaluation of the original in float64, asked for only if the two differ: then the cause may be
        cancellation inside the original, whose size the normal form no longer shows.

    Raises
    ------
    NetworkError
        If they differ by more than rounding explains.
    """
    random = np.random.default_rng(20160301)
    dtype = np.dtype(network.inputs[0].dtype if network.inputs else "float32")
    precise: Reference | None = None
    for scale in _SCALES:
        point = (scale * random.standard_normal(network.input_size)).astype(dtype)
        expected = runtime.outputs(point).astype(np.float64)
        value, error = evaluate_with_error(network, point.astype(np.float64), _unit(network))
        if expected.shape != value.shape:
            raise NetworkError(f"the network gives {value.size} numbers, but its runtime {expected.size}")
        usable = np.isfinite(expected) & np.isfinite(error)
        wrong = usable & (np.abs(value - expected) > error)
        if not wrong.any():
            continue
        if reference is not None:
            precise = precise or reference()
            expected = precise(point.astype(np.float64))
            size = np.maximum(np.abs(expected), 1.0)
            wrong = wrong & ~(np.abs(value - expected) <= 1e-5 * size)
        if wrong.any():
            where = int(np.argmax(wrong))
            raise NetworkError(
                f"what was read disagrees with the runtime: output {where} is {value[where]:.9g} instead of "
                f"{expected[where]:.9g}; this is a defect of this program, please report it with the file"
            )


def _unit(network: Network) -> float:
    """Unit roundoff of the coarsest element type that goes in or out."""
    kinds = {spec.dtype for spec in (*network.inputs, *network.outputs)}
    return 2.0**-24 if "float32" in kinds else 2.0**-53


def evaluate_with_error(network: Network, x: Vector, unit: float) -> tuple[Vector, Vector]:
    """Outputs at a point, and how far rounding may take an evaluation with the given unit roundoff from them."""
    value, error = x, np.zeros(x.size)
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in network.layers:
            value, error = _affine_error(layer.affine, value, error, unit)
            steepest = np.maximum(np.abs(layer.negative_slope), np.abs(layer.positive_slope))
            value = layer.activate(value)
            error = steepest * error + unit * np.abs(value)
        value, error = _affine_error(network.output, value, error, unit)
    return value, _SLACK * error + 1e-30


def _affine_error(affine: Affine, value: Vector, error: Vector, unit: float) -> tuple[Vector, Vector]:
    size = abs(affine.weight)
    terms: NDArray[np.int64] = np.asarray((affine.weight != 0).sum(axis=1)).ravel()
    gained = (terms + 8) * unit * (np.asarray(size @ np.abs(value)) + np.abs(affine.bias))
    return affine(value), np.asarray(size @ error) + gained
