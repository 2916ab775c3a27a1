"""Counterexamples as text, in the form that the verification competition asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from slir_milp.errors import QueryError
from slir_milp.query.numbers import parse_number, rounded_decimal, shorten, to_fraction

_ENTRY = re.compile(r"\s*\(\s*([XY])_(0|[1-9]\d{0,8})\s+([^\s()]+)\s*\)", re.ASCII)


def format_witness(x: Sequence[Fraction | float], y: Sequence[Fraction | float]) -> str:
    r"""Text of a counterexample: ``((X_0 0.5)``, one variable a line, closed by a parenthesis.

    Parameters
    ----------
    x, y
        Inputs and the network's outputs for them.  Every binary floating-point number is written as the decimal that
        is exactly it, and so is every fraction that has a finite decimal; others are rounded to sixty digits.

    Raises
    ------
    QueryError
        A number is not finite.
    """
    entries: list[str] = []
    for letter, values in (("X", x), ("Y", y)):
        for i, value in enumerate(values):
            try:
                number = to_fraction(value)
            except (ValueError, OverflowError):
                raise QueryError(f"the value of {letter}_{i} in a counterexample is not finite.") from None
            entries.append(f"({letter}_{i} {rounded_decimal(number)})")
    return "(" + "\n ".join(entries) + ")"


def parse_witness(text: str) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Read a counterexample as :func:`format_witness` writes it, in any order and spacing.

    Returns
    -------
    tuple
        Inputs and outputs, exact.

    Raises
    ------
    QueryError
        The text has another form, or a variable is missing or given twice.
    """
    inner = text.strip()
    if not (inner.startswith("(") and inner.endswith(")")):
        raise QueryError("a counterexample has the form ((X_0 0.5) (Y_0 1.0)), in parentheses.")
    inner = inner[1:-1].rstrip()
    found: dict[str, dict[int, Fraction]] = {"X": {}, "Y": {}}
    start = 0
    while start < len(inner):
        match = _ENTRY.match(inner, start)
        if match is None:
            raise QueryError(f"in a counterexample, {shorten(inner[start:].strip())} is no pair such as (X_0 0.5).")
        letter, index, word = match.group(1), int(match.group(2)), match.group(3)
        number = parse_number(word)
        if number is None:
            raise QueryError(f"the value {shorten(word)} of {letter}_{index} in a counterexample is no number.")
        if index in found[letter]:
            raise QueryError(f"a counterexample gives {letter}_{index} twice.")
        found[letter][index] = number
        start = match.end()
    return _in_order("X", found["X"]), _in_order("Y", found["Y"])


def _in_order(letter: str, values: dict[int, Fraction]) -> tuple[Fraction, ...]:
    for i in range(len(values)):
        if i not in values:
            raise QueryError(f"a counterexample gives {letter}_{max(values)}, but not {letter}_{i}.")
    return tuple(values[i] for i in range(len(values)))
