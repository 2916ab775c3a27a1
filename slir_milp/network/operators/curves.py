"""Operators that apply one function to every element: ONNX's name for each, and its formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from slir_milp.activations.formula import Formula, apply
from slir_milp.errors import NetworkError
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.elementwise import applied
from slir_milp.network.operators.tensor import Tensor

_SELU_ALPHA, _SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


@dataclass(frozen=True)
class _Curve:
    """Formula text of an operator; words that are attributes stand for numbers, here with their default values."""

    text: str
    attributes: tuple[tuple[str, float], ...] = ()

    def __call__(self, call: Call) -> list[Tensor]:
        return [applied(call, call.tensor(0), self.formula(call.attributes).of)]

    def formula(self, given: Mapping[str, object]) -> Formula:
        """The formula with the attributes of one node; defaults are float32 numbers, as in ONNX."""
        from slir_milp.activations.parse import parse

        text = self.text
        for word, default in self.attributes:
            value = given.get(word, float(np.float32(default)))
            if not isinstance(value, int | float) or not np.isfinite(value):
                raise NetworkError(f"its attribute {word} is no finite number")
            text = text.replace(word, f"({float(value)!r})")
        return parse(text)


def _curve(text: str, **attributes: float) -> _Curve:
    return _Curve(text, tuple(attributes.items()))


def gelu(call: Call) -> list[Tensor]:
    """Lower Gelu, exact or by its tanh."""
    kind = call.attributes.get("approximate", "none")
    if kind not in ("none", "tanh"):
        raise call.unsupported(f"with approximate='{kind}'")
    text = "x * normal_cdf(x)" if kind == "none" else "0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))"
    return _curve(text)(call)


def shrink(call: Call) -> list[Tensor]:
    """Lower Shrink: zero within ``lambd``, towards zero by ``bias`` outside."""
    return _curve("where(x < -lambd, x + bias, where(lambd < x, x - bias, 0))", lambd=0.5, bias=0.0)(call)


def unary(name: str) -> Callable[[Call], list[Tensor]]:
    """Lowering of an operator that is one function of the formulas."""
    return lambda call: [applied(call, call.tensor(0), lambda a: apply(name, a))]


def swish(call: Call) -> list[Tensor]:
    """Lower Swish."""
    slope = float(call.attributes.get("alpha", 1.0))
    return [applied(call, call.tensor(0), lambda a: a * apply("sigmoid", slope * a))]


CURVES: Mapping[str, Callable[[Call], list[Tensor]]] = {
    "Acos": _curve("pi / 2 - 2 * atan(x / (1 + sqrt(1 - x**2)))"),
    "Acosh": _curve("log(x + sqrt(x**2 - 1))"),
    "Asin": _curve("2 * atan(x / (1 + sqrt(1 - x**2)))"),
    "Asinh": _curve("sign(x) * log(abs(x) + sqrt(x**2 + 1))"),
    "Atan": unary("atan"),
    "Atanh": _curve("0.5 * log((1 + x) / (1 - x))"),
    "Ceil": _curve("-floor(-x)"),
    "Celu": _curve("where(x < 0, alpha * (exp(x / alpha) - 1), x)", alpha=1.0),
    "Cos": unary("cos"),
    "Cosh": _curve("(exp(x) + exp(-x)) / 2"),
    "Elu": _curve("where(x < 0, alpha * (exp(x) - 1), x)", alpha=1.0),
    "Erf": unary("erf"),
    "Exp": unary("exp"),
    "Floor": unary("floor"),
    "Gelu": gelu,
    "HardSwish": _curve("x * min(max(x + 3, 0), 6) / 6"),
    "Log": unary("log"),
    "Mish": _curve("x * tanh(softplus(x))"),
    "Reciprocal": _curve("1 / x"),
    "Selu": _curve("gamma * where(x < 0, alpha * (exp(x) - 1), x)", alpha=_SELU_ALPHA, gamma=_SELU_GAMMA),
    "Shrink": shrink,
    "Sigmoid": unary("sigmoid"),
    "Sign": unary("sign"),
    "Sin": unary("sin"),
    "Sinh": _curve("(exp(x) - exp(-x)) / 2"),
    "Softplus": unary("softplus"),
    "Softsign": _curve("x / (1 + abs(x))"),
    "Sqrt": unary("sqrt"),
    "Swish": swish,
    "Tan": unary("tan"),
    "Tanh": unary("tanh"),
    "ThresholdedRelu": _curve("where(alpha < x, x, 0)", alpha=1.0),
}
"""Operators of one function each."""
