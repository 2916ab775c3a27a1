"""The set of inputs of a query by itself, as a union of boxes."""

from __future__ import annotations

import warnings

from slir_milp.errors import QueryError
from slir_milp.query.box import Box
from slir_milp.query.expand import clauses
from slir_milp.query.formula import And, Atom, Formula, Or
from slir_milp.query.query import Query


def input_boxes(query: Query) -> tuple[Box, ...]:
    """The boxes behind :meth:`slir_milp.Query.input_boxes`."""
    boxes: dict[Box, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is empty is said by the error
        for clause in clauses(Query(query.inputs, query.outputs, _on_inputs(query.formula, query.inputs))):
            boxes[clause.box] = None
    if not boxes:
        raise QueryError("the query's input set is empty: its constraints on the inputs exclude each other.")
    return tuple(boxes)


def _on_inputs(formula: Formula, inputs: int) -> Formula:
    """What a formula says of the inputs alone: whatever speaks of an output counts as true."""
    if isinstance(formula, Atom):
        if any(variable >= inputs for variable, _ in formula.terms):
            return And(())
        if len(formula.terms) > 1:
            raise QueryError("the query's input set is no union of boxes: an inequality has several inputs.")
        return formula
    parts = tuple(_on_inputs(part, inputs) for part in formula.parts)
    if isinstance(formula, And):
        return And(parts)
    return And(()) if any(_is_true(part) for part in parts) else Or(parts)


def _is_true(formula: Formula) -> bool:
    return isinstance(formula, And) and all(map(_is_true, formula.parts))
