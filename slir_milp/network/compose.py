"""Arithmetic of affine maps that never loses the true map: every rounding goes into a radius.

All functions take and give :class:`~slir_milp.network.affine.Affine` maps over one growing list of columns (see
:mod:`slir_milp.network.neurons`): a map that knows only the first columns has zero coefficients for the later ones.
A result is marked exact only where it is shown to be; the tests compare with rational arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network import storage
from slir_milp.network.affine import Affine, Matrix, Vector, is_sparse
from slir_milp.network.rounding import TINY, lowest_bit, product_error, quotient_error, significant_bits, sum_error
from slir_milp.network.storage import Index

_INFLATE = 1.0 + 2.0**-30
"""More than covers the rounding made in a radius that is itself a sum of fewer than a million terms."""

_LONGEST_SUM = 2**20
"""Longest sum for which the constants of this module hold; longer rows are refused."""


def constant(values: Vector, columns: int) -> Affine:
    """Map that gives ``values`` whatever it is given."""
    return Affine(storage.selection(np.full(values.size, -1), columns), np.array(values, dtype=np.float64))


def picking(indices: Index, columns: int) -> Affine:
    """Map that gives the chosen elements of what it is given."""
    return Affine(storage.selection(indices, columns), np.zeros(indices.size))


def take(affine: Affine, rows: Index) -> Affine:
    """Chosen rows of a map, each as often as it is named."""
    radius, bias_radius = affine.weight_radius, affine.bias_radius
    return Affine(
        storage.take_rows(affine.weight, rows),
        affine.bias[rows],
        None if radius is None else storage.take_rows(radius, rows),
        None if bias_radius is None else bias_radius[rows],
    )


def stack(parts: Sequence[Affine]) -> Affine:
    """Rows of all maps, one map after another."""
    columns = max(part.columns for part in parts)
    parts = [widen(part, columns) for part in parts]
    inexact_weight = any(part.weight_radius is not None for part in parts)
    inexact_bias = any(part.bias_radius is not None for part in parts)
    return Affine(
        storage.stack_rows([part.weight for part in parts]),
        np.concatenate([part.bias for part in parts]),
        storage.stack_rows([_weight_radius(part) for part in parts]) if inexact_weight else None,
        np.concatenate([_bias_radius(part) for part in parts]) if inexact_bias else None,
    )


def widen(affine: Affine, columns: int) -> Affine:
    """Same map over more columns."""
    if affine.columns == columns:
        return affine
    radius = affine.weight_radius
    return Affine(
        storage.widen(affine.weight, columns),
        affine.bias,
        None if radius is None else storage.widen(radius, columns),
        affine.bias_radius,
    )


def add(left: Affine, right: Affine) -> Affine:
    """Sum of two maps with equally many rows."""
    columns = max(left.columns, right.columns)
    left, right = widen(left, columns), widen(right, columns)
    if is_sparse(left.weight) != is_sparse(right.weight):
        left, right = _sparse(left), _sparse(right)
    with np.errstate(over="ignore", invalid="ignore"):
        weight = storage.plus(left.weight, right.weight)
        weight_error = _sum_error(left.weight, right.weight, weight)
        bias = left.bias + right.bias
        bias_error = np.abs(sum_error(left.bias, right.bias, bias))
    return _checked(
        weight,
        bias,
        _total([weight_error, left.weight_radius, right.weight_radius]),
        _total_vector([bias_error, left.bias_radius, right.bias_radius]),
    )


def shift(affine: Affine, offset: Vector) -> Affine:
    """Add a constant to every row."""
    with np.errstate(over="ignore", invalid="ignore"):
        bias = affine.bias + offset
        error = np.abs(sum_error(affine.bias, offset, bias))
    return _checked(affine.weight, bias, affine.weight_radius, _total_vector([error, affine.bias_radius]))


def scale(affine: Affine, factors: Vector, factor_radius: Vector | None = None) -> Affine:
    """Multiply every row by its factor, which may itself be known only up to a radius."""
    with np.errstate(over="ignore", invalid="ignore"):
        per_entry = storage.along_rows(affine.weight, factors)
        values = storage.values_of(affine.weight)
        product = values * per_entry
        weight = storage.with_values(affine.weight, product)
        errors: list[Matrix | None] = [storage.with_values(weight, product_error(values, per_entry, product))]
        bias = affine.bias * factors
        bias_errors: list[Vector | None] = [product_error(affine.bias, factors, bias)]
        size = np.abs(factors) + (0.0 if factor_radius is None else factor_radius)
        if factor_radius is not None:
            errors.append(_scaled_up(storage.magnitude(affine.weight), factor_radius))
            bias_errors.append(_vector_up(np.abs(affine.bias), factor_radius))
        if affine.weight_radius is not None:
            errors.append(_scaled_up(affine.weight_radius, size))
        if affine.bias_radius is not None:
            bias_errors.append(_vector_up(affine.bias_radius, size))
    return _checked(weight, bias, _total(errors), _total_vector(bias_errors))


def divide(affine: Affine, divisors: Vector) -> Affine:
    """Divide every row by its divisor, none of which is zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        per_entry = storage.along_rows(affine.weight, divisors)
        values = storage.values_of(affine.weight)
        quotient = values / per_entry
        weight = storage.with_values(affine.weight, quotient)
        error = storage.with_values(weight, quotient_error(values, per_entry, quotient))
        bias = affine.bias / divisors
        bias_error = quotient_error(affine.bias, divisors, bias)
        size = np.abs(1.0 / divisors)
        weight_radius = None if affine.weight_radius is None else _scaled_up(affine.weight_radius, size)
        bias_radius = None if affine.bias_radius is None else _vector_up(affine.bias_radius, size)
    return _checked(weight, bias, _total([error, weight_radius]), _total_vector([bias_error, bias_radius]))


