"""Accepting what ONNX Runtime and exporters accept although it is not quite valid ONNX.

Nothing here guesses at a meaning: nodes may stand in any order, an output may lack its type, and a model that takes
float64 inputs may store its weights in float32, whose values float64 represents exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slir_milp.errors import NetworkError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto


def check_but_for_outputs(model: ModelProto) -> None:
    """Run ONNX's own checker, but let outputs lack type or shape: they follow from the nodes."""
    from onnx import TensorProto, TypeProto, checker

    declared = [TypeProto() for _ in model.graph.output]
    for kept, value in zip(declared, model.graph.output, strict=True):
        kept.CopyFrom(value.type)
        if not value.type.tensor_type.HasField("shape"):
            value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or TensorProto.FLOAT
            value.type.tensor_type.shape.SetInParent()
    try:
        checker.check_model(model)
    finally:
        for kept, value in zip(declared, model.graph.output, strict=True):
            value.type.CopyFrom(kept)


def sort_nodes(model: ModelProto) -> None:
    """Put every node after those it reads from, in place.

    Raises
    ------
    NetworkError
        If the nodes depend on each other in a circle.
    """
    produced = {name for node in model.graph.node for name in node.output if name}
    known: set[str] = set()
    if all(_in_order(node, produced, known) for node in model.graph.node):
        return
    from networkx import DiGraph, NetworkXUnfeasible, lexicographical_topological_sort

    producer = {name: number for number, node in enumerate(model.graph.node) for name in node.output if name}
    order: DiGraph[int] = DiGraph()
    order.add_nodes_from(range(len(model.graph.node)))
    for number, node in enumerate(model.graph.node):
        order.add_edges_from((producer[name], number) for name in node.input if name in producer)
    try:
        nodes = [model.graph.node[number] for number in lexicographical_topological_sort(order)]
    except NetworkXUnfeasible:
        raise NetworkError("the nodes of the model depend on each other in a circle") from None
    copies = [_copy(node) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _in_order(node: NodeProto, produced: set[str], known: set[str]) -> bool:
    sound = all(name in known for name in node.input if name in produced)
    known.update(node.output)
    return sound


def _copy(node: NodeProto) -> NodeProto:
    from onnx import NodeProto

    copy = NodeProto()
    copy.CopyFrom(node)
    return copy


def mixes_precisions(model: ModelProto) -> bool:
    """Whether all inputs are float64 but weights are float32, with no Cast that would reconcile them."""
    from onnx import TensorProto

    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.type.tensor_type.elem_type for value in model.graph.input if value.name not in stored]
    return (
        bool(inputs)
        and all(kind == TensorProto.DOUBLE for kind in inputs)
        and any(tensor.data_type == TensorProto.FLOAT for tensor in model.graph.initializer)
        and all(node.op_type != "Cast" for node in model.graph.node)
    )


def widen_precision(model: ModelProto, narrow: int | None = None, wide: int | None = None) -> None:
    """Turn every float32 into float64, in place: stored tensors, constants, casts, inputs and outputs.

    Parameters
    ----------
    model
        The model.
    narrow, wide
        Other element types (numbers of ONNX), of which the second represents every number of the first.
    """
    from onnx import TensorProto

    narrow = TensorProto.FLOAT if narrow is None else narrow
    wide = TensorProto.DOUBLE if wide is None else wide
    for tensor in model.graph.initializer:
        _widen_tensor(tensor, narrow, wide)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if value.type.tensor_type.elem_type == narrow:
            value.type.tensor_type.elem_type = wide
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen_tensor(attribute.t, narrow, wide)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == narrow:
                attribute.i = wide


def _widen_tensor(tensor: TensorProto, narrow: int, wide: int) -> None:
    from onnx import helper, numpy_helper

    if tensor.data_type == narrow:
        values = numpy_helper.to_array(tensor).astype(helper.tensor_dtype_to_np_dtype(wide))
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
