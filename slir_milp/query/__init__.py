"""Queries: a set of inputs and a condition on the outputs, exact as written."""

from slir_milp.query.box import Box, Cut, GridBox
from slir_milp.query.clause import Clause, Place, RowMatrix, float32_box, float64_box
from slir_milp.query.expand import Observer, clauses, grouped_clauses
from slir_milp.query.formula import And, Atom, Formula, Or
from slir_milp.query.load import load_query, load_specification
from slir_milp.query.query import Query
from slir_milp.query.specification import Declared, NetworkDeclaration, Relation, Role, Specification
from slir_milp.query.vnnlib import parse_query
from slir_milp.query.vnnlib2 import parse_specification
from slir_milp.query.witness import format_witness, parse_witness
from slir_milp.query.write import write_query

__all__ = [
    "And",
    "Atom",
    "Box",
    "Clause",
    "Cut",
    "Declared",
    "Formula",
    "GridBox",
    "NetworkDeclaration",
    "Observer",
    "Or",
    "Place",
    "Query",
    "Relation",
    "Role",
    "RowMatrix",
    "Specification",
    "clauses",
    "float32_box",
    "float64_box",
    "format_witness",
    "grouped_clauses",
    "load_query",
    "load_specification",
    "parse_query",
    "parse_specification",
    "parse_witness",
    "write_query",
]
