"""Branch and bound over all open conjunctions at once, by any number of threads.

The frontier is a stack of pieces: a piece is a stack of open regions of one target, laid out for the compiled kernel.  A
worker takes the newest piece, explores it depth first for a while without the interpreter, and puts back what is left; when
another worker is idle it leaves the older (larger) half behind.  With one worker the order of regions is that of a plain
depth-first search and does not depend on the clock.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounds.exact import refuted_exactly
from slir_milp.bounds.kernel import Conjunction, Explorer, Settings
from slir_milp.bounds.magnitude import Slack
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Box
from slir_milp.search.falsify import attack
from slir_milp.search.leaves import exact_rows, region_ends
from slir_milp.search.limits import Limits
from slir_milp.search.replay import Replayer
from slir_milp.search.target import Root
from slir_milp.search.verdict import Reason, Witness

Records = NDArray[np.float64]
Sides = NDArray[np.int8]

_WORK_PER_CALL = 4.0e7
"""Multiplications after which a worker looks up: some tens of milliseconds."""


_FIRST_ATTACK = 128
"""Regions after which the falsifier is called for the first time; then whenever their number has doubled."""

_REGIONS_PER_DESCENT = 64
_DESCENT_STEPS = 16
_MOST_ATTACKED = 16
_REGIONS_PER_MISS = 50
_FREE_MISSES = 20
_SLIVER = 1e-3
_POLISH_RADII = (1e-2, 1e-3, 1e-4)
_POLISH_WALKS = 32
_REGIONS_PER_EXACT_ATTEMPT = 200
_WALK_STEPS = 40


@dataclass(eq=False)
class Target:
    """One conjunction over one box: what is to be refuted, and how far that has come.

    Attributes
    ----------
    box
        The exact box of the inputs.
    rows
        The inequalities as written.
    conjunction
        The same for the kernel.
    slack, compiled
        Rounding charges and the compiled network, valid for the box.
    root
        Interval bounds over the box.
    record
        The root as the kernel stores it, with the neuron bounds found there.
    settings
        What the kernel may do.
    layout
        Where the parts of a region's record are.
    closed
        Fraction of the volume that is closed.
    regions
        Number of regions bounded.
    undecided
        Boxes too small to split that could not be decided: lower end, upper end, bound.
    """

    box: Box
    rows: tuple[Any, ...]
    conjunction: Conjunction
    slack: Slack
    compiled: Any
    root: Root
    record: Vector
    settings: Settings
    layout: dict[str, int]
    closed: float = 0.0
    regions: int = 0
    undecided: list[tuple[Vector, Vector, float]] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Piece:
    """Open regions of one target, the newest last."""

    target: Target
    records: Records
    sides: Sides


@dataclass
class Counts:
    """What happened so far; guarded by the search's lock."""

    regions: int = 0
    closed_by: Counter[str] = field(default_factory=Counter)
    input_splits: int = 0
    activation_splits: int = 0
    max_depth: int = 0
    points: int = 0


