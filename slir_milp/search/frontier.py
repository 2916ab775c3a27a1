"""The open regions: a stack of pieces, each a stack of regions of one target as the kernel stores them.

A worker takes the newest piece and later puts back what is left of it.  When another worker has nothing to do it
leaves the older half, which holds the larger regions, behind.  With one worker the order of regions is that of a
plain depth-first search and does not depend on the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.kernel import Conjunction, Settings
from slir_milp.bounding.magnitude import Slack
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.query import Atom, Box
from slir_milp.search.state import State
from slir_milp.search.target import Root
from slir_milp.search.verdict import OpenRegion

Records = NDArray[np.float64]
Sides = NDArray[np.int8]


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
        Fraction of the tree that is closed: a split halves, whatever it divides.
    chosen
        Whether it has been decided what the search divides.
    calls
        How often a worker has taken it up: targets take turns.
    undecided
        Regions too small to split that could not be decided.
    """

    box: Box
    rows: tuple[Atom, ...]
    conjunction: Conjunction
    slack: Slack
    compiled: Any
    root: Root
    record: Vector
    settings: Settings
    layout: dict[str, int]
    closed: float = 0.0
    chosen: bool = False
    calls: int = 0
    undecided: list[OpenRegion] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return len(self.root.region.lower)

    def margin(self, network: Network, x: Vector) -> float:
        """Largest row at a point in plain float64; where it is not positive the point is worth replaying."""
        rows = self.conjunction.rows
        with np.errstate(over="ignore", invalid="ignore"):
            values = rows.coefficients @ network(x) + rows.constants
            if rows.inputs is not None:
                values = values + rows.inputs @ x
        return float(values.max())

    def node_of(self, record: Vector) -> int:
        """The node of a region in the proof of the run, if there is one."""
        return int(record[self.layout["node"]])

    def box_of(self, records: Records) -> tuple[Vector, Vector]:
        """Lower and upper ends of the boxes of one record, or of several (one a row)."""
        low, high, n = self.layout["lower"], self.layout["upper"], self.inputs
        return records[..., low : low + n], records[..., high : high + n]


@dataclass(frozen=True, eq=False)
class Piece:
    """Open regions of one target, the newest last."""

    target: Target
    records: Records
    sides: Sides

    def __len__(self) -> int:
        return len(self.records)

    def part(self, chosen: slice) -> Piece:
        """Some of the regions."""
        return replace(self, records=self.records[chosen], sides=self.sides[chosen])


class Frontier:
    """The stack of pieces, shared by all workers.

    Parameters
    ----------
    state
        Whose lock guards it.
    workers
        How many there are.
    enough
        Whether regions that were set aside need not be explored any more.
    """

    def __init__(self, state: State, workers: int, enough: Callable[[], bool]) -> None:
        self._state, self._workers, self._enough = state, workers, enough
        self._pieces: list[Piece] = []
        self._aside: list[Piece] = []
        self._busy = 0

    def put(self, piece: Piece, *, last: bool = True) -> None:
        """Add a piece, to be taken next (``last``) or after all others."""
        if len(piece):
            with self._state.condition:
                self._pieces.insert(len(self._pieces) if last else 0, piece)
                self._state.condition.notify()

    def set_aside(self, piece: Piece) -> None:
        """Keep a piece for when nothing else is left."""
        if len(piece):
            with self._state.condition:
                self._aside.append(piece)

    def take(self) -> Piece | None:
        """The newest piece, waiting for one if need be; ``None`` if the search has ended.  Give it :meth:`back`."""
        with self._state.condition:
            while not self._state.ended:
                if not self._pieces and not self._busy:
                    if not self._aside or self._enough():
                        break
                    self._pieces, self._aside = self._aside, []
                if self._pieces:
                    self._busy += 1
                    return self._shared(self._pieces.pop())
                self._state.condition.wait(0.05)
            self._state.condition.notify_all()
            return None

    def done(self) -> None:
        """Say that the piece taken has been worked on."""
        with self._state.condition:
            self._busy -= 1
            self._state.condition.notify_all()

    def _shared(self, piece: Piece) -> Piece:
        idle = self._workers - self._busy - len(self._pieces)
        if idle <= 0 or len(piece) < 2:
            return piece
        half = len(piece) // 2
        self._pieces.append(piece.part(slice(half)))
        self._state.condition.notify()
        return piece.part(slice(half, None))

    def pieces(self) -> list[Piece]:
        """Everything that is open and not being worked on, what was set aside first."""
        with self._state.condition:
            return [*self._aside, *self._pieces]

    def drain(self) -> list[Piece]:
        """Take out everything that is open, what was set aside first; nobody may be at work."""
        with self._state.condition:
            pieces = [*self._aside, *self._pieces]
            self._aside, self._pieces = [], []
            return pieces

    def live(self) -> list[Piece]:
        """The newest piece of every target that has one, leaving out what was set aside."""
        with self._state.condition:
            return list({id(piece.target): piece for piece in self._pieces}.values())

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.pieces())

    def worst_bound(self) -> float | None:
        """Least bound of an open region, as far as bounds are known."""
        bounds = [p.records[:, p.target.layout["bound"]] for p in self.pieces()]
        finite = [float(b[np.isfinite(b)].min()) for b in bounds if np.isfinite(b).any()]
        return min(finite) if finite else None
