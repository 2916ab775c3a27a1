"""What may end a run before it has an answer: the clock, memory, the user."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from slir_milp.search.verdict import Reason

_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_memory() -> int:
    """Bytes of memory that this process holds now (its peak, where the system does not tell more)."""
    try:
        with open("/proc/self/statm", "rb") as status:
            return int(status.read().split()[1]) * _PAGE
    except OSError:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True, eq=False)
class Limits:
    """The one place that knows when to stop.

    Attributes
    ----------
    deadline
        On the clock of :func:`time.monotonic`; infinite if there is none.
    memory
        Bytes of resident memory; ``None`` for no limit.
    cancel
        Set by whoever wants the run to end.
    flag
        The same for the compiled kernel, which reads it while it runs: ``flag[0]`` is not zero.
    """

    deadline: float = float("inf")
    memory: int | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    flag: NDArray[np.int32] = field(default_factory=lambda: np.zeros(1, dtype=np.int32))

    def remaining(self) -> float:
        """Seconds left; may be negative."""
        return self.deadline - time.monotonic()

    def reached(self) -> Reason | None:
        """Which limit has been reached, if any."""
        if self.cancel.is_set():
            return Reason.INTERRUPTED
        if self.remaining() <= 0:
            return Reason.TIME_LIMIT
        if self.memory is not None and resident_memory() > self.memory:
            return Reason.MEMORY_LIMIT
        return None

    def within(self, seconds: float) -> Limits:
        """The same limits with at most so many seconds from now."""
        return Limits(min(self.deadline, time.monotonic() + seconds), self.memory, self.cancel, self.flag)
