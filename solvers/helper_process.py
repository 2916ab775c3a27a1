"""The process of a helper: ``python -m slir_milp.solvers.helper_process ORDERS ANSWERS FOLDER``; see ``helper.py``."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from queue import Queue
from typing import Any


def serve(orders: Connection, answers: Connection, folder: str) -> None:
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
    serve(Connection(int(sys.argv[1]), writable=False), Connection(int(sys.argv[2]), readable=False), sys.argv[3])
