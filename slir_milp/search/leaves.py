"""The exact form of a target, for regions that float64 cannot settle."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from slir_milp.bounds.exact import ExactRow
from slir_milp.network.affine import Vector
from slir_milp.query import Atom, Box


def exact_rows(rows: Iterable[Atom], inputs: int) -> list[ExactRow]:
    """Inequalities of a clause with their variables told apart."""
    return [
        ExactRow(
            {variable - inputs: value for variable, value in row.terms if variable >= inputs},
            {variable: value for variable, value in row.terms if variable < inputs},
            row.constant,
            row.strict,
        )
        for row in rows
    ]


def region_ends(box: Box, lower: Vector, upper: Vector) -> tuple[list[Fraction], list[Fraction]]:
    """Ends of a float64 sub-box, cut to the exact box that it was rounded outward from."""
    low = [max(Fraction(float(a)), end) for a, (end, _) in zip(lower, box.lower_ends, strict=True)]
    high = [min(Fraction(float(b)), end) for b, (end, _) in zip(upper, box.upper_ends, strict=True)]
    return low, high
