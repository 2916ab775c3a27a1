"""Queries built in Python: variables, linear expressions of them, and conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn, TypeAlias

from slir_milp.errors import QueryError
from slir_milp.query.formula import And, Atom, Formula, Or
from slir_milp.query.numbers import to_fraction
from slir_milp.query.query import Query

Number: TypeAlias = "Fraction | float"


@dataclass(frozen=True, eq=False)
class Expression:
    """A linear expression of a query's variables, with exact coefficients: a float stands for its exact value.

    Sums, differences and products with numbers are expressions again; comparisons by ``<=``, ``<``, ``>=`` and ``>``
    are conditions.

    Attributes
    ----------
    terms
        Pairs of variable (inputs first, then outputs) and coefficient, by increasing variable.
    constant
        The constant term.
    """

    terms: tuple[tuple[int, Fraction], ...]
    constant: Fraction = Fraction(0)

    __array_ufunc__ = None  # so that a NumPy number on the left leaves the work to the methods below

    def __add__(self, other: Expression | Number) -> Expression:
        other = _expression(other)
        sums = dict(self.terms)
        for variable, coefficient in other.terms:
            sums[variable] = sums.get(variable, Fraction(0)) + coefficient
        terms = tuple((variable, value) for variable, value in sorted(sums.items()) if value)
        return Expression(terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: Number) -> Expression:
        number = _number(factor)
        terms = tuple((variable, number * value) for variable, value in self.terms if number)
        return Expression(terms, number * self.constant)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Number) -> Expression:
        number = _number(divisor)
        if not number:
            raise QueryError("an expression cannot be divided by zero.")
        return self * (1 / number)

    def __neg__(self) -> Expression:
        return self * -1

    def __sub__(self, other: Expression | Number) -> Expression:
        return self + -_expression(other)

    def __rsub__(self, other: Expression | Number) -> Expression:
        return _expression(other) - self

    def __le__(self, other: Expression | Number) -> Condition:
        difference = self - other
        return Condition(Atom(difference.terms, difference.constant))

    def __lt__(self, other: Expression | Number) -> Condition:
        difference = self - other
        return Condition(Atom(difference.terms, difference.constant, strict=True))

    def __ge__(self, other: Expression | Number) -> Condition:
        return _expression(other) <= self

    def __gt__(self, other: Expression | Number) -> Condition:
        return _expression(other) < self


@dataclass(frozen=True)
class Condition:
    """A condition on a query's variables; ``a & b`` is met where both are, ``a | b`` where one is.

    Attributes
    ----------
    formula
        The same for the search.
    """

    formula: Formula

    def __and__(self, other: Condition) -> Condition:
        return Condition(And((self.formula, other.formula)))

    def __or__(self, other: Condition) -> Condition:
        return Condition(Or((self.formula, other.formula)))

    def __bool__(self) -> NoReturn:
        raise TypeError("a condition is neither true nor false: write (a <= y) & (y <= b), not a <= y <= b or 'and'")


Variables: TypeAlias = tuple[Expression, ...]
Where: TypeAlias = Callable[[Variables, Variables], "Condition | Iterable[Condition]"]


def box_query(lower: Sequence[Number], upper: Sequence[Number], outputs: int, where: Where | None) -> Query:
    """The query behind :meth:`slir_milp.Query.box`."""
    low, high = _ends("lower", lower), _ends("upper", upper)
    if len(low) != len(high):
        raise QueryError(f"a box needs as many lower ends as upper ends, not {len(low)} and {len(high)}.")
    if not low or not isinstance(outputs, int) or outputs < 1:
        raise QueryError("a query needs at least one input and one output.")
    one = Fraction(1)
    inputs = len(low)
    variables = tuple(Expression(((v, one),)) for v in range(inputs + outputs))
    parts: list[Formula] = []
    for variable, (a, b) in enumerate(zip(low, high, strict=True)):
        if a > b:
            raise QueryError(f"the lower end of X_{variable} is {float(a):g}, above its upper end {float(b):g}.")
        parts += [Atom(((variable, -one),), a), Atom(((variable, one),), -b)]
    if where is not None:
        found = where(variables[:inputs], variables[inputs:])
        for condition in [found] if isinstance(found, Condition) else found:
            if not isinstance(condition, Condition):
                raise QueryError(f"'where' must return conditions such as y[0] <= y[1], not {condition!r}.")
            parts.append(condition.formula)
    return Query(inputs, outputs, And(tuple(parts)))


def _ends(side: str, values: Sequence[Number]) -> list[Fraction]:
    try:
        return [to_fraction(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise QueryError(f"the {side} ends of a box must be finite numbers.") from None


def _number(value: Number) -> Fraction:
    try:
        return to_fraction(value)
    except (TypeError, ValueError, OverflowError):
        raise QueryError(f"an expression takes finite numbers only, not {value!r}.") from None


def _expression(value: Expression | Number) -> Expression:
    return value if isinstance(value, Expression) else Expression((), _number(value))
