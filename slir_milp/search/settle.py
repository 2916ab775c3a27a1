"""Regions that the kernel leaves over: those that only rounding keeps open, and those with nothing left to split.

What can close them, in this order: rational arithmetic (a tie), a linear program whose duals give a sound bound.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from slir_milp.bounds.exact import ExactRow, refuted_exactly
from slir_milp.bounds.kernel import Explorer
from slir_milp.bounds.lines import unstable
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Atom, Box
from slir_milp.search.frontier import Sides, Target
from slir_milp.search.state import STAGES, State

_REGIONS_PER_EXACT_ATTEMPT = 200
_MOST_BINARIES = 64
_MILP_SECONDS = 10.0


class Settler:
    """Closes left-over regions if it can.

    Parameters
    ----------
    network
        The network.
    state
        The run.
    """

    def __init__(self, network: Network, state: State) -> None:
        self._network, self._state = network, state
        self._exact_attempts = 0

    def closes(self, target: Target, record: Vector, sides: Sides, explorer: Explorer) -> bool:
        """Try to close a region; its neuron bounds are tightened in the record, and the counts are kept."""
        end, _, _, _, slopes, weights = explorer.analyse(record, sides)
        name = STAGES.get(end)
        if name is None and self._refuted_exactly(target, record, sides, explorer, slopes, weights):
            name = "exact"
        if name is None:
            return False
        with self._state.condition:
            self._state.counts.closed_by[name] += 1
            target.closed += float(record[target.layout["volume"]])
        return True

    def closes_by_program(
        self, target: Target, record: Vector, sides: Sides, explorer: Explorer
    ) -> tuple[bool, Vector | None]:
        """Try to close a region by the duals of its linear program; else its solution, a candidate for a witness."""
        from slir_milp.lp.proposal import certify, propose
        from slir_milp.solvers import solver

        region = explorer.region(record, sides)
        neurons = explorer.neurons(record)
        if not all(np.isfinite(bound).all() for bound in (*neurons.lower, *neurons.upper)):
            return False, None
        limits = self._state.limits
        rows = target.conjunction.rows
        outcome = propose(
            self._network, rows, region, neurons, solver(), deadline=limits.deadline, cancel=limits.cancel
        )
        with self._state.condition:
            self._state.counts.programs += 1
        if outcome.proposal is None:
            return False, None
        bound, combined = certify(self._network, target.slack, rows, region, neurons, outcome.proposal)
        strict = bool((target.conjunction.strict & (outcome.proposal.weights > 0)).any())
        if bound > 0 or (strict and bound >= 0):
            with self._state.condition:
                self._state.counts.closed_by["lp"] += 1
                target.closed += float(record[target.layout["volume"]])
            return True, None
        at = target.layout
        record[at["bound"]] = max(record[at["bound"]], bound)
        if np.isfinite(combined.offsets[0]) and outcome.proposal.weights.any():
            record[at["normal"] : at["normal"] + target.inputs] = combined.normals[0]
            record[at["offset"]], record[at["has_half_space"]] = combined.offsets[0], 1.0
        return False, outcome.proposal.point

    def claimed_by_milp(
        self, target: Target, record: Vector, sides: Sides, explorer: Explorer
    ) -> tuple[bool, tuple[Vector, ...]]:
        """Whether the MILP solver claims that a small region holds no witness; else the points it proposes.

        A claim is no proof: the caller keeps the region, to be proven by bounds.
        """
        from slir_milp.lp.milp import Claim, solve_exactly
        from slir_milp.solvers import solver

        neurons = explorer.neurons(record)
        loose = sum(
            int(unstable(layer, low, high).sum())
            for layer, low, high in zip(self._network.layers, neurons.lower, neurons.upper, strict=True)
        )
        if loose > _MOST_BINARIES:
            return False, ()
        limits = self._state.limits
        outcome = solve_exactly(
            self._network,
            target.conjunction.rows,
            explorer.region(record, sides),
            neurons,
            solver(),
            deadline=min(limits.deadline, time.monotonic() + _MILP_SECONDS),
            cancel=limits.cancel,
        )
        with self._state.condition:
            self._state.counts.programs += 1
            self._state.counts.closed_by["milp"] += outcome.claim is Claim.INFEASIBLE
        return outcome.claim is Claim.INFEASIBLE, outcome.points

    @staticmethod
    def _scales(target: Target) -> list[Fraction]:
        """By which positive number each inequality was multiplied to become the kernel's row."""
        rows, scales = target.conjunction.rows, []
        for r, atom in enumerate(target.rows):
            variable, value = atom.terms[0]
            matrix, column = (
                (rows.inputs, variable)
                if variable < target.inputs and rows.inputs is not None
                else (rows.coefficients, variable - target.inputs)
            )
            scales.append(Fraction(float(matrix[r, column])) / value)
        return scales

    def _refuted_exactly(
        self, target: Target, record: Vector, sides: Sides, explorer: Explorer, slopes: Vector, weights: Vector
    ) -> bool:
        low, high = _cut(target.box, *target.box_of(record))
        if any(a > b for a, b in zip(low, high, strict=True)):
            return True
        with self._state.condition:
            affordable = self._exact_attempts * _REGIONS_PER_EXACT_ATTEMPT <= self._state.counts.regions
            self._exact_attempts += affordable
        return (
            affordable
            and not sides.any()
            and refuted_exactly(
                self._network,
                _exact(target.rows, target.inputs),
                low,
                high,
                explorer.neurons(record),
                slopes,
                [Fraction(float(w)) * scale for w, scale in zip(weights, self._scales(target), strict=True)],
            )
        )


def _exact(rows: Iterable[Atom], inputs: int) -> list[ExactRow]:
    """Inequalities of a clause with their variables told apart."""
    return [
        ExactRow(
            {variable - inputs: value for variable, value in row.terms if variable >= inputs},
            {variable: value for variable, value in row.terms if variable < inputs},
            row.constant,
            row.strict,
        )
        for row in rows
    ]


def _cut(box: Box, lower: Vector, upper: Vector) -> tuple[list[Fraction], list[Fraction]]:
    """Ends of a float64 sub-box, cut to the exact box that it was rounded outward from."""
    low = [max(Fraction(float(a)), end) for a, (end, _) in zip(lower, box.lower_ends, strict=True)]
    high = [min(Fraction(float(b)), end) for b, (end, _) in zip(upper, box.upper_ends, strict=True)]
    return low, high
