"""The condition of a query over several models, as one over the composed network."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from slir_milp.compose.inputs import Inputs, assumed_bounds, implied_bounds
from slir_milp.compose.models import Model
from slir_milp.errors import SlirWarning
from slir_milp.network.normal_form import Network
from slir_milp.query import And, Atom, Formula, Query, Role, Specification
from slir_milp.query.polynomial import substituted


def composed_query(
    specification: Specification, inputs: Inputs, models: Mapping[str, Model]
) -> tuple[Query, tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The query over the composed network, its monomials, and the inputs whose bounds are assumed.

    Raises
    ------
    QueryError
        It cannot be composed.
    """
    number = dict(inputs.number)
    count = len(inputs.free)
    for _, tensor, start in specification.tensors():
        if tensor.role is not Role.INPUT:
            number.update({start + offset: count + offset for offset in range(tensor.size)})
            count += tensor.size
    products = [tuple(sorted(number[v] for v in factors)) for factors in specification.monomials]
    monomials = {factors: count + place for place, factors in enumerate(dict.fromkeys(products))}
    for offset, factors in enumerate(products):
        number[specification.variables + offset] = monomials[factors]
    formula = substituted(specification.formula, lambda variable: ((number[variable], Fraction(1)),))
    extra = [*_defaults(specification, inputs, models), *implied_bounds(formula, len(inputs.free))]
    formula = _with(formula, extra)
    assumed = assumed_bounds(formula, len(inputs.free))
    formula = _with(formula, assumed)
    query = Query(
        len(inputs.free), count - len(inputs.free) + len(monomials), formula, specification.sha256, specification.source
    )
    if not query.mentions_outputs:
        warnings.warn(
            SlirWarning("the query says nothing of the outputs: every input of its set meets it."), stacklevel=4
        )
    return query, tuple(monomials), tuple(sorted({atom.terms[0][0] for atom in assumed}))


def _with(formula: Formula, atoms: Sequence[Atom]) -> Formula:
    return And((*(formula.parts if isinstance(formula, And) else (formula,)), *atoms)) if atoms else formula


def matters(i: int, network: Network, query: Query) -> bool:
    """Whether an input whose bounds are assumed can make a difference."""
    first = network.affines[0]
    used = [abs(first.weight)[:, [i]].sum()] + [abs(r)[:, [i]].sum() for r in (first.weight_radius,) if r is not None]
    if any(used):
        return True
    return sum(any(variable == i for variable, _ in atom.terms) for atom in _atoms(query.formula)) > 2


def _atoms(formula: Formula) -> Iterator[Atom]:
    todo = [formula]
    while todo:
        part = todo.pop()
        if isinstance(part, Atom):
            yield part
        else:
            todo += part.parts


def _defaults(specification: Specification, inputs: Inputs, models: Mapping[str, Model]) -> list[Atom]:
    """Inputs that are declared ``initialized`` have the value that the model gives them."""
    found: list[Atom] = []
    for network, tensor, start in specification.tensors():
        if tensor.initialized:
            model = models[network.base]
            values = model.defaults[model.inputs[network.inputs.index(tensor)]]
            for offset, value in enumerate(np.asarray(values).ravel().tolist()):
                variable = inputs.number[start + offset]
                found.append(Atom(((variable, Fraction(1)),), -Fraction(value)))
                found.append(Atom(((variable, Fraction(-1)),), Fraction(value)))
    return found
