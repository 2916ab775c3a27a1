"""Reading an ONNX file into a checked, pruned graph of operator nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network.normal_form import TensorSpec
from slir_milp.network.repair import check_but_for_outputs, mixes_precisions, sort_nodes, widen_precision

if TYPE_CHECKING:
    from networkx import DiGraph
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

    from slir_milp.activations.registry import Registry

FLOATS = ("float32", "float64")
"""Element types that computed tensors may have."""

INTEGERS = ("int32", "int64")
"""Those that they may have on the way, as whole numbers without bounds; beside them there are truth values."""

MAX_ELEMENTS = 2**23
"""Largest number of elements of one tensor; up to twice this, integers are exact in float32."""


@dataclass(frozen=True)
class OnnxGraph:
    """The part of a model that its outputs need.

    Attributes
    ----------
    nodes
        networkx graph of node numbers (attribute ``proto``), with an edge wherever one node reads another's result.
    constants
        The stored tensors by name.
    inputs, outputs
        What goes in and out; every input counts, whether or not an output needs it.
    opset
        Version of the standard operator set.
    """

    nodes: DiGraph[int]
    constants: Mapping[str, NDArray[np.generic]]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    opset: int

    def in_order(self) -> list[NodeProto]:
        """Nodes, each after those it reads from."""
        import networkx

        return [self.nodes.nodes[number]["proto"] for number in networkx.lexicographical_topological_sort(self.nodes)]


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """A checked model.

    Attributes
    ----------
    proto
        The model itself.
    is_self_contained
        Whether its bytes alone say what it means: no weights in other files, no local functions or operators of other
        domains, which the user's declarations may replace.
    """

    proto: ModelProto
    is_self_contained: bool


def parse_onnx(content: bytes, folder: Path, activations: Registry | None = None) -> OnnxModel:
    """Decode and check a model; weights stored in other files are read from ``folder``.

    Local functions are replaced by what they are made of, but for those that stand for an activation.

    Raises
    ------
    NetworkError
        If the bytes are no valid ONNX model, or a file they refer to is missing.
    """
    import onnx
    from onnx.external_data_helper import load_external_data_for_model

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # the protocol buffers' own type, of a package without typing
        raise NetworkError(f"the file is not an ONNX model, or is damaged: {first_line(error)}") from None
    if not model.HasField("graph"):
        raise NetworkError("the file is not an ONNX model: it holds no graph")
    external = _has_external_data(model)
    if external:
        try:
            load_external_data_for_model(model, str(folder))
        except Exception as error:
            raise NetworkError(
                f"the model keeps its weights in another file, which cannot be read from {folder}: {first_line(error)}"
            ) from None
    try:
        sort_nodes(model)
        if mixes_precisions(model):
            widen_precision(model)
        check_but_for_outputs(model)
        has_functions = bool(model.functions)
        if has_functions:
            from onnx.inliner import inline_selected_functions

            from slir_milp.network.custom import declared_functions

            model = inline_selected_functions(model, declared_functions(model, activations), exclude=True)
    except NetworkError:
        raise
    except Exception as error:  # the checker's own type, but damaged models also make it raise others
        raise NetworkError(f"the model is not valid ONNX: {first_line(error)}") from None
    standard = all(node.domain in ("", "ai.onnx") for node in model.graph.node)
    return OnnxModel(model, standard and not external and not has_functions)


def _has_external_data(model: ModelProto) -> bool:
    from onnx.external_data_helper import uses_external_data

    attributes = (attribute.t for node in model.graph.node for attribute in node.attribute if attribute.HasField("t"))
    return any(uses_external_data(tensor) for tensor in (*model.graph.initializer, *attributes))


def read_graph(model: ModelProto) -> OnnxGraph:
    """Pick out what the outputs need.

    Raises
    ------
    NetworkError
        If inputs, outputs or constants are of a kind that is not supported.
    """
    graph = model.graph
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset is None:
        raise NetworkError("the model does not use the standard ONNX operators")
    if graph.sparse_initializer:
        raise NetworkError("sparse initializers are not supported; store the weights dense")
    constants = {tensor.name: stored_tensor(tensor) for tensor in graph.initializer}
    inputs = tuple(_input_spec(value) for value in graph.input if value.name not in constants)
    if not inputs or not graph.output:
        raise NetworkError("the model has no inputs or no outputs")
    if sum(spec.size for spec in inputs) > MAX_ELEMENTS:
        raise NetworkError(f"the model has more than the {MAX_ELEMENTS} input elements supported")
    outputs = tuple(value.name for value in graph.output)
    return OnnxGraph(_needed(graph, outputs), constants, inputs, outputs, opset)


def _needed(graph: GraphProto, outputs: tuple[str, ...]) -> DiGraph[int]:
    import networkx

    producer = {name: number for number, node in enumerate(graph.node) for name in node.output if name}
    nodes: DiGraph[int] = networkx.DiGraph()
    for number, node in enumerate(graph.node):
        nodes.add_node(number, proto=node)
        nodes.add_edges_from((producer[name], number) for name in node.input if name in producer)
    wanted = {producer[name] for name in outputs if name in producer}
    for number in tuple(wanted):
        wanted |= networkx.ancestors(nodes, number)
    return nodes.subgraph(wanted)


def stored_tensor(tensor: TensorProto) -> NDArray[np.generic]:
    """Array held by a TensorProto."""
    from onnx import numpy_helper

    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # whatever a damaged tensor provokes
        raise NetworkError(f"the stored tensor '{tensor.name}' cannot be read: {first_line(error)}") from None


def _input_spec(value: ValueInfoProto) -> TensorSpec:
    from onnx import helper

    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        raise NetworkError(f"input '{value.name}' is not a tensor of known shape")
    kind = value.type.tensor_type
    try:
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type)).name
    except KeyError:
        dtype = "unknown"
    if dtype not in FLOATS:
        raise NetworkError(f"input '{value.name}' has element type {dtype}; supported are {' and '.join(FLOATS)}")
    shape = []
    for axis, dimension in enumerate(kind.shape.dim):
        fixed = dimension.HasField("dim_value") and dimension.dim_value > 0
        if dimension.HasField("dim_value") and dimension.dim_value == 0:
            raise NetworkError(f"input '{value.name}' has no elements: dimension {axis} is zero")
        if not fixed and axis > 0:
            raise NetworkError(
                f"input '{value.name}' has no fixed size in dimension {axis}; only the first (the batch) may be free: "
                "fix the others when exporting the model"
            )
        shape.append(dimension.dim_value if fixed else 1)
    spec = TensorSpec(value.name, tuple(shape), dtype)
    checked_size(spec.shape)
    return spec


def checked_size(shape: tuple[int, ...]) -> int:
    """Number of elements, computed without overflow, refused above :data:`MAX_ELEMENTS`."""
    size = 1
    for extent in shape:
        size *= extent
    if size > MAX_ELEMENTS:
        raise NetworkError(f"a tensor of shape {list(shape)} has more than the {MAX_ELEMENTS} elements supported")
    return size


def refuse_subgraphs(node: NodeProto) -> None:
    """Refuse operators that contain graphs of their own (If, Loop, Scan), and unknown operators of other domains."""
    from onnx import AttributeProto

    if node.domain not in ("", "ai.onnx"):
        raise UnsupportedOperatorError(
            f"operator {node.domain}.{node.op_type} is not a standard ONNX operator and is not supported; "
            "if it is an activation, declare it",
            node=node.name or node.output[0],
        )
    if any(attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for attribute in node.attribute):
        raise UnsupportedOperatorError(
            f"operator {node.op_type} contains a graph of its own, which is not supported",
            node=node.name or node.output[0],
        )


def first_line(error: BaseException) -> str:
    """First line of what another library said, without its trailing full stop."""
    text = str(error).strip()
    return (text.splitlines()[0] if text else type(error).__name__).rstrip(". ")
