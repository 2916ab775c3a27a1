"""What the compiled kernel does in one region, as mathematics: the bound of a conjunction and its ascent.

A counterexample makes every row of a conjunction non-positive, hence every combination with weights ``w ≥ 0``.
Backward evaluation turns the combination into a function of the input,

    ``Σ_r w_r·row_r(x) ≥ g·x + k``  with  ``(g, k) = B(s, β, w)``,

where ``s`` are the slopes of the lines through the kinks and ``β ≥ 0`` the multipliers of the sides that neurons have
been put on.  The bound is ``D(s, β, w) = min {g·x + k : x in the region}``, valid for every choice; the ascent looks
for a good one.  By Danskin's theorem ``D`` has the derivatives of its argument at the minimiser ``x*``.  Let ``ξ`` be
the pre-activations reached by walking ``x*`` forward along the lines that were used, ``c`` the coefficients met on the
way back and ``ρ_r`` the rows' values at the end of that walk.  Then

    ``∂D/∂s_i = c_i·(ξ_i − τ_i)``  for the slope of the line that was used, where it touches the function at ``τ_i``,
    ``∂D/∂β_i = σ_i·ξ_i``  where the region has ``σ_i·ξ_i ≤ 0``,
    ``∂D/∂w_r = ρ_r``.

The steps follow the signs of the first two, and ``ρ / max |ρ|`` for the weights, which are then clipped and normalised.
The slopes of hinges are kept to multiples of 1/128 of their range, so that a proof can name them briefly.
The first derivative is Danskin once more: the offset is ``b(s) = min f(x) − s·x``, so ``∂b/∂s = −τ``.  A line through a
kink touches at zero, and that of a hinge's two lines is the only one with a free slope.

Source: J. M. Danskin, *The Theory of Max-Min* (1967); lines shifted until they touch: Kern, Antal, Ábráham, Sinz,
SLiR, arXiv 2606.20292.  Soundness rests on :mod:`slir_milp.bounding.backward` alone, whatever is chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.backward import InputRows, Rows, backward, combine, minimise, valid_splits
from slir_milp.bounding.lines import Lines, Slopes, enclose, shared_slopes, slope_range, start_slopes, unstable
from slir_milp.bounding.magnitude import Slack
from slir_milp.bounding.neurons import Neurons, bound_neurons
from slir_milp.bounding.region import Region, Side
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Layer, Network

Layers = tuple[Vector, ...]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class StepRule:
    """The steps of the ascent.

    Attributes
    ----------
    steps
        Most steps.
    first, decay
        Step ``t`` moves every hinge's slope by ``first·decay^t`` of its range, and the weights likewise.
    curve_first, curve_decay
        The same for the slopes of curves, whose start is nearly as good as can be.
    patience
        After two steps the ascent goes on only while this many times the gain so far would make the bound positive.
    """

    steps: int = 8
    first: float = 0.5
    decay: float = 0.7
    curve_first: float = 0.05
    curve_decay: float = 0.8
    patience: float = 6.0


@dataclass(frozen=True, eq=False)
class Choice:
    """What a bound was made with: everything that may be chosen freely.

    Attributes
    ----------
    slopes
        Per layer the slopes of each neuron's free lines.
    multipliers
        Per layer ``μ`` with ``μ·(x − e) ≤ 0``, zero where a neuron is on no side; for a hinge ``e = 0`` and
        ``μ = β·σ``, ``σ = −1`` on the positive side, ``+1`` on the negative.
    weights
        Shape ``(rows,)``, not negative.
    """

    slopes: tuple[Slopes, ...]
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
    That of :mod:`slir_milp.bounding.backward`; inherited bounds and half-spaces must hold for every counterexample.
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


def chosen_lines(problem: Problem, neurons: Neurons, slopes: tuple[Slopes, ...]) -> tuple[Lines, ...]:
    """Lines of every layer with the slopes chosen for the free ones."""
    bounds = neurons.bounds
    return tuple(map(enclose, problem.network.layers, bounds.lower, bounds.upper, slopes))


def evaluate(problem: Problem, region: Region, neurons: Neurons, choice: Choice) -> Bound:
    """Bound of one combination, ``D(s, β, w)``."""
    row = combine(problem.rows, choice.weights, problem.network, problem.slack)
    lines = chosen_lines(problem, neurons, choice.slopes)
    splits = valid_splits(problem.network, region, neurons.bounds, choice.multipliers)
    walked = backward(problem.network, problem.slack, lines, row, splits=splits)
    value, _, point = minimise(walked, problem.slack, region)
    return Bound(choice, float(value[0]), walked, point[0])


def _start(problem: Problem, region: Region, neurons: Neurons) -> Choice:
    """Usual slopes, no multipliers, and all weight on the row whose own bound is best."""
    layers, bounds = problem.network.layers, neurons.bounds
    slopes = tuple(map(start_slopes, layers, bounds.lower, bounds.upper))
    walked = backward(problem.network, problem.slack, chosen_lines(problem, neurons, slopes), problem.rows)
    values, _, _ = minimise(walked, problem.slack, region)
    weights = np.zeros(len(problem.rows))
    weights[np.argmax(values)] = 1.0
    return Choice(slopes, tuple(np.zeros(layer.size) for layer in layers), weights)


def _ascend(problem: Problem, region: Region, neurons: Neurons, rule: StepRule) -> tuple[Bound, Bound]:
    last = best = first = evaluate(problem, region, neurons, _start(problem, region, neurons))
    for t in range(rule.steps):
        if problem.refuted_by(best) or last.value == -np.inf:
            break
        if t >= 2 and -best.value > rule.patience * (best.value - first.value):
            break
        steps = rule.first * rule.decay**t, rule.curve_first * rule.curve_decay**t
        choice = _step(problem, region, neurons, last, best, steps)
        last = evaluate(problem, region, neurons, choice)
        if last.value > best.value:
            best = last
    return best, last


def _step(
    problem: Problem, region: Region, neurons: Neurons, last: Bound, best: Bound, steps: tuple[float, float]
) -> Choice:
    choice, trace, (step, curve_step) = last.choice, [c[0] for c in last.row.trace], steps
    lines = chosen_lines(problem, neurons, choice.slopes)
    arguments, values = walk_forward(problem, lines, trace, last.minimiser)
    slopes, multipliers = [], []
    for k, layer in enumerate(problem.network.layers):
        c, x, ends = trace[k], arguments[k], (neurons.bounds.lower[k], neurons.bounds.upper[k])
        is_open = unstable(layer, *ends)
        sizes = np.where(layer.is_curved, curve_step, step)
        slopes.append(_stepped_slopes(layer, choice.slopes[k], lines[k], ends, c, x, sizes))
        multiplier = choice.multipliers[k]
        if region.sides is not None:
            side = region.sides[k]
            alive = is_open | layer.is_curved | (side != 0) | (lines[k].lower_slope != 0) | (lines[k].upper_slope != 0)
            size = step * float(np.abs(c[alive]).max(initial=0.0))
            sigma = -side.astype(np.float64)
            beta = multiplier * sigma + size * np.where(sigma * x > 0, 1.0, -1.0)
            cut = _stepped_cut(multiplier, x, side, ends, size)
            multiplier = np.where(layer.is_curved, cut, np.where(beta > 0, beta * sigma, 0.0))
        multipliers.append(multiplier)
    return Choice(
        tuple(slopes), tuple(multipliers), _stepped_weights(choice.weights, best.choice.weights, values, step)
    )


def _stepped_cut(
    multiplier: Vector, x: Vector, side: NDArray[np.int8], ends: tuple[Vector, Vector], step: float
) -> Vector:
    """Multipliers of divided curves: away from zero where the argument is past the end they speak of, else back."""
    lower = np.where(side != Side.NEGATIVE, ends[0], -np.inf)
    upper = np.where(side != Side.POSITIVE, ends[1], np.inf)
    back = np.sign(multiplier) * np.maximum(np.abs(multiplier) - step, 0.0)
    moved = np.where((multiplier <= 0) & (x < lower), multiplier - step, back)
    moved = np.where((multiplier >= 0) & (x > upper), multiplier + step, moved)
    return np.where(side != 0, moved, 0.0)


def _stepped_slopes(
    layer: Layer, slopes: Slopes, lines: Lines, ends: tuple[Vector, Vector], c: Vector, x: Vector, step: Vector
) -> Slopes:
    is_open, (least, greatest) = unstable(layer, *ends), slope_range(layer, *ends)
    free = is_open & (layer.is_curved | ((c > 0) == (layer.positive_slope > layer.negative_slope)))
    touch = np.where(c > 0, lines.lower_touch, lines.upper_touch)
    with np.errstate(invalid="ignore"):
        move = np.where(free & np.isfinite(greatest - least), np.sign(c * (x - touch)), 0.0) * step * (greatest - least)
    move = np.nan_to_num(move)

    def moved(slope: Vector, used: Mask) -> Vector:
        # A hinge has one free slope, kept on both sides.
        target = np.clip(slope + move, least, greatest)
        target = np.where(layer.is_curved, target, shared_slopes(layer, target))
        return np.where(used & (move != 0), target, slope)

    return Slopes(moved(slopes.lower, (c > 0) | ~layer.is_curved), moved(slopes.upper, ~(c > 0) | ~layer.is_curved))


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
