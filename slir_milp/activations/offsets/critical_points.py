"""Lines touch where ``f′(x) = s``: tables from a formula, by Taylor series in ball arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from slir_milp.activations.formula import Formula
from slir_milp.activations.table import Table


@dataclass(frozen=True)
class CriticalPoints:
    """A formula, cut where its curvature changes and into segments on which a polynomial is as good as exact.

    **Theorem.**  On a closed interval on which ``f`` is concave, ``f(x) − s·x`` is greatest where ``f′`` passes through
    ``s``, or at an end; on which it is convex, at an end; likewise, turned round, for the least.  *Proof*: ``f′ − s``
    falls (rises) there.  So a table needs the intervals of one curvature and, on each, ``f`` and ``f′`` to within a
    rounding error.

    *Branches.*  Where a branch of the formula changes at a float64 number and the function is continuous, that number
    is a knot; else two neighbouring numbers enclose the place and a segment with nothing but ranges covers it.  On all
    other intervals one analytic formula holds, which is decided by interval arithmetic.

    *Curvature.*  ``f″`` has one sign on an interval if its enclosure has, or if the first derivative of higher order
    whose enclosure has one sign, say the k-th, and the derivatives of order 2 to k − 1 at one end, make every term of
    Taylor's formula for ``f″`` about that end, with Lagrange's remainder, have the same sign.  A simple zero of ``f″``
    (``f‴`` has one sign) is caught between two numbers at which ``f″`` has proven signs.

    *Polynomials.*  ``f(c + t) = Σ_{k<12} c_k t^k + R t^12`` with ``R`` in the enclosure of ``f^(12)/12!`` over the
    segment.  The terms of degree 8 and 9 are replaced by polynomials of lower degree through Chebyshev's ``T₈`` and
    ``T₉``, which leaves ``|c₈| h⁸/128 + |c₉| h⁹/256`` on ``|t| ≤ h``, and at most 64 and 81 times as much over ``h`` in
    the derivative; those beyond count as error.  Segments are halved until it is below about 1e-14 of the values.

    *Tails.*  Outwards, segments double; they end where the values and slopes of all that follows are known as well as a
    segment would know them, or where the function exceeds 2^400, oscillates too often, or beyond ``2^30``.  What is
    proven beyond is what interval arithmetic says of the half-line.

    Attributes
    ----------
    formula
        The function.
    """

    formula: Formula

    @property
    def name(self) -> str:
        """For people."""
        return "critical points"

    def table(self) -> Table:
        """Everything proven of the function."""
        from slir_milp.activations.offsets.segments import build

        return build(self.formula)
