"""A function of one variable known segment by segment, with proven errors: all that a line's offset is made from.

However an activation was described (its formula, samples and a Lipschitz constant, breakpoints), it ends as a
:class:`Table`.  The table covers the whole real line, it is built once and does not depend on any slope, and the
routine that shifts a line until it touches (:mod:`slir_milp.activations.touch`, and its compiled twin) reads nothing
else.  So a user's own activation costs what a built-in one costs, and no verdict depends on how some library computes
``tanh``: evaluating a table takes additions and multiplications alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

DEGREE = 7
"""Degree of the polynomial of every segment."""


@dataclass(frozen=True, eq=False)
class Table:
    """Segments of the real line, each with what is proven of the function ``f`` there.

    Segment ``i`` is the closed interval from ``knots[i]`` to ``knots[i + 1]``; the first knot is minus and the last
    plus infinity.  Consecutive segments form *pieces* of one known curvature.  Every statement is about real numbers;
    those about polynomials hold both of the polynomial in ``x − centre`` at every real ``x`` of the segment and of the
    numbers that Horner's rule computes in float64, fused or not, in ``t = fl(x − centre)`` at every float64 ``x``.

    Attributes
    ----------
    knots
        Shape ``(m + 1,)``, increasing.
    knot_low, knot_high
        Shape ``(m + 1,)``: enclosure of ``f`` at each knot; infinite at both ends and where nothing is known.
    low, high
        Shape ``(m,)``: ``low ≤ f ≤ high`` on the segment; infinite where nothing is known.
    slope_low, slope_high
        Shape ``(m,)``: every difference quotient ``(f(y) − f(x))/(y − x)`` of the segment lies between them; infinite
        at a jump or where nothing is known.
    centre
        Shape ``(m,)``.
    coefficients
        Shape ``(m, DEGREE + 1)``, constant first: a polynomial in ``t``; all zero in the first and last segment unless
        the polynomial holds to infinity.
    error_low, error_high
        Shape ``(m,)``: ``p(t) − error_low ≤ f(x) ≤ p(t) + error_high``; infinite where the polynomial says nothing.
    slope_error
        Shape ``(m,)``: ``|f′(x) − p′(t)| ≤ slope_error`` (one-sided derivatives at the ends); infinite where unknown.
    piece_first
        Shape ``(p + 1,)``: piece ``j`` holds the segments from ``piece_first[j]`` up to but not ``piece_first[j + 1]``.
    piece_curvature
        Shape ``(p,)``: ``+1`` where ``f`` is convex on the whole closed piece, ``−1`` concave, ``0`` where neither is
        known.  A piece of curvature ±1 has finite errors, and ``f`` is continuous on it.

    Raises
    ------
    ValueError
        If the arrays contradict each other.
    """

    knots: Vector
    knot_low: Vector
    knot_high: Vector
    low: Vector
    high: Vector
    slope_low: Vector
    slope_high: Vector
    centre: Vector
    coefficients: NDArray[np.float64]
    error_low: Vector
    error_high: Vector
    slope_error: Vector
    piece_first: NDArray[np.int32]
    piece_curvature: NDArray[np.int8]

    def __post_init__(self) -> None:
        m = len(self.knots) - 1
        per_segment = [getattr(self, f.name) for f in fields(self)[3:12]]
        if m < 1 or any(len(array) != m for array in per_segment) or self.coefficients.shape != (m, DEGREE + 1):
            raise ValueError("a table's arrays do not fit its segments")
        if len(self.knot_low) != m + 1 or len(self.knot_high) != m + 1:
            raise ValueError("a table's values do not fit its knots")
        if self.knots[0] != -np.inf or self.knots[-1] != np.inf or not (np.diff(self.knots) > 0).all():
            raise ValueError("a table's knots must increase from minus to plus infinity")
        first = self.piece_first
        if (
            first[0] != 0
            or first[-1] != m
            or not (np.diff(first) > 0).all()
            or len(first) != len(self.piece_curvature) + 1
        ):
            raise ValueError("a table's pieces do not fit its segments")
        if (
            any(np.isnan(array).any() for array in (*per_segment, self.knot_low, self.knot_high))
            or not np.isfinite(self.coefficients).all()
        ):
            raise ValueError("a table holds a value that is no number")
        curved = np.repeat(self.piece_curvature, np.diff(first)) != 0
        if not np.isfinite([self.error_low[curved], self.error_high[curved], self.slope_error[curved]]).all():
            raise ValueError("a piece of known curvature lacks an error")

    @property
    def segments(self) -> int:
        """Number of segments."""
        return len(self.centre)

    @cached_property
    def negated(self) -> Table:
        """The table of ``−f``."""
        return Table(
            knots=self.knots,
            knot_low=-self.knot_high,
            knot_high=-self.knot_low,
            low=-self.high,
            high=-self.low,
            slope_low=-self.slope_high,
            slope_high=-self.slope_low,
            centre=self.centre,
            coefficients=-self.coefficients,
            error_low=self.error_high,
            error_high=self.error_low,
            slope_error=self.slope_error,
            piece_first=self.piece_first,
            piece_curvature=-self.piece_curvature,
        )


def evaluation_error(coefficients: NDArray[np.float64], radius: Vector) -> tuple[Vector, Vector]:
    """What float64 can add to the errors of polynomials and of their derivatives, for ``|t| ≤ radius``.

    Horner's rule in degree ``d`` takes ``2d`` roundings and the result errs by at most ``γ_{2d} Σ |c_k| |t|^k``
    (Higham, *Accuracy and Stability of Numerical Algorithms*, section 5.1); ``fl(x − centre)`` errs by ``u·radius``,
    which moves the value by at most ``u Σ k |c_k| radius^k`` and so on.  All of it, with room to spare, is
    ``(4d + 8) u`` times the sum of magnitudes, here doubled, plus what underflow may lose.

    Parameters
    ----------
    coefficients
        Shape ``(segments, DEGREE + 1)``.
    radius
        Shape ``(segments,)``: largest ``|t|``, finite.

    Returns
    -------
    value_error, slope_error
        Shape ``(segments,)`` each, to be added to the errors proven in real arithmetic.
    """
    degree = np.arange(DEGREE + 1)
    sizes = np.abs(coefficients) * radius[:, None] ** degree
    slopes = np.abs(coefficients[:, 1:]) * degree[1:] * radius[:, None] ** degree[:-1]
    unit = 2.0 * (4 * DEGREE + 8) * 2.0**-53
    tiny = 2.0**-1000
    return unit * sizes.sum(axis=1) + tiny, unit * slopes.sum(axis=1) + tiny
