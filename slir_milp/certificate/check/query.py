"""The query that a proof speaks of, read from its VNN-LIB 1.0 text by other means than :mod:`slir_milp.query` does.

The text becomes nested lists; these become a formula in negation normal form, as proofs number it: ``and``
directly within ``and`` is one, likewise ``or``; a connective with one part is that part; ``=`` is two inequalities.
All numbers are exact.  Inputs come first among the variables.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from os import PathLike, fspath
from typing import TypeAlias
from zlib import error as ZlibError

from slir_milp.errors import QueryError
from slir_milp.query.formula import And, Atom, Formula, Or

Expression: TypeAlias = "str | list[Expression]"
Linear: TypeAlias = tuple[dict[int, Fraction], Fraction]
"""Coefficient of every variable, and the constant."""

_TOKEN = re.compile(r';[^\n]*|"[^"]*"|\|[^|]*\||[^\s();"|]+|\S|\n', re.ASCII)
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?")
_LONGEST = 4000
_DEEPEST = 200
_LARGEST = 200_000
_SILENT = {"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"}
_RELATIONS = {"<=": (False, False), "<": (False, True), ">=": (True, False), ">": (True, True)}
"""Whether a relation is "smaller" with exchanged sides, and whether it is strict."""


@dataclass(frozen=True)
class Question:
    """What a proof answers: no input and its outputs meet the formula.

    Attributes
    ----------
    inputs, outputs
        Number of variables ``X_i`` and ``Y_j``.
    formula
        Over the variables 0 to ``inputs + outputs`` - 1, inputs first.
    atoms, alternatives
        Inequalities and ``Or`` nodes of the formula, each in pre-order: their places are their numbers in proofs.
    sha256
        Digest of the file as stored.
    """

    inputs: int
    outputs: int
    formula: Formula
    atoms: tuple[Atom, ...]
    alternatives: tuple[Or, ...]
    sha256: str


def read_query(path: str | PathLike[str]) -> Question:
    """Read a VNN-LIB 1.0 file, plain or packed by gzip.

    Raises
    ------
    QueryError
        It cannot be read, or is no such file; the message names the line where there is one.
    """
    try:
        with open(path, "rb") as file:
            stored = file.read()
        text = (gzip.decompress(stored) if stored.startswith(b"\x1f\x8b") else stored).decode("utf-8-sig")
    except (OSError, EOFError, ZlibError, UnicodeDecodeError) as error:
        raise QueryError(f"the query {fspath(path)} cannot be read: {error}.") from None
    names: list[str] = []
    conditions: list[tuple[int, Expression]] = []
    for line, (head, *contents) in _commands(text):
        if head == "assert" and len(contents) == 1:
            conditions.append((line, contents[0]))
        elif contents[1:] in (["Real"], [[], "Real"]) and head == ("declare-fun" if contents[2:] else "declare-const"):
            names.append(str(contents[0]))
        elif not (isinstance(head, str) and head in _SILENT):
            raise QueryError(f"line {line}: this command is not known, or has not the contents it needs.")
    counts = {letter: sum(name.startswith(letter) for name in names) for letter in "XY"}
    index = {f"X_{i}": i for i in range(counts["X"])}
    index |= {f"Y_{j}": counts["X"] + j for j in range(counts["Y"])}
    if len(names) != len(index) or set(names) != set(index) or not all(counts.values()):
        raise QueryError("the query must declare X_0, X_1, ... and Y_0, Y_1, ..., each once and none left out.")
    reader, parts = _Reader(index), []
    for line, condition in conditions:
        try:
            parts += reader.parts(condition, And)
        except QueryError as error:
            raise QueryError(f"in the assertion at line {line}: {error}") from None
    formula = parts[0] if len(parts) == 1 else And(tuple(parts))
    nodes = tuple(_nodes(formula))
    atoms = tuple(node for node in nodes if isinstance(node, Atom))
    alternatives = tuple(node for node in nodes if isinstance(node, Or))
    return Question(counts["X"], counts["Y"], formula, atoms, alternatives, sha256(stored).hexdigest())


def _commands(text: str) -> Iterator[tuple[int, list[Expression]]]:
    """Top-level lists of a text, each with its line; words are strings."""
    line, stack = 1, list[tuple[int, list[Expression]]]()
    for token in _TOKEN.findall(text):
        if token == "(":
            stack.append((line, []))
            if len(stack) > _DEEPEST:
                raise QueryError(f"line {line}: parentheses are nested more than {_DEEPEST} deep; flatten them.")
        elif token == ")" and len(stack) > 1:
            _, closed = stack.pop()
            stack[-1][1].append(closed)
        elif token == ")" and stack and stack[0][1]:
            yield stack.pop()
        elif token == "\n" or token[0] == ";":
            line += token == "\n"
        elif stack and token != ")":
            stack[-1][1].append(token)
            line += token.count("\n")
        else:
            raise QueryError(f"line {line}: {token[:40]} has no place here; a command begins with a parenthesis.")
    if stack:
        raise QueryError(f"line {stack[0][0]}: this parenthesis is never closed.")


class _Reader:
    """Makes formulas of conditions over variables with known numbers."""

    def __init__(self, index: dict[str, int]) -> None:
        self._words: dict[str, Linear] = {name: ({number: Fraction(1)}, Fraction(0)) for name, number in index.items()}

    def parts(self, condition: Expression, within: type[And | Or] | None, positive: bool = True) -> list[Formula]:
        """What a condition (its negation, if not ``positive``) contributes to the connective it stands in."""
        if condition in ("true", "false"):
            return [And(()) if (condition == "true") == positive else Or(())]
        head, *rest = condition if isinstance(condition, list) and condition else ("",)
        if head == "not" and len(rest) == 1:
            return self.parts(rest[0], None, not positive)
        if head in ("and", "or") or (head == "=>" and len(rest) == 2):
            own = And if (head == "and") == positive else Or
            negated = [head == "=>" and i == 0 for i in range(len(rest))]
            found = [p for part, n in zip(rest, negated, strict=True) for p in self.parts(part, own, positive != n)]
            return found if own is within else [found[0] if len(found) == 1 else own(tuple(found))]
        if len(rest) != 2 or not isinstance(head, str) or head not in (*_RELATIONS, "="):
            raise QueryError("a condition is and, or, not, =>, true, false, or a relation between two terms.")
        left, right = self.linear(rest[0]), self.linear(rest[1])
        if head == "=":
            pair = _atom(left, right, not positive), _atom(right, left, not positive)
            return [And(pair) if positive else Or(pair)]
        exchanged, strict = _RELATIONS[head]
        if exchanged == positive:
            left, right = right, left
        return [_atom(left, right, strict == positive)]

    def linear(self, term: Expression) -> Linear:
        """Coefficients and constant of a term."""
        if isinstance(term, str):
            return self._words.get(term) or self._words.setdefault(term, ({}, _number(term)))
        operator, *operands = term or [""]
        first, *others = (self.linear(operand) for operand in operands or ["0"])
        if operator == "+" and operands:
            return _sum((1, part) for part in (first, *others))
        if operator == "-" and operands:
            return _sum([(1 if others else -1, first), *((-1, part) for part in others)])
        if operator == "/" and len(others) == 1 and not others[0][0] and others[0][1]:
            return _sum([(1 / others[0][1], first)])
        if operator == "*" and operands:
            factors = [constant for terms, constant in (first, *others) if not terms]
            product, *more = [part for part in (first, *others) if part[0]] or [({}, Fraction(1))]
            if not more:
                for factor in factors:
                    product = _sum([(factor, product)])
                return product
        raise QueryError(
            "a term is a variable, a number, or +, -, *, / of terms; no products, no quotients of variables."
        )


def _sum(parts: Iterable[tuple[Fraction | int, Linear]]) -> Linear:
    """Sum of multiples of terms, without zeros."""
    terms: dict[int | None, Fraction] = {}
    for factor, (coefficients, constant) in parts:
        for variable, coefficient in ((None, constant), *coefficients.items()):
            share = coefficient if factor == 1 else -coefficient if factor == -1 else factor * coefficient
            total = terms[variable] = terms[variable] + share if variable in terms else share
            if total.numerator.bit_length() + total.denominator.bit_length() > _LARGEST:
                raise QueryError("a number grows too long to compute with; write the terms with fewer digits.")
    constant = terms.pop(None)
    return {variable: total for variable, total in terms.items() if variable is not None and total}, constant


def _atom(left: Linear, right: Linear, strict: bool) -> Atom:
    """The inequality ``left <= right``, or ``left < right``."""
    terms, constant = _sum([(1, left), (-1, right)])
    return Atom(tuple(sorted(terms.items())), constant, strict)


def _number(text: str) -> Fraction:
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        raise QueryError(f"{text[:40]} is neither a declared variable nor a number that can be computed with.")
    return Fraction(text)


def _nodes(formula: Formula) -> Iterator[Formula]:
    """All parts of a formula, itself first, in pre-order."""
    yield formula
    if not isinstance(formula, Atom):
        for part in formula.parts:
            yield from _nodes(part)
