"""What one float64 operation did to the true result: error-free transformations and counts of significant bits.

The transformations are those of Knuth (sum) and of Dekker and Veltkamp (product); see Ogita, Rump, Oishi, "Accurate
sum and dot product", SIAM J. Sci. Comput. 26 (2005).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

UNIT = 2.0**-53
"""Unit roundoff of float64: the largest relative error of one operation."""

TINY = 2.0**-1074
"""Smallest positive float64: no smaller than the error that underflow adds to one product or quotient."""

_SPLITTER = 2.0**27 + 1.0
_SAFE_LOW, _SAFE_HIGH = 2.0**-960, 2.0**960


def sum_error(a: Array, b: Array, total: Array) -> Array:
    """Exact value of ``a + b - total`` for ``total`` the float64 sum of ``a`` and ``b`` (all finite)."""
    share = total - a
    return np.asarray((a - (total - share)) + (b - share))


def _halves(a: Array) -> tuple[Array, Array]:
    scaled = _SPLITTER * a
    high = scaled - (scaled - a)
    return high, a - high


def product_error(a: Array, b: Array, product: Array) -> Array:
    """Bound on ``|a·b - product|`` for the float64 product; the exact error wherever no power of two is extreme."""
    a, b = np.broadcast_arrays(a, b)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        a_high, a_low = _halves(a)
        b_high, b_low = _halves(b)
        error = np.abs(((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low)
    safe = np.ones(product.shape, dtype=bool)
    for value in (np.abs(a), np.abs(b), np.abs(product)):
        safe &= (value > _SAFE_LOW) & (value < _SAFE_HIGH)
    with np.errstate(under="ignore"):
        general = np.abs(product) * (2 * UNIT) + TINY
    return np.where((a == 0) | (b == 0), 0.0, np.where(safe, error, general))


def quotient_error(a: Array, b: Array, quotient: Array) -> Array:
    """Bound on ``|a/b - quotient|`` for the float64 quotient; zero where it is shown to be exact."""
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        back = quotient * b
        exact = (a == 0) | ((back == a) & (product_error(quotient, b, back) == 0))
        return np.where(exact, 0.0, np.abs(quotient) * (2 * UNIT) + TINY)


def lowest_bit(values: Array) -> NDArray[np.int64]:
    """Exponent of the lowest set bit of each value: it is an odd multiple of two to that power (zero: 2000)."""
    fraction, exponent = np.frexp(values)
    digits = np.abs(fraction * 2.0**53).astype(np.int64)
    trailing = np.frexp((digits & -digits).astype(np.float64))[1].astype(np.int64) - 1
    return np.where(digits == 0, 2000, exponent.astype(np.int64) - 53 + trailing)


def significant_bits(values: Array) -> int:
    """Length of the longest mantissa among the values, from first to last set bit; at most 53."""
    if values.size == 0:
        return 0
    first = np.frexp(values)[1].astype(np.int64)
    return int(np.max(np.where(values == 0, 0, first - lowest_bit(values))))
