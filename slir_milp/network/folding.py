"""Running single operators of a graph, in its own element types, with ONNX Runtime.

Used for whatever depends on constants alone, and to find out how an operator moves elements.  What ONNX Runtime makes
of constants *is* the constant: if a file asks for float32 arithmetic on two stored tensors, the float32 result is
what every later computation uses, and so it is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network.graph import checked_size, first_line

if TYPE_CHECKING:
    from onnx import NodeProto, TypeProto

Array = NDArray[Any]

_IR_VERSION = 8
_MAX_DESCRIBED = 2**12
"""Constants up to this size are shown to shape inference by value; larger ones only by type."""

_RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}


def infer_outputs(
    node: NodeProto, shapes: Mapping[str, tuple[tuple[int, ...], str]], constants: Mapping[str, Array], opset: int
) -> list[tuple[tuple[int, ...], str]]:
    """Shape and element type (a NumPy name) of every output of a node, by ONNX's own shape inference.

    Parameters
    ----------
    node
        The node.
    shapes
        Shape and element type of each computed input.
    constants
        The other inputs.
    opset
        Version of the operator set.

    Raises
    ------
    NetworkError
        If the inputs do not fit the operator, or a result's shape depends on computed values.
    """
    from onnx import defs, helper, numpy_helper, shape_inference

    try:
        schema = defs.get_schema(node.op_type, opset, "")
    except Exception:
        raise NetworkError(f"there is no operator {node.op_type} in version {opset} of the operator set") from None
    if schema.deprecated:
        raise NetworkError(f"operator {node.op_type} no longer exists in version {opset} of the operator set")
    types = {name: _tensor_type(array.dtype.name, array.shape) for name, array in constants.items()}
    types |= {name: _tensor_type(dtype, shape) for name, (shape, dtype) in shapes.items()}
    data = {name: numpy_helper.from_array(a, name) for name, a in constants.items() if a.size <= _MAX_DESCRIBED}
    try:
        inferred = shape_inference.infer_node_outputs(
            schema, node, types, data, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION
        )
    except Exception as error:
        raise NetworkError(f"the inputs of operator {node.op_type} do not fit it: {first_line(error)}") from None
    return [_described(node, inferred.get(name)) if name else ((), "") for name in node.output]


def _tensor_type(dtype: str, shape: Sequence[int]) -> TypeProto:
    from onnx import helper

    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def _described(node: NodeProto, kind: TypeProto | None) -> tuple[tuple[int, ...], str]:
    from onnx import helper

    if kind is None or not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        raise NetworkError(f"the shape of what operator {node.op_type} gives cannot be determined beforehand")
    extents = kind.tensor_type.shape.dim
    if not all(extent.HasField("dim_value") and extent.dim_value >= 0 for extent in extents):
        raise NetworkError(f"the shape of what operator {node.op_type} gives cannot be determined beforehand")
    shape = tuple(extent.dim_value for extent in extents)
    checked_size(shape)
    return shape, np.dtype(helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type)).name


class NodeRunner:
    """One node as a model of its own, to be run on chosen values.

    Parameters
    ----------
    node
        The node.
    constants
        Inputs that stay the same.
    free
        Shape and element type of the other inputs.
    outputs
        Shape and element type of each output wanted, in order.
    opset
        Version of the operator set.
    """

    def __init__(
        self,
        node: NodeProto,
        constants: Mapping[str, Array],
        free: Mapping[str, tuple[tuple[int, ...], str]],
        outputs: Mapping[str, tuple[tuple[int, ...], str]],
        opset: int,
    ) -> None:
        from onnx import helper, numpy_helper

        from slir_milp.network.runtime import open_session

        if node.op_type in _RANDOM:
            raise NetworkError(f"operator {node.op_type} draws random numbers; such a network has no fixed meaning")

        def described(values: Mapping[str, tuple[tuple[int, ...], str]]) -> list[Any]:
            return [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
                for name, (shape, dtype) in values.items()
            ]

        stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
        graph = helper.make_graph([node], "one node", described(free), described(outputs), stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=_IR_VERSION)
        self._names = list(outputs)
        self._node = node
        try:
            self._session = open_session(model.SerializeToString())
        except Exception as error:  # whatever ONNX Runtime has against it
            raise self._refused(error) from None

    def __call__(self, values: Mapping[str, Array]) -> list[Array]:
        """Outputs for the given free inputs."""
        try:
            return [np.asarray(output) for output in self._session.run(self._names, dict(values))]
        except Exception as error:
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> NetworkError:
        return NetworkError(f"ONNX Runtime cannot run operator {self._node.op_type} here: {first_line(error)}")
