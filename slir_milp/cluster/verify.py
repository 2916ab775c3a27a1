"""One query on many workers: the client opens the roots, deals out open regions and keeps the account.

A share of open regions goes to a worker, which searches them for a few seconds and gives back what is still open; that
joins the regions that wait, and is dealt out again.  So work moves to whoever has none, and no worker holds anything
that the client could not give to another: the client keeps every share until its outcome is there.  Should a worker
die, Dask runs its shares elsewhere, and each is accounted for once, whoever ran it and how often.
"""

from __future__ import annotations

import queue
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from slir_milp.cluster.connection import Connection
from slir_milp.cluster.parcel import sent
from slir_milp.cluster.work import Outcome, Problem, Share, Targets, as_part, explore, program
from slir_milp.errors import OptionError, SlirError
from slir_milp.network.normal_form import Network
from slir_milp.query import Query
from slir_milp.search.frontier import Piece, Target
from slir_milp.search.run import Run
from slir_milp.search.verdict import Engine, Options, ProgressCallback, Reason, Verdict, Witness

_SLICE = 3.0
_SHORT_SLICE = 0.3
_LEAST = 0.01
"""Seconds of a share, the same where some worker has nothing to do, and the least."""

_LARGEST_SHARE = 4_000_000
"""Bytes of records in a share."""

_POLL = 0.1
_PATIENCE = 5.0
"""Seconds of search for a witness in both arithmetics after one that holds in exact arithmetic alone."""

_FIRST_ATTACK = 128
"""Regions before the falsifier's first turn; then whenever their number has doubled."""

_DEATHS = 3
"""Workers that may die over a share before it is divided, and, if it is a single region, given up."""


def verify_on(
    connection: Connection,
    network: Network,
    query: Query,
    options: Options | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
) -> Verdict:
    """Decide a query on a cluster; see :func:`slir_milp.search.verify`, whose other arguments these are.

    The threads are those of the cluster, whatever ``options.jobs`` says; the memory limit is that of each process.

    Raises
    ------
    QueryError
        The query does not fit the network.
    OptionError
        The engine is ``milp``, whose claims are proven by one process.
    SlirError
        The problem cannot be sent, or the cluster is lost.
    """
    options = options or Options()
    if options.engine is Engine.MILP:
        raise OptionError("--engine milp does not run on a cluster; choose another engine.")
    with ExitStack() as stack:
        run = _Run(network, query, options, progress, cancel)
        run.connection, run.stack, run.original = connection, stack, network
        return run.verdict()


@dataclass(frozen=True)
class _Given:
    """A share that is out: its future, the regions it holds, and how many workers have died over them."""

    future: Any
    pieces: tuple[Piece, ...]
    deaths: int = 0


class _Run(Run):
    """A run whose regions are searched on a cluster."""

    connection: Connection
    stack: ExitStack
    original: Network
    _problem = ""
    _sent_targets = 0
    _shares = 0
    _due = 0

    def explore(self) -> Reason | None:
        """Search what is in the frontier; the limit that ended it, if any.  What is left open stays there."""
        self.state.resume()
        self.search.attack_roots()
        if self.state.witness is not None or not len(self.search.frontier):
            return None
        self._problem = self._problem or self.stack.enter_context(sent(self.connection, self._described()))
        batch = tuple(self.targets[self._sent_targets :])
        self._sent_targets = len(self.targets)
        with sent(self.connection, Targets.of(batch)) as key:
            return _Dealer(self, batch, key).run()

    def _described(self) -> Problem:
        source = self.original.source
        try:
            file = Path(source).read_bytes() if source else b""
        except OSError as error:
            raise SlirError(f"{source} cannot be read: {error.strerror or error}.") from error
        return Problem(self.original, self.network, self.query, replace(self.options, jobs=1), file, program())

    def share(self, key: str, targets: tuple[Target, ...], pieces: tuple[Piece, ...], seconds: float) -> Share:
        """A share, as it travels; none is like another."""
        numbers = {id(target): number for number, target in enumerate(targets)}
        self._shares += 1
        parts = tuple(as_part(numbers[id(piece.target)], piece) for piece in pieces)
        begun, due = self.state.counts.regions, max(self._due, _FIRST_ATTACK)
        if begun >= due:  # this one has the turn
            self._due = 2 * begun
        return Share(self._problem, key, parts, seconds, self.options.seed + self._shares, begun, due)

    def replay(self, found: Witness, target: Target) -> None:
        """Replay what a worker has found; nothing is believed that does not hold here."""
        point = np.array([float(value) for value in found.x])
        witness = self.replayer.try_point(point, target.box)
        if witness is not None:
            self.state.found(witness)

    def exact_witness_known(self) -> bool:
        """Whether a point is known that meets the query in exact arithmetic, though not in the runtime."""
        return self.replayer.near_miss is not None and self.replayer.near_miss.holds_exactly


