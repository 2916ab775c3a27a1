"""From a witness of the composed query back to values of everything that the query declares (``invert``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np

from slir_milp.compose.originals import Interval, Originals
from slir_milp.compose.problem import Composition
from slir_milp.errors import UndefinedValueError
from slir_milp.query import Declared
from slir_milp.query.formula import surely_holds

T = TypeVar("T")


@dataclass(frozen=True)
class Assignment:
    """A value for every declared tensor, found by running every model alone.

    Attributes
    ----------
    tensors
        The declared tensors, in the file's order.
    runtime
        Elements of each, in row-major order: inputs as they are, the others as ONNX Runtime computes them.
    exact
        Enclosures of the same in real arithmetic; empty where a model has no value.
    holds_in_runtime, holds_exactly
        Whether the condition holds, as the query has it and evaluated exactly, on either.
    """

    tensors: tuple[Declared, ...]
    runtime: tuple[tuple[Fraction | float, ...], ...]
    exact: tuple[tuple[Interval, ...], ...]
    holds_in_runtime: bool
    holds_exactly: bool

    @property
    def values(self) -> tuple[tuple[Fraction | float, ...], ...]:
        """What to show: what ONNX Runtime computes, unless the condition holds in real arithmetic only."""
        if self.holds_in_runtime or not self.exact:
            return self.runtime
        return tuple(tuple((low + high) / 2 for low, high in tensor) for tensor in self.exact)


def invert(composition: Composition, x: Sequence[Fraction], originals: Originals | None = None) -> Assignment:
    """Carry a witness back to the models and the query as written.

    Parameters
    ----------
    composition
        What was composed.
    x
        Inputs of the composed network.
    originals
        The models, if they are at hand already.

    Returns
    -------
    Assignment
        Nothing in it comes from the composed network.
    """
    specification = composition.specification
    originals = originals or Originals(composition)
    exact_inputs = [x[composition.inputs.number[v]] for v in sorted(composition.inputs.number)]
    computed = [
        [[_fraction(value) for value in tensor.tolist()] for tensor in tensors[1:]]
        for tensors in originals.tensors(np.array([float(value) for value in x]))
    ]
    runtime = _arranged(composition, exact_inputs, computed)
    points = [_interval(value) for tensor in runtime for value in tensor]
    finite = all(isinstance(value, Fraction) for tensor in runtime for value in tensor)
    holds_in_runtime = finite and surely_holds(specification.formula, specification.with_monomials(points))
    try:
        enclosed = [tensors[1:] for tensors in originals.exact(list(x))]
    except UndefinedValueError:
        enclosed = None
    exact = _arranged(composition, [(value, value) for value in exact_inputs], enclosed) if enclosed is not None else ()
    intervals = [interval for tensor in exact for interval in tensor]
    holds_exactly = bool(exact) and surely_holds(specification.formula, specification.with_monomials(intervals))
    tensors = tuple(tensor for _, tensor, _ in specification.tensors())
    return Assignment(tensors, runtime, exact, holds_in_runtime, holds_exactly)


def _fraction(value: float) -> Fraction | float:
    return Fraction(value) if np.isfinite(value) else value


def _interval(value: Fraction | float) -> Interval:
    point = value if isinstance(value, Fraction) else Fraction(0)
    return point, point


def _arranged(
    composition: Composition, inputs: Sequence[T], computed: Sequence[Sequence[Sequence[T]]]
) -> tuple[tuple[T, ...], ...]:
    """Tensors in the file's order, from all input elements and each network's other tensors."""
    arranged: list[tuple[T, ...]] = []
    start = 0
    for network, results in zip(composition.specification.networks, computed, strict=True):
        for tensor in network.inputs:
            arranged.append(tuple(inputs[start : start + tensor.size]))
            start += tensor.size
        arranged += [tuple(result) for result in results]
    return tuple(arranged)
