"""Formulas in plain float64: fast, without warnings, and never a bound."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.formula import Formula
from slir_milp.activations.rewrite import beyond_one, is_one

Vector = NDArray[np.float64]

_erf = np.frompyfunc(math.erf, 1, 1)
_erfc = np.frompyfunc(math.erfc, 1, 1)


def _sigmoid(x: Vector) -> Vector:
    small = np.exp(-np.abs(x))
    return np.where(x < 0, small, 1.0) / (1.0 + small)


def _softplus(x: Vector) -> Vector:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


FUNCTIONS: dict[str, Callable[..., Vector]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "neg": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "erf": lambda x: np.asarray(_erf(x), dtype=np.float64),
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "atan": np.arctan,
    "abs": np.abs,
    "relu": lambda x: np.maximum(x, 0.0),
    "softplus": _softplus,
    "floor": np.floor,
    "sign": np.sign,
    "normal_cdf": lambda x: 0.5 * np.asarray(_erfc(x * -math.sqrt(0.5)), dtype=np.float64),
    "max": np.maximum,
    "min": np.minimum,
    "where_less": lambda a, b, c, d: np.asarray(np.where(a < b, c, d), dtype=np.float64),
}


def evaluate(formula: Formula, x: Vector) -> Vector:
    """Value of a formula at ``x``, elementwise; NaN where it is undefined."""
    points = np.asarray(x, dtype=np.float64)

    known: dict[Formula, Vector] = {}
    with np.errstate(all="ignore"):
        for node in formula.nodes:
            match node.operator:
                case "x":
                    known[node] = points
                case "constant":
                    known[node] = np.asarray(node.value)
                case "pi":
                    known[node] = np.asarray(math.pi)
                case "log" if (rest := beyond_one(node.arguments[0])) is not None:
                    known[node] = np.log1p(known[rest])
                case "sub" if is_one(node.arguments[1]) and node.arguments[0].operator == "exp":
                    known[node] = np.expm1(known[node.arguments[0].arguments[0]])
                case _:
                    known[node] = FUNCTIONS[node.operator](*(known[a] for a in node.arguments))
    return np.broadcast_to(known[formula], points.shape).astype(np.float64)
