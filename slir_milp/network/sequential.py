"""Networks made of arrays: one affine map after another, each with an activation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from slir_milp.activations import IDENTITY, Curve, Hinge
from slir_milp.errors import NetworkError
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec

Activation: TypeAlias = "str | Hinge | Curve | None"
LayerLike: TypeAlias = "tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, Activation]"


def sequential(layers: Sequence[LayerLike]) -> Network:
    """The network behind :meth:`slir_milp.Network.from_layers`."""
    if not len(layers):
        raise NetworkError("a network needs at least one layer")
    maps: list[tuple[Affine, Activation]] = []
    single = True
    for k, layer in enumerate(layers):
        if not isinstance(layer, Sequence) or len(layer) not in (2, 3):
            raise NetworkError(f"layer {k} must be a weight, a bias and, if it has one, an activation")
        weight, bias = _array(k, "weight", layer[0], 2), _array(k, "bias", layer[1], 1)
        if len(bias) != len(weight) or not weight.size:
            raise NetworkError(f"layer {k} has a weight of shape {weight.shape} and a bias of shape {bias.shape}")
        if maps and maps[-1][0].rows != weight.shape[1]:
            raise NetworkError(f"layer {k} takes {weight.shape[1]} values, but is given {maps[-1][0].rows}")
        single = single and all(np.asarray(part).dtype == np.float32 for part in layer[:2])
        affine = Affine(np.ascontiguousarray(weight, dtype=np.float64), bias.astype(np.float64))
        maps.append((affine, layer[2] if len(layer) == 3 else None))
    if maps[-1][1] is not None:  # the normal form ends in an affine map
        size = maps[-1][0].rows
        maps.append((Affine(np.eye(size), np.zeros(size)), None))
    hidden = tuple(
        Layer(affine, (_function(activation),), np.zeros(affine.rows, dtype=np.int32))
        for affine, activation in maps[:-1]
    )
    dtype = "float32" if single else "float64"
    inputs, outputs = maps[0][0].columns, maps[-1][0].rows
    return Network(hidden, maps[-1][0], (TensorSpec("x", (inputs,), dtype),), (TensorSpec("y", (outputs,), dtype),))


def _array(k: int, what: str, values: ArrayLike, dimensions: int) -> NDArray[np.float64]:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise NetworkError(f"the {what} of layer {k} must be numbers") from None
    if array.ndim != dimensions:
        raise NetworkError(f"the {what} of layer {k} must have {dimensions} dimensions, not {array.ndim}")
    if not np.isfinite(array).all():
        raise NetworkError(f"the {what} of layer {k} must be finite")
    return array


def _function(activation: Activation) -> Hinge | Curve:
    if activation is None:
        return IDENTITY
    if isinstance(activation, str):
        from slir_milp.activations.registry import registered

        return registered().activation(activation)
    return activation
