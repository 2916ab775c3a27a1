"""What all workers of a run share, and the lock that guards it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slir_milp.bounding.kernel import End
from slir_milp.search.limits import Limits
from slir_milp.search.verdict import Reason, Witness

if TYPE_CHECKING:
    from slir_milp.lp.observer import Observer

STAGES = {End.BOUND: "bound", End.INHERITED: "inherited", End.EMPTY: "inherited"}
"""Under which name a region that the kernel closed is counted."""


@dataclass
class Counts:
    """What happened so far."""

    regions: int = 0
    closed_by: Counter[str] = field(default_factory=Counter)
    input_splits: int = 0
    activation_splits: int = 0
    max_depth: int = 0
    points: int = 0
    programs: int = 0

    def join(self, other: Counts) -> None:
        """Take in what happened elsewhere."""
        self.regions += other.regions
        self.closed_by.update(other.closed_by)
        self.input_splits += other.input_splits
        self.activation_splits += other.activation_splits
        self.max_depth = max(self.max_depth, other.max_depth)
        self.points += other.points
        self.programs += other.programs

    def add(self, kernel: Mapping[str, Any]) -> None:
        """Take in what a call of the kernel reports."""
        self.regions += kernel["regions"]
        for end, name in STAGES.items():
            self.closed_by[name] += kernel["ended"][end]
        self.input_splits += kernel["input_splits"]
        self.activation_splits += kernel["activation_splits"]
        self.max_depth = max(self.max_depth, int(kernel["max_depth"]))


class State:
    """Counts, the witness and the reason to stop; every change is made under ``condition``.

    ``solver`` names the back end of every linear or mixed-integer program of the run, ``observer`` is told of each.
    """

    def __init__(self, limits: Limits, solver: str = "highs", observer: Observer | None = None) -> None:
        self.limits, self.solver, self.observer = limits, solver, observer
        self.condition = threading.Condition()
        self.counts = Counts()
        self.witness: Witness | None = None
        self.stopped: Reason | None = None

    @property
    def ended(self) -> bool:
        """Whether workers are to come home."""
        return self.witness is not None or self.stopped is not None

    def found(self, witness: Witness) -> None:
        """Record a witness and call the workers home; the first one stays."""
        with self.condition:
            self.witness = self.witness or witness
            self._wake()

    def stop(self, reason: Reason) -> None:
        """Call the workers home; the first reason stays."""
        with self.condition:
            self.stopped = self.stopped or reason
            self._wake()

    def resume(self) -> None:
        """Forget the reason to stop, before another run."""
        with self.condition:
            self.stopped = None
            self.limits.flag[0] = 0

    def _wake(self) -> None:
        self.limits.flag[0] = 1
        self.condition.notify_all()
