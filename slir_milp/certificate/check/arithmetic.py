"""Numbers: exact rationals, and float64 with every rounding error counted.

The checker's formulas are written once, for both.  Each carries an error term made of ``unit``, the unit roundoff, and
``tiny``, the most that all underflows of one bound can add up to.  With rationals both are zero and the formulas are
exact; with float64 they are the usual a-priori bounds (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*,
2nd edition, chapter 3), in round-to-nearest.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LARGEST, SMALLEST = 2.0**100, 2.0**-300
"""No float64 bound is claimed where a value or a coefficient may be larger, or where a number of the query or a weight
is smaller.  Then all underflows, of 2^-1022 at most, each multiplied by two such numbers at most, add up to less than
``tiny``.
"""
WIDEST = 2**22
"""Nor for sums of more terms."""
_MOST = float(np.finfo(np.float64).max)


class Balls:
    """Float64, each bound with a radius for its rounding; arrays are of many nodes at once."""

    name, unit, tiny = "ball", 2.0**-53, 2.0**-800

    def array(self, values: Any) -> Array:
        """Numbers as they are: float64."""
        return np.asarray(values, dtype=np.float64)

    def nearest(self, values: list[Fraction]) -> Array:
        """Rationals to within a relative error of ``unit``; no number in place of those that are too large or small."""
        return np.array([_nearest(value) for value in values], dtype=np.float64)

    def product(self, rows: Array, matrix: Any) -> Array:
        """``rows @ matrix``; each element within ``gamma(n)`` times the sum of the magnitudes of its n terms."""
        return np.asarray(rows @ matrix)

    def dot(self, amounts: Array, prices: Array) -> Array:
        """Sums of products along rows, where nothing costs nothing even at an infinite price."""
        sums = np.einsum("ij,ij->i", amounts, prices)
        if np.isfinite(sums).all():
            return np.asarray(sums)
        return np.asarray(np.where(amounts == 0, 0.0, amounts * prices).sum(axis=1))

    def matrix(self, values: Any) -> Any:
        """A float64 matrix, dense or sparse, made ready for :meth:`product`."""
        return values

    def known(self, values: Array, worst: float) -> Array:
        """The values, and the worst one where a sum of infinities has none."""
        return np.where(np.isnan(values), worst, values)

    def gamma(self, roundings: int) -> float:
        """Relative error of so many roundings, one after another."""
        return roundings * self.unit / (1 - roundings * self.unit)

    def shortened(self, values: Array, up: bool, bits: int = 64) -> Array:
        """Bounds that are as valid and short enough to go on with."""
        return values


class Exact:
    """Rational numbers of python-flint in arrays of objects; of one node at a time."""

    name, unit, tiny = "exact", 0, 0

    def array(self, values: Any) -> Array:
        """Float64 numbers (or rationals) as rationals."""
        values = np.asarray(values)
        flat = [rational(value) for value in values.ravel().tolist()]
        result = np.empty(len(flat), dtype=object)
        result[:] = flat
        return result.reshape(values.shape)

    def nearest(self, values: list[Fraction]) -> Array:
        """The rationals themselves."""
        return self.array(np.array([*values, None], dtype=object)[:-1])

    def product(self, rows: Array, matrix: Any) -> Array:
        """``rows @ matrix``."""
        from flint import fmpq_mat

        found = fmpq_mat(rows.shape[0], rows.shape[1], rows.ravel().tolist()) * matrix
        result = np.empty(found.nrows() * found.ncols(), dtype=object)
        result[:] = found.entries()
        return result.reshape(found.nrows(), found.ncols())

    def dot(self, amounts: Array, prices: Array) -> Array:
        """Sums of products along rows."""
        return np.asarray((amounts * prices).sum(axis=1))

    def matrix(self, values: Any) -> Any:
        """A float64 matrix made ready for :meth:`product`."""
        from flint import fmpq_mat

        dense = self.array(values if isinstance(values, np.ndarray) else values.toarray())
        return fmpq_mat(dense.shape[0], dense.shape[1], dense.ravel().tolist())

    def known(self, values: Array, worst: float) -> Array:
        """The values: all are finite."""
        return values

    def gamma(self, roundings: int) -> int:
        """Zero: nothing is rounded."""
        return 0

    def shortened(self, values: Array, up: bool, bits: int = 64) -> Array:
        """Round longer numbers up or down to so many significant bits, or they would grow from layer to layer."""
        flat = [_short(value, up, bits) for value in values.ravel().tolist()]
        result = np.empty(len(flat), dtype=object)
        result[:] = flat
        return result.reshape(values.shape)


def rational(value: Any) -> Any:
    """A finite float, a fraction or an integer as ``flint.fmpq``, exactly."""
    from flint import fmpq

    if isinstance(value, fmpq):
        return value
    numerator, denominator = value.as_integer_ratio()  # (raises for infinities: nothing exact is said of those)
    return fmpq(numerator, denominator)


def float_beyond(value: Any, up: bool) -> float:
    """The float64 number next to a rational one, not below it (``up``) or not above it."""
    try:
        number = int(value.p) / int(value.q)
    except OverflowError:
        return float(np.inf if up else _MOST) if value > 0 else float(-_MOST if up else -np.inf)
    if rational(number) < value if up else rational(number) > value:
        number = float(np.nextafter(number, np.inf if up else -np.inf))
    return number


def _nearest(value: Fraction) -> float:
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return value.numerator / value.denominator if abs(exponent) < 300 or not value else float("nan")


def _short(value: Any, up: bool, bits: int) -> Any:
    from flint import fmpq

    long, size = max(int(value.p).bit_length(), int(value.q).bit_length()), value.p.bit_length() - value.q.bit_length()
    if long <= bits:
        return value
    scaled = value * fmpq(2) ** (bits - size)
    return fmpq(scaled.ceil() if up else scaled.floor()) * fmpq(2) ** (size - bits)
