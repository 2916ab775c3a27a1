"""Conditions of VNN-LIB 2.x: and, or, and comparisons of polynomials in the elements of declared tensors.

A product of variables is a *monomial*, which gets a number of its own beyond those of the variables.  So every
inequality is linear in variables and monomials, and formulas are those of :mod:`slir_milp.query.formula`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction

from slir_milp.errors import QueryError
from slir_milp.query.condition import ConditionReader
from slir_milp.query.elements import DECIMAL, common
from slir_milp.query.formula import Atom, Formula
from slir_milp.query.linear import Linear, checked, combine
from slir_milp.query.scan import Scanner

_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)
_MOST_TERMS = 100_000
_HIGHEST_DEGREE = 64


class Monomials:
    """Products of variables, each with a number; those of one variable are the variables themselves.

    Attributes
    ----------
    variables
        Number of variables; that of the first monomial.
    factors
        Variables of every monomial, in ascending order, each as often as it occurs.
    """

    def __init__(self, variables: int) -> None:
        self.variables = variables
        self.factors: list[tuple[int, ...]] = []
        self._numbers: dict[tuple[int, ...], int] = {}

    def product(self, one: int, other: int) -> int:
        """Number of the product of two variables or monomials."""
        factors = tuple(sorted((*self._factors(one), *self._factors(other))))
        if len(factors) > _HIGHEST_DEGREE:
            raise QueryError(f"a product of more than {_HIGHEST_DEGREE} variables is not supported.")
        number = self._numbers.get(factors)
        if number is None:
            number = self._numbers[factors] = self.variables + len(self.factors)
            self.factors.append(factors)
        return number

    def _factors(self, number: int) -> tuple[int, ...]:
        return (number,) if number < self.variables else self.factors[number - self.variables]

    def multiply(self, one: Linear, other: Linear) -> Linear:
        """Product of two terms, multiplied out.

        Raises
        ------
        QueryError
            It is too large.
        """
        if (len(one.terms) + 1) * (len(other.terms) + 1) > _MOST_TERMS:
            raise QueryError(f"this product has more than {_MOST_TERMS} terms when it is multiplied out.")
        terms: dict[int, Fraction] = {}
        for factor, others in ((one.constant, other.terms), (other.constant, one.terms)):
            for variable, coefficient in others.items():
                terms[variable] = checked(terms.get(variable, Fraction(0)) + factor * coefficient)
        for left, a in one.terms.items():
            for right, b in other.terms.items():
                number = self.product(left, right)
                terms[number] = checked(terms.get(number, Fraction(0)) + a * b)
        return Linear(terms, checked(one.constant * other.constant))


class PolynomialReader(ConditionReader):
    """Reads the conditions of VNN-LIB 2.x.

    Parameters
    ----------
    scanner
        The text.
    resolve
        Number and element type of a variable such as ``X[0,1]``, or ``None`` if the word is a number; raises a
        ``QueryError`` (with the offset it is given) if it is neither.
    variables
        How many elements are declared.
    """

    connectives = frozenset({"and", "or"})
    equalities = frozenset({"==", "!="})
    arithmetic = frozenset({"+", "-", "*"})
    known = "and, or, <=, >=, <, >, ==, !=, +, -, *"
    example = "X[0]"

    def __init__(self, scanner: Scanner, resolve: Callable[[str, int], tuple[int, str] | None], variables: int) -> None:
        super().__init__(scanner)
        self.monomials = Monomials(variables)
        self._resolve = resolve
        self._known: dict[str, tuple[int, str] | None] = {}

    def condition(self) -> tuple[Formula, tuple[tuple[int, ...], ...]]:
        """What has been read, and the monomials that occur in it, numbered anew."""
        formula = self.formula()
        if not self.monomials.factors:
            return formula, ()
        return compacted(formula, self.monomials)

    def _variable(self, word: str, start: int) -> int | None:
        found = self._typed(word, start)
        return None if found is None else found[0]

    def _typed(self, word: str, start: int) -> tuple[int, str] | None:
        if word not in self._known:
            if len(self._known) > 2**20:
                self._known.clear()
            self._known[word] = self._resolve(word, start)
        return self._known[word]

    def _term(self, word: str, start: int) -> Linear:
        found = self._typed(word, start)
        if found is None:
            value = self._number(word, start)
            return Linear({}, value, "" if _INTEGER.fullmatch(word) else DECIMAL)
        return Linear({found[0]: Fraction(1)}, Fraction(0), found[1])

    def _simple_atom(self, match: re.Match[str], positive: bool) -> Atom:
        left, right = match.group("left", "right")
        one, other = self._typed(left, match.start("left")), self._typed(right, match.start("right"))
        element = DECIMAL if other is None and not _INTEGER.fullmatch(right) else "" if other is None else other[1]
        try:
            common(one[1] if one else "", element)
        except QueryError as error:
            raise self._scanner.error(str(error), match.start("simple")) from None
        return super()._simple_atom(match, positive)

    def _combine(self, operator: str, operands: list[Linear]) -> Linear:
        element = _common(operands)
        result = self._product(operands) if operator == "*" else combine(operator, operands)
        result.element = element
        return result

    def _product(self, operands: list[Linear]) -> Linear:
        if not operands:
            return combine("*", operands)  # which refuses
        result, *rest = operands
        for operand in rest:
            if result.is_constant:
                result = operand.scale(result.constant)
            elif operand.is_constant:
                result = result.scale(operand.constant)
            else:
                result = self.monomials.multiply(result, operand)
        return result

    def _difference(self, left: Linear, right: Linear) -> Linear:
        if _common([left, right]) in ("", DECIMAL):
            raise QueryError("this comparison has no variable, so that it has no element type; leave it out.")
        return super()._difference(left, right)

    def _check_count(self, head: str, count: int, offset: int) -> None:
        if not count:
            raise self._scanner.error(f"'{head}' takes at least one condition.", offset)


def _common(operands: Sequence[Linear]) -> str:
    element = ""
    for operand in operands:
        element = common(element, operand.element)
    return element


def compacted(formula: Formula, monomials: Monomials) -> tuple[Formula, tuple[tuple[int, ...], ...]]:
    """The same formula with its monomials numbered in the order in which they occur, and without any that does not.

    (Those that arise on the way to a longer product, or cancel, are not in it.)
    """
    numbers: dict[int, int] = {}

    def renumbered(variable: int) -> int:
        if variable < monomials.variables:
            return variable
        return numbers.setdefault(variable, monomials.variables + len(numbers))

    changed = substituted(formula, lambda variable: ((renumbered(variable), Fraction(1)),))
    return changed, tuple(monomials.factors[number - monomials.variables] for number in numbers)


def substituted(formula: Formula, value: Callable[[int], Sequence[tuple[int, Fraction]]]) -> Formula:
    """A formula with a linear combination in place of every variable."""
    if not isinstance(formula, Atom):
        return type(formula)(tuple(substituted(part, value) for part in formula.parts))
    terms: dict[int, Fraction] = {}
    for variable, coefficient in formula.terms:
        for new, factor in value(variable):
            terms[new] = terms.get(new, Fraction(0)) + coefficient * factor
    ordered = tuple(sorted((variable, coefficient) for variable, coefficient in terms.items() if coefficient))
    return Atom(ordered, formula.constant, formula.strict, formula.position)
