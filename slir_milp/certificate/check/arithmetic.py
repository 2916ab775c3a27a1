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
from flint import fmpq, fmpq_mat, fmpz, fmpz_mat

Array = np.ndarray[Any, Any]
LARGEST, SMALLEST = 2.0**100, 2.0**-300
"""No float64 bound is claimed where a value or a coefficient may be larger, or where a number of the query or a weight
is smaller.  Then all underflows, of 2^-1022 at most, each multiplied by two such numbers at most, add up to less than
``tiny``.
"""
WIDEST = 2**22
"""Nor for sums of more terms."""
_BOUND_BITS, _SLOPE_BITS = 64, 40
_LONG, _GRID = 160, 80
"""Exact coefficients of more binary places than the first are rounded to the second."""
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

    def scaled(self, values: Array) -> tuple[Array, int]:
        """Numbers in units of a power of two, and its exponent: float64 numbers have their own."""
        return values, 0

    def real(self, values: Array, scale: int) -> Array:
        """Numbers from units of ``2^-scale``."""
        return values

    def cut(self, rows: Array, scale: int) -> tuple[Array, int, Any]:
        """Coefficients in fewer digits, their scale, and what that changes each by at most."""
        return rows, scale, 0.0

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

    def outward(self, bounds: Array, up: bool) -> Array:
        """Bounds that are as valid and short enough to go on with: float64 numbers are."""
        return bounds

    def coarse(self, slopes: Array) -> Array:
        """Slopes that will do as well: any will."""
        return slopes


class Exact:
    """Rational numbers of python-flint in arrays of objects; of one node at a time.

    Parameters
    ----------
    shortening
        Whether long numbers are rounded outward: else their lengths multiply from layer to layer, but no tie is lost.
    """

    name, unit, tiny = "exact", 0, 0

    def __init__(self, shortening: bool = True) -> None:
        self._shortening = shortening

    def array(self, values: Any) -> Array:
        """Float64 numbers (or rationals) as rationals."""
        values = np.asarray(values)
        return _objects([rational(value) for value in values.ravel().tolist()], values.shape)

    def nearest(self, values: list[Fraction]) -> Array:
        """The rationals themselves."""
        return self.array(np.array([*values, None], dtype=object)[:-1])

    def product(self, rows: Array, matrix: Any) -> Array:
        """``rows @ matrix``."""
        kind: Any = fmpq_mat if rows.size and isinstance(rows.flat[0], fmpq) else type(matrix)
        found = kind(rows.shape[0], rows.shape[1], rows.ravel().tolist())
        found = found * (matrix if kind is fmpz_mat or kind is type(matrix) else fmpq_mat(matrix))
        return _objects(found.entries(), (rows.shape[0], found.ncols()))

    def scaled(self, values: Array) -> tuple[Array, int]:
        """Numbers as integers in units of ``2^-scale``, and the scale; fractions of other denominators as they are."""
        flat = [rational(value) for value in values.ravel().tolist()]
        if not all(value.q & (value.q - fmpz(1)) == 0 for value in flat):
            return values, 0
        scale = max((value.q.bit_length() - 1 for value in flat), default=0)
        return _objects([value.p << (scale - value.q.bit_length() + 1) for value in flat], values.shape), int(scale)

    def real(self, values: Array, scale: int) -> Array:
        """Numbers from units of ``2^-scale``."""
        unit = fmpz(1) << scale
        flat = [fmpq(v, unit) if isinstance(v, fmpz) else v / unit for v in values.ravel().tolist()]
        return _objects(flat, values.shape)

    def cut(self, rows: Array, scale: int) -> tuple[Array, int, Any]:
        """Long coefficients rounded down to multiples of ``2^-80``, their scale, and what each changes by at most."""
        if not self._shortening or scale <= _LONG or not isinstance(rows.flat[0] if rows.size else None, fmpz):
            return rows, scale, 0
        return rows >> (scale - _GRID), _GRID, fmpq(1, fmpz(1) << _GRID)

    def dot(self, amounts: Array, prices: Array) -> Array:
        """Sums of products along rows."""
        return np.asarray((amounts * prices).sum(axis=1))

    def matrix(self, values: Any) -> Any:
        """A matrix of numbers, or of integers, made ready for :meth:`product`."""
        if values.dtype == object and values.size and isinstance(values.flat[0], fmpz):
            return fmpz_mat(values.shape[0], values.shape[1], values.ravel().tolist())
        dense = self.array(values if isinstance(values, np.ndarray) else values.toarray())
        return fmpq_mat(dense.shape[0], dense.shape[1], dense.ravel().tolist())

    def known(self, values: Array, worst: float) -> Array:
        """The values: all are finite."""
        return values

    def gamma(self, roundings: int) -> int:
        """Zero: nothing is rounded."""
        return 0

    def outward(self, bounds: Array, up: bool) -> Array:
        """Round longer bounds up or down to 64 bits, or they would grow from layer to layer; zero to beyond zero.

        In float64, for which the search chose its slopes, a bound hardly ever is zero itself: the neuron is not stable.
        """
        if not self._shortening:
            return bounds
        room = fmpq(1 if up else -1, fmpz(1) << _BOUND_BITS)
        return _objects([_short(value or room, up, _BOUND_BITS) for value in bounds.ravel().tolist()], bounds.shape)

    def coarse(self, slopes: Array) -> Array:
        """Round longer slopes to 40 bits: any slope will do."""
        if not self._shortening:
            return slopes
        return _objects([_short(value, True, _SLOPE_BITS) for value in slopes.ravel().tolist()], slopes.shape)


def _objects(values: list[Any], shape: tuple[int, ...]) -> Array:
    result = np.empty(len(values), dtype=object)
    result[:] = values
    return result.reshape(shape)


def rational(value: Any) -> Any:
    """A finite float, a fraction or an integer as ``flint.fmpq``, exactly."""
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
    long, size = max(value.p.bit_length(), value.q.bit_length()), value.p.bit_length() - value.q.bit_length()
    if long <= bits:
        return value
    scaled = value * fmpq(2) ** (bits - size)
    return fmpq(scaled.ceil() if up else scaled.floor()) * fmpq(2) ** (size - bits)
