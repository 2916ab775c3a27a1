"""Evaluating a network in exact arithmetic.

Floating point numbers are integers times powers of two.  So a vector is kept as Python integers with one common power
of two and one common denominator: the denominator comes from a point that is no multiple of a power of two, and since
affine maps and hinges allow it, it is divided out only at the end.  Networks with curves are left to ball arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import OptionError
from slir_milp.network.affine import Affine, Matrix, Vector
from slir_milp.network.balls import ball_outputs
from slir_milp.network.normal_form import Layer, Network
from slir_milp.network.rounding import lowest_bit

Integers = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class _Box:
    """Values between ``low`` and ``high`` times ``2**exponent`` (both divided by a denominator known outside)."""

    low: Integers
    high: Integers
    exponent: int

    @property
    def is_point(self) -> bool:
        return self.low is self.high


def exact_outputs(network: Network, x: Sequence[Fraction]) -> list[tuple[Fraction, Fraction]]:
    """Enclosure of each output at a rational point, in exact arithmetic.

    Rational arithmetic follows a piecewise linear network; for others the values of curves are enclosed in ball
    arithmetic (see :mod:`slir_milp.network.balls`).

    Parameters
    ----------
    network
        The network.
    x
        The point: ``network.input_size`` rational numbers (``float`` and ``int`` are accepted as the exact numbers
        they are).

    Returns
    -------
    list of (low, high)
        One pair an output; ``low == high`` wherever the coefficients it depends on are exact and no curve is involved.

    Raises
    ------
    OptionError
        If the point has the wrong size.
    UndefinedValueError
        If the network has no value there.
    """
    point = [Fraction(value) for value in x]
    if len(point) != network.input_size:
        raise OptionError(f"the network takes {network.input_size} inputs, but the point has {len(point)}")
    if not network.is_piecewise_linear:
        return ball_outputs(network, point)
    powers = [_twos(value.denominator) for value in point]
    exponent = -max(powers, default=0)
    denominator = lcm(*(value.denominator >> power for value, power in zip(point, powers, strict=True)))
    scaled = np.empty(len(point), dtype=object)
    scaled[:] = [int(value * (denominator << -exponent)) for value in point]
    box = _Box(scaled, scaled, exponent)
    for layer in network.layers:
        box = _activate(layer, _apply(layer.affine, box, denominator))
    box = _apply(network.output, box, denominator)
    unit = Fraction(2) ** box.exponent / denominator
    return [(low * unit, high * unit) for low, high in zip(box.low, box.high, strict=True)]


def _twos(number: int) -> int:
    """How often two divides a number."""
    return (number & -number).bit_length() - 1


def _integers(values: Vector) -> tuple[Integers, int]:
    """Integers ``m`` and an exponent ``e`` such that the values are exactly ``m · 2**e``."""
    nonzero = values[values != 0]
    if nonzero.size == 0:
        return np.zeros(values.shape, dtype=np.int64).astype(object), 0
    exponent = int(lowest_bit(nonzero).min())
    if int(np.frexp(np.abs(nonzero).max())[1]) - exponent <= 62:
        return np.ldexp(values, -exponent).astype(np.int64).astype(object), exponent
    integers = np.empty(values.shape, dtype=object)
    unit = Fraction(2) ** exponent
    integers.ravel()[:] = [int(Fraction(value) / unit) for value in values.ravel().tolist()]
    return integers, exponent


def _product(matrix: Matrix, vector: Integers, *, magnitudes: bool = False) -> tuple[Integers, int]:
    """``matrix @ vector`` without the vector's own power of two; with ``magnitudes``, of the absolute values."""
    used = np.flatnonzero(vector != 0)
    if isinstance(matrix, np.ndarray):
        part = matrix[:, used]
        numbers, exponent = _integers(np.abs(part) if magnitudes else part)
        if used.size == 0:
            return _zeros(matrix.shape[0]), exponent
        return np.asarray(numbers @ vector[used]), exponent
    numbers, exponent = _integers(np.abs(matrix.data) if magnitudes else matrix.data)
    result = _zeros(matrix.shape[0])
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if filled.size:
        result[filled] = np.add.reduceat(numbers * vector[matrix.indices], matrix.indptr[filled])
    return result, exponent


def _zeros(size: int) -> Integers:
    return np.zeros(size, dtype=np.int64).astype(object)


def _sum(parts: Sequence[tuple[Integers, int]]) -> tuple[Integers, int]:
    """Sum of vectors with powers of two of their own."""
    exponent = min(power for _, power in parts)
    total = parts[0][0] * (1 << (parts[0][1] - exponent))
    for numbers, power in parts[1:]:
        total = total + numbers * (1 << (power - exponent))
    return total, exponent


def _apply(affine: Affine, box: _Box, denominator: int) -> _Box:
    """Image of a box under an affine map."""
    bias, bias_exponent = _integers(affine.bias)
    if box.is_point and affine.is_exact:
        product, exponent = _product(affine.weight, box.low)
        value, exponent = _sum([(product, exponent + box.exponent), (bias * denominator, bias_exponent)])
        return _Box(value, value, exponent)
    # Everything doubled, so that the middle of a box is an integer too.
    middle, spread = box.low + box.high, box.high - box.low
    product, exponent = _product(affine.weight, middle)
    centre = _sum([(product, exponent + box.exponent), (bias * (2 * denominator), bias_exponent)])
    widths = [_zeros_like(centre)]
    reach, exponent = _product(affine.weight, spread, magnitudes=True)
    widths.append((reach, exponent + box.exponent))
    if affine.weight_radius is not None:
        reach, exponent = _product(affine.weight_radius, np.abs(middle) + spread)
        widths.append((reach, exponent + box.exponent))
    if affine.bias_radius is not None:
        reach, exponent = _integers(affine.bias_radius)
        widths.append((reach * (2 * denominator), exponent))
    width = _sum(widths)
    low, exponent = _sum([centre, (-width[0], width[1])])
    high, _ = _sum([centre, width])
    return _Box(low, high, exponent - 1)


def _zeros_like(value: tuple[Integers, int]) -> tuple[Integers, int]:
    return value[0] * 0, value[1]


def _activate(layer: Layer, box: _Box) -> _Box:
    """Image of a box under the activations of a layer."""
    left, left_exponent = _integers(layer.negative_slope)
    right, right_exponent = _integers(layer.positive_slope)
    exponent = min(left_exponent, right_exponent)
    left, right = left * (1 << (left_exponent - exponent)), right * (1 << (right_exponent - exponent))
    low = box.low * _chosen(box.low < 0, left, right)
    if box.is_point:
        return _Box(low, low, box.exponent + exponent)
    high = box.high * _chosen(box.high < 0, left, right)
    smallest, largest = np.minimum(low, high), np.maximum(low, high)
    kink = np.flatnonzero((box.low < 0) & (box.high > 0))
    smallest[kink], largest[kink] = np.minimum(smallest[kink], 0), np.maximum(largest[kink], 0)
    return _Box(smallest, largest, box.exponent + exponent)


def _chosen(negative: NDArray[Any], left: Integers, right: Integers) -> Integers:
    return np.where(negative.astype(bool), left, right)
