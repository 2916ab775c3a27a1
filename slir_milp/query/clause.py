"""Clauses: a box of inputs and a conjunction of linear inequalities, one of the ways to meet a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from slir_milp.query.box import Box, Cut, GridBox, Vector
from slir_milp.query.formula import Atom, Terms
from slir_milp.query.numbers import round_down, round_up


@dataclass(frozen=True, eq=False)
class RowMatrix:
    """Rows ``inputs @ x + outputs @ y + constant <= 0`` in float64, each a positive multiple of an inequality.

    Whatever meets the inequality exactly meets the row, for some coefficients within ``coefficient_radius``.

    Attributes
    ----------
    outputs
        Shape ``(rows, outputs)``.
    inputs
        Shape ``(rows, inputs)``.
    constant
        Shape ``(rows,)``; the largest float64 number that is at most the true constant.
    strict
        Shape ``(rows,)``: where the inequality is ``< 0``.
    coefficient_radius
        Shape ``(rows, inputs + outputs)``, inputs first: how far the true coefficients may be from the stored ones;
        ``None`` where all are exact, which they are whenever a common multiple of them is.
    """

    outputs: Vector
    inputs: Vector
    constant: Vector
    strict: NDArray[np.bool_]
    coefficient_radius: Vector | None


@dataclass(frozen=True)
class Place:
    """Where a clause stands in the tree of a query's alternatives; see :func:`slir_milp.query.clauses`.

    Attributes
    ----------
    node
        Number of the node at which everything in the clause is asserted.
    box_node
        The first node on the way to it at which its box was known, but for the cuts.
    cuts
        How the box came about from the bounds on single inputs.
    atoms
        Number of each row's inequality in the formula.
    """

    node: int = 0
    box_node: int = 0
    cuts: tuple[Cut, ...] = ()
    atoms: tuple[int, ...] = ()


@dataclass(frozen=True)
class Clause:
    """One way to meet a query: the input lies in a box, and every row holds.

    Attributes
    ----------
    box
        The inputs' intervals.
    rows
        Every inequality that is no bound on a single input: on outputs, on several inputs, on both.
    outputs
        Number of outputs.
    place
        Where it comes from, if the expansion was observed; no part of its meaning.
    """

    box: Box
    rows: tuple[Atom, ...]
    outputs: int
    place: Place = field(default=Place(), compare=False, repr=False)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return len(self.box.lower_ends)

    @property
    def lower(self) -> Vector:
        """Shape ``(inputs,)``: float64 numbers at most the exact lower ends, as close as can be; read-only."""
        return self.box.lower

    @property
    def upper(self) -> Vector:
        """Shape ``(inputs,)``: float64 numbers at least the exact upper ends, as close as can be; read-only."""
        return self.box.upper

    @property
    def exact_lower(self) -> tuple[Fraction, ...]:
        """Lower end of every input."""
        return tuple(value for value, _ in self.box.lower_ends)

    @property
    def exact_upper(self) -> tuple[Fraction, ...]:
        """Upper end of every input."""
        return tuple(value for value, _ in self.box.upper_ends)

    @property
    def lower_strict(self) -> tuple[bool, ...]:
        """Whether each lower end is itself excluded."""
        return tuple(strict for _, strict in self.box.lower_ends)

    @property
    def upper_strict(self) -> tuple[bool, ...]:
        """Whether each upper end is itself excluded."""
        return tuple(strict for _, strict in self.box.upper_ends)

    def contains(self, x: Sequence[Fraction | float]) -> bool:
        """Whether an input lies in the box, exactly; the rows are not looked at."""
        return self.box.contains(x)

    def row_matrix(self) -> RowMatrix:
        """Rows in float64; see :class:`RowMatrix`."""
        return self._matrix

    def margins(self, x_points: Vector, y_points: Vector) -> Vector:
        """Largest row value at each of k points, in plain float64: a point is a candidate where it is at most zero.

        Parameters
        ----------
        x_points
            Shape ``(k, inputs)``.
        y_points
            Shape ``(k, outputs)``.

        Returns
        -------
        numpy.ndarray
            Shape ``(k,)``, each row in the scale of :meth:`row_matrix`; minus infinity if there are no rows.
        """
        matrix = self._matrix
        values = y_points @ matrix.outputs.T + matrix.constant
        if matrix.inputs.any():
            values += x_points @ matrix.inputs.T
        return np.asarray(values.max(axis=1, initial=-np.inf))

    @cached_property
    def _matrix(self) -> RowMatrix:
        n = self.inputs
        matrix = np.zeros((len(self.rows), n + self.outputs))
        radius = np.zeros_like(matrix)
        constant = np.zeros(len(self.rows))
        for r, row in enumerate(self.rows):
            terms, offset = _scaled(row)
            for variable, true in terms:
                stored = matrix[r, variable] = true.numerator / true.denominator
                if stored.as_integer_ratio() != (true.numerator, true.denominator):
                    radius[r, variable] = round_up(abs(true - Fraction(stored)))
            constant[r] = round_down(offset)
        strict = np.array([row.strict for row in self.rows], dtype=np.bool_)
        outputs, inputs = np.ascontiguousarray(matrix[:, n:]), np.ascontiguousarray(matrix[:, :n])
        return RowMatrix(outputs, inputs, constant, strict, radius if radius.any() else None)


def float32_box(clause: Clause) -> GridBox:
    """Least and greatest float32 number within every exact input interval; strict ends are respected."""
    return clause.box.inside(np.float32)


def float64_box(clause: Clause) -> GridBox:
    """Least and greatest float64 number within every exact input interval; strict ends are respected."""
    return clause.box.inside(np.float64)


def _scaled(row: Atom) -> tuple[Terms, Fraction]:
    """Multiply a row by a positive factor that makes all its coefficients exact float64 numbers, if any does.

    The factor also keeps everything within the range of float64; it is one wherever that serves.  Returns the terms and
    the constant.
    """
    if all(a.denominator == 1 and abs(a.numerator) <= 2**53 for _, a in row.terms):
        return row.terms, row.constant  # nearly every row of nearly every query
    coefficients = [coefficient for _, coefficient in row.terms]
    scale = Fraction(1)
    if not all(map(_is_exact, coefficients)):
        common = lcm(*(a.denominator for a in coefficients))
        divisor = gcd(*(a.numerator * (common // a.denominator) for a in coefficients))
        candidate = Fraction(common, divisor)
        if all(_is_exact(a * candidate) for a in coefficients):
            scale = candidate
    # A power of two keeps what is exact; it is needed for coefficients of extreme size only.
    largest = max(abs(a * scale) for a in (*coefficients, row.constant))
    exponent = largest.numerator.bit_length() - largest.denominator.bit_length()
    if abs(exponent) > 200:
        scale /= Fraction(2) ** exponent
    return tuple((variable, a * scale) for variable, a in row.terms), row.constant * scale


def _is_exact(number: Fraction) -> bool:
    """Whether a number has at most 53 significant bits and a denominator that is a power of two."""
    numerator, denominator = abs(number.numerator), number.denominator
    odd = numerator >> max((numerator & -numerator).bit_length() - 1, 0)
    return denominator & (denominator - 1) == 0 and odd.bit_length() <= 53
