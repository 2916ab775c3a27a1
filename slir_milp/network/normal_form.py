"""The normal form: affine maps and unary activations in turn, each neuron with its own activation.

Whatever graph a file holds, the rest of the program sees only this.  Residual connections, concatenations and several
inputs become it by carrying live values through identity neurons (see :mod:`slir_milp.network.lowering`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import Curve, Hinge
from slir_milp.display import card
from slir_milp.network.affine import Affine, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slir_milp.activations.registry import Registry
    from slir_milp.network.sequential import LayerLike


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape (a free batch dimension counts as one) and element type (a NumPy name) of an input or output."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Layer:
    """An affine map and the activation of each of its neurons.

    Attributes
    ----------
    affine
        Maps the previous layer's outputs (or the network's inputs) to the pre-activations.
    functions
        The distinct activations of this layer.
    function_index
        Shape ``(rows,)``: which of them each neuron applies.
    """

    affine: Affine
    functions: tuple[Hinge | Curve, ...]
    function_index: NDArray[np.int32]

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.affine.rows

    @cached_property
    def curves(self) -> tuple[tuple[Curve, NDArray[np.intp]], ...]:
        """Every function of this layer that is not a hinge, with the indices of its neurons."""
        return tuple(
            (function, np.flatnonzero(self.function_index == i))
            for i, function in enumerate(self.functions)
            if isinstance(function, Curve)
        )

    @cached_property
    def is_curved(self) -> NDArray[np.bool_]:
        """Mask of the neurons whose activation is not a hinge."""
        return np.array([isinstance(f, Curve) for f in self.functions], dtype=bool)[self.function_index]

    @cached_property
    def negative_slope(self) -> Vector:
        """Slope of each hinge left of zero; NaN for the other neurons, so that no bound can be made from it."""
        return np.array([f.negative_slope if isinstance(f, Hinge) else np.nan for f in self.functions])[
            self.function_index
        ]

    @cached_property
    def positive_slope(self) -> Vector:
        """Slope of each hinge right of zero; NaN for the other neurons."""
        return np.array([f.positive_slope if isinstance(f, Hinge) else np.nan for f in self.functions])[
            self.function_index
        ]

    def activate(self, x: Vector) -> Vector:
        """Apply every neuron's activation, in plain float64; ``x`` has the neurons along its last axis."""
        value = np.where(x < 0, self.negative_slope * x, self.positive_slope * x)
        for curve, here in self.curves:
            value[..., here] = curve(x[..., here])
        return value

    def derivative(self, x: Vector) -> Vector:
        """Derivative of every neuron's activation, in plain float64, from one side where there are two."""
        slope = np.where(x < 0, self.negative_slope, self.positive_slope)
        for curve, here in self.curves:
            slope[..., here] = curve.derivative(x[..., here])
        return slope


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A network in normal form.

    The inputs are the elements of all input tensors, flattened and joined in order; likewise the outputs.

    Attributes
    ----------
    layers
        Hidden layers, first to last; may be empty.
    output
        The last affine map, from the last hidden layer (or the inputs) to the outputs.
    inputs, outputs
        What the file calls them.
    sha256
        Digest of the file it was read from, ``""`` for a network made in memory.
    source
        Path of that file, ``""`` if there is none.
    activations
        The activations of one's own with which it was read, ``None`` if there were none: the runtime needs them too.
    model
        The ONNX model it was made from in memory, serialised, for the runtime; empty if there is a file or no model.
    """

    layers: tuple[Layer, ...]
    output: Affine
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    sha256: str = ""
    source: str = field(default="", compare=False)
    activations: Registry | None = field(default=None, compare=False)
    model: bytes = field(default=b"", compare=False)

    @staticmethod
    def from_layers(layers: Sequence[LayerLike]) -> Network:
        """A network made of arrays.

        Parameters
        ----------
        layers
            For each layer ``(weight, bias)`` or ``(weight, bias, activation)``, the weight of shape ``(rows, columns)``
            and the bias of shape ``(rows,)``, so that it computes ``activation(weight @ z + bias)``.  An activation is
            a name (``"relu"``, ``"tanh"``, one's own, …), what :func:`slir_milp.register_activation` returns, or
            ``None``.

        Returns
        -------
        Network
            In real arithmetic over these very numbers.  Witnesses are replayed by NumPy, in float32 if every array is
            float32, else in float64.

        Raises
        ------
        NetworkError
            The arrays do not fit each other.
        OptionError
            There is no activation of such a name.
        """
        from slir_milp.network.sequential import sequential

        return sequential(layers)

    @property
    def input_size(self) -> int:
        """Number of inputs over all input tensors."""
        return sum(spec.size for spec in self.inputs)

    @property
    def output_size(self) -> int:
        """Number of outputs over all output tensors."""
        return self.output.rows

    @cached_property
    def is_piecewise_linear(self) -> bool:
        """Whether every activation is a hinge, so that rational arithmetic can follow the network."""
        return not any(layer.curves for layer in self.layers)

    @cached_property
    def affines(self) -> tuple[Affine, ...]:
        """Every affine map, first to last, the output map included."""
        return (*(layer.affine for layer in self.layers), self.output)

    def __repr__(self) -> str:
        sizes = " - ".join(str(size) for size in (self.input_size, *(layer.size for layer in self.layers)))
        return f"<Network: {sizes} - {self.output_size}, {self._applied()}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        facts = [
            ("inputs", f"{self.input_size:,}"),
            ("outputs", f"{self.output_size:,}"),
            ("neurons", f"{sum(layer.size for layer in self.layers):,} in {len(self.layers):,} layers"),
            ("activations", self._applied()),
            ("file", self.source),
        ]
        return card("Network", facts)

    def _applied(self) -> str:
        """Names of the activations, each once."""
        names = {
            function.name if isinstance(function, Curve) else _hinge_name(function)
            for layer in self.layers
            for function in layer.functions
        }
        return ", ".join(sorted(names)) or "no activation"

    def __call__(self, x: Vector) -> Vector:
        """Outputs at ``x`` (shape ``(inputs,)`` or ``(points, inputs)``) in plain float64: not a bound."""
        z = np.asarray(x, dtype=np.float64)
        for layer in self.layers:
            z = layer.activate(layer.affine(z))
        return self.output(z)


def _hinge_name(hinge: Hinge) -> str:
    known = {(0.0, 1.0): "relu", (1.0, 1.0): "identity", (-1.0, 1.0): "abs"}
    slopes = hinge.negative_slope, hinge.positive_slope
    return known.get(slopes, f"hinge({slopes[0]:g}, {slopes[1]:g})")
