"""One use of an operator, as the functions that lower operators see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.neurons import Neurons
from slir_milp.network.operators.tensor import Shape, Tensor, Value, View

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True, eq=False)
class Call:
    """A node with the values it is given.

    Attributes
    ----------
    node
        The node itself.
    operands
        Its inputs in order; ``None`` where an optional one is left out.
    attributes
        Its attributes by name.
    results
        Shape and element type of each output, ``((), "")`` for one that is left out.
    opset
        Version of the operator set.
    neurons
        Where nonlinear operators make their neurons.
    """

    node: NodeProto
    operands: tuple[Value | None, ...]
    attributes: Mapping[str, Any]
    results: tuple[tuple[Shape, str], ...]
    opset: int
    neurons: Neurons

    @property
    def shape(self) -> Shape:
        """Shape of the first output."""
        return self.results[0][0]

    def operand(self, position: int) -> Value | None:
        """Input at the position, ``None`` where it is left out."""
        return self.operands[position] if position < len(self.operands) else None

    def tensor(self, position: int) -> Tensor:
        """Input at the position, which must be computed."""
        value = self.operand(position)
        if not isinstance(value, Tensor):
            raise self.unsupported(f"with a constant as input {position + 1}")
        return value

    def constant(self, position: int) -> Vector | None:
        """Input at the position as float64, which must be constant and finite; ``None`` where it is left out."""
        value = self.operand(position)
        if value is None:
            return None
        if isinstance(value, Tensor):
            raise self.unsupported(f"with a computed tensor as input {position + 1}")
        return self.finite(value)

    def required(self, position: int) -> Vector:
        """Input at the position as float64, which must be there, constant and finite."""
        value = self.constant(position)
        if value is None:
            raise NetworkError(f"operator {self.node.op_type} lacks input {position + 1}")
        return value

    def finite(self, values: NDArray[Any]) -> Vector:
        """Constant as float64, refused if it holds NaN or infinity or is of no number type."""
        if values.dtype.name not in ("float32", "float64", "int32", "int64"):
            raise NetworkError(
                f"operator {self.node.op_type} uses a constant of element type {values.dtype.name}; "
                "supported are float32 and float64"
            )
        exact = values.astype(np.float64)
        if not np.isfinite(exact).all() or (values.dtype.kind == "i" and np.abs(exact).max(initial=0) > 2.0**53):
            raise NetworkError(f"operator {self.node.op_type} uses a constant that is not a finite number")
        return exact

    def spread(self, value: Value) -> Affine:
        """Value as a map, repeated where necessary to the shape of the first output."""
        if isinstance(value, Tensor):
            rows = np.broadcast_to(value.indices, self.shape).ravel()
            if rows.size == value.size:
                return value.affine
            return compose.take(value.affine, rows)
        return compose.constant(self.spread_constant(value), self.neurons.columns)

    def spread_constant(self, value: NDArray[Any]) -> Vector:
        """Flat constant, repeated where necessary to the shape of the first output."""
        return np.broadcast_to(self.finite(value), self.shape).ravel()

    def result(self, affine: Affine) -> list[Tensor]:
        """Only output, with these elements."""
        shape, dtype = self.results[0]
        return [Tensor(shape, dtype, affine)]

    def function_of_root(self, views: tuple[View, ...]) -> list[Tensor]:
        """Only output, as formulas over the roots that its operands share."""
        return [Tensor.of_views(*self.results[0], views, self.neurons)]

    def two(self) -> tuple[Value, Value]:
        """Both operands of an operator that takes two."""
        left, right = (self.operand(position) for position in range(2))
        if left is None or right is None:
            raise NetworkError(f"operator {self.node.op_type} needs two inputs")
        return left, right

    def unsupported(self, use: str) -> UnsupportedOperatorError:
        """Error for a use of the operator that has no lowering."""
        return UnsupportedOperatorError(f"operator {self.node.op_type} {use} is not supported")
