"""From a graph of operators to the normal form.

The graph is walked in order.  What depends on constants alone is computed by ONNX Runtime; every other tensor becomes
affine maps over inputs and neuron outputs (:class:`slir_milp.network.operators.Tensor`), by the operator's entry in
:data:`slir_milp.network.operators.OPERATORS`.  At the end the neurons are arranged into layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import compose
from slir_milp.network.custom import curve_of_node
from slir_milp.network.folding import NodeRunner, infer_outputs
from slir_milp.network.graph import FLOATS, INTEGERS, OnnxGraph, first_line, refuse_subgraphs, stored_tensor
from slir_milp.network.neurons import Neurons
from slir_milp.network.normal_form import Network, TensorSpec
from slir_milp.network.operators import ON_INTEGERS, OPERATORS, Call, Tensor
from slir_milp.network.operators.elementwise import applied_to

if TYPE_CHECKING:
    from onnx import NodeProto

    from slir_milp.activations import Curve
    from slir_milp.activations.formula import Formula
    from slir_milp.activations.registry import Registry
    from slir_milp.network.operators.tensor import Value


def lower(graph: OnnxGraph, activations: Registry | None = None) -> Network:
    """Normal form of a graph.

    Parameters
    ----------
    graph
        The graph.
    activations
        What operators of other domains stand for.

    Raises
    ------
    UnsupportedOperatorError
        For an operator, or a use of one, that has no lowering.
    NetworkError
        If the graph contradicts itself or is too large.
    """
    network, could_fuse = _lowered(graph, activations, hinges_only=True)
    if network.is_piecewise_linear or not could_fuse:
        return network
    return _lowered(graph, activations, hinges_only=False)[0]


def _lowered(graph: OnnxGraph, activations: Registry | None, *, hinges_only: bool) -> tuple[Network, bool]:
    """Normal form, and whether it has several hinges where one curve would do."""
    neurons = Neurons(sum(spec.size for spec in graph.inputs), hinges_only=hinges_only, own=_formulas(activations))
    values: dict[str, Value] = dict(graph.constants)
    start = 0
    for spec in graph.inputs:
        columns = np.arange(start, start + spec.size)
        values[spec.name] = Tensor(spec.shape, spec.dtype, compose.picking(columns, neurons.inputs))
        start += spec.size
    for node in graph.in_order():
        try:
            curve = curve_of_node(node, activations)
            if curve is not None:
                values[node.output[0]] = _applied(node, curve, values, neurons)
                continue
            values.update(_results(node, values, graph.opset, neurons))
        except NetworkError as error:
            if error.node:
                raise
            raise type(error)(str(error), node=_name(node)) from error.__cause__
        except Exception as error:  # a damaged file can make NumPy or ONNX raise anything: name the node, not the line
            raise NetworkError(
                f"operator {node.op_type} cannot be read; the file may be damaged ({first_line(error)})",
                node=_name(node),
            ) from error
    outputs = [_output(name, values, neurons) for name in graph.outputs]
    layers, last = neurons.arrange(compose.stack([tensor.affine for tensor in outputs]))
    specs = tuple(TensorSpec(name, t.shape, t.dtype) for name, t in zip(graph.outputs, outputs, strict=True))
    return Network(layers, last, graph.inputs, specs), neurons.could_fuse


def _output(name: str, values: dict[str, Value], neurons: Neurons) -> Tensor:
    value = values.get(name)
    if value is None:
        raise NetworkError(f"no operator gives the output '{name}'")
    if isinstance(value, Tensor):
        return value
    if value.dtype.name not in (*FLOATS, *INTEGERS, "bool"):
        raise UnsupportedOperatorError(f"the output '{name}' of element type {value.dtype.name} is not supported")
    number = value.astype(float)
    if not np.isfinite(number).all() or (value.dtype.kind == "i" and np.abs(number).max(initial=0) > 2.0**53):
        raise NetworkError(f"the output '{name}' is a constant that is no finite number, or one beyond 2**53")
    return Tensor(value.shape, value.dtype.name, compose.constant(number.ravel(), neurons.columns))


def _results(node: NodeProto, values: dict[str, Value], opset: int, neurons: Neurons) -> dict[str, Value]:
    """Value of each output of a node."""
    from onnx import helper

    refuse_subgraphs(node)
    missing = next((name for name in node.input if name and name not in values), None)
    if missing is not None:
        raise NetworkError(f"nothing gives its input '{missing}'")
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Constant" and "value" in attributes:
        return {node.output[0]: stored_tensor(attributes["value"])}
    given = {name: values[name] for name in node.input if name}
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    constants = {name: value for name, value in given.items() if not isinstance(value, Tensor)}
    if tensors and node.op_type in OF_SHAPES:
        return {node.output[0]: OF_SHAPES[node.op_type](attributes, next(iter(tensors.values())))}
    if tensors and node.op_type not in OPERATORS:
        raise UnsupportedOperatorError(f"operator {node.op_type} is not supported")
    whole = next((tensor.dtype for tensor in tensors.values() if tensor.dtype not in FLOATS), None)
    if whole is not None and node.op_type not in ON_INTEGERS:
        raise UnsupportedOperatorError(
            f"operator {node.op_type} of computed tensors of element type {whole} is not supported"
        )
    described = {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}
    results = infer_outputs(node, described, constants, opset)
    if not tensors:
        wanted = {name: result for name, result in zip(node.output, results, strict=True) if name}
        return dict(zip(wanted, NodeRunner(node, constants, {}, wanted, opset)({}), strict=True))
    decoded = {name: value.decode() if isinstance(value, bytes) else value for name, value in attributes.items()}
    operands = tuple(values[name] if name else None for name in node.input)
    lowered = OPERATORS[node.op_type](Call(node, operands, decoded, tuple(results), opset, neurons))
    for tensor, name in zip(lowered, node.output, strict=False):
        if tensor.views[0].rows.size != tensor.size:
            raise NetworkError(f"operator {node.op_type} gives '{name}' a shape that does not fit its inputs")
    return {name: tensor for name, tensor in zip(node.output, lowered, strict=False) if name}


def _formulas(activations: Registry | None) -> dict[Formula, Curve]:
    curves = activations.curves.values() if activations is not None else ()
    return {curve.formula: curve for curve in curves if curve.formula is not None}


def _applied(node: NodeProto, curve: Curve, values: dict[str, Value], neurons: Neurons) -> Tensor:
    """Result of a node that stands for an activation."""
    given = values.get(node.input[0])
    if not isinstance(given, Tensor):
        raise UnsupportedOperatorError(f"operator {node.op_type} of a constant is not supported")
    if curve.formula is not None:
        neurons.own[curve.formula] = curve
        return applied_to(given, curve.formula.of, given.dtype, neurons)
    affine = neurons.apply(given.affine, [curve], np.zeros(given.size, dtype=np.intp))
    return Tensor(given.shape, given.dtype, affine)


def _shape(attributes: dict[str, Any], tensor: Tensor) -> NDArray[np.int64]:
    stop = attributes.get("end")
    return np.array(tensor.shape[attributes.get("start", 0) : stop], dtype=np.int64)


def _size(_: dict[str, Any], tensor: Tensor) -> NDArray[np.int64]:
    return np.array(tensor.size, dtype=np.int64)


OF_SHAPES: Mapping[str, Callable[[dict[str, Any], Tensor], NDArray[np.int64]]] = {"Shape": _shape, "Size": _size}
"""Operators whose result depends on no element of what they are given."""


def _name(node: NodeProto) -> str:
    return node.name or next((name for name in node.output if name), node.op_type)
