"""One ONNX model that computes what several do, each of its tensors named after the network it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.compose.models import Model
from slir_milp.errors import NetworkError
from slir_milp.network.graph import first_line, refuse_subgraphs
from slir_milp.network.repair import widen_precision

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_LEAST_OPSET = 7
"""The operators that are added here have the form in which they are added from here on."""


@dataclass(frozen=True)
class Part:
    """A network as it stands in the composed model.

    Attributes
    ----------
    name, base
        The network's name, and that of the network whose model it has (its own, or the one it is equal to).
    proto
        That model, fit for the composed one.
    computed
        Its tensors that depend on its inputs.
    """

    name: str
    base: str
    proto: ModelProto
    computed: frozenset[str]

    def prefixed(self, name: str) -> str:
        """Name of one of the model's tensors in the composed model."""
        return f"{self.name if name in self.computed else self.base}/{name}"


@dataclass
class Builder:
    """A model that grows.

    Attributes
    ----------
    graph
        Nodes and stored tensors so far.
    types
        ONNX element type of every input so far.
    """

    graph: GraphProto
    types: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def add_input(self, name: str, element: int, shape: Sequence[int]) -> None:
        """Add an input."""
        from onnx import helper

        self.graph.input.append(helper.make_tensor_value_info(name, element, list(shape)))
        self.types[name] = element

    def add_output(self, name: str) -> None:
        """Make a tensor an output; one that is an output already gets another name for it."""
        if any(value.name == name for value in self.graph.output):
            name = self.apply("Identity", name)
        self.graph.output.add().name = name

    def apply(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node with one output; the name of that."""
        from onnx import helper

        name = name or self._new_name()
        self.graph.node.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def store(self, values: NDArray[Any]) -> str:
        """Add a stored tensor; its name."""
        from onnx import numpy_helper

        name = self._new_name()
        self.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def flat(self, name: str) -> str:
        """The elements of a tensor as a vector."""
        return self.apply("Reshape", name, self.store(np.array([-1], dtype=np.int64)))

    def joined(self, vectors: Sequence[str]) -> str:
        """Vectors one after another."""
        return vectors[0] if len(vectors) == 1 else self.apply("Concat", *vectors, axis=0)

    def picked(self, vector: str, places: Sequence[int]) -> str:
        """Elements of a vector."""
        return self.apply("Gather", vector, self.store(np.array(places, dtype=np.int64)), axis=0)

    def _new_name(self) -> str:
        self._count += 1
        return f"/{self._count}"  # names of networks are never empty, so no prefixed name is like this


def model_of(builder: Builder, opset: int, ir_version: int) -> ModelProto:
    """The model made so far."""
    from onnx import helper

    model = helper.make_model(builder.graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir_version
    return model


def new_builder() -> Builder:
    """An empty model."""
    from onnx import GraphProto

    return Builder(GraphProto(name="composed"))


def reconciled(models: dict[str, Model]) -> tuple[dict[str, ModelProto], int, int]:
    """Models with float32 in place of float16, and with the same operator set; its version, and that of the format.

    Raises
    ------
    NetworkError
        A model cannot be converted.
    """
    opset = max(_LEAST_OPSET, *(model.opset for model in models.values()))
    version = max(8, *(model.proto.ir_version for model in models.values()))
    return {name: _converted(model, opset) for name, model in models.items()}, opset, version


def _converted(model: Model, opset: int) -> ModelProto:
    from onnx import ModelProto, TensorProto, version_converter

    proto = ModelProto()
    proto.CopyFrom(model.proto)
    widen_precision(proto, TensorProto.FLOAT16, TensorProto.FLOAT)
    if model.opset == opset:
        return proto
    shown = {value.name for value in proto.graph.output}
    try:
        converted: ModelProto = version_converter.convert_version(proto, opset)
    except Exception as error:  # the converter raises whatever it likes
        raise NetworkError(
            f"{model.path} uses version {model.opset} of the operators and cannot be converted to version {opset}, "
            f"which the composed model has ({first_line(error)}); export it with that version."
        ) from None
    if {value.name for value in converted.graph.output} != shown:
        raise NetworkError(
            f"{model.path} loses the names of its outputs when it is converted to version {opset} of the operators; "
            "export it with that version."
        )
    return converted


def computed_names(proto: ModelProto, inputs: Sequence[str]) -> frozenset[str]:
    """Tensors of a model that depend on its inputs."""
    computed = set(inputs)
    for node in proto.graph.node:
        if not computed.isdisjoint(node.input):
            computed.update(name for name in node.output if name)
    return frozenset(computed)


def add_network(builder: Builder, part: Part) -> None:
    """Add the nodes of a network, whose inputs the builder has under their prefixed names.

    What does not depend on the inputs is added once for all networks that have the same model.
    """
    original = part.name == part.base
    if original:
        for tensor in part.proto.graph.initializer:
            copy = builder.graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = part.prefixed(tensor.name)
    for node in part.proto.graph.node:
        if part.computed.isdisjoint(node.input) and not original:
            continue
        refuse_subgraphs(node)
        new = builder.graph.node.add()
        new.CopyFrom(node)
        new.name = f"{part.name}/{node.name}" if node.name else ""
        for names in (new.input, new.output):
            changed = [name and part.prefixed(name) for name in names]
            del names[:]
            names.extend(changed)
