"""Witnesses: whether the point that a claim of ``sat`` names meets the query.

Statement 7.  The point is rational and is followed through the network by rational arithmetic, or, where a function is
no hinge or a weight is known only to within a radius, by balls that hold every true value.  If each inequality that the
formula needs has a left side whose greatest value is negative (or zero, where equality is allowed), the point meets the
query.  A point at which some neuron has no value, or none that a ball can hold, meets nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slir_milp.activations import Curve
from slir_milp.certificate.check.arithmetic import rational
from slir_milp.certificate.check.query import Question
from slir_milp.certificate.file import Header
from slir_milp.errors import NetworkError, ProofError
from slir_milp.network import Runtime
from slir_milp.network.affine import Affine
from slir_milp.network.files import is_nnet
from slir_milp.network.normal_form import Network
from slir_milp.network.storage import entries
from slir_milp.query.formula import And, Atom, Formula

_PRECISIONS = (128, 512, 2048)
"""Bits of a ball's centre; each is tried if the one before leaves the question open."""
_SHOWN = 5


@dataclass(frozen=True)
class Replay:
    """What became of a witness.

    Attributes
    ----------
    failures
        Why it is none, as sentences; empty if it meets the query in real arithmetic.
    exact
        Whether rational arithmetic, not balls, followed it.
    note
        Whether it also does so as the network is run, as a sentence; the claim is one about real arithmetic alone.
    """

    failures: tuple[str, ...]
    exact: bool
    note: str


def replayed(header: Header, network: Network, question: Question) -> Replay:
    """Replay the witness of a claim of ``sat`` in real arithmetic, and on the network's runtime.

    Raises
    ------
    ProofError
        A number of the witness cannot be computed with, or a function has no formula.
    """
    point = [rational(value) for value in header.point]
    exact = network.is_piecewise_linear and all(affine.is_exact for affine in network.affines)
    failure = _failure(network, question.formula, point, exact)
    return Replay((failure,) if failure else (), exact, _note(network, question.formula, point))


def _failure(network: Network, formula: Formula, point: list[Any], exact: bool) -> str:
    from flint import arb, ctx

    failure = ""
    for precision in _PRECISIONS[:1] if exact else _PRECISIONS:
        with ctx.workprec(precision):
            outputs = _outputs(network, point, rational if exact else arb)
            if isinstance(outputs, list) and _holds(formula, [*point, *outputs]):
                return ""
            reason = "it does not meet the query" if exact else "it does not surely meet the query"
            failure = f"the point is no witness: {outputs if isinstance(outputs, str) else reason}."
    return failure


def _outputs(network: Network, point: list[Any], number: Callable[[Any], Any]) -> list[Any] | str:
    """Outputs at a point, in the arithmetic of ``number``; or which neuron has no value there."""
    values = [number(value) for value in point]
    for k, layer in enumerate(network.layers):
        values = _image(layer.affine, values, number)
        for i, at in enumerate(layer.function_index.tolist()):
            function, x = layer.functions[at], values[i]
            if not isinstance(function, Curve):
                left, right = number(function.negative_slope), number(function.positive_slope)
                # A ball around zero is divided there.
                values[i] = (left if x < 0 else right) * x if x < 0 or x >= 0 else left * x.min(0) + right * x.max(0)
            elif function.formula is None:
                raise ProofError(f"{function.name} is known by samples alone; proofs cannot cover it.")
            else:
                values[i] = function.formula.ball(x)
            if isinstance(function, Curve) and not values[i].is_finite():
                where = f"neuron {i} of layer {k + 1}, {function.name}"
                return f"{where}, has no value that can be enclosed at {x.mid().str(5, radius=False)}"
    return _image(network.output, values, number)


def _image(affine: Affine, values: list[Any], number: Callable[[Any], Any]) -> list[Any]:
    from flint import arb

    result = [number(bias) for bias in affine.bias.tolist()]
    for i, j, weight in zip(*(part.tolist() for part in entries(affine.weight)), strict=True):
        result[i] += number(weight) * values[j]
    if affine.weight_radius is not None:
        for i, j, radius in zip(*(part.tolist() for part in entries(affine.weight_radius)), strict=True):
            result[i] += arb(0, radius) * values[j]
    if affine.bias_radius is not None:
        result = [value + arb(0, radius) for value, radius in zip(result, affine.bias_radius.tolist(), strict=True)]
    return result


def _holds(formula: Formula, values: Sequence[Any]) -> bool:
    """Whether a formula surely holds: a ball is below zero only if all of it is."""
    if isinstance(formula, Atom):
        total = rational(formula.constant)
        for variable, coefficient in formula.terms:
            total = total + rational(coefficient) * values[variable]
        return bool(total < 0 if formula.strict else total <= 0)
    return (all if isinstance(formula, And) else any)(_holds(part, values) for part in formula.parts)


def _note(network: Network, formula: Formula, point: list[Any]) -> str:
    """What the network's runtime makes of the point; rounded as it computes, this proves nothing."""
    runtime = "NumPy" if is_nnet(network.source) else "ONNX Runtime"
    try:
        with np.errstate(all="ignore"):
            rounded = np.array([int(value.p) / int(value.q) for value in point])
            outputs = np.asarray(Runtime(network.source, network.activations).outputs(rounded))
    except (NetworkError, OverflowError) as error:
        return f"{runtime} could not run the network there: {error}"
    if np.isfinite(outputs).all() and _holds(formula, [*point, *map(rational, outputs.tolist())]):
        return f"{runtime}'s outputs ({outputs.dtype}) meet the query too"
    shown = ", ".join(f"Y_{j} = {value!r}" for j, value in enumerate(outputs.tolist()[:_SHOWN]))
    more = ", ..." if len(outputs) > _SHOWN else ""
    return f"{runtime}'s outputs ({outputs.dtype}) do not meet the query: {shown}{more}"


__all__ = ["Replay", "replayed"]
