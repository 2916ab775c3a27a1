"""Sums of products that are one definite quadratic form: fewer squares, all of one sign.

``Σ a_k(z)·b_k(z)`` of affine ``a_k`` and ``b_k`` is a quadratic function of ``z``.  Where its matrix is definite, as
in ``zᵀPz`` of a Lyapunov function, Lagrange's reduction (the factorization ``L D Lᵀ``) writes it as a constant plus
``Σ d_i (l_i·z + e_i)²`` with every ``d_i`` of one sign: a convex (or concave) function, of which tangents lose nothing,
where products would have been differences of squares.  The reduction is made in rational arithmetic, and its numbers
are kept as float64 numbers with radii that reach the rational ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.formula import X
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix
from slir_milp.network.neurons import Neurons
from slir_milp.network.storage import Index

MAX_VARIABLES = 16
"""Forms of more variables are left to products: rational numbers grow with each."""

Rows = list[list[Fraction]]


@dataclass(frozen=True, eq=False)
class _Form:
    """``Σ d_i (l_i · (z, 1))² + constant`` over some columns."""

    columns: Index
    factors: list[Fraction]
    rows: Rows
    constant: Fraction


def definite_sums(
    neurons: Neurons, left: Affine, right: Affine, pairs: tuple[Index, Index]
) -> tuple[NDArray[np.bool_], Affine | None]:
    """Sums of products that are definite forms of few variables.

    Parameters
    ----------
    neurons
        Where squares are made.
    left, right
        The factors.
    pairs
        For each sum the rows of either whose products it adds.

    Returns
    -------
    found
        Which of the sums are.
    sums
        Those, ``None`` if there are none.
    """
    found = np.zeros(pairs[0].shape[0], dtype=bool)
    if not (left.is_exact and right.is_exact) or pairs[0].shape[1] < 2:
        return found, None
    parts = []
    for number, (first, second) in enumerate(zip(*pairs, strict=True)):
        form = _reduced(compose.take(left, first), compose.take(right, second))
        if form is not None:
            found[number] = True
            parts.append(_sum_of_squares(neurons, form, max(left.columns, right.columns)))
    return found, compose.stack(parts) if parts else None


def _reduced(left: Affine, right: Affine) -> _Form | None:
    """Form of one sum, ``None`` if it is not definite or has too many variables."""
    used = [np.unique(storage.entries(affine.weight)[1]) for affine in (left, right)]
    columns = np.union1d(*used)
    if not 0 < columns.size <= min(MAX_VARIABLES, 2 * left.rows - 1):
        return None
    a, b = _rational(left, columns), _rational(right, columns)
    size = columns.size + 1
    matrix = [
        [sum((p[i] * q[j] + p[j] * q[i] for p, q in zip(a, b, strict=True)), Fraction(0)) / 2 for j in range(size)]
        for i in range(size)
    ]
    factors: list[Fraction] = []
    rows: Rows = []
    for i in range(size - 1):
        pivot = matrix[i][i]
        if pivot == 0:
            if any(matrix[i]):
                return None
            continue
        if factors and (pivot > 0) != (factors[0] > 0):
            return None
        row = [entry / pivot for entry in matrix[i]]
        factors.append(pivot)
        rows.append(row)
        for j in range(i, size):
            for k in range(i, size):
                matrix[j][k] -= pivot * row[j] * row[k]
    return _Form(columns, factors, rows, matrix[-1][-1])


def _rational(affine: Affine, columns: Index) -> Rows:
    """Coefficients over some columns, and the constant at the end, of every row."""
    wanted = storage.to_dense(storage.take_columns(affine.weight, columns, int(affine.columns)))
    return [
        [*map(Fraction, row), Fraction(bias)] for row, bias in zip(wanted.tolist(), affine.bias.tolist(), strict=True)
    ]


def _sum_of_squares(neurons: Neurons, form: _Form, columns: int) -> Affine:
    weight, radius = _enclosed([row[:-1] for row in form.rows])
    bias, bias_radius = _enclosed([[row[-1]] for row in form.rows])
    count = len(form.rows)
    places = np.repeat(np.arange(count), form.columns.size), np.tile(form.columns, count)

    def spread(values: NDArray[np.float64]) -> Matrix:
        return storage.from_entries((count, columns), *places, values.ravel())

    inner = Affine(
        spread(weight),
        bias.ravel(),
        spread(radius) if radius.any() else None,
        bias_radius.ravel() if bias_radius.any() else None,
    )
    squares = neurons.apply(inner, [neurons.function_of(X**2)], np.zeros(count, dtype=np.intp))
    factors, factor_radius = _enclosed([form.factors])
    terms = compose.scale(squares, factors.ravel(), factor_radius.ravel())
    total = compose.compose(np.ones((1, count)), terms)
    constant, constant_radius = _enclosed([[form.constant]])
    rest = Affine(storage.selection(np.array([-1]), total.columns), constant.ravel(), None, constant_radius.ravel())
    return compose.add(total, rest)


def _enclosed(numbers: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Float64 numbers next to rational ones, and radii that reach those."""
    values = np.array([[float(number) for number in row] for row in numbers])
    errors = [
        [abs(number - Fraction(value)) for number, value in zip(row, near, strict=True)]
        for row, near in zip(numbers, values.tolist(), strict=True)
    ]
    radius = np.array(
        [[float(np.nextafter(float(error), np.inf)) if error else 0.0 for error in row] for row in errors]
    )
    return values, radius
