"""Stopping HiGHS: deadlines, flags and Ctrl-C, looked at whenever the library calls back."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import Any

import numpy as np

from slir_milp.solvers.protocol import Status, Vector


class Watch:
    """Looks at the clock and at the flag whenever HiGHS calls back, and collects what it finds.

    An exception must not pass through the C++ frames, so it is kept and raised afterwards.

    Attributes
    ----------
    stopped
        Why the solve was stopped, if it was.
    raised
        What is to be raised when it has ended.
    """

    def __init__(self, deadline: float | None, cancel: Event | None, on_point: Callable[[Vector], None] | None) -> None:
        self.deadline = np.inf if deadline is None else deadline
        self.cancel = cancel
        self.on_point = on_point
        self.stopped: Status | None = None
        self.raised: BaseException | None = None
        self._highs: Any = None
        self._solution_events: frozenset[int] = frozenset()

    def verdict(self) -> Status | None:
        """Why to stop, if there is a reason."""
        if self.raised is not None:
            return Status.INTERRUPTED
        if self.cancel is not None and self.cancel.is_set():
            return Status.INTERRUPTED
        return Status.TIME_LIMIT if time.monotonic() >= self.deadline else None

    def attach(self, highs: Any, *, integer: bool) -> None:
        """Have HiGHS call back from now on."""
        from highspy import cb

        kind = cb.HighsCallbackType
        solutions = [kind.kCallbackMipSolution, kind.kCallbackMipImprovingSolution]
        events = [kind.kCallbackSimplexInterrupt, kind.kCallbackIpmInterrupt]
        if integer:
            events += [kind.kCallbackMipInterrupt, *(solutions if self.on_point is not None else ())]
        self._solution_events = frozenset(int(event) for event in solutions)
        self._highs = highs
        highs.setCallback(self._called, None)
        for event in events:
            highs.startCallback(event)

    def detach(self) -> None:
        """Have HiGHS forget this object."""
        self._highs.setCallback(None, None)

    def _called(self, event: Any, _message: str, output: Any, reply: Any, _data: Any) -> None:
        try:
            if int(event) in self._solution_events:
                if self.on_point is not None and len(output.mip_solution):
                    self.on_point(np.array(output.mip_solution, dtype=np.float64))
            else:
                self.stopped = self.stopped or self.verdict()
        except BaseException as error:
            self.raised = self.raised or error
        if reply is not None and (self.stopped is not None or self.raised is not None):
            reply.user_interrupt = True


@contextmanager
def deferred_interrupt(watch: Watch) -> Iterator[None]:
    """Let Ctrl-C stop the solve instead of raising from within it: the interpreter may raise between any two lines.

    A handler of the caller's is called at once, for it may set a flag; what it raises is kept.
    """
    ours = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if ours else None
    if not callable(handler):
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        try:
            handler(number, frame)
        except BaseException as error:
            watch.raised = watch.raised or error

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
