"""The inputs that are left when those that a query makes equal are one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from slir_milp.query import And, Atom, Formula, Role, Specification
from slir_milp.query.formula import missing_bounds

_FAR = Fraction(1000)
"""How far from zero, or from its other bound, an input without a bound is searched."""


@dataclass(frozen=True)
class Inputs:
    """Which input elements of a specification are free, and which have the value of an earlier one.

    Attributes
    ----------
    free
        The free elements (numbers of variables of the specification), ascending.
    number
        For every input element, the place of its value among the free ones.
    """

    free: tuple[int, ...]
    number: dict[int, int]


def free_inputs(specification: Specification) -> Inputs:
    """Find the inputs that every way of meeting the condition makes equal: asserted as ``==``, or as two inequalities.

    Without this no float could meet such an equality but by luck, and a comparison of two networks on the same inputs
    would have twice the inputs.
    """
    elements = [
        start + offset
        for _, tensor, start in specification.tensors()
        if tensor.role is Role.INPUT
        for offset in range(tensor.size)
    ]
    parent = {element: element for element in elements}

    def root(element: int) -> int:
        while parent[element] != element:
            parent[element] = parent[parent[element]]
            element = parent[element]
        return element

    at_most: set[tuple[int, int]] = set()
    for atom in asserted(specification.formula):
        if atom.constant == 0 and not atom.strict and len(atom.terms) == 2:
            (i, a), (j, b) = atom.terms
            if a == -b and i in parent and j in parent:
                smaller, larger = (i, j) if a > 0 else (j, i)
                at_most.add((smaller, larger))
                if (larger, smaller) in at_most:
                    first, second = sorted((root(i), root(j)))
                    parent[second] = first
    free = tuple(element for element in elements if root(element) == element)
    place = {element: k for k, element in enumerate(free)}
    return Inputs(free, {element: place[root(element)] for element in elements})


def asserted(formula: Formula) -> Iterator[Atom]:
    """Inequalities that hold in every way of meeting a formula."""
    todo = [formula]
    while todo:
        part = todo.pop()
        if isinstance(part, Atom):
            yield part
        elif isinstance(part, And) or len(part.parts) == 1:
            todo += reversed(part.parts)


def implied_bounds(formula: Formula, inputs: int) -> list[Atom]:
    """Bounds of single inputs that inequalities on several inputs imply, for sides that have none of their own.

    Parameters
    ----------
    formula
        A condition in which variables below ``inputs`` are inputs.
    inputs
        Their number.

    Returns
    -------
    list of Atom
        Each follows from what is asserted in every way of meeting the formula.
    """
    ends: dict[tuple[int, bool], Fraction] = {}  # (input, whether upper) -> bound
    rows: list[Atom] = []
    for atom in asserted(formula):
        if len(atom.terms) == 1 and atom.terms[0][0] < inputs:
            (i, a), bound = atom.terms[0], -atom.constant / atom.terms[0][1]
            key = (i, a > 0)
            ends[key] = bound if key not in ends else (min if a > 0 else max)(ends[key], bound)
        elif atom.terms and atom.terms[-1][0] < inputs:
            rows.append(atom)
    found: list[Atom] = []
    changed = True
    while changed:
        changed = False
        for row in rows:
            missing = [(i, a) for i, a in row.terms if (i, a < 0) not in ends]
            if len(missing) > 1:
                continue
            for i, a in missing or row.terms:
                if (i, a > 0) in ends:
                    continue
                rest = row.constant + sum(b * ends[j, b < 0] for j, b in row.terms if j != i)
                ends[i, a > 0] = -rest / a
                found.append(Atom(((i, a / abs(a)),), rest / abs(a), False, row.position))
                changed = True
    return found


def assumed_bounds(formula: Formula, inputs: int) -> list[Atom]:
    """Bounds for the sides of inputs that some way of meeting a formula leaves open: where witnesses are searched.

    Nothing implies them.
    """
    missing = missing_bounds(formula, frozenset((i, side) for i in range(inputs) for side in (False, True)))
    ends: dict[tuple[int, bool], Fraction] = {}
    for atom in asserted(formula):
        if len(atom.terms) == 1:
            (i, a) = atom.terms[0]
            ends[i, a > 0] = -atom.constant / a
    found: list[Atom] = []
    for i, upper in sorted(missing):
        other = ends.get((i, not upper), Fraction(0))
        sign = 1 if upper else -1
        end = sign * max(_FAR, sign * other + _FAR)
        found.append(Atom(((i, Fraction(sign)),), -sign * end))
    return found
