"""Branch and bound over all open conjunctions at once, by any number of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from slir_milp.bounding.kernel import End, Explorer, Settings
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.search.frontier import Frontier, Piece, Records, Sides, Target
from slir_milp.search.hunt import Hunt
from slir_milp.search.journal import Journal
from slir_milp.search.replay import Replayer
from slir_milp.search.settle import Settler
from slir_milp.search.splitting import choose
from slir_milp.search.state import STAGES, State
from slir_milp.search.verdict import Engine, OpenRegion, Options, Reason

_WORK_PER_CALL = 4.0e7
"""Multiplications after which a worker looks up: some tens of milliseconds."""

_DEAR = 2.0e7
_WORK_PER_ATTACK = 1.0e8
_WORK_OF_PATIENCE = 2.0e10
_CALLS_PER_TURN = 64
_SLIVER = 1e-3
_KEPT_EXPLORERS = 4
_MOST_UNDECIDED = 64
"""Undecided regions of one conjunction after which a network with curves is given up: it will not be ``unsat``."""

Explorers = dict[tuple[Target, Settings], Explorer]


class Search:
    """The branch and bound.

    Parameters
    ----------
    network
        The network.
    replayer
        Checks candidate witnesses.
    options
        Engine, splitting, threads, seed.
    state
        The run.
    jobs
        Number of worker threads.
    journal
        Takes what is done to every region.
    due
        Where the search goes on with what another has begun: regions after which the falsifier's next turn comes, the
        run's counts included.
    """

    def __init__(
        self,
        network: Network,
        replayer: Replayer,
        options: Options,
        state: State,
        jobs: int,
        journal: Journal,
        *,
        due: int | None = None,
    ) -> None:
        self._network, self._state, self._jobs, self._journal = network, state, jobs, journal
        self._engine = options.engine
        self._claimed: list[Piece] = []
        work = work_per_region(network)
        self.hunt = Hunt(
            network,
            replayer,
            state,
            options.seed,
            first=int(_WORK_PER_ATTACK / work) if due is None else due,
            patience=int(np.clip(_WORK_OF_PATIENCE / work, 100, 20_000)),
        )
        self.frontier = Frontier(state, jobs, self.hunt.exact_witness_known)
        self._settler = Settler(network, state, journal)
        self._splitting = options.splitting
        self._budget = 1 if self._engine.solves_programs else int(np.clip(_WORK_PER_CALL / work, 1, 256))
        self._regions_are_dear = regions_are_dear(network)
        self._attacked = due is not None
        self._failure: BaseException | None = None

    def run(self, report: Callable[[], None] | None = None) -> Reason | None:
        """Explore until nothing is open, a witness is found or a limit is reached.

        Parameters
        ----------
        report
            Called some ten times a second from the calling thread.

        Returns
        -------
        Reason or None
            The limit that ended it; ``None`` if nothing is open or there is a witness.
        """
        if not len(self.frontier):
            return None
        self._state.resume()
        self.attack_roots()
        if self._state.witness is not None:
            return None
        workers = [threading.Thread(target=self._work, name=f"explorer-{i}", daemon=True) for i in range(self._jobs)]
        for worker in workers:
            worker.start()
        try:
            while alive := [worker for worker in workers if worker.is_alive()]:
                reason = self._state.limits.reached()
                if reason is not None:
                    self._state.stop(reason)
                alive[0].join(0.05)
                if report is not None:
                    report()
        except BaseException:
            self._state.stop(Reason.INTERRUPTED)
            raise
        finally:
            for worker in workers:
                worker.join()
        if self._failure is not None:
            raise self._failure
        return None if self._state.witness is not None else self._state.stopped

    def attack_roots(self) -> None:
        """Look for witnesses before anything is split, once, where bounding a region costs much."""
        if self._regions_are_dear and not self._attacked:
            self._attacked = True
            explorers: Explorers = {}
            self.hunt.attack_first(self.frontier.pieces(), lambda t: self._explorer(t, t.settings, explorers))

    def prove_claims(self, report: Callable[[], None] | None = None) -> Reason | None:
        """Close by bounds what the MILP solver only claims to be empty; like :meth:`run`."""
        engine, budget, claimed = self._engine, self._budget, self._claimed
        self._engine, self._budget, self._claimed = Engine.BOUND, 64, []
        for piece in claimed:
            self.frontier.put(piece)
        reason = self.run(report)
        self._engine, self._budget = engine, budget
        return None if reason is None else Reason.MILP_CLAIM

    def _work(self) -> None:
        explorers: Explorers = {}
        try:
            while (piece := self.frontier.take()) is not None:
                try:
                    self._advance(piece, explorers)
                finally:
                    self.frontier.done()
        except BaseException as error:  # handed to the calling thread
            self._failure = error
            self._state.stop(Reason.INTERRUPTED)

    def _advance(self, piece: Piece, explorers: Explorers) -> None:
        target = piece.target
        if not target.chosen:
            target.chosen = True
            chosen = choose(
                target,
                piece,
                self._splitting,
                self._state,
                # Where the solver starts from the root, the trial only chooses.
                self._journal.branch() if self._engine.solves_programs else self._journal,
                lambda settings: self._explorer(target, settings, explorers),
            )
            if self._engine.solves_programs:
                target.settings, target.closed = replace(target.settings, ascent_steps=0), 0.0
                chosen = piece
            if chosen is not None:
                self.frontier.put(chosen)
            return
        if self._engine.solves_programs:
            piece, closed = self._close_by_solver(piece, explorers)
            if closed:
                self.frontier.put(piece)
                return
        explorer = self._explorer(target, target.settings, explorers)
        records, sides, leaves, leaf_sides, candidate, counts = self._explore(
            explorer, piece.records, piece.sides, self._budget
        )
        self._count(target, counts)
        missed = candidate is not None and not self.hunt.replay(candidate, target)
        if missed and len(records) > 1 and is_sliver(target, records[-1]):
            # Witnesses lie here, but no float32 one was found: look elsewhere first.
            self.frontier.set_aside(Piece(target, records[-2:], sides[-2:]))
            records, sides = records[:-2], sides[:-2]
        target.calls += 1
        self.frontier.put(Piece(target, records, sides), last=not missed and target.calls % _CALLS_PER_TURN != 0)
        for record, side in zip(leaves, leaf_sides, strict=True):
            if not self._settler.closes(target, record, side, explorer):
                self._split_left_over(target, record, side, explorers)
        if self.hunt.is_over():
            self._state.stop(Reason.EXACT_WITNESS)
        self.hunt.attack_if_due(self.frontier, lambda t: self._explorer(t, t.settings, explorers))

    def _split_left_over(self, target: Target, record: Vector, side: Sides, explorers: Explorers) -> None:
        """Go on with a region that exact arithmetic could not close: split it after all, or give it up."""
        settings = replace(target.settings, report_tight=False)
        explorer = self._explorer(target, settings, explorers)
        records, sides, leaves, leaf_sides, candidate, counts = self._explore(
            explorer, record[None, :], side[None, :], 1
        )
        self._count(target, {**counts, "regions": 0})
        if candidate is not None and not self.hunt.replay(candidate, target) and is_sliver(target, record):
            self.frontier.set_aside(Piece(target, records, sides))
        else:
            self.frontier.put(Piece(target, records, sides), last=candidate is None)
        for leaf, leaf_side in zip(leaves, leaf_sides, strict=True):
            self._give_up(target, leaf, leaf_side, explorer, explorers)

    def _give_up(self, target: Target, record: Vector, side: Sides, explorer: Explorer, explorers: Explorers) -> None:
        """A region with nothing left to split: its linear program, then its inputs if only activations were split."""
        low, high = target.box_of(record)
        closed, point = self._settler.closes_by_program(target, record, side, explorer)
        if closed or (point is not None and self.hunt.replay(point, target)):
            return
        if self._state.ended or self._state.limits.reached() is not None:  # it was not looked at to the end
            self.frontier.put(Piece(target, record[None, :], side[None, :]))
            return
        if target.settings.split_activations:
            settings = replace(target.settings, split_inputs=True, report_tight=False)
            again = self._explorer(target, settings, explorers)
            records, sides, leaves, _, _, counts = self._explore(again, record[None, :], side[None, :], 1)
            self._count(target, {**counts, "regions": 0})
            self.frontier.put(Piece(target, records, sides), last=False)
            if not len(leaves):
                return
        points = [low, high, 0.5 * low + 0.5 * high, *([] if point is None else [point])]
        for x in points:
            if self.hunt.replay(x, target):
                return
        margins = [target.margin(self._network, x) for x in points]
        nearest = int(np.argmin(margins))
        bound, ends = float(record[target.layout["bound"]]), (tuple(low.tolist()), tuple(high.tolist()))
        with self._state.condition:
            target.undecided.append(OpenRegion(*ends, bound, tuple(points[nearest].tolist()), margins[nearest]))
            too_many = len(target.undecided) >= _MOST_UNDECIDED
        if too_many and not self._network.is_piecewise_linear:
            self._state.stop(Reason.TOO_SMALL)

    def _close_by_solver(self, piece: Piece, explorers: Explorers) -> tuple[Piece, bool]:
        """Engines ``lp`` and ``milp``: ask the solver about the newest region; what is left, and if it is gone."""
        target, rest = piece.target, piece.part(slice(len(piece) - 1))
        record, side = piece.records[-1].copy(), piece.sides[-1].copy()
        explorer = self._explorer(target, replace(target.settings, ascent_steps=0), explorers)
        end, *_ = self._journal.analyse(explorer, record, side, self._state.limits, claim=False)
        region = Piece(target, record[None, :], side[None, :])
        if self._journal.is_kept and end in (End.INHERITED, End.EMPTY):  # the proof says so already
            with self._state.condition:
                self._state.counts.regions += 1
                self._state.counts.closed_by[STAGES[end]] += 1
                target.closed += float(record[target.layout["volume"]])
            return rest, True
        if self._engine is Engine.LP:
            closed, point = self._settler.closes_by_program(target, record, side, explorer)
            points: tuple[Vector, ...] = () if point is None else (point,)
        else:
            closed, points = self._settler.claimed_by_milp(target, record, side, explorer)
            if closed:
                self._claimed.append(region)
        for x in points:
            if target.margin(self._network, x) <= 0 and self.hunt.replay(x, target):
                break
        if closed:
            with self._state.condition:
                self._state.counts.regions += 1
            return rest, True
        return Piece(target, np.vstack([rest.records, region.records]), np.vstack([rest.sides, region.sides])), False

    def _explore(self, explorer: Explorer, records: Records, sides: Sides, budget: int) -> Any:
        return self._journal.explore(explorer, records, sides, self._state.limits, budget=budget)

    def _count(self, target: Target, counts: dict[str, Any]) -> None:
        with self._state.condition:
            target.closed += counts["closed_volume"]
            self._state.counts.add(counts)

    def _explorer(self, target: Target, settings: Settings, explorers: Explorers) -> Explorer:
        key = (target, settings)
        if key not in explorers:
            if len(explorers) >= _KEPT_EXPLORERS:
                explorers.clear()
            explorers[key] = self._journal.explorer(
                self._network, target.slack, target.compiled, target.conjunction, settings
            )
        return explorers[key]


def is_sliver(target: Target, record: Vector) -> bool:
    """Whether a region is so small that splitting it further will hardly help the falsifier."""
    low, high = target.box_of(record)
    return bool((high - low <= _SLIVER * (target.root.region.upper - target.root.region.lower)).all())


def work_per_region(network: Network) -> float:
    """Rough number of multiplications that bounding a region takes; decides nothing but how often a worker looks up."""
    neurons = sum(layer.size for layer in network.layers)
    return max(1.0, multiplications_of(network) * (8.0 + 0.2 * neurons))


def multiplications_of(network: Network) -> int:
    """Number of weights that are stored, at least one."""
    stored = (a.weight.size if isinstance(a.weight, np.ndarray) else a.weight.nnz for a in network.affines)
    return max(1, sum(stored))


def regions_are_dear(network: Network) -> bool:
    """Whether bounding a region costs so much that work on the root pays before anything is split."""
    return not network.is_piecewise_linear or work_per_region(network) > _DEAR
