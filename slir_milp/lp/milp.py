"""The exact program of a region: one binary for every unstable neuron.

With ``a = 1`` for a neuron on its positive side, ``0 ≤ r ≤ u·a`` and ``0 ≤ p ≤ −l·(1 − a)`` make ``r − p = x`` exact.
The big constants are the region's sound bounds, in units of the neuron's own range, so that they are at most one.

*What a claim is worth.*  Solvers work to tolerances (here 1e-9, relative to each neuron's range and to the size of the
query's rows).  A binary may be off by that much, and so lets the wrong part of a neuron be 1e-9 of its range; errors of
that size pass through the layers that follow, and the solver rounds besides.  So a point may miss the query by a little
and must be replayed; and where the query is met by a margin of less than about 1e-7 of its own size, ``INFEASIBLE`` may
be false.  It is never a verdict.

*Curves* have no such program: nothing is claimed of a network with an activation that is not a hinge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from threading import Event

import numpy as np

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.observer import Observer, Subproblem
from slir_milp.lp.program import Relaxation, relax
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.solvers import LinearProgram, Solver, SolverError, Status


class Claim(StrEnum):
    """What a mixed-integer solve says of a region."""

    FEASIBLE = "some point of the region seems to meet every row"
    INFEASIBLE = "no point of the region seems to meet every row"
    STOPPED = "the solve was stopped before it came to a result"
    IMPOSSIBLE = "no program could be made or solved for the region"


@dataclass(frozen=True, eq=False)
class ExactOutcome:
    """The answer of a mixed-integer solve: a claim and points to be replayed, never a verdict.

    Attributes
    ----------
    claim
        See :class:`Claim` and the module's text.
    points
        Inputs within the box, best first: every point that the solver found on its way.
    bound
        The solver's own lower bound on the largest row; minus infinity if it has none.
    nodes
        Branch-and-bound nodes.
    """

    claim: Claim
    points: tuple[Vector, ...]
    bound: float
    nodes: int


class Goal(Enum):
    """What is asked of the solver."""

    WITNESS = "any point that meets every row"
    OPTIMUM = "the point whose largest row is least"


def solve_exactly(
    network: Network,
    rows: Rows,
    region: Region,
    neurons: NeuronBounds,
    solver: Solver,
    *,
    goal: Goal = Goal.WITNESS,
    deadline: float | None = None,
    cancel: Event | None = None,
    observer: Observer | None = None,
) -> ExactOutcome:
    """Look for a point of a region at which every row is at most zero.

    A network that is not piecewise linear has no exact program; the claim is then ``IMPOSSIBLE``, which says nothing.

    Parameters
    ----------
    network, rows, region, neurons
        As for :func:`slir_milp.lp.program.relax`; the bounds are cut to the region's sides here.
    solver
        A back end with integer columns.
    goal
        With ``WITNESS`` the solve ends at the first point, with ``OPTIMUM`` at the best.
    deadline, cancel
        A moment of ``time.monotonic()`` and a flag at which to stop.
    observer
        Is told of the program when it has been solved.
    """
    nothing = ExactOutcome(Claim.IMPOSSIBLE, (), -np.inf, 0)
    if not network.is_piecewise_linear:
        return nothing
    neurons = within_sides(network, region, neurons)
    relaxation = relax(network, rows, region, neurons, own_scales=True)
    if relaxation is None:
        return nothing
    program = with_binaries(relaxation, goal)
    found: list[Vector] = []
    try:
        session = solver.open(program)
        solution = session.solve(
            deadline=deadline,
            cancel=cancel,
            target=0.0 if goal is Goal.WITNESS else None,
            on_point=found.append,
        )
    except SolverError:
        return nothing
    if observer is not None:
        observer(Subproblem(network, rows, region, neurons, relaxation, program, solution))
    if solution.x is not None and solution.status in (Status.OPTIMAL, Status.TARGET_REACHED):
        found.append(solution.x)
    bound = solution.dual_bound * relaxation.objective_scale
    return ExactOutcome(
        claim=_claim(solution.status, solution.objective, goal),
        points=_distinct([relaxation.parts.point(columns, region) for columns in reversed(found)]),
        bound=bound if np.isfinite(bound) else -np.inf,
        nodes=solution.nodes,
    )


def with_binaries(relaxation: Relaxation, goal: Goal = Goal.OPTIMUM) -> LinearProgram:
    """The exact program: chords replaced by one binary each; binaries are the columns before ``t``.

    The relaxation is to have scales of its own for each neuron.  With the goal ``WITNESS`` the program has ``t ≤ 0``:
    where it is infeasible there is no counterexample.
    """
    program, parts = relaxation.program, relaxation.parts
    count, width = parts.count, parts.inputs + 2 * parts.count
    index = np.arange(count, dtype=np.int32)
    _, chords, *_ = relaxation.row_groups
    below, above = -parts.lower / parts.scale, parts.upper / parts.scale
    keep = np.ones(len(program.values), dtype=np.bool_)
    rows = program.row_of_entry
    keep[(rows >= chords.start) & (rows < chords.stop)] = False
    # r ≤ u·a takes the place of each chord, p ≤ −l·(1 − a) comes after all other rows.
    columns = program.indices + np.where(program.indices >= width, count, 0).astype(np.int32)
    entry_rows = np.concatenate([rows[keep], np.repeat(chords.start + index, 2), np.repeat(program.rows + index, 2)])
    entry_columns = np.concatenate(
        [
            columns[keep],
            np.stack([parts.inputs + index, width + index], axis=1).ravel(),
            np.stack([parts.inputs + count + index, width + index], axis=1).ravel(),
        ]
    )
    ones = np.ones(count)
    entries = np.concatenate(
        [
            program.values[keep],
            np.stack([ones, -above], axis=1).ravel(),
            np.stack([ones, below], axis=1).ravel(),
        ]
    )
    order = np.lexsort((entry_columns, entry_rows))
    starts = np.zeros(program.rows + count + 1, dtype=np.int32)
    np.cumsum(np.bincount(entry_rows, minlength=program.rows + count), out=starts[1:])
    row_upper = program.row_upper.copy()
    row_upper[chords] = 0.0
    column_upper = np.insert(program.column_upper, width, ones)
    if goal is Goal.WITNESS:
        column_upper[-1] = 0.0
    integral = np.zeros(program.columns + count, dtype=np.bool_)
    integral[width : width + count] = True
    return LinearProgram(
        costs=np.insert(program.costs, width, 0.0 * ones),
        column_lower=np.insert(program.column_lower, width, 0.0 * ones),
        column_upper=column_upper,
        row_lower=np.concatenate([program.row_lower, np.full(count, -np.inf)]),
        row_upper=np.concatenate([row_upper, below]),
        starts=starts,
        indices=entry_columns[order].astype(np.int32),
        values=entries[order],
        integral=integral,
    )


def _claim(status: Status, objective: float, goal: Goal) -> Claim:
    if status is Status.TARGET_REACHED:
        return Claim.FEASIBLE
    if status is Status.OPTIMAL:
        return Claim.FEASIBLE if goal is Goal.WITNESS or objective <= 0 else Claim.INFEASIBLE
    if status is Status.INFEASIBLE:
        return Claim.INFEASIBLE
    return Claim.IMPOSSIBLE if status in (Status.FAILED, Status.UNBOUNDED) else Claim.STOPPED


def _distinct(points: list[Vector]) -> tuple[Vector, ...]:
    """The points without repetitions, in order."""
    return tuple({point.tobytes(): point for point in points}.values())
