"""The model file of a declared network: read, and held against the declaration."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError, SlirWarning
from slir_milp.network.files import is_nnet, read_content
from slir_milp.network.graph import parse_onnx, stored_tensor
from slir_milp.query import Declared, NetworkDeclaration

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto


@dataclass(frozen=True, eq=False)
class Model:
    """A model in the form that its declaration asks for.

    Attributes
    ----------
    path
        The file.
    proto
        The model, every free dimension of an input fixed, and its outputs followed by the hidden tensors that any
        declaration names.
    inputs, outputs
        Names in the model of what is declared.
    defaults
        Values that the model gives to inputs, by their names.
    is_as_stored
        Whether it means what the file means by itself, where a free dimension counts as one.
    """

    path: Path
    proto: ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    defaults: Mapping[str, NDArray[np.generic]]
    is_as_stored: bool

    @property
    def opset(self) -> int:
        """Version of the standard operator set."""
        return next((entry.version for entry in self.proto.opset_import if entry.domain in ("", "ai.onnx")), 0)

    @property
    def is_half(self) -> bool:
        """Whether it stores, takes or makes float16 numbers."""
        from onnx import TensorProto

        graph = self.proto.graph
        return (
            any(tensor.data_type == TensorProto.FLOAT16 for tensor in graph.initializer)
            or any(value.type.tensor_type.elem_type == TensorProto.FLOAT16 for value in graph.input)
            or any(a.name == "to" and a.i == TensorProto.FLOAT16 for node in graph.node for a in node.attribute)
        )

    def shown(self, network: NetworkDeclaration) -> list[tuple[Declared, str]]:
        """Hidden tensors and outputs of a network that has this model, with their names in it."""
        hidden = [(tensor, onnx_name(self.proto, tensor)) for tensor in network.hidden]
        return [*hidden, *zip(network.outputs, self.outputs, strict=True)]


def read_model(path: Path, declaration: NetworkDeclaration, hidden: Sequence[Declared]) -> Model:
    """Read the model of a network.

    Parameters
    ----------
    path
        An ONNX file, or one packed as ``.gz``.
    declaration
        What the query says of it.
    hidden
        Hidden tensors that this and equal networks declare.

    Raises
    ------
    NetworkError
        The file is none, or does not fit the declaration.
    """
    if is_nnet(path):
        raise NetworkError(f"{path}: networks of a VNN-LIB 2 query are ONNX files.")
    try:
        proto = parse_onnx(read_content(path), path.parent).proto
    except NetworkError as error:
        raise NetworkError(f"{path}: {error}") from None
    _check_count(path, declaration, "outputs", len(declaration.outputs), len(proto.graph.output))
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    inputs = [value for value in proto.graph.input if value.name not in stored]
    defaulted = any(tensor.initialized for tensor in declaration.inputs)
    if defaulted or len(inputs) != len(declaration.inputs):
        counts = [] if defaulted else [len(inputs)]
        inputs = list(proto.graph.input)
        _check_count(path, declaration, "inputs", len(declaration.inputs), *counts, len(inputs))
    defaults = {value.name: stored_tensor(stored[value.name]) for value in inputs if value.name in stored}
    own_shapes = True
    for tensor, value in zip(declaration.inputs, inputs, strict=True):
        own_shapes &= _fix_shape(path, tensor, value)
    for name in defaults:
        proto.graph.initializer.remove(stored[name])
    outputs = tuple(value.name for value in proto.graph.output)
    _show(path, proto, hidden)
    return Model(path, proto, tuple(value.name for value in inputs), outputs, defaults, own_shapes and not defaults)


def _check_count(path: Path, declaration: NetworkDeclaration, what: str, declared: int, *found: int) -> None:
    if declared not in found:
        raise NetworkError(
            f"the query declares {declared} {what} of {declaration.name}, but {path} has {found[0]}; declare every "
            "one, in the model's order."
        )


def _fix_shape(path: Path, tensor: Declared, value: ValueInfoProto) -> bool:
    """Give an input of a model the declared shape, or see that they list the same elements in the same order.

    Whether every free dimension became one.
    """
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        extents: list[int | None] = [None] * len(tensor.shape)
        for _ in tensor.shape:
            kind.shape.dim.add()
    else:
        extents = [dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim]
    if len(extents) == len(tensor.shape):
        shape = tuple(
            declared if extent is None else extent for extent, declared in zip(extents, tensor.shape, strict=True)
        )
    else:
        shape = tuple(1 if extent is None else extent for extent in extents)
    check_shape(path, tensor, value.name, shape)
    for dim, extent in zip(kind.shape.dim, shape, strict=True):
        dim.dim_value = extent
    return all(new == (old or 1) for new, old in zip(shape, extents, strict=True))


def check_shape(path: Path, tensor: Declared, name: str, shape: tuple[int, ...]) -> None:
    """Hold the shape of a model's tensor against the declared one.

    Shapes that differ in extents of one list the same elements in the same order: that is a warning only.

    Raises
    ------
    NetworkError
        They differ otherwise.
    """
    if shape == tensor.shape:
        return
    differ = f"{tensor.name} is declared as {_shown(tensor.shape)}, but '{name}' in {path} is {_shown(shape)}"
    if [extent for extent in shape if extent != 1] != [extent for extent in tensor.shape if extent != 1]:
        raise NetworkError(f"{differ}; the declaration is to have the model's shape.")
    warnings.warn(SlirWarning(f"{differ}; the elements are taken in order."), stacklevel=2)


def _shown(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _show(path: Path, proto: ModelProto, hidden: Sequence[Declared]) -> None:
    """Make hidden tensors outputs."""
    produced = {name for node in proto.graph.node for name in node.output if name}
    known = {value.name for value in proto.graph.output}
    for tensor in hidden:
        name = onnx_name(proto, tensor)
        if name not in produced:
            raise NetworkError(
                f"{path} has no node with an output '{tensor.onnx_name}', which {tensor.name} is declared to be."
            )
        if name not in known:
            proto.graph.output.add().name = name
            known.add(name)


def onnx_name(proto: ModelProto, tensor: Declared) -> str:
    """The tensor of a model that a hidden declaration means: an output of a node, or the one output of a node."""
    nodes: list[Any] = list(proto.graph.node)
    if not any(tensor.onnx_name in node.output for node in nodes):
        named = [node for node in nodes if node.name == tensor.onnx_name]
        if len(named) == 1 and len(named[0].output) == 1:
            return str(named[0].output[0])
    return tensor.onnx_name
