"""What a problem is made of: the bytes of its network files, and its queries as text with a header in words."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

BY_POINT = (
    "the input in truth.csv meets the query, in float32 by ONNX Runtime and in exact arithmetic (make/check_truth.py)."
)
BY_SOLVER = (
    "make/check_truth.py halves the input box, bounds the violation with every neuron between two lines, and minimises "
    "it on what is left as a mixed-integer program with HiGHS (feasibility tolerance 1e-9): it never falls below 1e-5."
)


@dataclass(frozen=True)
class QueryRecipe:
    """One query: ``body`` is everything after the declarations."""

    name: str
    verdict: str
    meaning: str
    body: str
    why: str = ""
    timeout: int = 20

    @property
    def reason(self) -> str:
        return self.why or (BY_POINT if self.verdict == "sat" else BY_SOLVER)


@dataclass(frozen=True)
class Recipe:
    """One problem; ``build`` returns the content of every network file by its path in this folder."""

    name: str
    about: str
    inputs: int
    outputs: int
    build: Callable[[], dict[str, bytes]]
    queries: tuple[QueryRecipe, ...]
    twins: tuple[str, ...] = ()  # paths of the same network in other formats

    def query_text(self, query: QueryRecipe) -> str:
        header = (query.meaning, f"Expected: {query.verdict}.", f"Why: {query.reason}")
        lines = [line for text in header for line in textwrap.wrap(text, 100)]
        declared = [f"X_{i}" for i in range(self.inputs)] + [f"Y_{j}" for j in range(self.outputs)]
        return "\n".join(
            [
                *(f"; {line}" for line in lines),
                "",
                *(f"(declare-const {name} Real)" for name in declared),
                "",
                query.body.strip(),
                "",
            ]
        )


def box(ends: Sequence[tuple[float, float]]) -> str:
    """Assert the ends of every input."""
    return "\n".join(
        f"(assert (>= X_{i} {number(lower)}))\n(assert (<= X_{i} {number(upper)}))"
        for i, (lower, upper) in enumerate(ends)
    )


def box_terms(ends: Sequence[tuple[float, float]]) -> str:
    """Return the ends of every input as terms for an ``and``."""
    return " ".join(f"(>= X_{i} {number(lo)}) (<= X_{i} {number(up)})" for i, (lo, up) in enumerate(ends))


def number(value: float) -> str:
    """Write a number as VNN-LIB reads it, without needless digits."""
    return np.format_float_positional(value, trim="0")


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, NDArray[np.generic]],
    *,
    opset: int,
    about: str,
) -> bytes:
    """Serialise a float32 model; floating-point constants become float32, others keep their type."""

    def tensors(shapes: Mapping[str, Sequence[int | str]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(s)) for name, s in shapes.items()]

    stored = [
        numpy_helper.from_array(value.astype(np.float32) if value.dtype.kind == "f" else value, name)
        for name, value in constants.items()
    ]
    graph = helper.make_graph(list(nodes), "main_graph", tensors(inputs), tensors(outputs), stored)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, doc_string=about)
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString())


def perceptron_nodes(
    start: str, end: str, depth: int, prefix: str = "", activation: str = "Relu", **attributes: float
) -> list[onnx.NodeProto]:
    """Gemm nodes for the weights that :func:`slir_milp.problems.make.training.dense` names, activations between."""
    nodes, current = [], start
    for i in range(depth):
        last = i == depth - 1
        value = end if last else f"{prefix}gemm{i}"
        nodes.append(
            helper.make_node("Gemm", [current, f"{prefix}w{i}", f"{prefix}b{i}"], [value], f"{prefix}Gemm_{i}")
        )
        if not last:
            current = f"{prefix}hidden{i}"
            node = helper.make_node(activation, [value], [current], f"{prefix}{activation}_{i}")
            node.attribute.extend(helper.make_attribute(key, setting) for key, setting in attributes.items())
            nodes.append(node)
    return nodes
