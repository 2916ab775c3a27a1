"""From the duals of a linear program to lines and multipliers, and from those to a bound that holds.

The dual of a relaxation *is* a backward evaluation: a neuron's two multipliers of its half-lines say which line through
the kink to take, those of the query's rows how to combine them, those of splits and half-spaces how much of each to
add (:mod:`slir_milp.lp.duals`).  A proposal is only that choice.  :func:`certify` makes it valid (non-negative, within
the hinge, shifted to the curve) and evaluates it with :func:`slir_milp.bounding.backward.backward`, so that a wrong or
imprecise solution of the program loosens a bound and never makes it false.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event

import numpy as np

from slir_milp.bounding.backward import InputRows, Rows, Splits, backward, combine, minimise
from slir_milp.bounding.lines import Slopes, enclose
from slir_milp.bounding.magnitude import Slack
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.bounding.rounding import UNIT, gamma
from slir_milp.lp.cutting import solve_with_cuts
from slir_milp.lp.duals import condition_multipliers, mean_slopes
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.observer import Observer, Subproblem
from slir_milp.lp.program import Relaxation, relax
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.solvers import Solution, Solver, SolverError, Status

PATIENCE = 8.0
"""For how many times its last gain a program of curves is worth another round of lines."""
_CLEARLY_POSITIVE = 1e-6
"""In units of the program's objective."""


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
        Per layer ``μ``, for ``μ·(x − end)`` with the neuron's upper bound as the end where it is positive and the lower
        bound where it is negative; of a hinge that was put on a side, whose bound is zero, this is ``β·σ``.
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
    lines
        How many lines of curves the program had in the end.
    """

    status: Status | None
    proposal: Proposal | None
    lines: int = 0


def propose(
    network: Network,
    rows: Rows,
    region: Region,
    neurons: NeuronBounds,
    solver: Solver,
    *,
    patience: float = PATIENCE,
    deadline: float | None = None,
    cancel: Event | None = None,
    observer: Observer | None = None,
) -> Outcome:
    """Solve the linear program of a region and read its duals.

    Parameters
    ----------
    network, rows, region, neurons
        As for :func:`slir_milp.lp.program.relax`; the bounds are cut to the region's sides here.
    solver
        The back end.
    patience
        Lines of curves are added as long as what the last round gained, this many times, would make the bound positive.
    deadline, cancel
        A moment of ``time.monotonic()`` and a flag at which to stop.
    observer
        Is told of the program when it has been solved.
    """
    neurons = within_sides(network, region, neurons)
    relaxation = relax(network, rows, region, neurons)
    if relaxation is None:
        return Outcome(None, None)
    try:
        session = solver.open(relaxation.program)
        solution, relaxation = solve_with_cuts(
            session, relaxation, target=_CLEARLY_POSITIVE, patience=patience, deadline=deadline, cancel=cancel
        )
    except SolverError:
        return Outcome(None, None)
    if observer is not None:
        observer(Subproblem(network, rows, region, neurons, relaxation, relaxation.program, solution))
    proposal = read_duals(network, region, neurons, relaxation, solution)
    return Outcome(solution.status, proposal, len(relaxation.cuts))


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
    _, _, _, half_spaces, query = relaxation.row_groups
    weights = np.maximum(-duals[query], 0.0)
    total = float(weights.sum())
    weights = np.zeros_like(weights) if empty or total <= 0 else weights / total
    return Proposal(
        weights=weights,
        slopes=mean_slopes(network, neurons, relaxation, duals, reduced),
        split_multipliers=condition_multipliers(network, region, relaxation, duals, reduced, unit),
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
    Rests on :func:`slir_milp.bounding.backward.backward` and :func:`slir_milp.bounding.backward.minimise` alone: slopes
    are clipped to the hinges, lines shifted to the curves, and the sign of a neuron's multiplier says of which of its
    two bounds it is a multiple, before use.
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
    neurons = within_sides(network, region, neurons)
    lines = tuple(map(enclose, network.layers, neurons.lower, neurons.upper, proposal.slopes))
    splits = _bounds_as_conditions(neurons, proposal.split_multipliers)
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


def _bounds_as_conditions(neurons: NeuronBounds, multipliers: tuple[Vector, ...] | None) -> Splits | None:
    """Multiples of the bounds of neurons, which hold at every counterexample, whether a neuron was divided or not."""
    if multipliers is None:
        return None
    kept, ends = [], []
    for low, high, multiplier in zip(neurons.lower, neurons.upper, multipliers, strict=False):
        proposed = np.nan_to_num(multiplier, posinf=0.0, neginf=0.0)
        end = np.where(proposed > 0, high, low)
        usable = np.isfinite(end)
        kept.append(np.where(usable, proposed, 0.0))
        ends.append(np.where(usable, end, 0.0))
    return Splits(tuple(kept), tuple(ends))
