"""A second, small reader of VNN-LIB, used only to check verdicts: every query as a list of boxes with rows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, TypeAlias

Term: TypeAlias = "str | list[Term]"
Linear: TypeAlias = dict[str, Fraction]


@dataclass(frozen=True)
class Row:
    """``sum coefficients * variables + constant <= 0``, or ``< 0``; the constant is under the name ``""``."""

    terms: Linear
    strict: bool

    def value(self, point: dict[str, Fraction]) -> Fraction:
        return sum((c * point.get(name, Fraction(1)) for name, c in self.terms.items()), Fraction(0))

    def holds(self, point: dict[str, Fraction]) -> bool:
        return self.value(point) < 0 if self.strict else self.value(point) <= 0


Clause: TypeAlias = tuple[Row, ...]


def read_clauses(text: str) -> list[Clause]:
    """Disjunctive normal form of a query."""
    tokens = re.findall(r"[()]|[^\s();]+", re.sub(r";[^\n]*", "", text))
    stack: list[list[Any]] = [[]]
    for token in tokens:
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    return _expand(["and", *(command[1] for command in stack[0] if command[0] == "assert")])


def _expand(term: Any) -> list[Clause]:
    head, *rest = term
    if head == "or":
        return [clause for part in rest for clause in _expand(part)]
    if head == "and":
        return [tuple(row for part in parts for row in part) for parts in product(*map(_expand, rest))]
    left, right = (_linear(part) for part in rest)
    if head in (">=", ">"):
        left, right = right, left
    return [(Row(_sum(left, right, -1), head in ("<", ">")),)]


def _linear(term: Any) -> Linear:
    if isinstance(term, str):
        return {term: Fraction(1)} if term[0] in "XY" else {"": Fraction(term)}
    head, first, *rest = term[0], _linear(term[1]), *map(_linear, term[2:])
    if head == "*":
        factor, other = (first, rest[0]) if set(first) == {""} else (rest[0], first)
        return {name: c * factor[""] for name, c in other.items()}
    if head == "-" and not rest:
        return _sum({}, first, -1)
    for other in rest:
        first = _sum(first, other, 1 if head == "+" else -1)
    return first


def _sum(left: Linear, right: Linear, sign: int) -> Linear:
    return {name: left.get(name, Fraction(0)) + sign * right.get(name, Fraction(0)) for name in {**left, **right}}
