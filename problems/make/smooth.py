"""Smooth activations: how a network is trained with them, and how exporters write them to a graph.

Each is known here by three short formulas in NumPy, for training and for the checks of verdicts, and by the nodes of a
graph.  Nothing of this is used by the verifier.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from .training import Array, Value

Constants = dict[str, Array]
Nodes = Callable[[str, str, str], tuple[list[onnx.NodeProto], Constants]]


@dataclass(frozen=True, eq=False)
class Function:
    """A function, its derivative, and a Lipschitz constant of the derivative."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bend: float


@dataclass(frozen=True, eq=False)
class Smooth(Function):
    """An activation.

    ``nodes`` takes the names of a tensor, of the tensor that it gates in products (the same, or a copy) and of the
    result, and returns nodes with the constants they need.  ``gate`` is the other factor of a function that is ``x``
    times something.
    """

    title: str
    nodes: Nodes
    opset: int = 13
    gate: Function | None = None

    def __call__(self, x: Value) -> Value:
        slope = self.slope(x.data)
        return Value(self.value(x.data), ((x, lambda g: g * slope),))


def logistic(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def softplus(x: Array) -> Array:
    return np.logaddexp(0.0, x)


def _normal(x: Array) -> tuple[Array, Array]:
    """Distribution function and density of the normal distribution."""
    from scipy.special import erf

    return 0.5 * (1.0 + np.asarray(erf(x / np.sqrt(2.0)))), np.exp(-0.5 * x**2) / np.sqrt(2.0 * np.pi)


def _gated(steepness: float) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """``x`` times the distribution function at ``steepness * x``, and its derivative."""

    def value(x: Array) -> Array:
        chance, _ = _normal(steepness * x)
        return np.asarray(x * chance)

    def slope(x: Array) -> Array:
        chance, density = _normal(steepness * x)
        return np.asarray(chance + steepness * x * density)

    return value, slope


ROOT, CUBIC = float(np.sqrt(2.0 / np.pi)), 0.044715


def _gelu_tanh(x: Array) -> Array:
    return 0.5 * x * (1.0 + np.tanh(ROOT * (x + CUBIC * x**3)))


def _gelu_tanh_slope(x: Array) -> Array:
    t = np.tanh(ROOT * (x + CUBIC * x**3))
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t**2) * ROOT * (1.0 + 3.0 * CUBIC * x**2)


def _mish_slope(x: Array) -> Array:
    t = np.tanh(softplus(x))
    return t + x * (1.0 - t**2) * logistic(x)


def _single(kind: str, **attributes: float | str) -> Nodes:
    def nodes(x: str, _: str, result: str) -> tuple[list[onnx.NodeProto], Constants]:
        node = helper.make_node(kind, [x], [result], f"{result}/{kind}")
        node.attribute.extend(helper.make_attribute(key, setting) for key, setting in attributes.items())
        return [node], {}

    return nodes


Step = tuple[str, tuple[str, ...]]


def _steps(steps: tuple[Step, ...], constants: dict[str, float]) -> Nodes:
    """Nodes of several steps; an operand is ``x``, the ``gated`` one, the kind of the last such step, or a constant."""

    def nodes(x: str, gated: str, result: str) -> tuple[list[onnx.NodeProto], Constants]:
        names = {"x": x, "gated": gated, **{key: key for key in constants}}
        made = []
        for i, (kind, operands) in enumerate(steps):
            end = result if i == len(steps) - 1 else f"{result}/{i}"
            made.append(helper.make_node(kind, [names[key] for key in operands], [end], f"{result}/{kind}_{i}"))
            names[kind] = end
        return made, {key: np.array(number) for key, number in constants.items()}

    return nodes


def _gate_nodes(scale: Step, name: str, number: float) -> Nodes:
    """``x`` times ``(1 + erf(scaled x)) / 2``, in the order in which exporters write it."""
    return _steps(
        (scale, ("Erf", (scale[0],)), ("Add", ("Erf", "one")), ("Mul", ("gated", "Add")), ("Mul", ("Mul", "half"))),
        {name: number, "one": 1.0, "half": 0.5},
    )


LAMBDA = 2.0
SIGMOID = Function(logistic, lambda x: logistic(x) * (1.0 - logistic(x)), 0.0963)
MISH_GATE = Function(lambda x: np.tanh(softplus(x)), lambda x: (1.0 - np.tanh(softplus(x)) ** 2) * logistic(x), 0.186)


def _chance(steepness: float) -> Function:
    """Distribution function of the normal distribution at ``steepness * x``."""
    return Function(
        lambda x: _normal(steepness * x)[0], lambda x: steepness * _normal(steepness * x)[1], 0.242 * steepness**2
    )


SMOOTH: dict[str, Smooth] = {
    "gelu": Smooth(
        *_gated(1.0),
        0.798,  # |φ(x) (2 - x²)| is largest at zero
        "GELU, written with Erf",
        _gate_nodes(("Div", ("x", "root_two")), "root_two", float(np.sqrt(2.0))),
        gate=_chance(1.0),
    ),
    "gelu_tanh": Smooth(
        _gelu_tanh,
        _gelu_tanh_slope,
        0.802,
        "GELU in its tanh form, one operator",
        _single("Gelu", approximate="tanh"),
        opset=20,
    ),
    "lambda_gelu": Smooth(
        *_gated(LAMBDA),
        0.798 * LAMBDA,
        "x Φ(2x), the λ-GELU of λ = 2, written with Erf",
        _gate_nodes(("Mul", ("x", "steepness")), "steepness", float(LAMBDA / np.sqrt(2.0))),
        gate=_chance(LAMBDA),
    ),
    "silu": Smooth(
        lambda x: x * logistic(x),
        lambda x: logistic(x) * (1.0 + x * (1.0 - logistic(x))),
        0.5,
        "SiLU, written with Sigmoid and Mul",
        _steps((("Sigmoid", ("x",)), ("Mul", ("gated", "Sigmoid"))), {}),
        gate=SIGMOID,
    ),
    "mish": Smooth(
        lambda x: x * np.tanh(softplus(x)),
        _mish_slope,
        0.648,
        "Mish, written with Softplus, Tanh and Mul",
        _steps((("Softplus", ("x",)), ("Tanh", ("Softplus",)), ("Mul", ("gated", "Tanh"))), {}),
        gate=MISH_GATE,
    ),
    "softplus": Smooth(softplus, logistic, 0.25, "softplus", _single("Softplus")),
    "elu": Smooth(
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.exp(np.minimum(x, 0)),
        1.0,
        "ELU",
        _single("Elu", alpha=1.0),
    ),
    "tanh": Smooth(np.tanh, lambda x: 1.0 - np.tanh(x) ** 2, 0.77, "tanh", _single("Tanh")),
    "sigmoid": Smooth(SIGMOID.value, SIGMOID.slope, SIGMOID.bend, "sigmoid", _single("Sigmoid")),
    "atan": Smooth(np.arctan, lambda x: 1.0 / (1.0 + x**2), 0.65, "arctangent", _single("Atan")),
    "sin": Smooth(np.sin, np.cos, 1.0, "sine", _single("Sin")),
}