class Search:
    """The branch and bound.

    Parameters
    ----------
    network
        The network.
    replayer
        Checks candidate witnesses.
    limits
        When to stop.
    jobs
        Number of worker threads.
    seed
        Seed of the falsifier.
    """

    def __init__(self, network: Network, replayer: Replayer, limits: Limits, jobs: int, seed: int) -> None:
        self.network, self.replayer, self.limits, self.jobs = network, replayer, limits, jobs
        self.counts = Counts()
        self.witness: Witness | None = None
        self.failure: BaseException | None = None
        self._next_attack = _FIRST_ATTACK
        self._exact_attempts = self._missed = 0
        self._random = np.random.default_rng(seed)
        self._pieces: list[Piece] = []
        self._aside: list[Piece] = []
        self._busy = 0
        self._stop: Reason | None = None
        self._condition = threading.Condition()
        self._budget = int(np.clip(_WORK_PER_CALL / work_per_region(network), 1, 256))

    # --- what the outside sees -------------------------------------------------------------------------------------

    def add(self, target: Target, records: Records, sides: Sides) -> None:
        """Put open regions of a target on the frontier."""
        with self._condition:
            self._pieces.append(Piece(target, records, sides))

    def run(self, report: Callable[[], None] | None = None) -> Reason | None:
        """Explore until nothing is open, a witness is found or a limit is reached.

        Parameters
        ----------
        report
            Called about ten times a second from the calling thread.

        Returns
        -------
        Reason or None
            The limit that ended it; ``None`` if the frontier is empty or there is a witness.
        """
        if not self._pieces:
            return None
        self._stop = None
        workers = [threading.Thread(target=self._work, name=f"explorer-{i}", daemon=True) for i in range(self.jobs)]
        for worker in workers:
            worker.start()
        try:
            while any(worker.is_alive() for worker in workers):
                reason = self.limits.reached()
                if reason is not None:
                    self._end(reason)
                workers[0 if workers[0].is_alive() else -1].join(0.05)
                if report is not None:
                    report()
        except BaseException:
            self._end(Reason.INTERRUPTED)
            raise
        finally:
            for worker in workers:
                worker.join()
            self.limits.flag[0] = 0
        if self.failure is not None:
            raise self.failure
        return None if self.witness is not None else self._stop

    @property
    def open_regions(self) -> int:
        """Number of regions on the frontier (those being worked on are not counted)."""
        with self._condition:
            return sum(len(piece.records) for piece in [*self._pieces, *self._aside])

    def pieces(self) -> list[Piece]:
        """What is open, oldest first."""
        with self._condition:
            return [*self._aside, *self._pieces]

    def clear(self) -> None:
        """Forget what is open."""
        with self._condition:
            self._pieces.clear()

    def worst_bound(self) -> float | None:
        """Least bound over the open regions."""
        bounds = [float(p.records[:, p.target.layout["bound"]].min()) for p in self.pieces() if len(p.records)]
        finite = [b for b in bounds if np.isfinite(b)]
        return min(finite) if finite else None

    # --- workers ---------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        explorers: dict[tuple[int, bool], Explorer] = {}
        try:
            while (piece := self._take()) is not None:
                try:
                    self._explore(piece, explorers)
                finally:
                    with self._condition:
                        self._busy -= 1
                        self._condition.notify_all()
        except BaseException as error:  # handed to the calling thread
            self.failure = error
            self._end(Reason.INTERRUPTED)

    def _take(self) -> Piece | None:
        with self._condition:
            while True:
                if self._stop is not None or self.witness is not None or self._is_finished():
                    self._condition.notify_all()
                    return None
                if self._pieces:
                    break
                if self._aside and not self._busy and not self._settled_by_near_miss():
                    self._pieces, self._aside = self._aside, []
                    break
                self._condition.wait(0.05)
            piece = self._pieces.pop()
            idle = self.jobs - self._busy - 1 - len(self._pieces)
            if idle > 0 and len(piece.records) > 1:
                half = len(piece.records) // 2
                self._pieces.append(replace(piece, records=piece.records[:half], sides=piece.sides[:half]))
                piece = replace(piece, records=piece.records[half:], sides=piece.sides[half:])
                self._condition.notify_all()
            self._busy += 1
            return piece

    def _is_finished(self) -> bool:
        return not self._pieces and not self._busy and (not self._aside or self._settled_by_near_miss())

    def _settled_by_near_miss(self) -> bool:
        """Whether an exact witness is known, so that the regions it lies in need not be explored to the end."""
        return self.replayer.near_miss is not None and self.replayer.near_miss.holds_exactly

    def _explorer(self, target: Target, explorers: dict[tuple[int, bool], Explorer], tight: bool) -> Explorer:
        key = (id(target), tight)
        if key not in explorers:
            if len(explorers) > 4:
                explorers.clear()
            settings = replace(target.settings, report_tight=tight)
            explorers[key] = Explorer(
                self.network, target.slack, target.compiled, target.conjunction, settings
            )
        return explorers[key]

    def _explore(self, piece: Piece, explorers: dict[tuple[int, bool], Explorer]) -> None:
        target = piece.target
        explorer = self._explorer(target, explorers, True)
        records, sides, leaf_records, leaf_sides, candidate, counts = explorer.explore(
            np.ascontiguousarray(piece.records),
            np.ascontiguousarray(piece.sides),
            budget=self._budget,
            deadline=self.limits.deadline,
            cancel=self.limits.flag,
        )
        missed = candidate is not None and not self._replay(candidate, target)
        self._count(target, counts)
        if missed and len(records) > 1 and self._is_sliver(target, records[-1]):
            # Witnesses lie here, but no float32 one was found: look elsewhere first.
            self._set_aside(Piece(target, records[-2:], sides[-2:]))
            records, sides = records[:-2], sides[:-2]
        if len(records):
            self._put_back(Piece(target, records, sides), last=not missed)
        for record, side in zip(leaf_records, leaf_sides, strict=True):
            self._settle(target, record, side, explorer, explorers)
        for victim, effort in self._attacks_due():
            self._attack(victim, effort, self._explorer(victim.target, explorers, True))

    def _attacks_due(self) -> list[tuple[Piece, int]]:
        """Pieces to attack, one of each open target, and the regions' worth of effort to spend on each."""
        with self._condition:
            if self.witness is not None or self.counts.regions < self._next_attack or not self._pieces:
                return []
            open_targets = {id(piece.target): piece for piece in self._pieces}
            due = list(open_targets.values())[-_MOST_ATTACKED:]
            effort = self._next_attack // len(due)
            self._next_attack *= 2
            return [(piece, effort) for piece in due]

    def _count(self, target: Target, counts: dict[str, Any]) -> None:
        with self._condition:
            ended, total = counts["ended"], self.counts
            target.regions += counts["regions"]
            target.closed += counts["closed_volume"]
            total.regions += counts["regions"]
            total.closed_by["bound"] += ended[1]
            total.closed_by["inherited"] += ended[2] + ended[3]
            total.input_splits += counts["input_splits"]
            total.activation_splits += counts["activation_splits"]
            total.max_depth = max(total.max_depth, int(counts["max_depth"]))

    def _put_back(self, piece: Piece, *, last: bool) -> None:
        """Return a piece to the frontier; after a near miss at its far end, so that the search looks elsewhere first."""
        with self._condition:
            self._pieces.insert(len(self._pieces) if last else 0, piece)

    def _set_aside(self, piece: Piece) -> None:
        with self._condition:
            self._aside.append(piece)

    def _is_sliver(self, target: Target, record: Vector) -> bool:
        """Whether a region is so small that splitting it further will hardly help the falsifier."""
        at, inputs = target.layout, len(target.root.region.lower)
        width = record[at["upper"] : at["upper"] + inputs] - record[at["lower"] : at["lower"] + inputs]
        return bool((width <= _SLIVER * (target.root.region.upper - target.root.region.lower)).all())

    def _replay(self, x: Vector, target: Target) -> bool:
        """Replay a candidate, and once more where it is met with more room: float32 needs some."""
        with self._condition:
            if self._missed * _REGIONS_PER_MISS > self.counts.regions + _FREE_MISSES * _REGIONS_PER_MISS:
                return False
        witness = self.replayer.try_point(x, target.box)
        if witness is None:
            for deeper in self._deeper(x, target):
                witness = witness or self.replayer.try_point(deeper, target.box)
        with self._condition:
            self.counts.points += 2
            self._missed += witness is None
        if witness is None:
            return False
        with self._condition:
            if self.witness is None:
                self.witness = witness
        self.limits.flag[0] = 1
        return True

    def _deeper(self, x: Vector, target: Target) -> Iterator[Vector]:
        """Points near a candidate that meet the rows with more room."""
        root = target.root.region
        width = root.upper - root.lower
        with self._condition:
            random = np.random.default_rng(self._random.integers(2**63))
        for radius in _POLISH_RADII:
            found = attack(
                self.network,
                target.conjunction.rows,
                np.maximum(root.lower, x - radius * width),
                np.minimum(root.upper, x + radius * width),
                restarts=_POLISH_WALKS,
                steps=_WALK_STEPS,
                random=random,
                limits=self.limits,
                starts=x[None, :],
            )
            yield found.points[0]

    def _attack(self, piece: Piece, effort: int, explorer: Explorer) -> None:
        """Look for a witness: gradient walks in many places at once, then descents along the relaxation.

        Descents start in turn from where the best walks ended and from random points.  The effort is a fixed share of the
        regions explored so far.
        """
        if self.witness is not None:
            return
        target, at = piece.target, explorer.layout
        inputs = len(target.root.region.lower)
        with self._condition:
            random = np.random.default_rng(self._random.integers(2**63))
        walks = int(np.clip(np.sqrt(8.0 * effort), 16, 256))
        chosen = piece.records[-walks:]
        low = chosen[:, at["lower"] : at["lower"] + inputs]
        high = chosen[:, at["upper"] : at["upper"] + inputs]
        lower, upper = target.root.region.lower, target.root.region.upper
        found = attack(
            self.network,
            target.conjunction.rows,
            lower,
            upper,
            restarts=walks,
            steps=_WALK_STEPS,
            random=random,
            limits=self.limits,
            starts=0.5 * low + 0.5 * high,
        )
        evaluated = found.evaluated
        for x in found.candidates:
            if self._replay(x, target):
                return
        for turn in range(max(2, effort // _REGIONS_PER_DESCENT)):
            guided = turn % 2 == 0 and turn // 2 < len(found.points)
            start = found.points[turn // 2] if guided else lower + random.random(inputs) * (upper - lower)
            met, x, _ = explorer.descend(target.record, start, 0.15 if guided else 0.5, _DESCENT_STEPS)
            evaluated += _DESCENT_STEPS
            if self.limits.reached() is not None or self.witness is not None or (
                met and self._replay(x, target)
            ):
                break
        with self._condition:
            self.counts.points += evaluated

    def _settle(
        self,
        target: Target,
        record: Vector,
        side: Sides,
        explorer: Explorer,
        explorers: dict[tuple[int, bool], Explorer],
    ) -> None:
        """A region that only rounding keeps open, or that cannot be split: exact arithmetic, then the kernel again."""
        at = explorer.layout
        inputs = len(target.root.region.lower)
        end, bound, _, _, slopes, weights = explorer.analyse(record, side)
        low = record[at["lower"] : at["lower"] + inputs].copy()
        high = record[at["upper"] : at["upper"] + inputs].copy()
        exact_low, exact_high = region_ends(target.box, low, high)
        with self._condition:
            affordable = self._exact_attempts * _REGIONS_PER_EXACT_ATTEMPT <= self.counts.regions
            self._exact_attempts += affordable
        closed = any(a > b for a, b in zip(exact_low, exact_high, strict=True)) or (
            affordable
            and end.name in ("OPEN", "TIGHT")
            and not side.any()
            and refuted_exactly(
                self.network,
                exact_rows(target.rows, inputs),
                exact_low,
                exact_high,
                explorer.neurons(record),
                slopes,
                weights,
            )
        )
        if closed or end.name in ("BOUND", "INHERITED", "EMPTY"):
            with self._condition:
                self.counts.closed_by["exact" if closed else "bound"] += 1
                target.closed += float(record[at["volume"]])
            return
        again = self._explorer(target, explorers, False)
        records, sides, leaves, _, candidate, counts = again.explore(
            record[None, :].copy(),
            side[None, :].copy(),
            budget=1,
            deadline=self.limits.deadline,
            cancel=self.limits.flag,
        )
        missed = candidate is not None and not self._replay(candidate, target)
        self._count(target, {**counts, "regions": 0})
        if len(records) and missed and self._is_sliver(target, record):
            self._set_aside(Piece(target, records, sides))
        elif len(records):
            self._put_back(Piece(target, records, sides), last=not missed)
        if len(leaves):
            for x in (low, high, 0.5 * low + 0.5 * high):
                if self._replay(x, target):
                    return
            with self._condition:
                target.undecided.append((low, high, float(bound)))

    def _end(self, reason: Reason) -> None:
        with self._condition:
            if self._stop is None:
                self._stop = reason
            self.limits.flag[0] = 1
            self._condition.notify_all()


def work_per_region(network: Network) -> float:
    """Rough number of multiplications that bounding a region takes; decides nothing but how often a worker looks up."""
    weights = sum(_stored(affine.weight) for affine in network.affines)
    neurons = sum(layer.size for layer in network.layers)
    return weights * (8.0 + 0.2 * neurons)


def _stored(weight: Any) -> int:
    return int(weight.size if isinstance(weight, np.ndarray) else weight.nnz)
