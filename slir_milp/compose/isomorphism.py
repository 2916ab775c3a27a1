"""Whether two models have the same graph, whatever their weights, names and element types."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.compose.models import Model
from slir_milp.network.graph import stored_tensor

if TYPE_CHECKING:
    from onnx import AttributeProto, TensorProto


def are_isomorphic(one: Model, other: Model) -> bool:
    """Whether the graphs of two models are the same.

    Every tensor is described by the operator that makes it, the operator's attributes, and the descriptions of what it
    is made from; the graphs are the same if their outputs are, and if they have the same descriptions equally often.
    Weights count by their shapes, and stored integers (shapes, axes, indices) by their values.
    """
    return _described(one) == _described(other)


def _described(model: Model) -> tuple[list[bytes], Counter[bytes]]:
    known = {name: _digest(f"input {place}") for place, name in enumerate(model.inputs)}
    for tensor in model.proto.graph.initializer:
        known[tensor.name] = _digest(_weight(tensor))
    nodes: Counter[bytes] = Counter()
    for node in model.proto.graph.node:
        if node.op_type == "Constant":
            text = "".join(_attribute(attribute)[len(attribute.name) :] for attribute in node.attribute)
            known[node.output[0]] = _digest(text.lstrip())
            continue
        attributes = sorted(_attribute(attribute) for attribute in node.attribute if not _is_float_cast(attribute))
        inputs = [known.get(name, b"").hex() for name in node.input]
        made = f"{node.domain} {node.op_type} {attributes} {inputs}"
        nodes[_digest(made)] += 1
        for place, name in enumerate(node.output):
            known[name] = _digest(f"{place} {made}")
    return [known.get(name, b"") for name in model.outputs], nodes


def _is_float_cast(attribute: AttributeProto) -> bool:
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    return attribute.name == "to" and attribute.i in floats


def _attribute(attribute: AttributeProto) -> str:
    if attribute.HasField("t"):
        return f"{attribute.name} {_weight(attribute.t)}"
    return f"{attribute.name} {attribute.SerializeToString(deterministic=True)!r}"


def _weight(tensor: TensorProto) -> str:
    value = stored_tensor(tensor)
    values = value.tolist() if np.issubdtype(value.dtype, np.integer) else ""
    return f"stored {list(value.shape)} {values}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