class _Dealer:
    """Deals out the regions of one batch of targets until none is open."""

    def __init__(self, run: _Run, targets: tuple[Target, ...], key: str) -> None:
        self._run, self._targets, self._key = run, targets, key
        self._waiting: dict[int, Piece] = {}
        self._suspects: list[tuple[Piece, int]] = []
        for piece in run.search.frontier.drain():
            self._add(piece)
        self._out: dict[Any, _Given] = {}
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._known_since, self._asked, self._room = np.inf, -np.inf, 1

    def run(self) -> Reason | None:
        run = self._run
        try:
            while (self._waiting or self._suspects or self._out) and run.state.witness is None:
                reason = run.limits.reached() or self._patience_is_over()
                if reason is None:
                    self._deal()
                    reason = self._take_back()
                if reason is not None:
                    return reason
                run.report()
            return None
        finally:
            for given in self._out.values():
                given.future.cancel()
            out = [piece for given in self._out.values() for piece in given.pieces]
            for piece in [*self._waiting.values(), *(piece for piece, _ in self._suspects), *out]:
                run.search.frontier.put(piece)

    def _patience_is_over(self) -> Reason | None:
        if self._run.exact_witness_known():
            self._known_since = min(self._known_since, time.monotonic())
        return Reason.EXACT_WITNESS if time.monotonic() > self._known_since + _PATIENCE else None

    # --- dealing ---------------------------------------------------------------------------------------------------

    def _deal(self) -> None:
        """Give every worker that has nothing to do a share of what waits."""
        slots = self._slots()
        free = slots - len(self._out)
        while free > 0 and (self._waiting or self._suspects):
            if self._suspects:  # alone, so that they do not cost others
                piece, deaths = self._suspects.pop()
                self._give((piece,), _SLICE, deaths)
            else:
                regions = len(self)
                # Half of what waits stays here for whoever is ready next.
                pieces = self._cut(max(free, 2 * slots if self._out else free))
                self._give(pieces, _SLICE if regions >= slots else _SHORT_SLICE, 0)
            free -= 1

    def _cut(self, shares: int) -> tuple[Piece, ...]:
        """Every so manieth of the smallest regions that wait: so they are worked off, and the others stay few."""
        taken: list[Piece] = []
        room, offset = _LARGEST_SHARE, 0
        for piece in list(self._waiting.values()):
            chosen = np.zeros(len(piece), dtype=bool)
            chosen[::-1][offset::shares] = True
            offset = (offset - len(piece)) % shares
            most = max(room // piece.records[0].nbytes, 0 if taken else 1)
            chosen[np.flatnonzero(chosen)[: -most or None]] = False
            if chosen.any():
                taken.append(_chosen(piece, chosen))
                room -= taken[-1].records.nbytes
                self._keep(piece.target, _chosen(piece, ~chosen))
        return tuple(taken)

    def _keep(self, target: Target, piece: Piece) -> None:
        if len(piece):
            self._waiting[id(target)] = piece
        else:
            self._waiting.pop(id(target), None)

    def _add(self, piece: Piece) -> None:
        """Let regions wait, with others of their target, the largest first."""
        known = self._waiting.get(id(piece.target))
        if known is not None:
            records, sides = np.vstack([known.records, piece.records]), np.vstack([known.sides, piece.sides])
            piece = Piece(piece.target, records, sides)
        order = np.argsort(-piece.records[:, piece.target.layout["volume"]], kind="stable")
        self._keep(piece.target, _chosen(piece, order))

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _slots(self) -> int:
        """Room of the cluster; asked for once a second."""
        if time.monotonic() > self._asked + 1.0:
            self._asked, self._room = time.monotonic(), max(1, self._run.connection.slots())
        return self._room

    def _give(self, pieces: tuple[Piece, ...], seconds: float, deaths: int) -> None:
        run = self._run
        share = run.share(self._key, self._targets, pieces, max(_LEAST, min(seconds, run.limits.remaining())))
        future = run.connection.client.submit(explore, share, pure=False, retries=_DEATHS)
        self._out[future.key] = _Given(future, pieces, deaths)
        future.add_done_callback(lambda done: self._ended.put(done.key))

    # --- taking back -------------------------------------------------------------------------------------------------

    def _take_back(self) -> Reason | None:
        """Account for what has come back; a reason to end, if there is one."""
        try:
            key = self._ended.get(timeout=_POLL)
        except queue.Empty:
            return None
        given = self._out.pop(key, None)
        if given is None:
            return None
        if given.future.status == "finished":
            return self._account(given.future.result())
        if given.future.status == "cancelled":
            # The scheduler has lost it, and whatever it knew.
            for piece in given.pieces:
                self._add(piece)
            return None
        return self._failed(given)

    def _account(self, outcome: Outcome) -> Reason | None:
        run = self._run
        run.state.counts.join(outcome.counts)
        for number, closed in outcome.closed.items():
            self._targets[number].closed += closed
        for number, regions in outcome.undecided.items():
            self._targets[number].undecided.extend(regions)
        for part in outcome.open:
            target = self._targets[part.target]
            target.settings, target.chosen = part.settings, part.chosen
            self._add(Piece(target, part.records, part.sides))
        for found in (outcome.witness, outcome.near_miss):
            if found is not None:
                for target in self._targets:
                    if run.state.witness is None and target.box.contains(found.x):
                        run.replay(found, target)
        if outcome.witness is not None and run.state.witness is None and not run.exact_witness_known():
            raise SlirError(
                "a worker has found a witness that does not hold here; do all machines have the same version?"
            )
        return outcome.reason

    def _failed(self, given: _Given) -> Reason | None:
        """A share whose workers died one after another is divided; what is at fault is found out in the end."""
        from distributed.scheduler import KilledWorker

        error = given.future.exception()
        if not isinstance(error, KilledWorker):
            raise error
        if sum(map(len, given.pieces)) == 1 and given.deaths:
            self._suspects += [(piece, 0) for piece in given.pieces]
            return Reason.WORKERS_LOST
        for piece in given.pieces:
            half = len(piece) // 2
            parts = (piece.part(slice(half)), piece.part(slice(half, None)))
            self._suspects += [(part, given.deaths + 1) for part in parts if len(part)]
        return None


def _chosen(piece: Piece, which: Any) -> Piece:
    return replace(piece, records=piece.records[which], sides=piece.sides[which])
