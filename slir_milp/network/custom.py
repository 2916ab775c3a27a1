"""Operators that stand for an activation of one's own: what they apply, and how ONNX Runtime comes to run them.

ONNX Runtime does not know the operators of other domains.  Where the activation has a formula, such a node is replaced
by standard operators that compute it; one that is known as a function of numbers alone is run by the reference
implementation that the onnx package ships, which calls the function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import Curve
from slir_milp.activations.formula import Formula
from slir_milp.errors import NetworkError, OptionError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from slir_milp.activations.registry import Registry

_STANDARD = ("", "ai.onnx")

_OPERATORS = {
    name: name.capitalize()
    for name in (
        *("exp", "log", "sqrt", "tanh", "sigmoid", "erf", "sin", "cos", "tan", "atan", "softplus"),
        *("abs", "relu", "floor", "sign", "add", "sub", "mul", "div", "pow", "neg", "max", "min"),
    )
}
"""ONNX operator of each operator of formulas that is one."""


def curve_of_node(node: NodeProto, activations: Registry | None) -> Curve | None:
    """The activation that a node stands for, ``None`` if nothing was said of its operator.

    Raises
    ------
    NetworkError
        If the node does not fit what was said.
    """
    if activations is None or (node.domain, node.op_type) not in activations.operators:
        return None
    from onnx import helper

    numbers: dict[str, float] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if not isinstance(value, int | float):
            raise NetworkError(f"attribute {attribute.name} of operator {node.op_type} is no number", node=node.name)
        numbers[attribute.name] = float(value)
    if len(node.input) != 1 or len(node.output) != 1:
        raise NetworkError(
            f"operator {node.domain}::{node.op_type} stands for an activation, so it takes one tensor and gives one",
            node=node.name or node.op_type,
        )
    try:
        return activations.of_operator(node.domain, node.op_type, numbers)
    except OptionError as error:
        raise NetworkError(str(error), node=node.name or node.op_type) from None


def declared_functions(model: ModelProto, activations: Registry | None) -> list[tuple[str, str]]:
    """Local functions of a model that stand for an activation."""
    known = activations.operators if activations is not None else {}
    names = [(function.domain, function.name) for function in model.functions]
    return [name for name in names if name in known]


def by_standard_operators(model: ModelProto, activations: Registry | None) -> ModelProto:
    """The model with every node that stands for an activation with a formula replaced by standard operators."""
    from onnx import ModelProto

    result = ModelProto()
    result.CopyFrom(model)
    own = {(function.domain, function.name) for function in model.functions}
    nodes: list[NodeProto] = []
    for number, node in enumerate(model.graph.node):
        curve = None if (node.domain, node.op_type) in own else curve_of_node(node, activations)
        if curve is None or curve.formula is None:
            nodes.append(node)
        else:
            nodes.extend(_nodes(curve.formula, node.input[0], node.output[0], f"{node.output[0]}/{number}"))
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    return result


def has_unknown_operators(model: ModelProto) -> bool:
    """Whether there are operators that neither the standard nor the model itself defines."""
    own = {(function.domain, function.name) for function in model.functions}
    return any(node.domain not in _STANDARD and (node.domain, node.op_type) not in own for node in model.graph.node)


def _nodes(formula: Formula, source: str, target: str, prefix: str) -> list[NodeProto]:
    """Standard operators that compute a formula, in the element type of the tensor that they are given."""
    from onnx import helper

    nodes: list[NodeProto] = []

    def make(op_type: str, *inputs: str, **attributes: Any) -> str:
        name = f"{prefix}/{len(nodes)}"
        nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        return name

    def constant(value: float) -> str:
        tensor = helper.make_tensor("value", 11, [], [value])
        return make("CastLike", make("Constant", value=tensor), source)

    def step(node: Formula, inputs: Sequence[str]) -> str:
        match node.operator:
            case "x":
                return source
            case "constant" | "pi":
                return constant(node.value if node.operator == "constant" else float(np.pi))
            case "where_less":
                return make("Where", make("Less", *inputs[:2]), *inputs[2:])
            case "normal_cdf":
                inner = make("Erf", make("Mul", inputs[0], constant(float(np.sqrt(0.5)))))
                return make("Mul", make("Add", inner, constant(1.0)), constant(0.5))
        return make(_OPERATORS[node.operator], *inputs)

    result = formula.fold(step)
    spread = make("Mul", make("Sub", source, source), constant(0.0)) if not formula.uses_x else ""
    nodes.append(helper.make_node("Add" if spread else "Identity", [result, spread] if spread else [result], [target]))
    return nodes


@dataclass(frozen=True)
class _Input:
    """What ONNX Runtime tells of an input."""

    name: str
    shape: Sequence[int]
    type: str


@dataclass(frozen=True, eq=False)
class ReferenceSession:
    """The part of ONNX Runtime's session that is used here, by the onnx package's reference implementation.

    Attributes
    ----------
    model
        The model, whose nodes of unknown operators stand for activations.
    activations
        Them.
    """

    model: ModelProto
    activations: Registry | None
    evaluator: Any = field(init=False)

    def __post_init__(self) -> None:
        from onnx.reference import ReferenceEvaluator

        classes: dict[tuple[str, str], Any] = {}
        own = {(function.domain, function.name) for function in self.model.functions}
        for node in self.model.graph.node:
            key = (node.domain, node.op_type)
            if key[0] not in _STANDARD and key not in own and key not in classes:
                classes[key] = _operator_class(key, self.activations)
        object.__setattr__(self, "evaluator", ReferenceEvaluator(self.model, new_ops=list(classes.values())))

    def get_inputs(self) -> list[_Input]:
        """Names, shapes and types of the inputs."""
        stored = {tensor.name for tensor in self.model.graph.initializer}
        kinds = {1: "tensor(float)", 11: "tensor(double)"}
        return [
            _Input(
                value.name,
                [dimension.dim_value for dimension in value.type.tensor_type.shape.dim],
                kinds.get(value.type.tensor_type.elem_type, "unknown"),
            )
            for value in self.model.graph.input
            if value.name not in stored
        ]

    def run(self, names: Sequence[str] | None, feed: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs for the given inputs."""
        with np.errstate(all="ignore"):
            return list(self.evaluator.run(names, dict(feed)))


def _operator_class(key: tuple[str, str], activations: Registry | None) -> type[Any]:
    """An operator for the reference implementation that applies a curve."""
    from onnx import helper
    from onnx.reference.op_run import OpRun

    def run(self: Any, x: NDArray[Any], **attributes: Any) -> tuple[NDArray[Any]]:
        node = helper.make_node(key[1], ["x"], ["y"], domain=key[0])
        node.attribute.extend(self.onnx_node.attribute)
        curve = curve_of_node(node, activations)
        if curve is None:
            raise NetworkError(f"nothing is known of operator {key[0]}::{key[1]}")
        return (np.asarray(_applied(curve, x)).astype(x.dtype),)

    return type(key[1], (OpRun,), {"op_domain": key[0], "_run": run})


def _applied(curve: Callable[[NDArray[np.float64]], NDArray[np.float64]], x: NDArray[Any]) -> NDArray[np.float64]:
    return curve(x.astype(np.float64))
