"""The one orchestration: from a network and a query to a verdict."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from slir_milp.bounds.kernel import Explorer, Settings, compile_network
from slir_milp.bounds.magnitude import Slack, slack
from slir_milp.bounds.region import NeuronBounds, Region
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Box, Clause, Query, grouped_clauses
from slir_milp.search.explore import Search
from slir_milp.search.frontier import Piece, Target
from slir_milp.search.limits import Limits
from slir_milp.search.replay import Replayer
from slir_milp.search.state import State
from slir_milp.search.target import Root, conjunction_of, root_of
from slir_milp.search.verdict import (
    OpenRegion,
    Options,
    Progress,
    ProgressCallback,
    Reason,
    Statistics,
    Status,
    Verdict,
    Witness,
)


def verify(
    network: Network,
    query: Query,
    options: Options | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
) -> Verdict:
    """Decide whether some input of a network meets a query.

    Parameters
    ----------
    network
        The network, from :func:`slir_milp.load_network`.
    query
        The query, from :func:`slir_milp.load_query`.
    options
        Limits, engine, threads; the defaults decide as fast as is known.
    progress
        Called about ten times a second with a snapshot of the run.
    cancel
        Set it from any thread to end the run with what is known so far.

    Returns
    -------
    Verdict
        ``sat`` with a replayed witness, ``unsat`` by sound bounds, or ``unknown`` / ``timeout`` with the reason.

    Raises
    ------
    QueryError
        The query does not fit the network.
    """
    return _Run(network, query, options or Options(), progress, cancel).verdict()


@dataclass
class _Charges:
    """Rounding charges for a growing hull of boxes, so that many boxes share one compiled network."""

    network: Network
    lower: Vector | None = None
    upper: Vector | None = None
    slack: Slack | None = None
    compiled: object = None

    def for_box(self, lower: Vector, upper: Vector) -> tuple[Slack, object]:
        """Charges and the compiled network, valid for the box."""
        if self.lower is None or self.upper is None:
            self.lower, self.upper = np.array(lower), np.array(upper)
        elif not ((lower >= self.lower).all() and (upper <= self.upper).all()):
            low, high = np.minimum(lower, self.lower), np.maximum(upper, self.upper)
            # Growing by the hull's own width makes the number of times this happens logarithmic.
            self.lower, self.upper = low - (high - low), high + (high - low)
        elif self.slack is not None:
            return self.slack, self.compiled
        self.slack = slack(self.network, self.lower, self.upper)
        self.compiled = compile_network(self.network, self.slack)
        return self.slack, self.compiled


@dataclass
class _Run:
    network: Network
    query: Query
    options: Options
    progress: ProgressCallback | None
    cancel: threading.Event | None
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        timeout = self.options.timeout
        self.limits = Limits(
            self.started + timeout if timeout is not None else float("inf"),
            self.options.memory_limit,
            self.cancel or threading.Event(),
        )
        self.replayer = Replayer(self.network, self.query)
        jobs = self.options.jobs or available_cores()
        self.state = State(self.limits)
        self.search = Search(self.network, self.replayer, self.options, self.state, jobs)
        self.charges = _Charges(self.network)
        self.clauses = self.root_closed = 0
        self.targets: list[Target] = []
        self.stage = "root"
        self._reported = 0.0

    def verdict(self) -> Verdict:
        self.query.check_fits(self.network.input_size, self.network.output_size)
        reason = self._roots()
        if self.state.witness is None and reason is None:
            self.stage = "search"
            reason = self.search.run(self._report)
        return self._conclude(reason)

    # --- roots -----------------------------------------------------------------------------------------------------

    def _roots(self) -> Reason | None:
        """Bound every conjunction over its whole box; what stays open goes to the search."""
        for box, group in grouped_clauses(self.query):
            reason = self.limits.reached()
            if reason is not None:
                return reason
            root = root_of(self.network, box.lower, box.upper)
            charge, compiled = self.charges.for_box(root.region.lower, root.region.upper)
            region = root.region
            for clause in group:
                self.clauses += 1
                region = self._root(clause, box, root, region, charge, compiled)
                if self.state.witness is not None:
                    return None
                self._report()
                if self.limits.reached() is not None:
                    return self.limits.reached()
        return None

    def _root(
        self, clause: Clause, box: Box, root: Root, region: Region, charge: Slack, compiled: object
    ) -> Region:
        """Bound one conjunction; returns the region with the neuron bounds found, for the next one over the same box."""
        if not clause.rows:
            self.state.witness = self.replayer.try_point(root.region.midpoint, box)
            return region
        conjunction = conjunction_of(clause, root, charge)
        settings = self._settings(root)
        explorer = Explorer(self.network, charge, compiled, conjunction, settings)
        record, sides = explorer.record(region)
        end, value, _, point, _, _ = explorer.analyse(record, sides)
        self.state.counts.regions += 1
        if end.name in ("BOUND", "INHERITED", "EMPTY"):
            self.root_closed += 1
            self.state.counts.closed_by["bound"] += 1
        else:
            record[explorer.layout["bound"]] = value
            charge, compiled = self._sharpened(root, explorer.neurons(record))
            target = Target(
                box, clause.rows, conjunction, charge, compiled, root, record, settings, explorer.layout
            )
            self.targets.append(target)
            self.search.frontier.put(Piece(target, record[None, :], sides[None, :]))
        return Region(
            region.lower, region.upper, region.half_spaces, None, explorer.neurons(record)
        )

    def _sharpened(self, root: Root, neurons: NeuronBounds) -> tuple[Slack, object]:
        """Rounding charges from the bounds found at the root: smaller ones than intervals give, by far in deep networks."""
        charge = slack(self.network, root.region.lower, root.region.upper, neurons)
        return charge, compile_network(self.network, charge)

    def _settings(self, root: Root) -> Settings:
        return Settings(split_inputs=True, split_activations=False, interval_step=True)

    # --- the answer ------------------------------------------------------------------------------------------------

    def _conclude(self, reason: Reason | None) -> Verdict:
        statistics, closed = self._statistics(), self._closed_fraction()
        common = {"near_miss": self.replayer.near_miss, "statistics": statistics}
        if self.state.witness is not None:
            return Verdict(Status.SAT, Reason.WITNESS, witness=self.state.witness, closed_fraction=closed, **common)
        near_miss = self.replayer.near_miss
        undecided = [(t, box) for t in self.targets for box in t.undecided]
        if near_miss is not None and near_miss.holds_exactly:
            # The answer is about real arithmetic; that the deployed network differs there is part of it.
            return Verdict(
                Status.SAT,
                Reason.EXACT_WITNESS,
                detail="ONNX Runtime computes other outputs there; see the witness.",
                witness=near_miss,
                closed_fraction=closed,
                **common,
            )
        if reason is None and not undecided:
            found = Reason.PROVED if self.clauses else Reason.EMPTY
            return Verdict(Status.UNSAT, found, closed_fraction=1.0, **common)
        if reason is None:
            reason = Reason.TOO_SMALL
        status = Status.TIMEOUT if reason is Reason.TIME_LIMIT else Status.UNKNOWN
        worst = self.search.frontier.worst_bound()
        left = [bound for _, (_, _, bound) in undecided]
        if left:
            worst = min([*left, *([worst] if worst is not None else [])])
        return Verdict(
            status,
            reason,
            closed_fraction=closed,
            worst_bound=worst,
            open_regions=self._open_regions(),
            **common,
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
            found += [OpenRegion(tuple(a.tolist()), tuple(b.tolist()), bound) for a, b, bound in target.undecided]
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

    def _report(self) -> None:
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


def available_cores() -> int:
    """Number of processors that this process may use."""
    import os

    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


__all__ = ["Witness", "verify"]
