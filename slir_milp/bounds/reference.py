"""What the compiled kernel does in one region, as mathematics: the bound of a conjunction and its ascent.

A counterexample makes every row of a conjunction non-positive, hence every combination with weights ``w ≥ 0``.
Backward evaluation turns the combination into a function of the input,

    ``Σ_r w_r·row_r(x) ≥ g·x + k``  with  ``(g, k) = B(s, β, w)``,

where ``s`` are the slopes of the lines through the kinks and ``β ≥ 0`` the multipliers of the sides that neurons have
been put on.  The bound is ``D(s, β, w) = min {g·x + k : x in the region}``, valid for every choice; the ascent looks
for a good one.  By Danskin's theorem ``D`` has the derivatives of its argument at the minimiser ``x*``.  Let ``ξ`` be
the pre-activations reached by walking ``x*`` forward along the lines that were used, ``c`` the coefficients met on the
way back and ``ρ_r`` the rows' values at the end of that walk.  Then

    ``∂D/∂s_i = c_i·ξ_i``  where the line through the kink was used (else 0),
    ``∂D/∂β_i = σ_i·ξ_i``  where the region has ``σ_i·ξ_i ≤ 0``,
    ``∂D/∂w_r = ρ_r``.

The steps follow the signs of the first two, and ``ρ / max |ρ|`` for the weights, which are then clipped and normalised.
Offsets do not depend on ``s``: a line through a kink has none.

Source: J. M. Danskin, *The Theory of Max-Min* (1967); lines shifted until they touch: Kern, Antal, Ábráham, Sinz,
SLiR, arXiv 2606.20292.  Soundness rests on :mod:`slir_milp.bounds.backward` alone, whatever is chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounds.backward import InputRows, Rows, backward, combine, minimise
from slir_milp.bounds.lines import Lines, enclose, start_slope, unstable
from slir_milp.bounds.magnitude import Slack
from slir_milp.bounds.neurons import Neurons, bound_neurons
from slir_milp.bounds.region import Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network

Layers = tuple[Vector, ...]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class StepRule:
    """Step ``t`` of the ascent moves every slope by ``first·decay^t`` of its range; the last is ``t = steps``."""

    steps: int = 8
    first: float = 0.5
    decay: float = 0.7


@dataclass(frozen=True, eq=False)
class Choice:
    """What a bound was made with: everything that may be chosen freely.

    Attributes
    ----------
    slopes
        Per layer the slope of each neuron's line through its kink.
    multipliers
        Per layer ``β·σ``, zero where a neuron is on no side; ``σ = −1`` on the positive side, ``+1`` on the negative.
    weights
        Shape ``(rows,)``, not negative.
    """

    slopes: Layers
    multipliers: Layers
    weights: Vector


@dataclass(frozen=True, eq=False)
class Bound:
    """A bound of a combination of rows.

    Attributes
    ----------
    choice
        What it was made with.
    value
        The bound; the conjunction is refuted where it is positive.
    row
        The one function of the input that is below the combination.
    minimiser
        Where that function is least.
    """

    choice: Choice
    value: float
    row: InputRows
    minimiser: Vector


@dataclass(frozen=True, eq=False)
class Analysis:
    """All that is found out about a region.

    Attributes
    ----------
    neurons
        Bounds and shares of the neurons.
    best, last
        The best bound of the ascent, and that of its last step.
    """

    neurons: Neurons
    best: Bound
    last: Bound


@dataclass(frozen=True, eq=False)
class Problem:
    """A conjunction over a network: rows that a counterexample makes non-positive (negative where ``strict``)."""

    network: Network
    slack: Slack
    rows: Rows
    strict: Mask

    def refuted_by(self, bound: Bound) -> bool:
        """Whether a bound shows that no point of the region meets all rows."""
        strict = bool((self.strict & (bound.choice.weights > 0)).any())
        return bound.value > 0 or (strict and bound.value >= 0)


def analyse(problem: Problem, region: Region, rule: StepRule | None = None) -> Analysis | None:
    """Bound a conjunction over a region.

    Parameters
    ----------
    problem
        The conjunction, with rounding charges of a box that contains the region.
    region
        The region.
    rule
        Steps of the ascent; ``None`` for the usual.

    Returns
    -------
    Analysis or None
        ``None`` if the region holds no counterexample whatever the rows are: its half-spaces or some neuron's bounds
        exclude each other.

    Soundness
    ---------
    That of :mod:`slir_milp.bounds.backward`; inherited bounds and half-spaces must hold for every counterexample.
    """
    normals, offsets = region.half_spaces.normals, region.half_spaces.offsets
    box = Region.box(region.lower, region.upper)
    if (minimise(InputRows(normals, offsets, ()), problem.slack, box)[0] > 0).any():
        return None
    neurons = bound_neurons(problem.network, problem.slack, region)
    if neurons is None:
        return None
    best, last = _ascend(problem, region, neurons, rule or StepRule())
    return Analysis(neurons, best, last)


def chosen_lines(problem: Problem, neurons: Neurons, slopes: Layers) -> tuple[Lines, ...]:
    """Lines of every layer with the slopes chosen for those through kinks."""
    bounds = neurons.bounds
    return tuple(map(enclose, problem.network.layers, bounds.lower, bounds.upper, slopes))


def evaluate(problem: Problem, region: Region, neurons: Neurons, choice: Choice) -> Bound:
    """Bound of one combination, ``D(s, β, w)``."""
    row = combine(problem.rows, choice.weights, problem.network, problem.slack)
    lines = chosen_lines(problem, neurons, choice.slopes)
    walked = backward(problem.network, problem.slack, lines, row, split_multipliers=choice.multipliers)
    value, _, point = minimise(walked, problem.slack, region)
    return Bound(choice, float(value[0]), walked, point[0])


def _start(problem: Problem, region: Region, neurons: Neurons) -> Choice:
    """Usual slopes, no multipliers, and all weight on the row whose own bound is best."""
    layers, bounds = problem.network.layers, neurons.bounds
    slopes = tuple(map(start_slope, layers, bounds.lower, bounds.upper))
    walked = backward(problem.network, problem.slack, chosen_lines(problem, neurons, slopes), problem.rows)
    values, _, _ = minimise(walked, problem.slack, region)
    weights = np.zeros(len(problem.rows))
    weights[np.argmax(values)] = 1.0
    return Choice(slopes, tuple(np.zeros(layer.size) for layer in layers), weights)


def _ascend(problem: Problem, region: Region, neurons: Neurons, rule: StepRule) -> tuple[Bound, Bound]:
    last = best = evaluate(problem, region, neurons, _start(problem, region, neurons))
    for t in range(rule.steps):
        if problem.refuted_by(best) or last.value == -np.inf:
            break
        choice = _step(problem, region, neurons, last, best, rule.first * rule.decay**t)
        last = evaluate(problem, region, neurons, choice)
        if last.value > best.value:
            best = last
    return best, last


def _step(problem: Problem, region: Region, neurons: Neurons, last: Bound, best: Bound, step: float) -> Choice:
    choice, trace = last.choice, [c[0] for c in last.row.trace]
    lines = chosen_lines(problem, neurons, choice.slopes)
    arguments, values = walk_forward(problem, lines, trace, last.minimiser)
    slopes, multipliers = [], []
    for k, layer in enumerate(problem.network.layers):
        negative, positive, c, x = layer.negative_slope, layer.positive_slope, trace[k], arguments[k]
        is_open = unstable(layer, neurons.bounds.lower[k], neurons.bounds.upper[k])
        kink_used = is_open & ((c > 0) == (positive > negative))
        moved = choice.slopes[k] + np.where(kink_used, np.sign(c * x), 0.0) * step * np.abs(positive - negative)
        slopes.append(np.clip(moved, np.minimum(negative, positive), np.maximum(negative, positive)))
        multiplier = choice.multipliers[k]
        if region.sides is not None:
            sigma = -region.sides[k].astype(np.float64)
            alive = is_open | (sigma != 0) | (lines[k].lower_slope != 0) | (lines[k].upper_slope != 0)
            size = float(np.abs(c[alive]).max(initial=0.0))
            beta = multiplier * sigma + step * size * np.where(sigma * x > 0, 1.0, -1.0)
            multiplier = np.where(beta > 0, beta * sigma, 0.0)
        multipliers.append(multiplier)
    return Choice(
        tuple(slopes), tuple(multipliers), _stepped_weights(choice.weights, best.choice.weights, values, step)
    )


def _stepped_weights(weights: Vector, best: Vector, values: Vector, step: float) -> Vector:
    largest = np.abs(values).max()
    if len(weights) == 1 or not largest > 0:
        return weights
    moved = np.maximum(weights + step * values / largest, 0.0)
    total = moved.sum()
    return moved / total if total > 0 else best  # where every row is negative the best combination is tried again


def walk_forward(problem: Problem, lines: Sequence[Lines], trace: Sequence[Vector], x: Vector) -> tuple[Layers, Vector]:
    """Walk an input forward along the lines that were used: the pre-activations ``ξ`` and the rows' values ``ρ``."""
    network, rows = problem.network, problem.rows
    arguments, z = [], x
    for layer, line, c in zip(network.layers, lines, trace, strict=True):
        argument = layer.affine(z)
        arguments.append(argument)
        z = np.where(
            c > 0,
            line.lower_slope * argument + line.lower_offset,
            line.upper_slope * argument + line.upper_offset,
        )
    values = rows.coefficients @ network.output(z) + rows.constants
    return tuple(arguments), values if rows.inputs is None else values + rows.inputs @ x
