"""The run behind :func:`slir_milp.bounds`: both ends of every range, worked on by any number of threads."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.balance import prepared
from slir_milp.bounding.kernel import End, Explorer, Settings
from slir_milp.errors import UndefinedValueError
from slir_milp.network import exact_outputs
from slir_milp.network.affine import Vector
from slir_milp.query import Box, GridBox
from slir_milp.query.numbers import round_up
from slir_milp.search.explore import work_per_region
from slir_milp.search.falsify import attack
from slir_milp.search.frontier import Piece, Target
from slir_milp.search.journal import Journal
from slir_milp.search.limits import Limits
from slir_milp.search.minimum import Minimum, OpenPart, Patch, above, below, patches
from slir_milp.search.ranges import LEAST_GAP, RangeQuestion, Ranges
from slir_milp.search.roots import neurons_to_sharpen
from slir_milp.search.run import available_cores
from slir_milp.search.splitting import choose
from slir_milp.search.state import STAGES, State
from slir_milp.search.target import root_of
from slir_milp.search.verdict import Options, Reason, Splitting, Statistics

_WORK_PER_DIVE = 2.5e8
"""Multiplications after which the next region is that with the least bound again; until then the newest."""

_DIVES_PER_TURN = 8
_MOST_BYTES = 1.0e9
_DEEP_DIVE = 4096
_FIRST_ATTACK = 64
_WALKS = (24, 96)
_WALK_STEPS = 30
_SHOWN_TENTHS = 0.1


@dataclass(frozen=True, eq=False)
class _Place:
    """An exact box, and the float64 numbers within it."""

    box: Box
    grid: GridBox

    def point(self, x: Vector) -> list[Fraction]:
        """The nearest point of the box with float64 coordinates, exact ones where an interval holds none."""
        inside = np.clip(x, self.grid.lower, self.grid.upper)
        ends = zip(inside, self.grid.exists, self.box.lower_ends, self.box.upper_ends, strict=True)
        return [Fraction(float(v)) if exists else (low + high) / 2 for v, exists, (low, _), (high, _) in ends]


class Bounding:
    """One run.

    Parameters
    ----------
    question
        What is asked.
    """

    def __init__(self, question: RangeQuestion) -> None:
        self._question = question
        self._given = network = question.network
        if not network.is_piecewise_linear:
            first, several = question.boxes[0], len(question.boxes) > 1
            network = prepared(network, first.lower, first.upper, everywhere=several)
        self._network = network
        self._limits = Limits(question.deadline, question.memory_limit, question.cancel)
        self._state = State(self._limits)
        self._settings = Settings(least_interval=0.0 if network.is_piecewise_linear else Options().delta)
        self._places = {id(box): _Place(box, box.inside(np.float64)) for box in question.boxes}
        self._matrix = np.concatenate([question.functionals, -question.functionals])
        self._constants = np.concatenate([question.constants, -question.constants])
        self._minima = [Minimum(network, c, float(k)) for c, k in zip(self._matrix, self._constants, strict=True)]
        self._random = np.random.default_rng(question.seed)
        budget = int(np.clip(_WORK_PER_DIVE / work_per_region(network), 1, 256))
        self._budget = budget
        self._most_open = int(_MOST_BYTES / (8.0 * (20 + 4 * sum(layer.size for layer in network.layers))))
        self._going_on: dict[Target, Target] = {}
        self._failure: BaseException | None = None
        self._shown = 0.0

    def run(self) -> Ranges:
        """Bound until every gap is small enough or a limit is reached."""
        try:
            reason = self._open() or self._search()
        except KeyboardInterrupt:
            reason = Reason.INTERRUPTED
        return self._ranges(reason or self._final())

    def _final(self) -> Reason:
        settled = all(minimum.is_settled for minimum in self._minima)
        return Reason.WITHIN_TOLERANCE if settled else Reason.TOO_SMALL

    # --- roots -------------------------------------------------------------------------------------------------------

    def _open(self) -> Reason | None:
        """Bound every functional over every box; the limit that ended it, if any."""
        roots = [root_of(self._network, box.lower, box.upper) for box in self._question.boxes]
        for minimum in self._minima:
            minimum.cover(roots)
        found: list[Patch] = []
        for box in self._question.boxes:
            self._attain(0.5 * box.lower + 0.5 * box.upper, self._places[id(box)])
            for patch in patches(self._network, box, self._settings, self._limits):
                found.append(patch)
                if (reason := self._limits.reached()) is not None:
                    return reason
        for m, minimum in enumerate(self._minima):
            for p, patch in enumerate(found):
                if (reason := self._limits.reached()) is not None:
                    return reason
                found[p] = self._open_root(minimum, patch, sharpen=m == 0)
            minimum.certify()
            self._show()
        return None

    def _open_root(self, minimum: Minimum, patch: Patch, *, sharpen: bool) -> Patch:
        """Bound a functional over a patch; the patch with neuron bounds that hold for the others, too."""
        if not patch.charges.are_finite or not minimum.best < math.inf:
            minimum.give_up(-math.inf)
            return patch
        target = minimum.target(patch, self._settings)
        threshold = minimum.threshold
        explorer = minimum.explorer(target, threshold)
        record, sides = explorer.record(patch.root.region)
        end, value, _, x, *_ = self._analyse(explorer, record, sides)
        most = neurons_to_sharpen(self._network) if sharpen else 0
        if end not in STAGES and end is not End.STOPPED and most:
            explorer.sharpen(record, sides, most=most, deadline=self._limits.deadline, cancel=self._limits.flag)
            end, value, _, x, *_ = self._analyse(explorer, record, sides)
        self._state.counts.regions += 1
        minimum.regions += 1
        neurons = explorer.neurons(record)
        if end in STAGES:
            return patch
        if end is not End.STOPPED:
            self._attain(x, self._places[id(patch.box)])
        record[explorer.layout["settled"]] = 0.0
        record[explorer.layout["bound"]] = value
        target.record = record.copy()
        minimum.put(target, record[None, :], sides[None, :], threshold, -math.inf)
        return replace(patch, root=replace(patch.root, region=replace(patch.root.region, neurons=neurons)))

    def _analyse(self, explorer: Explorer, record: Vector, sides: NDArray[np.int8]) -> Any:
        return explorer.analyse(record, sides, deadline=self._limits.deadline, cancel=self._limits.flag)

    # --- values that are attained ------------------------------------------------------------------------------------

    def _attain(self, x: Vector, place: _Place) -> None:
        """Evaluate the network exactly at a point, if it looks like an improvement, and offer what it attains."""
        if not np.isfinite(x).all():
            return
        point = place.point(x)
        as_floats = np.array([float(value) for value in point])
        with np.errstate(over="ignore", invalid="ignore"):
            seen = self._matrix @ self._given(as_floats) + self._constants
        if not any(value < minimum.best for value, minimum in zip(seen, self._minima, strict=True)):
            return
        try:
            values = exact_outputs(self._given, point)
        except UndefinedValueError:
            return
        with self._state.condition:
            self._state.counts.points += 1
            for minimum, row, constant in zip(self._minima, self._matrix, self._constants, strict=True):
                most = Fraction(float(constant))
                for c, (low, high) in zip(row.tolist(), values, strict=True):
                    if c:
                        most += Fraction(c) * (high if c > 0 else low)
                minimum.offer(round_up(most), as_floats)
            self._allow()

    def _allow(self) -> None:
        """Set what gap is allowed, by the width of each range so far."""
        half = len(self._minima) // 2
        for low, high in zip(self._minima[:half], self._minima[half:], strict=True):
            width = -high.best - low.best
            if math.isfinite(width):  # where all values are one, rounding leaves it below zero
                allowed = max(
                    self._question.tolerance * max(width, 0.0), LEAST_GAP * max(abs(low.best), abs(high.best))
                )
                low.gap_allowed = max(low.gap_allowed, allowed)
                high.gap_allowed = max(high.gap_allowed, allowed)

    def _attack(self, minimum: Minimum) -> None:
        """Look for a lesser value by gradients from many places, the middles of the worst open regions among them."""
        with self._state.condition:
            minimum.next_attack = 4 * max(_FIRST_ATTACK, minimum.regions)
            walks = int(np.clip(np.sqrt(minimum.regions), *_WALKS))
            worst = minimum.worst(walks)
            random = np.random.default_rng(self._random.integers(2**63))
        if not worst:
            return
        target = worst[0].target
        ends = [target.box_of(part.record) for part in worst if part.target is target]
        region = target.root.region
        found = attack(
            self._given,
            minimum.row,
            region.lower,
            region.upper,
            restarts=walks,
            steps=_WALK_STEPS,
            random=random,
            limits=self._limits,
            starts=np.array([0.5 * low + 0.5 * high for low, high in ends]),
        )
        with self._state.condition:
            self._state.counts.points += found.evaluated
        if len(found.points) and found.margins[0] < minimum.best and self._limits.reached() is None:
            self._attain(found.points[0], self._places[id(target.box)])

    # --- the search --------------------------------------------------------------------------------------------------

    def _search(self) -> Reason | None:
        jobs = self._question.jobs or available_cores()
        workers = [threading.Thread(target=self._work, name=f"bounder-{i}", daemon=True) for i in range(jobs)]
        for worker in workers:
            worker.start()
        try:
            while alive := [worker for worker in workers if worker.is_alive()]:
                reason = self._limits.reached()
                if reason is not None:
                    self._state.stop(reason)
                alive[0].join(0.05)
                self._show()
        except BaseException:
            self._state.stop(Reason.INTERRUPTED)
            raise
        finally:
            for worker in workers:
                worker.join()
        if self._failure is not None:
            raise self._failure
        return self._state.stopped

    def _work(self) -> None:
        try:
            while (minimum := self._next()) is not None:
                self._turn(minimum)
        except BaseException as error:  # handed to the calling thread
            self._failure = error
            self._state.stop(Reason.INTERRUPTED)

    def _next(self) -> Minimum | None:
        """The end of a range that is farthest from what is allowed; ``None`` if all work is done."""
        with self._state.condition:
            while not self._state.ended:
                ready = [minimum for minimum in self._minima if minimum.has_work]
                if ready:
                    return max(ready, key=lambda minimum: minimum.gap / max(minimum.gap_allowed, 1e-300))
                if not any(minimum.is_worked_on for minimum in self._minima):
                    break
                self._state.condition.wait(0.05)
            self._state.condition.notify_all()
            return None

    def _turn(self, minimum: Minimum) -> None:
        """Some dives, each from the open region with the least bound."""
        if minimum.regions >= minimum.next_attack:
            self._attack(minimum)
        explorers: dict[tuple[int, Settings], Explorer] = {}
        last = math.inf
        for _ in range(_DIVES_PER_TURN):
            with self._state.condition:
                region = None if self._state.ended or minimum.is_settled else minimum.take()
                threshold = minimum.threshold
                crowded = sum(m.open_regions() for m in self._minima) > self._most_open
                self._state.condition.notify_all()
            if region is None:
                break
            if threshold != last:
                explorers, last = {}, threshold
            # Should this raise, the region stays among those that are worked on, so that its bound goes on to count.
            self._dive(minimum, region, threshold, explorers, _DEEP_DIVE if crowded else self._budget)
            with self._state.condition:
                minimum.done(region)

    def _dive(
        self,
        minimum: Minimum,
        region: OpenPart,
        threshold: float,
        explorers: dict[tuple[int, Settings], Explorer],
        budget: int,
    ) -> None:
        target = region.target
        region.record[target.layout["bound"]] = below(threshold, region.bound)
        if not target.chosen:
            self._choose(minimum, region, threshold)
            return
        key = (id(target), target.settings)
        if key not in explorers:
            explorers[key] = minimum.explorer(target, threshold)
        records, sides, leaves, leaf_sides, candidate, counts = explorers[key].explore(
            region.record[None, :],
            region.sides[None, :],
            budget=budget,
            deadline=self._limits.deadline,
            cancel=self._limits.flag,
        )
        if candidate is not None:
            self._attain(candidate, self._places[id(target.box)])
        with self._state.condition:
            self._state.counts.add(counts)
            minimum.regions += int(counts["regions"])
            minimum.put(target, records, sides, threshold, region.bound)
            if target.settings.split_activations and not target.settings.split_inputs:
                minimum.put(self._by_inputs(target), leaves, leaf_sides, threshold, region.bound)
            else:
                for leaf in leaves:
                    minimum.give_up(max(region.bound, above(threshold, float(leaf[target.layout["bound"]]))))

    def _by_inputs(self, target: Target) -> Target:
        """The target for regions with no activation left to split: from there on inputs are split, too."""
        if target not in self._going_on:
            settings = replace(target.settings, split_inputs=True)
            self._going_on[target] = replace(target, settings=settings)
        return self._going_on[target]

    def _choose(self, minimum: Minimum, region: OpenPart, threshold: float) -> None:
        """Decide what the regions of a target are split at, and go on from what the trial leaves open of its root."""
        target = region.target
        target.chosen = True
        piece = Piece(target, region.record[None, :].copy(), region.sides[None, :].copy())
        left = choose(
            target,
            piece,
            Splitting.AUTO,
            self._state,
            Journal(),
            lambda settings: minimum.explorer(target, threshold, settings),
        )
        if left is not None:
            with self._state.condition:
                minimum.put(target, left.records, left.sides, threshold, region.bound)

    # --- the answer --------------------------------------------------------------------------------------------------

    def _show(self) -> None:
        progress, now = self._question.progress, time.monotonic()
        if progress is not None and now - self._shown >= _SHOWN_TENTHS:
            self._shown = now
            progress(self._ranges(None))

    def _ranges(self, reason: Reason | None) -> Ranges:
        half, inputs = len(self._minima) // 2, self._given.input_size
        with self._state.condition:
            lower, upper = self._minima[:half], self._minima[half:]
            nowhere = np.full(inputs, np.nan)

            def points(minima: list[Minimum]) -> NDArray[np.float64]:
                return np.array([nowhere if m.point is None else m.point for m in minima])

            counts = self._state.counts
            return Ranges(
                np.array([m.lower for m in lower]),
                np.array([-m.lower for m in upper]),
                np.array([m.best for m in lower]),
                np.array([-m.best for m in upper]),
                points(lower),
                points(upper),
                self._question.names,
                self._question.tolerance,
                reason,
                Statistics(
                    regions=counts.regions,
                    closed_by={name: n for name, n in sorted(counts.closed_by.items()) if n},
                    input_splits=counts.input_splits,
                    activation_splits=counts.activation_splits,
                    max_depth=counts.max_depth,
                    clauses=len(self._question.boxes),
                    falsifier_points=counts.points,
                    seconds=time.monotonic() - self._question.started,
                ),
            )
