"""Regions that the kernel leaves over: those that only rounding keeps open, and those with nothing left to split.

What can close them, in this order: rational arithmetic (a tie), a linear program whose duals give a sound bound.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.bounding.exact import ExactRow, refuted_exactly
from slir_milp.bounding.kernel import End, Explorer
from slir_milp.bounding.lines import unstable
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Atom, Box
from slir_milp.search.frontier import Sides, Target
from slir_milp.search.journal import MARGIN, Journal
from slir_milp.search.state import STAGES, State
from slir_milp.search.target import scales_of

if TYPE_CHECKING:
    from slir_milp.lp.proposal import Proposal

_RATION, _RATION_IF_SMALL = (200, 0), (5, 32)
"""Regions explored for every exact attempt, and how many attempts are free."""
_SMALL = 4096
_LARGEST_DENOMINATOR = 4096
TIE = 1e-7
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
    journal
        Takes what is closed.
    """

    def __init__(self, network: Network, state: State, journal: Journal) -> None:
        self._network, self._state, self._journal = network, state, journal
        self._exact_attempts = 0
        self._is_small = is_small(network)

    def closes(self, target: Target, record: Vector, sides: Sides, explorer: Explorer) -> bool:
        """Try to close a region; its neuron bounds are tightened in the record, and the counts are kept."""
        end, value, _, _, slopes, weights = self._journal.analyse(explorer, record, sides, self._state.limits)
        name = STAGES.get(end)
        if end is End.STOPPED:
            return False
        if name is None and self._refuted_exactly(target, record, sides, explorer, value, slopes, weights):
            name = "exact"
        if name is None:
            return False
        self._close(target, record, name)
        return True

    def closes_by_program(
        self, target: Target, record: Vector, sides: Sides, explorer: Explorer
    ) -> tuple[bool, Vector | None]:
        """Try to close a region by the duals of its linear program; else its solution, a candidate for a witness."""
        from slir_milp.lp.proposal import certify
        from slir_milp.search.entries import refuted_by_program

        region, neurons = explorer.region(record, sides), explorer.neurons(record)
        proposal = self._program(target, region, neurons)
        if proposal is None:
            return False, None
        rows, slack = target.conjunction.rows, target.slack
        if self._journal.is_kept:  # whoever checks the bound rounds as well
            slack = slack.times(1.0 + MARGIN)
        bound, combined = certify(self._network, slack, rows, region, neurons, proposal)
        strict = bool((target.conjunction.strict & np.isfinite(proposal.weights) & (proposal.weights > 0)).any())
        if bound > 0 or (strict and bound >= 0 and not self._journal.is_kept):
            if self._journal.is_kept:
                node = target.node_of(record)
                self._journal.enter(
                    refuted_by_program(
                        self._network, slack, target.conjunction, region, neurons, proposal, combined, node
                    )
                )
            self._close(target, record, "lp")
            return True, None
        at = target.layout
        record[at["bound"]] = max(record[at["bound"]], bound)
        # A proof knows of half-spaces that parents leave to their children, and of no others.
        if np.isfinite(combined.offsets[0]) and proposal.weights.any() and not self._journal.is_kept:
            record[at["normal"] : at["normal"] + target.inputs] = combined.normals[0]
            record[at["offset"]], record[at["has_half_space"]] = combined.offsets[0], 1.0
        return False, proposal.point

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
            solver(self._state.solver),
            deadline=min(limits.deadline, time.monotonic() + _MILP_SECONDS),
            cancel=limits.cancel,
            observer=self._state.observer,
        )
        with self._state.condition:
            self._state.counts.programs += 1
            self._state.counts.closed_by["milp"] += outcome.claim is Claim.INFEASIBLE
        return outcome.claim is Claim.INFEASIBLE, outcome.points

    def _refuted_exactly(
        self,
        target: Target,
        record: Vector,
        sides: Sides,
        explorer: Explorer,
        value: float,
        slopes: Vector,
        weights: Vector,
    ) -> bool:
        """Try the kernel's choices in exact arithmetic, then those of the linear program, both as simple fractions.

        On a tie only the right slopes give a bound of exactly zero.  The program finds them but for rounding, and where
        they are ratios of small numbers the nearest simple fraction is the right one.
        """
        low, high = _cut(target.box, *target.box_of(record))
        if any(a > b for a, b in zip(low, high, strict=True)):
            return True
        if not self._network.is_piecewise_linear or not self._affordable():
            return False
        neurons, rows = explorer.neurons(record), exact_rows(target.rows, target.inputs)
        scales = scales_of(target.rows, target.conjunction.rows, target.inputs)
        fixed = sides.tolist() if sides.any() else None

        def refutes(slopes: Vector, weights: Vector, multipliers: Vector | None) -> bool:
            simple = [_simple(slope) for slope in slopes]
            scaled = [_simple(weight) * scale for weight, scale in zip(weights, scales, strict=True)]
            # A multiple of a side that the region was put on, if it has the sign that makes it valid.
            valid = None
            if multipliers is not None and fixed is not None:
                pairs = zip(multipliers, fixed, strict=True)
                valid = [_simple(beta) if beta * side < 0 else Fraction(0) for beta, side in pairs]
            closed = refuted_exactly(
                self._network, rows, low, high, neurons, simple, scaled, fixed, valid, thorough=self._is_small
            )
            if not closed:
                return False
            return self._enters_exact(target, record, neurons, simple, scaled, valid)

        if value >= -TIE and refutes(slopes[0], weights, None):
            return True
        proposal = self._program(target, explorer.region(record, sides), neurons)
        if proposal is None or proposal.objective < -TIE:
            return False
        multipliers = proposal.split_multipliers
        return refutes(
            np.concatenate([*(slope.lower for slope in proposal.slopes), np.zeros(0)]),
            proposal.weights,
            None if multipliers is None else np.concatenate([*multipliers, np.zeros(0)]),
        )

    def _enters_exact(
        self,
        target: Target,
        record: Vector,
        neurons: NeuronBounds,
        slopes: list[Fraction],
        weights: list[Fraction],
        multipliers: list[Fraction] | None,
    ) -> bool:
        """Enter an exact refutation; ``False`` if there is a proof that has no room for its numbers."""
        atoms = target.conjunction.atoms
        if not self._journal.is_kept or atoms is None:
            return True
        from slir_milp.search.entries import refuted_by_fractions

        node = target.node_of(record)
        entry = refuted_by_fractions(self._network, neurons, atoms, slopes, weights, multipliers, node)
        if entry is not None:
            self._journal.enter(entry)
        return entry is not None

    def _affordable(self) -> bool:
        regions, free = _RATION_IF_SMALL if self._is_small else _RATION
        with self._state.condition:
            affordable = (self._exact_attempts - free) * regions <= self._state.counts.regions
            self._exact_attempts += affordable
        return affordable

    def _program(self, target: Target, region: Region, neurons: NeuronBounds) -> Proposal | None:
        """Solve the linear program of a region."""
        from slir_milp.lp.proposal import propose
        from slir_milp.solvers import solver

        if not all(np.isfinite(bound).all() for bound in (*neurons.lower, *neurons.upper)):
            return None
        limits, rows = self._state.limits, target.conjunction.rows
        outcome = propose(
            self._network,
            rows,
            region,
            neurons,
            solver(self._state.solver),
            deadline=limits.deadline,
            cancel=limits.cancel,
            observer=self._state.observer,
        )
        with self._state.condition:
            self._state.counts.programs += 1
        return outcome.proposal

    def _close(self, target: Target, record: Vector, name: str) -> None:
        with self._state.condition:
            self._state.counts.closed_by[name] += 1
            target.closed += float(record[target.layout["volume"]])


def is_small(network: Network) -> bool:
    """Whether exact arithmetic costs so little that ties are looked for on purpose."""
    return sum(affine.rows * affine.columns for affine in network.affines) <= _SMALL


def _simple(number: float) -> Fraction:
    """The simplest fraction near a float64 number."""
    return Fraction(float(number)).limit_denominator(_LARGEST_DENOMINATOR)


def exact_rows(rows: Iterable[Atom], inputs: int) -> list[ExactRow]:
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
