"""A whole query about a network as a Pyomo model: feasible where the query is met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from slir_milp.errors import OptionError, QueryError
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.pyomo.block import LEAST, network_block
from slir_milp.pyomo.formulation import Formulation
from slir_milp.query import Clause, Query, clauses

MOST_CLAUSES = 500
"""Conjunctions beyond which one of them is to be chosen."""
_ROOM = 2.0**-40


@dataclass(frozen=True)
class QueryModel:
    """A model of a query.

    Attributes
    ----------
    model
        The Pyomo model, with the block ``net`` and, where there are several conjunctions, a binary ``met[c]`` for each.
    clauses
        How many conjunctions it has.
    is_exact
        Whether it is feasible exactly where the query is met, up to the strictness of inequalities and to tolerances;
        otherwise it is a relaxation, and only its infeasibility tells anything.
    """

    model: Any
    clauses: int
    is_exact: bool


def query_model(
    network: Network,
    query: Query,
    *,
    formulation: Formulation = Formulation.ENVELOPES,
    clause: int | None = None,
    lines: int = 3,
    pieces: int = 1,
) -> QueryModel:
    """Write the question whether an input meets a query as a mixed-integer program.

    Parameters
    ----------
    network, query
        What is asked.
    formulation, lines, pieces
        As for :func:`slir_milp.pyomo.network_block`.
    clause
        Take only this conjunction of the query's disjunctive normal form (from one); ``None`` for all, with a binary
        that tells which is met.

    Raises
    ------
    OptionError
        There are too many conjunctions, or no such one, or the network cannot be written over the query's inputs.
    QueryError
        No input meets the query, whatever the network.

    Soundness
    ---------
    Strict inequalities are written as ``≤``, and numbers that are no float64 numbers are rounded to the side on which
    more is feasible: so an infeasible model means that the query is not met, up to the solver's tolerances.
    """
    chosen = _chosen(query, clause)
    lower = np.minimum.reduce([each.box.lower for each in chosen])
    upper = np.maximum.reduce([each.box.upper for each in chosen])
    block = network_block(network, lower, upper, formulation=formulation, lines=lines, pieces=pieces)
    import pyomo.environ as pyo

    model = pyo.ConcreteModel(name="query")
    model.net = block
    # A constant is no objective to every format.
    model.nothing = pyo.Var(bounds=(0.0, 0.0))
    model.goal = pyo.Objective(expr=model.nothing)
    model.conditions = pyo.ConstraintList()
    if len(chosen) > 1:
        model.met = pyo.Var(range(1, len(chosen) + 1), domain=pyo.Binary)
        model.conditions.add(sum(model.met.values()) >= 1)
    for number, each in enumerate(chosen, start=1):
        _Conjunction(model, each, lower, upper, model.met[number] if len(chosen) > 1 else None).add()
    return QueryModel(model, len(chosen), network.is_piecewise_linear and formulation is not Formulation.RELAXED)


def _chosen(query: Query, clause: int | None) -> Sequence[Clause]:
    stream = clauses(query)
    if clause is not None:
        found = next(islice(stream, clause - 1, None), None)
        if found is None:
            count = sum(1 for _ in clauses(query))
            raise OptionError(f"there is no conjunction {clause}: the query has {count}, counted from 1.")
        return (found,)
    chosen = tuple(islice(stream, MOST_CLAUSES + 1))
    if len(chosen) > MOST_CLAUSES:
        raise OptionError(f"the query has more than {MOST_CLAUSES} conjunctions; choose one by its number (--clause).")
    if not chosen:
        raise QueryError("no input meets the query, whatever the network: there is no program to write.")
    return chosen


class _Conjunction:
    """The rows of one conjunction; they bind where its binary is one."""

    def __init__(self, model: Any, clause: Clause, lower: Vector, upper: Vector, met: Any) -> None:
        self._model, self._clause, self._lower, self._upper, self._met = model, clause, lower, upper, met

    def add(self) -> None:
        """Add them to the model."""
        net, box = self._model.net, self._clause.box
        variables = [*net.inputs.values(), *net.outputs.values()]
        lows = np.array([v.lb for v in variables], dtype=np.float64)
        highs = np.array([v.ub for v in variables], dtype=np.float64)
        matrix = self._clause.row_matrix()
        rows = np.hstack([matrix.inputs, matrix.outputs])
        constants = matrix.constant.copy()
        if matrix.coefficient_radius is not None:
            constants -= (matrix.coefficient_radius @ np.maximum(np.abs(lows), np.abs(highs))) * (1.0 + _ROOM)
        for row, constant in zip(rows, constants.tolist(), strict=True):
            largest = np.where(row > 0, row * highs, row * lows)
            most = float(largest.sum()) + constant
            most += _ROOM * (float(np.abs(largest).sum()) + abs(constant))
            self._at_most(row, variables, -constant, most)
        if self._met is None:
            return
        for q, (low, high) in enumerate(zip(box.lower, box.upper, strict=True)):
            unit = np.zeros(len(variables))
            if low > self._lower[q]:
                unit[q] = -1.0
                self._at_most(unit, variables, -float(low), float(low - self._lower[q]) * (1.0 + _ROOM))
            if high < self._upper[q]:
                unit[q] = 1.0
                self._at_most(unit, variables, float(high), float(self._upper[q] - high) * (1.0 + _ROOM))

    def _at_most(self, row: Vector, variables: list[Any], end: float, most: float) -> None:
        """``row · variables ≤ end``, or ``≤ end + most`` where the conjunction need not be met."""
        from pyomo.core.expr import LinearExpression

        factors = [(float(row[j]), variables[j]) for j in np.flatnonzero(row).tolist()]
        if self._met is not None:
            if most <= 0:  # met everywhere
                return
            # end + most·(1 − met), the sum rounded up; solvers take coefficients below 1e-9 for zero.
            most = max(most, LEAST)
            factors.append((most, self._met))
            end = float(np.nextafter(end + most, np.inf))
        coefficients, names = zip(*factors, strict=True)
        body = LinearExpression(constant=0.0, linear_coefs=list(coefficients), linear_vars=list(names))
        self._model.conditions.add(body <= end)
