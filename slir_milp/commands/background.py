"""Run a piece of work in a thread of its own, so that the main thread stays free for signals, clock and display.

Python runs signal handlers in the main thread only, and between two of its instructions.  Were the search there, a
Ctrl-C would wait until compiled code returns.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Generic, NoReturn, TypeVar

from slir_milp.commands.exit_code import ExitCode

T = TypeVar("T")

_TICK = 0.1
_STDERR = 2
_SHOW_CURSOR = b"\x1b[?25h\r\n"


class OverrunError(Exception):
    """Work has not ended although its time is long over; its thread still runs."""


_NAME = "slir-milp-run"


class _Task(threading.Thread, Generic[T]):
    """A thread that keeps what its work returned or raised."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name=_NAME, daemon=True)
        self._work = work
        self._results: list[T] = []
        self._error: BaseException | None = None
        self.ended = threading.Event()

    def run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:  # handed to the main thread, which decides
            self._error = error
        finally:
            self.ended.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._results[0]


def run_in_background(
    work: Callable[[], T], *, tick: Callable[[], None] | None = None, give_up_at: float | None = None
) -> T:
    """Do some work in another thread and wait for it.

    Parameters
    ----------
    work
        What to do.
    tick
        Called about ten times a second while the work goes on.
    give_up_at
        Value of ``time.monotonic()`` after which the work is no longer waited for; ``None`` to wait for ever.

    Returns
    -------
    object
        What the work returned; what it raised is raised here.

    Raises
    ------
    OverrunError
        The work went on after ``give_up_at``.
    """
    task = _Task(work)
    task.start()
    while not task.ended.wait(_TICK):
        if tick is not None:
            tick()
        if give_up_at is not None and time.monotonic() > give_up_at:
            raise OverrunError
    return task.result()


@contextmanager
def signals_cancel(cancel: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM set an event, and the second end the process at once."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        if cancel.is_set():
            if os.isatty(_STDERR):
                os.write(_STDERR, _SHOW_CURSOR)
            _leave(ExitCode.INTERRUPTED)
        cancel.set()

    with _handled_by(handle, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM raise ``KeyboardInterrupt``, as Ctrl-C does, while nothing else is arranged."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled_by(handle, signal.SIGTERM):
        yield


def leave_if_work_goes_on(code: ExitCode) -> None:
    """End the process here if abandoned work still runs: libraries must not be torn down under a running thread."""
    if any(thread.name == _NAME for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        _leave(code)


def _leave(code: ExitCode) -> NoReturn:
    """End the process at once, but for the unfinished proof that it may have on the disk."""
    proofs = sys.modules.get("slir_milp.certificate.write")
    if proofs is not None:
        proofs.abandon()
    os._exit(code)


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python allows handlers in the main thread only
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
