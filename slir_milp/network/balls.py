"""Evaluating a network with curves in ball arithmetic, to whatever precision an enclosure needs.

A ball is a number with a radius, both of any precision; python-flint's Arb guarantees that every operation on balls
holds the true result (F. Johansson, "Arb: efficient arbitrary-precision midpoint-radius interval arithmetic", IEEE
Transactions on Computers 66, 2017).  The precision is doubled until the enclosures of the outputs are narrow, or stop
narrowing: coefficients that are known up to a radius, and jumps, set a limit to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.activations import Curve
from slir_milp.errors import UndefinedValueError
from slir_milp.network.affine import Affine, Matrix
from slir_milp.network.normal_form import Layer, Network
from slir_milp.network.storage import entries

if TYPE_CHECKING:
    from flint import arb

_FIRST_PRECISION = 128
_LAST_PRECISION = 1024
_LARGEST_EXPONENT = 1 << 13
"""Numbers beyond two to this power have no enclosure; those below its inverse are enclosed together with zero."""
_NARROW = 60
"""Bits that an enclosure must have."""

Balls = list["arb"]
Enclosure = tuple[Fraction, Fraction]


def ball_outputs(network: Network, x: Sequence[Fraction]) -> list[Enclosure]:
    """Enclosure of each output at a rational point.

    Raises
    ------
    UndefinedValueError
        If a function is undefined at the value it is given (the logarithm of a negative number), or may be, or an
        output is too large to be written as a fraction.
    """
    from flint import arb, ctx, fmpq

    previous: list[Enclosure] | None = None
    before = ctx.prec
    try:
        precision = _FIRST_PRECISION
        while True:
            ctx.prec = precision
            values: Balls = [arb(fmpq(value.numerator, value.denominator)) for value in x]
            for layer in network.layers:
                values = _activated(layer, _image(layer.affine, values))
            values = _image(network.output, values)
            if all(_is_moderate(value) for value in values):
                found = [_enclosure(value) for value in values]
                narrow = all(value.is_exact() or value.rel_accuracy_bits() >= _NARROW for value in values)
                if narrow or precision >= _LAST_PRECISION or (previous is not None and not _gained(previous, found)):
                    return found
                previous = found
            elif precision >= _LAST_PRECISION:
                raise UndefinedValueError(
                    "the network has no value at this point: one of its functions is undefined at the number it is "
                    "given, such as the logarithm or the root of a negative number or a division by zero, or an output "
                    f"is beyond 2**{_LARGEST_EXPONENT}"
                )
            precision *= 2
    finally:
        ctx.prec = before


def _gained(before: list[Enclosure], now: list[Enclosure]) -> bool:
    """Whether more precision made any enclosure much narrower."""
    return any(2 * (b - a) < d - c for (a, b), (c, d) in zip(now, before, strict=True))


def _is_moderate(value: arb) -> bool:
    """Whether a ball is finite and its numbers have no more than some thousand digits."""
    return value.is_finite() and all(_magnitude(part) <= _LARGEST_EXPONENT for part in (value.mid(), value.rad()))


def _magnitude(value: arb) -> int:
    mantissa, exponent = value.man_exp()
    return int(mantissa).bit_length() + int(exponent)


def _enclosure(value: arb) -> Enclosure:
    (middle, off), (radius, more) = _rational(value.mid()), _rational(value.rad())
    reach = radius + off + more
    low, high = middle - reach, middle + reach
    return (max(low, Fraction(0)) if value >= 0 else low), (min(high, Fraction(0)) if value <= 0 else high)


def _rational(value: arb) -> tuple[Fraction, Fraction]:
    """The value of an exact ball and zero; for a tiny one zero and a bound on its magnitude."""
    if value.is_zero() or _magnitude(value) >= -_LARGEST_EXPONENT:
        mantissa, exponent = value.man_exp()
        return Fraction(int(mantissa)) * Fraction(2) ** int(exponent), Fraction(0)
    return Fraction(0), Fraction(1, 1 << _LARGEST_EXPONENT)


def _image(affine: Affine, values: Balls) -> Balls:
    """Image under an affine map, whose radii are part of what is enclosed."""
    from flint import arb

    result = _times(affine.weight, values)
    for row, bias in enumerate(affine.bias.tolist()):
        result[row] += arb(bias)
    spread: list[arb] = [arb(0) for _ in range(affine.rows)]
    if affine.weight_radius is not None:
        spread = _times(affine.weight_radius, [abs(value) for value in values])
    if affine.bias_radius is not None:
        spread = [reach + arb(radius) for reach, radius in zip(spread, affine.bias_radius.tolist(), strict=True)]
    if affine.is_exact:
        return result
    return [value + reach * arb(0, 1) for value, reach in zip(result, spread, strict=True)]


def _times(matrix: Matrix, values: Balls) -> Balls:
    from flint import arb, arb_mat

    if isinstance(matrix, np.ndarray) and matrix.size:
        product = arb_mat(matrix.tolist()) * arb_mat([[value] for value in values])
        return [product[row, 0] for row in range(matrix.shape[0])]
    result = [arb(0) for _ in range(matrix.shape[0])]
    for row, column, weight in zip(*(part.tolist() for part in entries(matrix)), strict=True):
        result[row] += arb(weight) * values[column]
    return result


def _activated(layer: Layer, values: Balls) -> Balls:
    from flint import arb

    result: Balls = []
    for value, number in zip(values, layer.function_index.tolist(), strict=True):
        function = layer.functions[number]
        if isinstance(function, Curve):
            result.append(_of_curve(function, value))
        elif function.is_linear:
            result.append(value * arb(function.positive_slope))
        else:
            left, right = value.min(arb(0)), value.max(arb(0))
            result.append(left * arb(function.negative_slope) + right * arb(function.positive_slope))
    return result


def _of_curve(curve: Curve, value: arb) -> arb:
    if curve.formula is not None:
        return curve.ball(value)
    from slir_milp.activations.touch import touch_above, touch_below

    low, high = _outward(value)
    below, above = touch_below(curve.table, 0.0, low, high)[0], touch_above(curve.table, 0.0, low, high)[0]
    return _between(below, above)


def _between(low: float, high: float) -> arb:
    from flint import arb

    return arb(low).union(arb(high)) if np.isfinite([low, high]).all() else arb("nan")


def _outward(value: arb) -> tuple[float, float]:
    """The float64 numbers around a ball."""
    if not value.is_finite():
        return -np.inf, np.inf
    from slir_milp.activations.interval import down, up

    return down(value), up(value)