def compose(outer: Matrix, inner: Affine) -> Affine:
    """Map ``z ↦ outer · inner(z)`` for an exact matrix.

    Notes
    -----
    An entry of a product is a sum of ``n`` non-zero products.  It is exact if ``n ≤ 1`` and the factors are short
    enough, or if all products are multiples of one power of two that 53 bits reach from.  Otherwise the error is at
    most ``γ_n · (|outer| |inner|)``, here with a constant that also covers the rounding of that bound, plus what
    underflow may add.
    """
    weight, weight_error = _product(outer, inner.weight)
    bias, bias_error = _product(outer, inner.bias[:, None])
    size = storage.magnitude(outer)
    weight_radius = None if inner.weight_radius is None else _product_up(size, inner.weight_radius)
    bias_radius = None if inner.bias_radius is None else _product_up(size, inner.bias_radius[:, None])
    total = _total([bias_error, bias_radius])
    return _checked(
        weight,
        storage.to_dense(bias).ravel(),
        _total([weight_error, weight_radius]),
        None if total is None else storage.to_dense(total).ravel(),
    )


def _product(left: Matrix, right: Matrix) -> tuple[Matrix, Matrix | None]:
    """Float64 product and a bound on its error, ``None`` where it is exact throughout."""
    if left.shape[1] >= _LONGEST_SUM:
        raise NetworkError(f"one of its layers sums {left.shape[1]} terms, more than the {_LONGEST_SUM - 1} supported")
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        product = storage.multiply(left, right)
        if _picks(right):
            return product, None
        rows, columns, terms = storage.entries(storage.multiply(storage.pattern(left), storage.pattern(right)))
        low_left, low_right = _lowest_bits(left, axis=1), _lowest_bits(right, axis=0)
        bits = significant_bits(storage.values_of(left)), significant_bits(storage.values_of(right))
        short = sum(bits) <= 53 or min(bits) <= 1
        representable = int(low_left.min(initial=2000)) + int(low_right.min(initial=2000)) >= -1074
        if short and representable and np.all(terms <= 1):
            return product, None
        size = storage.at(storage.multiply(storage.magnitude(left), storage.magnitude(right)), rows, columns)
        unit = low_left[rows] + low_right[columns]
        exact = (unit >= -1074) & (size <= np.ldexp(1.0, np.minimum(unit + 52, 1023)))
        if short:
            exact |= (terms <= 1) & (unit >= -1074)
        error = np.where(exact, 0.0, (terms + 8) * 2.0**-52 * size + (terms + 1) * TINY)
    if not error.any():
        return product, None
    kept = error != 0
    return product, storage.from_entries(_shape(product), rows[kept], columns[kept], error[kept])


