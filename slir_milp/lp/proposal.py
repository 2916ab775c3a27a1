"""From the duals of a linear program to lines and multipliers, and from those to a bound that holds.

The dual of a relaxation *is* a backward evaluation: a neuron's two multipliers of its half-lines say which line through
the kink to take, those of the query's rows how to combine them, those of splits and half-spaces how much of each to
add.  A proposal is only that choice.  :func:`certify` makes it valid (non-negative, within the hinge) and evaluates it
with :func:`slir_milp.bounds.backward.backward`, so that a wrong or imprecise solution of the program loosens a bound
and never makes it false.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

import numpy as np

from slir_milp.bounds.backward import InputRows, Rows, backward, combine, minimise, valid_splits
from slir_milp.bounds.lines import Slopes, enclose, start_slopes
from slir_milp.bounds.magnitude import Slack
from slir_milp.bounds.region import HalfSpaces, NeuronBounds, Region, Side
from slir_milp.bounds.rounding import UNIT, gamma
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.program import Relaxation, relax
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.solvers import Solution, Solver, SolverError, Status


@dataclass(frozen=True, eq=False)
class Proposal:
    """A choice of lines and multipliers; any values whatever are safe.

    Attributes
    ----------
    weights
        Shape ``(rows,)``: multipliers of the query's rows, on the simplex; all zero if the region itself is claimed to
        be empty.
    slopes
        Per layer the slopes of each neuron's free lines.
    split_multipliers
        Per layer ``β·σ``, as :func:`slir_milp.bounds.backward.backward` takes them; ``None`` without splits.
    half_space_multipliers
        Shape ``(half-spaces,)``, in the unit of the combined row.
    point
        Shape ``(inputs,)``: where the relaxation is least, a candidate for a counterexample; ``None`` if it claims that
        the region is empty.
    objective
        What the solver claims for the bound; plus infinity where it claims that the region is empty.
    """

    weights: Vector
    slopes: tuple[Slopes, ...]
    split_multipliers: tuple[Vector, ...] | None
    half_space_multipliers: Vector
    point: Vector | None
    objective: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """How a region's linear program ended.

    Attributes
    ----------
    status
        The solver's status; ``None`` if no program could be made (too large, or numbers that are not finite).
    proposal
        What its duals propose; ``None`` if there are none.
    """

    status: Status | None
    proposal: Proposal | None


def propose(
    network: Network,
    rows: Rows,
    region: Region,
    neurons: NeuronBounds,
    solver: Solver,
    *,
    deadline: float | None = None,
    cancel: Event | None = None,
) -> Outcome:
    """Solve the linear program of a region and read its duals.

    Parameters
    ----------
    network, rows, region, neurons
        As for :func:`slir_milp.lp.program.relax`; the bounds are cut to the region's sides here.
    solver
        The back end.
    deadline, cancel
        A moment of ``time.monotonic()`` and a flag at which to stop.
    """
    neurons = within_sides(region, neurons)
    relaxation = relax(network, rows, region, neurons)
    if relaxation is None:
        return Outcome(None, None)
    try:
        solution = solver.solve(relaxation.program, deadline=deadline, cancel=cancel)
    except SolverError:
        return Outcome(None, None)
    return Outcome(solution.status, read_duals(network, region, neurons, relaxation, solution))


def read_duals(
    network: Network,
    region: Region,
    neurons: NeuronBounds,
    relaxation: Relaxation,
    solution: Solution,
    *,
    unit: float | None = None,
) -> Proposal | None:
    """Translate a solution, ``unit`` being that of its objective; ``None`` if it has neither duals nor a Farkas ray."""
    unit = relaxation.objective_scale if unit is None else unit
    empty = solution.ray is not None
    if solution.ray is not None:
        duals, reduced = solution.ray, -relaxation.program.transposed_times(solution.ray)
    elif solution.row_duals is not None and solution.reduced_costs is not None:
        duals, reduced = solution.row_duals, solution.reduced_costs
    else:
        return None
    _, _, splits, half_spaces, query = relaxation.row_groups
    rising = np.maximum(reduced[relaxation.negative_parts], 0.0)
    flat = np.maximum(reduced[relaxation.positive_parts], 0.0)
    weights = np.maximum(-duals[query], 0.0)
    total = float(weights.sum())
    weights = np.zeros_like(weights) if empty or total <= 0 else weights / total
    return Proposal(
        weights=weights,
        slopes=_slopes(network, neurons, relaxation, rising, flat),
        split_multipliers=_split_multipliers(region, relaxation, -duals[splits] * unit / relaxation.split_scale),
        half_space_multipliers=np.maximum(-duals[half_spaces], 0.0) * unit / relaxation.half_space_scale,
        point=None if solution.x is None or empty else relaxation.parts.point(solution.x, region),
        objective=np.inf if empty else solution.objective * unit,
    )


def certify(
    network: Network, slack: Slack, rows: Rows, region: Region, neurons: NeuronBounds, proposal: Proposal
) -> tuple[float, InputRows]:
    """Bound the proposed combination of the rows from below.

    Parameters
    ----------
    network, slack
        The network, and the rounding charges of a box that contains the region.
    rows, region
        The query's rows, all to be at most zero, and the region.
    neurons
        Sound bounds of every pre-activation, valid for every counterexample of the region.
    proposal
        Anything of the right shapes.

    Returns
    -------
    bound
        At most the value of ``weights · rows`` at every counterexample of the region, and so of the largest of the rows
        there (up to how near one the weights sum).  If it is positive then the region has no counterexample.
    combined
        The combination as a function of the input: ``normals @ x + offsets ≤ 0`` holds at every counterexample.

    Soundness
    ---------
    Rests on :func:`slir_milp.bounds.backward.backward` and :func:`slir_milp.bounds.backward.minimise` alone: slopes are
    clipped to the hinges, and multipliers to their signs, before use.
    """
    combined = combine(rows, _non_negative(proposal.weights), network, slack)
    return bound_row(network, slack, combined, region, neurons, proposal)


def bound_row(
    network: Network,
    slack: Slack,
    row: Rows,
    region: Region,
    neurons: NeuronBounds,
    proposal: Proposal,
    *,
    start: int | None = None,
) -> tuple[float, InputRows]:
    """Bound a single row from below with the proposed lines and multipliers; its weights are not looked at.

    ``row`` speaks of the outputs, or of the results of the affine map ``start``.  Otherwise like :func:`certify`.
    """
    neurons = within_sides(region, neurons)
    lines = tuple(map(enclose, network.layers, neurons.lower, neurons.upper, proposal.slopes))
    splits = valid_splits(network, region, neurons, proposal.split_multipliers)
    at_input = backward(network, slack, lines, row, start=start, splits=splits)
    region = _with_combined_half_space(region, proposal.half_space_multipliers, slack)
    values, _, _ = minimise(at_input, slack, region)
    return float(values[0]), at_input


def _non_negative(values: Vector) -> Vector:
    return np.maximum(np.nan_to_num(values, nan=0.0, posinf=0.0), 0.0)


def _with_combined_half_space(region: Region, multipliers: Vector, slack: Slack) -> Region:
    """The region with the proposed combination of its half-spaces besides, rounded so that it still holds."""
    multipliers = _non_negative(multipliers)
    count = len(region.half_spaces)
    if np.count_nonzero(multipliers) < 2:
        return region
    # Each of the sums below makes at most count + 1 roundings; slack.inputs charges more than one per unit and input.
    normals, offsets = region.half_spaces.normals, region.half_spaces.offsets
    with np.errstate(over="ignore", invalid="ignore"):
        roundings = gamma(count + 4) / gamma(1)
        cost = (multipliers @ np.abs(normals)) @ slack.inputs * roundings
        cost += 4 * gamma(count + 4) * float(multipliers @ np.abs(offsets)) + slack.underflow
        normal, offset = multipliers @ normals, float(multipliers @ offsets) - cost * (1 + 8 * UNIT * count)
    if not (np.isfinite(normal).all() and np.isfinite(offset)):
        return region
    joined = HalfSpaces(np.vstack([normals, normal]), np.append(offsets, offset))
    return Region(region.lower, region.upper, joined, region.sides, region.neurons)


def _slopes(
    network: Network, neurons: NeuronBounds, relaxation: Relaxation, rising: Vector, flat: Vector
) -> tuple[Slopes, ...]:
    """Slopes between the hinges' two by the shares of their multipliers; the usual choice where both are zero."""
    total = rising + flat
    share = np.where(total > 0, rising / np.where(total > 0, total, 1.0), np.nan)
    slopes: list[Slopes] = []
    first = 0
    for k, chosen in enumerate(relaxation.parts.open_neurons):
        layer = network.layers[k]
        slope = start_slopes(layer, neurons.lower[k], neurons.upper[k]).lower
        mine = share[first : first + len(chosen)]
        mixed = layer.negative_slope[chosen] + mine * (layer.positive_slope - layer.negative_slope)[chosen]
        slope[chosen] = np.where(np.isnan(mine), slope[chosen], mixed)
        slopes.append(Slopes.same(slope))
        first += len(chosen)
    return tuple(slopes)


def _split_multipliers(region: Region, relaxation: Relaxation, magnitudes: Vector) -> tuple[Vector, ...] | None:
    """``β·σ`` per layer from the multipliers of the rows ``σ·x ≤ 0``."""
    if region.sides is None:
        return None
    result: list[Vector] = [np.zeros(len(side)) for side in region.sides]
    first = 0
    for k, chosen in enumerate(relaxation.parts.split_neurons):
        sigma = np.where(region.sides[k][chosen] == Side.POSITIVE, -1.0, 1.0)
        result[k][chosen] = sigma * np.maximum(magnitudes[first : first + len(chosen)], 0.0)
        first += len(chosen)
    return tuple(result)
