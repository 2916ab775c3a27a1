"""Small ONNX files and VNN-LIB 2 texts about them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

ELEMENTS = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


def dense(
    path: Path,
    weights: Sequence[NDArray[np.floating[Any]]],
    *,
    element: str = "float32",
    opset: int = 13,
    shape: Sequence[int | str] | None = None,
) -> Path:
    """A chain of matrices (outputs by inputs) with Relu in between; tensors ``x``, ``h0``, ``h1``, ..., ``y``."""
    kind = ELEMENTS[element]
    width = weights[0].shape[1]
    nodes = [helper.make_node("Reshape", ["x", "flat"], ["f"])]
    stored = [numpy_helper.from_array(np.array([width, 1], dtype=np.int64), "flat")]
    name = "f"
    for k, weight in enumerate(weights):
        last = k == len(weights) - 1
        stored.append(numpy_helper.from_array(weight.astype(element), f"w{k}"))
        nodes.append(helper.make_node("MatMul", [f"w{k}", name], ["column" if last else f"a{k}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"a{k}"], [f"h{k}"], name=f"relu{k}"))
            name = f"h{k}"
    stored.append(numpy_helper.from_array(np.array([-1], dtype=np.int64), "row"))
    nodes.append(helper.make_node("Reshape", ["column", "row"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", kind, list(shape or [width]))],
        [helper.make_tensor_value_info("y", kind, [weights[-1].shape[0]])],
        stored,
    )
    return save(path, graph, opset)


def save(path: Path, graph: onnx.GraphProto, opset: int = 13) -> Path:
    """Write a model."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


def text(networks: Sequence[str], *conditions: str, version: str = "2.0") -> str:
    """A query of these networks, each given by what follows ``declare-network``."""
    declared = "\n".join(f"(declare-network {network})" for network in networks)
    return f"(vnnlib-version <{version}>)\n{declared}\n" + "\n".join(f"(assert {c})" for c in conditions) + "\n"


def network(name: str, x: str, y: str, inputs: int, outputs: int, hidden: str = "", relation: str = "") -> str:
    """Declaration of a network with vectors ``x`` and ``y``."""
    return f"{name} {relation} (declare-input {x} real [{inputs}]) {hidden} (declare-output {y} real [{outputs}])"


def box(name: str, size: int, lower: float = -1.0, upper: float = 1.0) -> list[str]:
    """Bounds of every element of a vector."""
    return [f"(<= {name}[{i}] {upper})" for i in range(size)] + [f"(>= {name}[{i}] {lower})" for i in range(size)]
