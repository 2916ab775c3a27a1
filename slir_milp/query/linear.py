"""Linear terms while a query is read: sums, differences, products with constants, exact."""

from __future__ import annotations

from fractions import Fraction

from slir_milp.errors import QueryError

ARITHMETIC = frozenset({"+", "-", "*", "/"})
_LONGEST = 20_000
"""Bits of the longest number computed with, so that a short text cannot ask for endless arithmetic."""


class Linear:
    """A linear term under construction; owned, and changed, by whoever holds it.

    Attributes
    ----------
    terms
        Coefficient of each variable; may be zero.
    constant
        The constant term.
    element
        Element type of the variables, in the languages that have several; ``""`` where nothing says which.
    """

    __slots__ = ("constant", "element", "terms")

    def __init__(self, terms: dict[int, Fraction], constant: Fraction, element: str = "") -> None:
        self.terms = terms
        self.constant = constant
        self.element = element

    @property
    def is_constant(self) -> bool:
        """Whether no variable occurs (a coefficient of zero counts as none)."""
        return not any(self.terms.values())

    def scale(self, factor: Fraction) -> Linear:
        """Multiply by a constant, in place."""
        for variable in self.terms:
            self.terms[variable] = checked(self.terms[variable] * factor)
        self.constant = checked(self.constant * factor)
        return self

    def add(self, other: Linear) -> Linear:
        """Add another term, which must not be used any more."""
        # The smaller is merged into the larger: a sum nested a thousand deep stays cheap.
        large, small = (self, other) if len(self.terms) >= len(other.terms) else (other, self)
        for variable, coefficient in small.terms.items():
            large.terms[variable] = checked(large.terms.get(variable, Fraction(0)) + coefficient)
        large.constant = checked(large.constant + small.constant)
        return large


def combine(operator: str, operands: list[Linear]) -> Linear:
    """Apply one of the :data:`ARITHMETIC` operators to terms, which must not be used any more.

    Raises
    ------
    QueryError
        Wrong number of operands, a product of two variables, or a division by what is no non-zero constant.
    """
    if not operands or (operator == "/" and len(operands) != 2):
        needed = "two operands" if operator == "/" else "at least one operand"
        raise QueryError(f"'{operator}' needs {needed}, but has {len(operands)}.")
    first, *rest = operands
    if operator == "-":
        if not rest:
            return first.scale(Fraction(-1))
        for operand in rest:
            first = first.add(operand.scale(Fraction(-1)))
        return first
    if operator == "+":
        for operand in rest:
            first = first.add(operand)
        return first
    if operator == "/":
        divisor = rest[0]
        if not divisor.is_constant or divisor.constant == 0:
            raise QueryError("a division needs a constant other than zero below; multiply both sides out.")
        return first.scale(1 / divisor.constant)
    for operand in rest:
        if not first.is_constant and not operand.is_constant:
            raise QueryError("a product of two variables is not linear; only linear inequalities are supported.")
        first = operand.scale(first.constant) if first.is_constant else first.scale(operand.constant)
    return first


def checked(number: Fraction) -> Fraction:
    """The number, unless it is too long to be computed with."""
    if number.numerator.bit_length() + number.denominator.bit_length() > _LONGEST:
        raise QueryError("a term has too many digits to be computed with; write its numbers with fewer.")
    return number