def _picks(matrix: Matrix) -> bool:
    """Whether a product with this matrix from the right only moves columns: ones, at most one in each column."""
    values = storage.values_of(matrix)
    if not np.all((values == 0) | (values == 1)):
        return False
    return bool(np.all(np.asarray(matrix.sum(axis=0)) <= 1))


def _lowest_bits(matrix: Matrix, axis: int) -> NDArray[np.int64]:
    """Lowest set bit over each row (``axis=1``) or column (``axis=0``)."""
    lowest = np.full(matrix.shape[1 - axis], 2000, dtype=np.int64)
    if isinstance(matrix, np.ndarray):
        return np.asarray(np.min(lowest_bit(matrix), axis=axis, initial=2000))
    place = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr)) if axis == 1 else matrix.indices
    np.minimum.at(lowest, place, lowest_bit(matrix.data))
    return lowest


def _product_up(left: Matrix, right: Matrix) -> Matrix:
    """Upper bound on the product of two matrices without negative entries."""
    product = storage.multiply(left, right)
    structure = storage.pattern(storage.multiply(storage.pattern(left), storage.pattern(right)))
    raised = storage.with_values(product, storage.values_of(product) * _INFLATE)
    slack = storage.with_values(structure, storage.values_of(structure) * (_LONGEST_SUM * TINY))
    return storage.plus(raised, slack)


def _scaled_up(matrix: Matrix, factors: Vector) -> Matrix:
    """Upper bound on a non-negative matrix with every row multiplied by a non-negative factor known to a few ulps."""
    values = storage.values_of(matrix)
    scaled = values * storage.along_rows(matrix, factors) * _INFLATE + TINY * 4
    return storage.with_values(matrix, np.where(values == 0, 0.0, scaled))


def _vector_up(values: Vector, factors: Vector) -> Vector:
    return storage.to_dense(_scaled_up(values[:, None], factors)).ravel()


def _sum_error(left: Matrix, right: Matrix, total: Matrix) -> Matrix:
    """Entrywise size of the error of a sum; the matrices have one storage."""
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray) and isinstance(total, np.ndarray):
        return np.abs(sum_error(left, right, total))
    share = total - left
    return storage.magnitude((left - (total - share)) + (right - share))


def _total(parts: Sequence[Matrix | None]) -> Matrix | None:
    """Upper bound on the sum of radii; ``None`` where all are zero."""
    present = [part for part in parts if part is not None and storage.values_of(part).any()]
    if not present:
        return None
    total = present[0]
    for part in present[1:]:
        total = storage.plus(total, part)
    return storage.with_values(total, storage.values_of(total) * _INFLATE)


def _total_vector(parts: Sequence[Vector | None]) -> Vector | None:
    total = _total([part[:, None] for part in parts if part is not None])
    return None if total is None else storage.to_dense(total).ravel()


def _checked(weight: Matrix, bias: Vector, weight_radius: Matrix | None, bias_radius: Vector | None) -> Affine:
    parts = [storage.values_of(weight), bias]
    parts += [] if weight_radius is None else [storage.values_of(weight_radius)]
    parts += [] if bias_radius is None else [bias_radius]
    if not all(np.isfinite(part).all() for part in parts):
        raise NetworkError("a coefficient that combines several of its constants leaves the range of float64")
    return Affine(weight, bias, weight_radius, bias_radius)


def _sparse(affine: Affine) -> Affine:
    return Affine(storage.to_csr(affine.weight), affine.bias, affine.weight_radius, affine.bias_radius)


def _weight_radius(affine: Affine) -> Matrix:
    if affine.weight_radius is not None:
        return affine.weight_radius
    return storage.selection(np.full(affine.rows, -1), affine.columns)


def _bias_radius(affine: Affine) -> Vector:
    return np.zeros(affine.rows) if affine.bias_radius is None else affine.bias_radius


def _shape(matrix: Matrix) -> tuple[int, int]:
    return int(matrix.shape[0]), int(matrix.shape[1])
