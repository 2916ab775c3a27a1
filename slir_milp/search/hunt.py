"""The hunt for witnesses during the search: when to attack, where to start, and the replay of what turns up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from slir_milp.bounding.kernel import Explorer
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.search.falsify import attack
from slir_milp.search.frontier import Frontier, Piece, Target
from slir_milp.search.replay import Replayer
from slir_milp.search.state import State

_FIRST_ATTACK = 128
"""Regions after which the falsifier is called for the first time; then whenever their number has doubled."""

_FIRST_EFFORT = 96
_MOST_FIRST_ATTACKS = 64
_EFFORT_PER_TARGET = 256
_REGIONS_PER_DESCENT = 192
_DESCENT_STEPS = 16
_DESCENT_RADII = (0.15, 0.5)
_WALK_STEPS = 40
_POLISH_RADII = (1e-2, 1e-3, 1e-4)
_POLISH_WALKS = 32
_REGIONS_PER_MISS = 50
_FREE_MISSES = 20


class Hunt:
    """Falsification of the open targets, its effort a fixed share of the regions explored.

    Parameters
    ----------
    network
        The network.
    replayer
        Checks candidates.
    state
        The run.
    seed
        Of everything random.
    first
        Regions before the first attack.
    patience
        Regions explored in search of a witness that holds in both arithmetics, after one that holds in exact
        arithmetic alone.
    free_misses
        Candidates that may turn out to be none before only a share of the regions explored may be spent on them.
    """

    def __init__(
        self,
        network: Network,
        replayer: Replayer,
        state: State,
        seed: int,
        *,
        first: int,
        patience: int,
        free_misses: int = _FREE_MISSES,
    ) -> None:
        self._network, self._replayer, self._state = network, replayer, state
        self._random = np.random.default_rng(seed)
        self._next, self._missed, self._turn = first, 0, 0
        self._patience, self._known_since = patience, -1
        self._free_misses = free_misses

    def exact_witness_known(self) -> bool:
        """Whether a point is known that meets the query in exact arithmetic, though not in the runtime."""
        return self._replayer.near_miss is not None and self._replayer.near_miss.holds_exactly

    def is_over(self) -> bool:
        """Whether an exact witness has been known for so long that a better one is not worth waiting for."""
        if not self.exact_witness_known():
            return False
        with self._state.condition:
            regions = self._state.counts.regions
            if self._known_since < 0:
                self._known_since = regions
            return regions > 2 * self._known_since + self._patience

    def replay(self, x: Vector, target: Target) -> bool:
        """Replay a candidate, and once more where it is met with more room: float32 needs some.

        Misses cost time, so no more than a share of the regions explored may be spent on them.
        """
        with self._state.condition:
            if (self._missed - self._free_misses) * _REGIONS_PER_MISS > self._state.counts.regions:
                return False
        witness = self._replayer.try_point(x, target.box)
        if witness is None:
            for deeper in self._deeper(x, target):
                witness = witness or self._replayer.try_point(deeper, target.box)
        if witness is None:
            with self._state.condition:
                self._missed += 1
            return False
        self._state.found(witness)
        return True

    def attack_first(self, pieces: list[Piece], explorer_of: Callable[[Target], Explorer]) -> None:
        """Attack roots before anything is split, those with the lowest bounds first: where regions are dear it pays."""
        order = sorted(pieces, key=lambda piece: float(piece.records[0, piece.target.layout["bound"]]))
        for piece in order[:_MOST_FIRST_ATTACKS]:
            if self._state.ended or self._state.limits.reached() is not None:
                break
            self.attack(piece, _FIRST_EFFORT, explorer_of(piece.target))

    def attack_if_due(self, frontier: Frontier, explorer_of: Callable[[Target], Explorer]) -> None:
        """Attack some of the open targets if the falsifier's turn has come."""
        with self._state.condition:
            if self._state.ended or self._state.counts.regions < self._next:
                return
            live = frontier.live()
            if not live:
                return
            # No more targets than the effort is worth, and others each time.
            count = min(len(live), max(1, self._next // _EFFORT_PER_TARGET))
            pieces = [live[(self._turn + i) % len(live)] for i in range(count)]
            effort = max(self._next, 1) // count
            self._turn += count
            self._next = 2 * max(self._next, _FIRST_ATTACK // 2)
        for piece in pieces:
            if not self._state.ended:
                self.attack(piece, effort, explorer_of(piece.target))

    def attack(self, piece: Piece, effort: int, explorer: Explorer) -> None:
        """Gradient walks in many places at once, then descents from where the best ended and from random points."""
        target, random = piece.target, self._generator()
        lower, upper = target.root.region.lower, target.root.region.upper
        walks = int(np.clip(np.sqrt(8.0 * effort), 32, 256))
        low, high = target.box_of(piece.records[-walks:])
        limits = self._state.limits
        found = attack(
            self._network,
            target.conjunction.rows,
            lower,
            upper,
            restarts=walks,
            steps=_WALK_STEPS,
            random=random,
            limits=limits,
            starts=0.5 * low + 0.5 * high,
        )
        evaluated = found.evaluated
        for x in found.candidates:
            if self.replay(x, target):
                return
        for turn in range(effort // _REGIONS_PER_DESCENT):
            guided = turn % 2 == 0 and turn // 2 < len(found.points)
            start = found.points[turn // 2] if guided else lower + random.random(len(lower)) * (upper - lower)
            met, x, _ = explorer.descend(
                target.record,
                start,
                _DESCENT_RADII[turn % 2],
                _DESCENT_STEPS,
                deadline=limits.deadline,
                cancel=limits.flag,
            )
            evaluated += _DESCENT_STEPS
            if limits.reached() is not None or self._state.ended or (met and self.replay(x, target)):
                break
        with self._state.condition:
            self._state.counts.points += evaluated

    def _deeper(self, x: Vector, target: Target) -> Iterator[Vector]:
        """Points near a candidate that meet the rows with more room."""
        root, random = target.root.region, self._generator()
        width = root.upper - root.lower
        for radius in _POLISH_RADII:
            found = attack(
                self._network,
                target.conjunction.rows,
                np.maximum(root.lower, x - radius * width),
                np.minimum(root.upper, x + radius * width),
                restarts=_POLISH_WALKS,
                steps=_WALK_STEPS,
                random=random,
                limits=self._state.limits,
                starts=x[None, :],
            )
            with self._state.condition:
                self._state.counts.points += found.evaluated
            yield found.points[0]

    def _generator(self) -> np.random.Generator:
        with self._state.condition:
            return np.random.default_rng(self._random.integers(2**63))
