"""Products of computed tensors, by squares: ``x·y = ((c·x + y/c)² − (c·x − y/c)²) / 4``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.formula import X
from slir_milp.errors import NetworkError
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.neurons import Neurons
from slir_milp.network.operators.quadratic import definite_sums
from slir_milp.network.storage import Index

MAX_PRODUCTS = 2**20
"""Largest number of products that one operator may take."""


def product(neurons: Neurons, left: Affine, right: Affine) -> Affine:
    """Row by row, the product of two maps with equally many rows.

    A row that is constant only scales the other; two rows in proportion take one square, any others two.
    """
    if left.rows > MAX_PRODUCTS:
        raise NetworkError(f"an operator takes more than the {MAX_PRODUCTS} products supported")
    columns = max(left.columns, right.columns)
    left, right = compose.widen(left, columns), compose.widen(right, columns)
    ratio, in_proportion = _ratio(left, right)
    fixed_left, fixed_right = _is_constant(left), _is_constant(right)
    cases: list[tuple[NDArray[np.bool_], Callable[[Affine, Affine, Vector], Affine]]] = [
        (fixed_left, lambda a, b, _: _scaled_by_constant(b, a)),
        (fixed_right, lambda a, b, _: _scaled_by_constant(a, b)),
        (in_proportion, lambda a, _, k: compose.scale(square(neurons, a), k)),
        (np.ones(left.rows, dtype=bool), lambda a, b, _: _by_squares(neurons, a, b)),
    ]
    parts, places, done = [], [], np.zeros(left.rows, dtype=bool)
    for applies, lower in cases:
        rows = np.flatnonzero(applies & ~done)
        if rows.size:
            parts.append(lower(compose.take(left, rows), compose.take(right, rows), ratio[rows]))
            places.append(rows)
            done[rows] = True
    if not parts:
        return left
    return compose.take(compose.stack(parts), np.argsort(np.concatenate(places)))


def summed_products(neurons: Neurons, left: Affine, right: Affine, pairs: tuple[Index, Index]) -> Affine:
    """For each row of two index arrays, the sum of the products of the rows that they name."""
    first, second = pairs
    if first.size > MAX_PRODUCTS:
        raise NetworkError(f"an operator takes more than the {MAX_PRODUCTS} products supported")
    definite, sums = definite_sums(neurons, left, right, pairs)
    first, second = first[~definite], second[~definite]
    terms = product(neurons, compose.take(left, first.ravel()), compose.take(right, second.ravel()))
    rest = summed(terms, np.arange(first.size).reshape(first.shape))
    if sums is None:
        return rest
    return compose.take(compose.stack([sums, rest]), np.argsort(np.argsort(~definite, kind="stable"), kind="stable"))


def summed(affine: Affine, groups: Index) -> Affine:
    """Sum of the rows that each row of ``groups`` names."""
    rows = np.repeat(np.arange(groups.shape[0]), groups.shape[1])
    ones = storage.from_entries((groups.shape[0], affine.rows), rows, groups.ravel(), np.ones(groups.size))
    return compose.compose(ones, affine)


def square(neurons: Neurons, affine: Affine) -> Affine:
    """Square of every row.

    Rows are first brought to one size and sign by a power of two, so that multiples of one map share a neuron.
    """
    exponent, sign = _size_and_sign(affine)
    normal = compose.scale(affine, np.ldexp(sign, -exponent))
    squares = neurons.apply(normal, [neurons.function_of(X**2)], np.zeros(affine.rows, dtype=np.intp))
    return compose.scale(squares, np.ldexp(1.0, 2 * exponent))


def _by_squares(neurons: Neurons, left: Affine, right: Affine) -> Affine:
    exponent = balance(left, right)
    left = compose.scale(left, np.ldexp(1.0, exponent))
    right = compose.scale(right, np.ldexp(1.0, -exponent))
    both = compose.stack([compose.add(left, right), compose.add(left, compose.scale(right, -np.ones(right.rows)))])
    squares = square(neurons, both)
    order = np.arange(left.rows)
    difference = compose.add(
        compose.take(squares, order), compose.scale(compose.take(squares, order + left.rows), -np.ones(left.rows))
    )
    return compose.scale(difference, np.full(left.rows, 0.25))


def balance(left: Affine, right: Affine) -> Index:
    """Exponent of the power of two ``c`` for which ``c·left`` and ``right/c`` have coefficients of one size.

    Any power of two is right; that two squares of like size are subtracted makes their lines tighter.
    """
    sizes = [np.maximum(_row_norm(affine), 2.0**-100) for affine in (left, right)]
    ratio = np.log2(sizes[1]) - np.log2(sizes[0])
    return np.clip(np.rint(ratio / 2), -60, 60).astype(np.intp)


def _row_norm(affine: Affine) -> Vector:
    rows, _, values = storage.entries(affine.weight)
    return np.sqrt(np.bincount(rows, weights=values**2, minlength=affine.rows))


def _size_and_sign(affine: Affine) -> tuple[Index, Vector]:
    """Exponent of each row's largest coefficient, and the sign of its first."""
    rows, columns, values = storage.entries(affine.weight)
    largest = np.zeros(affine.rows)
    np.maximum.at(largest, rows, np.abs(values))
    exponent = np.clip(np.frexp(largest)[1], -200, 200)
    order = np.lexsort((columns, rows))
    present, first = np.unique(rows[order], return_index=True)
    sign = np.ones(affine.rows)
    sign[present] = np.sign(values[order][first])
    return exponent.astype(np.intp), sign


def _is_constant(affine: Affine) -> NDArray[np.bool_]:
    constant = np.ones(affine.rows, dtype=bool)
    for matrix in (affine.weight, affine.weight_radius):
        if matrix is not None:
            constant[storage.entries(matrix)[0]] = False
    return constant


def _scaled_by_constant(affine: Affine, factor: Affine) -> Affine:
    return compose.scale(affine, factor.bias, factor.bias_radius)


def _ratio(left: Affine, right: Affine) -> tuple[Vector, NDArray[np.bool_]]:
    """Factor ``k`` for each row, and whether ``right`` is exactly ``k`` times ``left``."""
    rows, columns, values = storage.entries(left.weight)
    order = np.lexsort((columns, rows))
    present, first = np.unique(rows[order], return_index=True)
    ratio = np.zeros(left.rows)
    with np.errstate(over="ignore", invalid="ignore"):
        ratio[present] = storage.at(right.weight, present, columns[order][first]) / values[order][first]
    ratio[~np.isfinite(ratio)] = 0.0
    try:
        rest = compose.add(compose.scale(left, -ratio), right)
    except NetworkError:  # beyond float64, so not in proportion
        return ratio, np.zeros(left.rows, dtype=bool)
    differs = ratio == 0
    for matrix in (rest.weight, rest.weight_radius):
        if matrix is not None:
            differs[storage.entries(matrix)[0]] = True
    for vector in (rest.bias, rest.bias_radius):
        if vector is not None:
            differs[vector != 0] = True
    return ratio, ~differs
