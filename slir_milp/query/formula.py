"""The condition of a query: and, or, and linear inequalities over exact rational numbers.

Formulas are in negation normal form; a negation in the text has been pushed into the inequalities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

from slir_milp.errors import Position

Terms: TypeAlias = tuple[tuple[int, Fraction], ...]
"""Pairs of variable and coefficient."""


@dataclass(frozen=True, slots=True)
class Atom:
    """The inequality ``sum of coefficient * variable + constant <= 0`` (``< 0`` if strict).

    Attributes
    ----------
    terms
        Pairs of variable and coefficient, by increasing variable, no coefficient zero.  With n inputs, variable i < n
        is the input ``X_i`` and variable n + j is the output ``Y_j``.
    constant
        The constant term.
    strict
        Whether equality is excluded.
    position
        Where the inequality stands in the query's text; no part of its meaning.
    """

    terms: Terms
    constant: Fraction
    strict: bool = False
    position: Position | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class And:
    """Holds where every part holds; without parts it is true."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Holds where some part holds; without parts it is false."""

    parts: tuple[Formula, ...]


Formula: TypeAlias = Atom | And | Or

Interval: TypeAlias = tuple[Fraction, Fraction]
"""Two exact ends, the lower first; a point is an interval of twice the same number."""


def conjuncts(formula: Formula) -> tuple[Formula, ...]:
    """Parts that must all hold: those of an ``And``, else the formula itself."""
    return formula.parts if isinstance(formula, And) else (formula,)


def numbering(formula: Formula) -> tuple[dict[int, int], dict[int, int]]:
    """Numbers of the inequalities and of the alternatives of a formula, each in the order of the text.

    Returns
    -------
    tuple
        Two dictionaries from the ``id`` of an object within the formula to its number: of every :class:`Atom`, and of
        every :class:`Or`.
    """
    atoms: dict[int, int] = {}
    alternatives: dict[int, int] = {}
    todo: list[Formula] = [formula]
    while todo:
        part = todo.pop()
        if isinstance(part, Atom):
            atoms[id(part)] = len(atoms)
            continue
        if isinstance(part, Or):
            alternatives[id(part)] = len(alternatives)
        todo += reversed(part.parts)
    return atoms, alternatives


def largest_value(atom: Atom, values: Sequence[Interval]) -> Fraction:
    """Largest value of an atom's left side where every variable lies in its interval; exact."""
    total = atom.constant
    for variable, coefficient in atom.terms:
        lower, upper = values[variable]
        total += coefficient * (upper if coefficient > 0 else lower)
    return total


def surely_holds(formula: Formula, values: Sequence[Interval]) -> bool:
    """Whether a formula certainly holds, strictness included, for all values within the intervals.

    ``False`` claims nothing, unless all intervals are points: then it means that the formula does not hold.
    """
    if isinstance(formula, Atom):
        value = largest_value(formula, values)
        return value < 0 or (value == 0 and not formula.strict)
    if isinstance(formula, And):
        return all(surely_holds(part, values) for part in formula.parts)
    return any(surely_holds(part, values) for part in formula.parts)


def worst_violation(formula: Formula, values: Sequence[Interval]) -> Fraction | float:
    """How far a formula is from holding: at most zero if it holds (strictness aside) for all values in the intervals.

    An atom's violation is the largest value of its left side, an ``And`` takes the largest of its parts, an ``Or`` the
    smallest.  Without parts they give minus and plus infinity (floats); every other result is an exact fraction.
    """
    if isinstance(formula, Atom):
        return largest_value(formula, values)
    violations = (worst_violation(part, values) for part in formula.parts)
    if isinstance(formula, And):
        return max(violations, default=-math.inf)
    return min(violations, default=math.inf)


def missing_bounds(formula: Formula, sides: frozenset[tuple[int, bool]]) -> frozenset[tuple[int, bool]]:
    """Which of some sides of inputs are left unbounded by some way of meeting a formula.

    Parameters
    ----------
    formula
        Any formula.
    sides
        Pairs of an input and whether its upper side (else its lower) is meant.

    Returns
    -------
    frozenset
        Those sides for which there is a choice of one part of every ``Or`` with no inequality that bounds them alone.
    """
    if isinstance(formula, Atom):
        if len(formula.terms) == 1:
            variable, coefficient = formula.terms[0]
            return sides - {(variable, coefficient.numerator > 0)}
        false = not formula.terms and (formula.constant > 0 or (formula.constant == 0 and formula.strict))
        return frozenset() if false else sides
    if isinstance(formula, And):
        single = {
            (part.terms[0][0], part.terms[0][1].numerator > 0)
            for part in formula.parts
            if isinstance(part, Atom) and len(part.terms) == 1
        }
        left = sides - single
        for part in formula.parts:
            if not left:
                break
            left = missing_bounds(part, left)
        return left
    missing: frozenset[tuple[int, bool]] = frozenset()
    for part in formula.parts:
        missing |= missing_bounds(part, sides - missing)
        if missing == sides:
            break
    return missing
