"""The choice between splitting inputs and splitting activations, made by trying both.

From a root both are expanded breadth first by the same number of splits.  What counts is the *gap*: the bounds of the
open leaves, as far as they are negative, weighted by their share of the tree, relative to the root's.  A closed leaf
has none. The way that has taken more off the gap is gone on with; the trial ends as soon as one is clearly ahead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from slir_milp.bounding.kernel import Explorer, Settings
from slir_milp.search.frontier import Piece, Target
from slir_milp.search.journal import Journal
from slir_milp.search.state import STAGES, State
from slir_milp.search.verdict import Splitting

_ROUNDS = (1, 3, 11)
"""Numbers of splits tried in turn: the choice is made as soon as it is clear."""

_CLEARLY = 3.0


@dataclass(eq=False)
class _Trial:
    """One way of splitting, expanded from the root; an open leaf is its record and sides."""

    settings: Settings
    explorer: Explorer
    piece: Piece
    journal: Journal
    closed: float = 0.0
    bounded: int = 0
    ended: Counter[str] = field(default_factory=Counter)

    def expand(self, splits: int, state: State) -> bool:
        """Split the largest open leaves; ``False`` if a leaf was left over that the kernel cannot split."""
        target, at = self.piece.target, self.explorer.layout
        for _ in range(splits):
            if not len(self.piece) or state.limits.reached() is not None:
                break
            largest = int(np.argmax(self.piece.records[:, at["volume"]]))
            rest = np.arange(len(self.piece)) != largest
            here = slice(largest, largest + 1)
            records, sides, leaves, _, _, counts = self.journal.explore(
                self.explorer, self.piece.records[here], self.piece.sides[here], state.limits, budget=1
            )
            if len(leaves):
                return False
            self.bounded += 1
            self.closed += counts["closed_volume"]
            for end, name in STAGES.items():
                self.ended[name] += counts["ended"][end]
            self.piece = Piece(
                target,
                np.concatenate([self.piece.records[rest], records]),
                np.concatenate([self.piece.sides[rest], sides]),
            )
        return True

    def measure(self, root_bound: float, state: State) -> float:
        """Bound every open leaf, close what can be closed, and return how much of the root's gap is gone."""
        at, target = self.explorer.layout, self.piece.target
        gap, kept = 0.0, []
        for r, (record, sides) in enumerate(zip(self.piece.records, self.piece.sides, strict=True)):
            end, value, *_ = self.journal.analyse(self.explorer, record, sides, state.limits)
            if end in STAGES:
                self.closed += float(record[at["volume"]])
                self.ended[STAGES[end]] += 1
                continue
            kept.append(r)
            gap += float(record[at["volume"]]) * max(0.0, -value)
        self.bounded += len(self.piece)
        self.piece = Piece(target, self.piece.records[kept], self.piece.sides[kept])
        return 1.0 - gap / max(-root_bound, 1e-300)


def choose(
    target: Target,
    piece: Piece,
    wanted: Splitting,
    state: State,
    journal: Journal,
    explorer_for: Callable[[Settings], Explorer],
) -> Piece | None:
    """Decide what a target's search divides and put it into the target's settings.

    Parameters
    ----------
    target
        The target, its root bounded and open.
    piece
        Its root region.
    wanted
        What the user asked for.
    state
        The run, for its limits and counts.
    journal
        Takes what the way that is gone on with has done.
    explorer_for
        Makes an explorer of the target with other settings.

    Returns
    -------
    Piece or None
        The open regions to go on with; ``None`` if nothing is open any more.
    """
    by_inputs = replace(target.settings, split_inputs=True, split_activations=False)
    by_activations = replace(target.settings, split_inputs=False, split_activations=True)
    if wanted is not Splitting.AUTO:
        target.settings = by_inputs if wanted is Splitting.INPUT else by_activations
        return piece
    root_bound = float(piece.records[0, target.layout["bound"]])
    inputs = _Trial(by_inputs, explorer_for(by_inputs), piece, journal.branch())
    activations = _Trial(by_activations, explorer_for(by_activations), piece, journal.branch())
    done = 0
    chosen = inputs
    for splits in _ROUNDS:
        if not inputs.expand(splits - done, state):
            break
        gain = inputs.measure(root_bound, state)
        if not len(inputs.piece):
            chosen = inputs
            break
        if not activations.expand(splits - done, state):
            break
        other = activations.measure(root_bound, state)
        done = splits
        chosen = activations if other > gain or not len(activations.piece) else inputs
        if not len(chosen.piece) or max(gain, other) > _CLEARLY * max(min(gain, other), 0.0):
            break
        if state.limits.reached() is not None:
            break
    chosen.journal.keep()
    target.settings, target.closed = chosen.settings, chosen.closed
    with state.condition:
        state.counts.regions += inputs.bounded + activations.bounded
        state.counts.closed_by.update(chosen.ended)
    return chosen.piece if len(chosen.piece) else None
