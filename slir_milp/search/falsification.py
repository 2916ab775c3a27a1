"""Looking for a witness alone, without a proof in mind."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from slir_milp.bounding.kernel import Explorer, Settings
from slir_milp.errors import OptionError
from slir_milp.network.normal_form import Network
from slir_milp.query import Clause, Query, clauses
from slir_milp.search.frontier import Piece, Target
from slir_milp.search.hunt import Hunt
from slir_milp.search.limits import Limits
from slir_milp.search.replay import Replayer
from slir_milp.search.state import State
from slir_milp.search.target import GrowingCharges, conjunction_of, root_of
from slir_milp.search.verdict import Options, Reason, Statistics, Status, Verdict

_FIRST_EFFORT = 96
_MOST_CLAUSES = 65_536
_FREE_MISSES = 1_000_000


def falsify(
    network: Network,
    query: Query,
    *,
    timeout: float = 10.0,
    seed: int = 0,
    cancel: threading.Event | None = None,
) -> Verdict:
    """Look for an input that meets a query, for as long as there is time, and prove nothing.

    Parameters
    ----------
    network, query
        What :func:`slir_milp.verify` takes.
    timeout
        Seconds of wall time after which it is given up.
    seed
        Seed of everything random.
    cancel
        Set it from any thread to end the search; so does Ctrl-C.

    Returns
    -------
    Verdict
        ``sat`` with a replayed witness, or ``unknown``; never ``unsat``.

    Raises
    ------
    QueryError
        The query does not fit the network.
    OptionError
        An argument is not what it should be.
    """
    if not isinstance(network, Network) or not isinstance(query, Query):
        raise OptionError("falsify takes a network and a query, in this order")
    Options(timeout=timeout, seed=seed)  # checks both
    query.check_fits(network.input_size, network.output_size)
    return _Falsification(network, query, timeout, seed, cancel or threading.Event()).verdict()


@dataclass
class _Falsification:
    network: Network
    query: Query
    timeout: float
    seed: int
    cancel: threading.Event
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.limits = Limits(self.started + self.timeout, None, self.cancel)
        self.state = State(self.limits)
        self.replayer = Replayer(self.network, self.query)
        self.hunt = Hunt(
            self.network, self.replayer, self.state, self.seed, first=0, patience=0, free_misses=_FREE_MISSES
        )
        self.charges = GrowingCharges(self.network)
        self.clauses = 0

    def verdict(self) -> Verdict:
        try:
            self._search()
        except KeyboardInterrupt:
            self.cancel.set()
        witness, near_miss = self.state.witness, self.replayer.near_miss
        status, reason, detail = Status.SAT, Reason.WITNESS, ""
        if witness is None and near_miss is not None and near_miss.holds_exactly:
            witness, reason = near_miss, Reason.EXACT_WITNESS
            detail = "ONNX Runtime computes other outputs there; see the witness."
        elif witness is None:
            status = Status.UNKNOWN
            reason = Reason.INTERRUPTED if self.cancel.is_set() else Reason.NOT_FOUND
        return Verdict(
            status,
            reason,
            detail,
            witness,
            near_miss,
            statistics=Statistics(
                clauses=self.clauses,
                falsifier_points=self.state.counts.points,
                seconds=time.monotonic() - self.started,
            ),
        )

    def _search(self) -> None:
        """Attack one conjunction after another, and all of them again with twice the effort, until time is up."""
        found = list(islice(clauses(self.query), _MOST_CLAUSES))
        self.clauses = len(found)
        effort = _FIRST_EFFORT
        while found:
            for clause in found:
                if self.state.witness is not None or self.limits.reached() is not None:
                    return
                self._attack(clause, effort)
            if not any(clause.rows for clause in found):
                return  # there was nothing to look for but a point of a box
            effort *= 2

    def _attack(self, clause: Clause, effort: int) -> None:
        if not clause.rows:
            witness = self.replayer.try_point(0.5 * clause.lower + 0.5 * clause.upper, clause.box)
            if witness is not None:
                self.state.found(witness)
            return
        root = root_of(self.network, clause.lower, clause.upper)
        charges = self.charges.for_box(root.region.lower, root.region.upper)
        conjunction, settings = conjunction_of(clause, root, charges.slack), Settings()
        explorer = Explorer(self.network, charges.slack, charges.compiled, conjunction, settings)
        record, sides = explorer.record(root.region)
        target = Target(
            clause.box,
            clause.rows,
            conjunction,
            charges.slack,
            charges.compiled,
            root,
            record,
            settings,
            explorer.layout,
        )
        piece = Piece(target, np.array(record[None, :]), sides[None, :])
        self.hunt.attack(piece, effort, explorer)
