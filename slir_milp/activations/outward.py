"""Sums and products of float64 numbers that are never below (or above) the true ones.

One operation rounded to nearest is within half a step of the true result, so the next number above it is an upper
bound; if it overflowed to minus infinity, the next number is the least finite one, which is an upper bound too.  What
has no meaning (``∞ − ∞``, ``0·∞``) becomes the bound that claims nothing, except that zero times an infinite *bound*
is zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from fractions import Fraction

Vector = NDArray[np.float64]


def add_up(a: ArrayLike, b: ArrayLike) -> Vector:
    """Upper bound on ``a + b``; exact where one of them, or the sum, is zero: a sum rounds to zero only if it is."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    with np.errstate(all="ignore"):
        total = a + b
        outward = np.where(np.isnan(total), np.inf, np.nextafter(total, np.inf))
        return np.where((a == 0.0) | (b == 0.0) | (total == 0.0), total, outward)


def add_down(a: ArrayLike, b: ArrayLike) -> Vector:
    """Lower bound on ``a + b``; exact where one of them, or the sum, is zero."""
    return -add_up(np.negative(a), np.negative(b))


def times_up(a: ArrayLike, b: ArrayLike) -> Vector:
    """Upper bound on ``a · b``; exact where one of them is zero or ±1."""
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    with np.errstate(all="ignore"):
        product = a * b
        outward = np.where((np.abs(a) == 1.0) | (np.abs(b) == 1.0), product, np.nextafter(product, np.inf))
        return np.where((a == 0.0) | (b == 0.0), 0.0, outward)


def times_down(a: ArrayLike, b: ArrayLike) -> Vector:
    """Lower bound on ``a · b``; exact where one of them is zero or ±1."""
    return -times_up(np.negative(a), b)


def rise_up(slope: ArrayLike, distance: ArrayLike) -> Vector:
    """Upper bound on ``slope · d`` for the non-negative real ``d`` of which ``distance`` is a rounding to nearest.

    A difference of two float64 numbers is zero only if it rounds to zero.
    """
    slope, distance = np.asarray(slope, dtype=float), np.asarray(distance, dtype=float)
    with np.errstate(all="ignore"):
        nearest = np.where(slope > 0.0, np.nextafter(distance, np.inf), np.nextafter(distance, -np.inf))
        product = np.nextafter(slope * nearest, np.inf)
        return np.where((slope == 0.0) | (distance == 0.0), 0.0, product)


def enclosure(value: Fraction) -> tuple[float, float]:
    """The float64 numbers next to a rational one, below and above; both itself where it is one."""
    try:
        nearest = float(value)
    except OverflowError:
        largest = float(np.finfo(float).max)
        return (largest, np.inf) if value > 0 else (-np.inf, -largest)
    low = nearest if nearest <= value else float(np.nextafter(nearest, -np.inf))
    high = nearest if nearest >= value else float(np.nextafter(nearest, np.inf))
    return low, high
