"""Writer of VNN-LIB 1.0."""

from __future__ import annotations

from fractions import Fraction

from slir_milp.query.formula import And, Atom, Formula, conjuncts
from slir_milp.query.numbers import exact_decimal
from slir_milp.query.query import Query


def write_query(query: Query) -> str:
    """Text of a query, which :func:`slir_milp.query.parse_query` reads back with the same meaning.

    Numbers are exact: decimals, and quotients such as ``(/ 1.0 3.0)`` where there is no finite decimal.
    """
    lines = [f"(declare-const {query.variable_name(v)} Real)" for v in range(query.inputs + query.outputs)]
    lines.append("")
    parts = conjuncts(query.formula) or (query.formula,)
    lines += [f"(assert {_formula(part, query)})" for part in parts]
    return "\n".join(lines) + "\n"


def _formula(formula: Formula, query: Query) -> str:
    if isinstance(formula, Atom):
        return _atom(formula, query)
    head = "(and" if isinstance(formula, And) else "(or"
    return " ".join([head, *(_formula(part, query) for part in formula.parts)]) + ")"


def _atom(atom: Atom, query: Query) -> str:
    """Inequality in its most readable form: variables on the left, or one on each side."""
    relation, opposite = ("<", ">") if atom.strict else ("<=", ">=")
    names = [query.variable_name(variable) for variable, _ in atom.terms]
    coefficients = [coefficient for _, coefficient in atom.terms]
    if coefficients == [-1]:
        return f"({opposite} {names[0]} {_number(atom.constant)})"
    if atom.constant == 0 and coefficients == [1, -1]:
        return f"({relation} {names[0]} {names[1]})"
    if atom.constant == 0 and coefficients == [-1, 1]:
        return f"({relation} {names[1]} {names[0]})"
    terms = [
        name if coefficient == 1 else f"(* {_number(coefficient)} {name})"
        for name, coefficient in zip(names, coefficients, strict=True)
    ]
    left = f"(+ {' '.join(terms)})" if len(terms) > 1 else "".join(terms) or "0.0"
    return f"({relation} {left} {_number(-atom.constant)})"


def _number(number: Fraction) -> str:
    decimal = exact_decimal(number)
    if decimal is not None:
        return decimal
    return f"(/ {exact_decimal(Fraction(number.numerator))} {exact_decimal(Fraction(number.denominator))})"
