"""Small tables of functions that rational arithmetic can follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from slir_milp.activations.outward import enclosure
from slir_milp.activations.table import DEGREE, Table, evaluation_error

INF = float("inf")


@dataclass(frozen=True)
class Polynomial:
    """Integer coefficients, constant first, with the pieces of known curvature between finite knots."""

    name: str
    coefficients: tuple[int, ...]
    ends: tuple[float, ...]  # of the pieces, finite
    curvatures: tuple[int, ...]
    cuts: int = 1  # segments per piece

    def __call__(self, x: Fraction) -> Fraction:
        return sum((c * x**k for k, c in enumerate(self.coefficients)), Fraction(0))

    def derivative(self, x: Fraction) -> Fraction:
        return sum((k * c * x ** (k - 1) for k, c in enumerate(self.coefficients) if k), Fraction(0))

    def table(self) -> Table:
        """Nothing known outside the pieces; the polynomial is written about the origin."""
        finite = [
            low + (high - low) * i / self.cuts
            for low, high in zip(self.ends, self.ends[1:], strict=False)
            for i in range(self.cuts)
        ]
        knots = np.array([-INF, *finite, self.ends[-1], INF])
        m = len(knots) - 1
        inner = np.r_[False, np.ones(m - 2, dtype=bool), False]
        coefficients = np.zeros((m, DEGREE + 1))
        coefficients[inner, : len(self.coefficients)] = self.coefficients
        radius = np.where(inner, np.maximum(abs(knots[:-1]), abs(knots[1:])), 0.0)
        error, slope_error = evaluation_error(coefficients, radius)
        values = [(-INF, INF), *(enclosure(self(Fraction(k))) for k in knots[1:-1].tolist()), (-INF, INF)]
        sizes = np.array([self._slope_bound(Fraction(r)) for r in radius.tolist()])
        first = [0, *range(1, m, self.cuts), m]
        return Table(
            knots=knots,
            knot_low=np.array([v[0] for v in values]),
            knot_high=np.array([v[1] for v in values]),
            low=np.full(m, -INF),
            high=np.full(m, INF),
            slope_low=np.where(inner, -sizes, -INF),
            slope_high=np.where(inner, sizes, INF),
            centre=np.zeros(m),
            coefficients=coefficients,
            error_low=np.where(inner, error, INF),
            error_high=np.where(inner, error, INF),
            slope_error=np.where(inner, slope_error, INF),
            piece_first=np.array(first, dtype=np.int32),
            piece_curvature=np.array([0, *self.curvatures, 0], dtype=np.int8),
        )

    def _slope_bound(self, radius: Fraction) -> float:
        return enclosure(
            sum((abs(k * c) * radius ** (k - 1) for k, c in enumerate(self.coefficients) if k), Fraction(0))
        )[1]


POLYNOMIALS: Sequence[Polynomial] = (
    Polynomial("square", (0, 0, 1), (-4.0, 4.0), (1,)),
    Polynomial("square in 7 segments", (0, 0, 1), (-8.0, 16.0), (1,), cuts=7),
    Polynomial("minus square", (0, 0, -1), (-4.0, 4.0), (-1,)),
    Polynomial("minus square in 7 segments", (3, 1, -1), (-8.0, 16.0), (-1,), cuts=7),
    Polynomial("cube", (0, 0, 0, 1), (-4.0, 0.0, 4.0), (-1, 1), cuts=3),
    Polynomial("double well", (0, 1, -3, 0, 1), (-4.0, 4.0), (0,), cuts=40),
    Polynomial("line", (1, 3), (-4.0, 0.0, 4.0), (1, -1)),
)
