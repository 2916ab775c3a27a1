"""The one orchestration: from a network and a query to a verdict."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.bounding.balance import prepared
from slir_milp.bounding.kernel import Settings, compile_network
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.pinned import without_pinned
from slir_milp.bounding.region import Region
from slir_milp.bounding.rewriting import provably_prepared
from slir_milp.errors import OptionError
from slir_milp.network.normal_form import Network
from slir_milp.query import Box, Clause, Query, clauses, grouped_clauses
from slir_milp.search.explore import Search
from slir_milp.search.frontier import Target
from slir_milp.search.journal import MARGIN, Journal
from slir_milp.search.limits import Limits
from slir_milp.search.proof import Proof
from slir_milp.search.replay import Replayer, RunsNetwork
from slir_milp.search.roots import Opened, Roots, cut_at, halves, neurons_to_sharpen
from slir_milp.search.state import State
from slir_milp.search.target import Charges, GrowingCharges, OutputBounds, Root, root_of
from slir_milp.search.verdict import (
    Engine,
    OpenRegion,
    Options,
    Progress,
    ProgressCallback,
    Reason,
    SlopeRule,
    Statistics,
    Status,
    Verdict,
    Witness,
)

if TYPE_CHECKING:
    from slir_milp.lp.observer import Observer


def verify(
    network: Network,
    query: Query,
    options: Options | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
    proof: str | os.PathLike[str] | None = None,
    activations: str = "",
    observer: Observer | None = None,
    runtime: RunsNetwork | None = None,
) -> Verdict:
    """Decide whether some input of a network meets a query.

    Parameters
    ----------
    network, query
        A network, from :func:`slir_milp.load_network` or :meth:`slir_milp.Network.from_layers`, and a query, from
        :func:`slir_milp.load_query`, :func:`slir_milp.parse_query` or :meth:`slir_milp.Query.box`.
    options
        Limits, engine, threads; the defaults decide as fast as is known.
    progress
        Called about ten times a second with a snapshot of the run.
    cancel
        Set it from any thread to end the run with what is known so far.
    proof
        Where to write a proof of the answer, if it is ``sat`` or ``unsat``; what is there before is removed.
    activations
        SHA-256 of the file that declares the activations of one's own that the network uses, for the proof.
    observer
        Is told of every linear and mixed-integer program that is solved, in the thread that solves it.
    runtime
        What computes the deployed network's outputs at a point, by which witnesses are replayed; by default, the
        network's file on its own runtime.

    Returns
    -------
    Verdict
        ``sat`` with a replayed witness, ``unsat`` by sound bounds, or ``unknown`` / ``timeout`` with the reason.

    Raises
    ------
    QueryError
        The query does not fit the network.
    OptionError
        An argument is not what it should be; a proof is asked for of a network or query that was not read from a file.
    ProofError
        The proof cannot be written.
    """
    if not isinstance(network, Network) or not isinstance(query, Query):
        raise OptionError("verify takes a network (from load_network) and a query (from load_query), in this order")
    return Run(network, query, options or Options(), progress, cancel, proof, activations, observer, runtime).verdict()


_MOST_DIVISIONS = 12
_MOST_OPEN = 1024
"""Open conjunctions after which the search is called before more are expanded."""


@dataclass
class Run:
    """A run of :func:`verify`, whose arguments its fields are; who searches elsewhere replaces :meth:`explore`."""

    network: Network
    query: Query
    options: Options
    progress: ProgressCallback | None
    cancel: threading.Event | None
    proof_path: str | os.PathLike[str] | None = None
    activations: str = ""
    observer: Observer | None = None
    runtime: RunsNetwork | None = None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        timeout = self.options.timeout
        self.limits = Limits(
            self.started + timeout if timeout is not None else float("inf"),
            self.options.memory_limit,
            self.cancel or threading.Event(),
        )
        self.replayer = Replayer(self.network, self.query, self.runtime)
        self.only_box: Box | None = None
        self.query.check_fits(self.network.input_size, self.network.output_size)
        self.proof: Proof | None = None
        if self.proof_path is not None:
            self.proof = Proof(self.proof_path, self.network, self.query, self.activations)
        if not self.network.is_piecewise_linear:
            self.network = self._prepared()
        self.journal = self.proof.journal if self.proof else Journal()
        jobs = self.options.jobs or available_cores()
        self.state = State(self.limits, self.options.solver, self.observer)
        self.search = Search(self.network, self.replayer, self.options, self.state, jobs, self.journal)
        self.charges = GrowingCharges(self.network)
        self.outputs = OutputBounds(self.network)
        self.delta = 0.0 if self.network.is_piecewise_linear else self.options.delta
        self.settings = Settings(
            ascent_steps=8 if self.options.slopes is SlopeRule.OPTIMISED else 0,
            hand_crafted=self.options.slopes is SlopeRule.HAND_CRAFTED,
            least_interval=self.delta,
            margin=MARGIN if self.proof else 0.0,
        )
        bounds_close = not self.options.engine.solves_programs
        self.roots = Roots(self.network, self.settings, self.state, bounds_close, neurons_to_sharpen(self.network))
        self.unsettled = False
        self.clauses = self.root_closed = 0
        self.targets: list[Target] = []
        self.stage = "root"
        self._reported = 0.0

    def _prepared(self) -> Network:
        """The network written as suits the query's box; if there are several, as suits the first but right in all."""
        boxes: list[Box] = []
        observer = Journal() if self.proof else None  # so that the boxes are those of the run
        for count, clause in enumerate(clauses(self.query, lambda _: False, observer)):
            if not boxes or not _same(boxes[0], clause.box):
                boxes.append(clause.box)
            if len(boxes) > 1 or count >= _MOST_OPEN:
                return self._suited(boxes[0], everywhere=True)
        self.only_box = boxes[0] if boxes else None
        return self._suited(boxes[0], everywhere=False) if boxes else self.network

    def _suited(self, box: Box, *, everywhere: bool) -> Network:
        """The network written as suits a box; with a proof, as far as it can tell of that."""
        if not self.proof:
            network = self.network if everywhere else without_pinned(self.network, box.lower, box.upper)
            return prepared(network, box.lower, box.upper, everywhere=everywhere)
        network, entries = provably_prepared(self.network, self.query, box.lower, box.upper, everywhere=everywhere)
        for entry in entries:
            self.proof.begin(entry)
        return network

    def verdict(self) -> Verdict:
        """Decide, and write the proof if one is asked for."""
        try:
            verdict = self._conclude(self._open_roots() or self._search())
        except BaseException:
            if self.proof:
                self.proof.discard()
            raise
        return self.proof.conclude(verdict) if self.proof else verdict

    def _search(self) -> Reason | None:
        """Explore what is open; the limit that ended it, if any."""
        if self.state.witness is not None:
            return None
        self.stage = "search"
        reason = self.explore()
        self.stage = "root"
        return reason

    def explore(self) -> Reason | None:
        """Search what is in the frontier; the limit that ended it, if any.  What is left open stays there."""
        reason = self.search.run(self.report)
        if reason is None and self.state.witness is None and self.options.engine is Engine.MILP:
            self.stage = "proof"
            reason = self.search.prove_claims(self.report)
        return reason

    # --- roots -----------------------------------------------------------------------------------------------------

    def _open_roots(self) -> Reason | None:
        """Bound every conjunction over its whole box; what stays open goes to the search, in batches if need be."""
        observer = self.journal if self.proof else None
        for box, group in grouped_clauses(self.query, self._is_refuted, observer):
            if self.only_box is not None and not _same(self.only_box, box):
                raise RuntimeError("a box turned up that the network was not prepared for")
            root = root_of(self.network, box.lower, box.upper)
            charges = self.charges.for_box(root.region.lower, root.region.upper)
            self.outputs.cover(root)
            region, sharpened, box_node = root.region, None, 0
            for found in group:
                reason = self.limits.reached()
                if reason is not None:
                    return reason
                self.clauses += 1
                if not found.rows:
                    self._any_point(box, root)
                else:
                    clause = self._placed(found, self.journal)
                    if clause.place.box_node != box_node:  # what was found below another node is not known here
                        region, box_node = root.region, clause.place.box_node
                    opened = self.roots.bound(clause, root, region, charges, self.journal, shared=len(group) > 1)
                    region = opened.region
                    if opened.record is None:
                        self.root_closed += 1
                    elif not charges.are_finite:
                        self._open_parts(clause, root)
                    else:
                        sharpened = sharpened or self._sharpened(region)
                        self._open(clause, root, opened, sharpened)
                if self.state.witness is not None:
                    return None
                self.report()
            self.outputs.refine(region)
            if len(self.search.frontier) >= _MOST_OPEN:
                reason = self._search()
                if reason is not None or self.state.witness is not None:
                    return reason
        return None

    @staticmethod
    def _placed(clause: Clause, journal: Journal) -> Clause:
        """The clause at the node that is left when the cuts of its box have been entered."""
        return replace(clause, place=journal.enter_cuts(clause.place)) if clause.place.cuts else clause

    def _open_parts(self, clause: Clause, root: Root) -> None:
        """Open a conjunction in parts, each with rounding charges of its own: those of the whole box are infinite.

        They are where some neuron is unbounded, because its function has a pole in the box or is not defined in all of
        it.  Every part inherits the charges it is opened with, so the pole is to be confined to small ones first.
        """
        parts = [(root.region.lower, root.region.upper, clause.place.node, _MOST_DIVISIONS)]
        while parts and self.limits.reached() is None and self.state.witness is None:
            lower, upper, node, left = parts.pop()
            part = root_of(self.network, lower, upper)
            charge = slack(self.network, lower, upper)
            charges = Charges(charge, compile_network(self.network, charge))
            here = replace(clause, place=replace(clause.place, node=node))
            opened = self.roots.bound(here, part, part.region, charges, self.journal)
            self.clauses += 1
            if opened.record is None:
                self.root_closed += 1
                continue
            cut = halves(self.network, lower, upper) if left and not charges.are_finite else None
            if cut is not None:
                self.clauses -= 1
                nodes = self.journal.halve(node, *cut)
                boxes = cut_at(lower, upper, *cut)
                parts += [(low, high, n, left - 1) for (low, high), n in zip(boxes, nodes, strict=True)]
            else:
                self._open(here, part, opened, self._sharpened(opened.region))
        if parts:
            self.unsettled = True
        self.clauses -= 1

    def _is_refuted(self, partial: Clause) -> bool:
        """Whether part of a conjunction is refuted over its box: then its alternatives need not be expanded."""
        if not partial.rows or self.limits.reached() is not None:
            return False
        root = root_of(self.network, partial.lower, partial.upper)
        charges = self.charges.for_box(root.region.lower, root.region.upper)
        branch = self.journal.branch()
        if self.roots.bound(self._placed(partial, branch), root, root.region, charges, branch).record is not None:
            return False
        branch.keep()
        self.clauses += 1
        self.root_closed += 1
        return True

    def _any_point(self, box: Box, root: Root) -> None:
        """A conjunction of nothing: every point of the box meets the query."""
        self.state.witness = self.replayer.try_point(root.region.midpoint, box)
        self.unsettled = self.state.witness is None

    def _open(self, clause: Clause, root: Root, opened: Opened, charges: Charges) -> None:
        piece = self.roots.piece(clause, root, opened, charges)
        self.targets.append(piece.target)
        self.search.frontier.put(piece)

    def _sharpened(self, region: Region) -> Charges:
        """Rounding charges from the bounds found at the root: in deep networks far smaller than from intervals."""
        charge = slack(self.network, region.lower, region.upper, region.neurons)
        return Charges(charge, compile_network(self.network, charge))

    # --- the answer ------------------------------------------------------------------------------------------------

    def _conclude(self, reason: Reason | None) -> Verdict:
        near_miss = self.replayer.near_miss
        if self.state.witness is not None:
            return self._answer(Status.SAT, Reason.WITNESS, witness=self.state.witness)
        if near_miss is not None and near_miss.holds_exactly:
            # The answer is about real arithmetic; that the deployed network differs there is part of it.
            detail = "ONNX Runtime computes other outputs there; see the witness."
            return self._answer(Status.SAT, Reason.EXACT_WITNESS, detail=detail, witness=near_miss)
        undecided = [region.bound for target in self.targets for region in target.undecided]
        if reason is None and not undecided and not self.unsettled and not len(self.search.frontier):
            return self._answer(Status.UNSAT, Reason.PROVED if self.clauses else Reason.EMPTY)
        reason = reason or Reason.TOO_SMALL
        bounds = [*undecided, self.search.frontier.worst_bound()]
        return self._answer(
            Status.TIMEOUT if reason is Reason.TIME_LIMIT else Status.UNKNOWN,
            reason,
            worst_bound=min((bound for bound in bounds if bound is not None), default=None),
        )

    def _answer(
        self,
        status: Status,
        reason: Reason,
        *,
        detail: str = "",
        witness: Witness | None = None,
        worst_bound: float | None = None,
    ) -> Verdict:
        return Verdict(
            status,
            reason,
            detail=detail,
            witness=witness,
            near_miss=self.replayer.near_miss,
            closed_fraction=1.0 if status is Status.UNSAT else self._closed_fraction(),
            worst_bound=worst_bound,
            output_bounds=() if status.decided else self.outputs.bounds(),
            open_regions=() if status.decided else self._open_regions(),
            statistics=self._statistics(),
        )

    def _open_regions(self, most: int = 10) -> tuple[OpenRegion, ...]:
        found = []
        for piece in self.search.frontier.pieces():
            bounds = piece.records[:, piece.target.layout["bound"]]
            worst = piece.records[np.argsort(bounds)[:most]]
            lower, upper = piece.target.box_of(worst)
            for low, high, bound in zip(lower, upper, np.sort(bounds)[:most], strict=True):
                found.append(OpenRegion(tuple(low.tolist()), tuple(high.tolist()), float(bound)))
        for target in self.targets:
            found += target.undecided
        return tuple(sorted(found, key=lambda region: region.bound)[:most])

    def _closed_fraction(self) -> float:
        if not self.clauses:
            return 0.0
        return min(1.0, (self.root_closed + sum(target.closed for target in self.targets)) / self.clauses)

    def _statistics(self) -> Statistics:
        counts = self.state.counts
        return Statistics(
            regions=counts.regions,
            closed_by={name: count for name, count in sorted(counts.closed_by.items()) if count},
            input_splits=counts.input_splits,
            activation_splits=counts.activation_splits,
            max_depth=counts.max_depth,
            clauses=self.clauses,
            falsifier_points=counts.points,
            linear_programs=counts.programs,
            seconds=time.monotonic() - self.started,
        )

    def report(self) -> None:
        """Tell how far the run is, at most ten times a second."""
        if self.progress is None or time.monotonic() - self._reported < 0.1:
            return
        self._reported = time.monotonic()
        self.progress(
            Progress(
                seconds=self._reported - self.started,
                limit=self.options.timeout,
                closed_fraction=self._closed_fraction(),
                open_regions=len(self.search.frontier),
                worst_bound=self.search.frontier.worst_bound(),
                regions=self.state.counts.regions,
                stage=self.stage,
            )
        )


def _same(one: Box, other: Box) -> bool:
    return one is other or (np.array_equal(one.lower, other.lower) and np.array_equal(one.upper, other.upper))


def available_cores() -> int:
    """Number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


__all__ = ["Run", "Witness", "available_cores", "verify"]
