"""Files of VNN-LIB 2.x that say no more than one of version 1.0 can."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from slir_milp.errors import QueryError, SlirWarning
from slir_milp.query.elements import CONSENT, REAL, consents_to_reals
from slir_milp.query.formula import Formula, missing_bounds
from slir_milp.query.query import Query
from slir_milp.query.specification import Specification

_ELSEWHERE = "; slir-milp-vnnlib verify reads it, with one --network NAME=FILE for each network."


def single_query(specification: Specification) -> Query:
    """The query of one network with one input and one output, with linear conditions on them.

    Elements are numbered in row-major order.

    Raises
    ------
    QueryError
        The specification is something else, leaves an input unbounded, or has an element type that is not ``real``
        without consent to take it for that.
    """
    network, *others = specification.networks
    if others:
        raise QueryError(f"the query is about {len(others) + 1} networks{_ELSEWHERE}")
    if len(network.inputs) > 1 or len(network.outputs) > 1:
        raise QueryError(f"the network {network.name} of the query has several inputs or outputs{_ELSEWHERE}")
    if network.hidden:
        raise QueryError(f"the query is about the hidden tensor {network.hidden[0].name}{_ELSEWHERE}")
    if network.inputs[0].initialized:
        raise QueryError(f"the input of the query is initialized by the model{_ELSEWHERE}")
    if specification.monomials:
        raise QueryError(f"the query multiplies variables{_ELSEWHERE}")
    check_reals(specification, consents_to_reals())
    source, output = network.inputs[0], network.outputs[0]
    check_bounded(specification, specification.formula, range(source.size))
    query = Query(
        source.size,
        output.size,
        specification.formula,
        specification.sha256,
        specification.source,
        ".".join(map(str, specification.version)),
    )
    if not query.mentions_outputs:
        warnings.warn(
            SlirWarning("the query says nothing of the outputs: every input of its set meets it."), stacklevel=5
        )
    return query


def check_reals(specification: Specification, consent: bool) -> None:
    """Refuse element types other than ``real``, unless they may be read as real numbers.

    Raises
    ------
    QueryError
        There is one.
    """
    for _, tensor, _ in specification.tensors():
        if tensor.element != REAL and not consent:
            raise QueryError(
                f"{tensor.name} has the element type {tensor.element}, whose roundings are not verified: answers are "
                "about real arithmetic. If that will do, say so: declare it real, or give --floats-as-real, or set "
                f"the environment variable {CONSENT}=real.",
                position=tensor.position,
            )


def check_bounded(specification: Specification, formula: Formula, elements: Sequence[int]) -> None:
    """Refuse a formula that leaves some input unbounded in some way of meeting it.

    Parameters
    ----------
    specification
        Where it comes from, for messages.
    formula
        Its first variables are the inputs.
    elements
        What the specification's number of each input is.

    Raises
    ------
    QueryError
        It does.
    """
    sides = frozenset((i, side) for i in range(len(elements)) for side in (False, True))
    missing = missing_bounds(formula, sides)
    if missing:
        place, upper = min(missing)
        name = specification.variable_name(elements[place])
        declared = next(tensor for _, tensor, start in specification.tensors() if elements[place] < start + tensor.size)
        raise QueryError(
            f"{name} has no {'upper' if upper else 'lower'} bound; assert one, such as "
            f"({'<=' if upper else '>='} {name} {'1.0' if upper else '-1.0'}), in every alternative.",
            position=declared.position,
        )
