"""Smooth operators of ONNX in ball arithmetic: values with an enclosure of everything that was rounded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb
from numpy.typing import NDArray

Balls = NDArray[Any]
PRECISION = 160  # bits


def _half_gate(x: arb, gate: arb) -> arb:
    return x * (1 + gate) / 2


def _gelu(x: arb, attributes: Mapping[str, Any]) -> arb:
    if attributes.get("approximate", b"none") == b"tanh":
        cubic = arb(44715) / 1000000
        return _half_gate(x, ((2 / arb.pi()).sqrt() * (x + cubic * x * x * x)).tanh())
    return _half_gate(x, (x / arb(2).sqrt()).erf())


def _elu(x: arb, attributes: Mapping[str, Any]) -> arb:
    return branch(x, arb(attributes.get("alpha", 1.0)) * x.expm1(), x)


def branch(x: arb, negative: arb, positive: arb) -> arb:
    """One of two balls by the sign of ``x``, or both where it is open."""
    if x < 0:
        return negative
    return positive if x >= 0 else negative.union(positive)


OPERATORS: dict[str, Callable[[arb, Mapping[str, Any]], arb]] = {
    "Atan": lambda x, _: x.atan(),
    "Elu": _elu,
    "Erf": lambda x, _: x.erf(),
    "Gelu": _gelu,
    "Sigmoid": lambda x, _: 1 / (1 + (-x).exp()),
    "Sin": lambda x, _: x.sin(),
    "Softplus": lambda x, _: x.exp().log1p(),
    "Tanh": lambda x, _: x.tanh(),
}


def balls(values: NDArray[Any]) -> Balls:
    """Numbers as exact balls."""
    return np.array([arb(float(v)) for v in values.ravel()] + [None], dtype=object)[:-1].reshape(values.shape)


def ends(ball: arb) -> tuple[Fraction, Fraction]:
    """Both ends of a ball, exactly."""

    def exact(number: arb) -> Fraction:
        mantissa, exponent = number.man_exp()
        return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)

    middle, radius = exact(ball.mid()), exact(ball.rad())
    return middle - radius, middle + radius
