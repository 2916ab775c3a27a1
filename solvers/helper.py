"""Solves in a process of their own, for solvers that cannot be stopped or silenced, or might take us with them.

A helper is started when it is first needed, and kept for the next solve.  It belongs to one call at a time; when that
call's deadline, flag or Ctrl-C says so, it is ended with everything that it started.  What it writes goes nowhere, its
temporary files are in a folder that is removed with it, and it ends when we do, whatever ended us.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Queue
from typing import Any

from slir_milp.solvers.held import Order
from slir_milp.solvers.protocol import Status

_LOOK = 0.02
"""Seconds between two looks at a flag while a helper works; an answer is taken as soon as it comes."""
_GRACE = 0.3
"""Seconds that a helper has after the deadline to tell what it has found so far."""
_KEPT = 4
"""Idle helpers that are kept."""


class HelperError(RuntimeError):
    """A helper ended, or its function raised."""


class Helper:
    """A process that calls functions of importable modules."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="slir-milp-solver-")
        read, their_write = os.pipe()
        their_read, write = os.pipe()
        self._answers, self._orders = Connection(read, writable=False), Connection(write, readable=False)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, str(their_read), str(their_write), self._folder],
                pass_fds=(their_read, their_write),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "TMPDIR": self._folder},
                start_new_session=True,
            )
        finally:
            os.close(their_read)
            os.close(their_write)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], order: Order) -> Any:
        """The function's result; or why it was stopped.

        Raises
        ------
        HelperError
            The process ended, or the function raised.
        """
        try:
            self._orders.send((function, arguments))
            while not self._answers.poll(_LOOK):
                reason = order.verdict()
                if reason is Status.INTERRUPTED or order.seconds() < -_GRACE:
                    self.end()
                    return reason
            result, error = self._answers.recv()
        except (EOFError, OSError) as gone:
            self.end()
            raise HelperError("the process of the solver ended.") from gone
        except BaseException:
            self.end()
            raise
        if error is not None:
            raise HelperError(error)
        return result

    @property
    def is_usable(self) -> bool:
        """Whether it can be called again."""
        return self._process.poll() is None

    def end(self) -> None:
        """End it, and everything that it started."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._answers.close()
        self._orders.close()
        shutil.rmtree(self._folder, ignore_errors=True)


_lock = threading.Lock()
_idle: list[Helper] = []


def call_in_helper(function: Callable[..., Any], arguments: tuple[Any, ...], order: Order) -> Any:
    """Call a function in some helper; see :meth:`Helper.call`."""
    with _lock:
        helper = _idle.pop() if _idle else None
    if helper is None or not helper.is_usable:
        helper = Helper()
    try:
        return helper.call(function, arguments, order)
    finally:
        with _lock:
            keep = helper.is_usable and len(_idle) < _KEPT
            if keep:
                _idle.append(helper)
        if not keep:
            helper.end()


@atexit.register
def _end_all() -> None:
    while _idle:
        _idle.pop().end()


def _serve(orders: Connection, answers: Connection, folder: str) -> None:
    """What the process does: one call after the other, until we are gone."""
    waiting: Queue[tuple[Callable[..., Any], tuple[Any, ...]]] = Queue()

    def read() -> None:
        try:
            while True:
                waiting.put(orders.recv())
        except EOFError:
            shutil.rmtree(folder, ignore_errors=True)
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=read, daemon=True).start()
    while True:
        function, arguments = waiting.get()
        result = failure = None
        try:
            result = function(*arguments)
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
        answers.send((result, failure))


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1]), writable=False), Connection(int(sys.argv[2]), readable=False), sys.argv[3])
