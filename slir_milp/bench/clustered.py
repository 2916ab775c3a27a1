"""The same tasks on a Dask cluster: a task is an instance and a tool, and this process alone writes rows."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from slir_milp.bench.isolated import Isolated
from slir_milp.bench.runner import Watcher
from slir_milp.bench.task import Answer, Result, Task, perform
from slir_milp.cluster import Connection
from slir_milp.cluster.parcel import opened, sent
from slir_milp.errors import SlirError

_POLL = 0.2
_RETRIES = 3


@dataclass(frozen=True)
class OnCluster:
    """Performs tasks on a cluster, whose workers must see the benchmarks under the same paths.

    Every worker runs as many instances at a time as it has threads.

    Attributes
    ----------
    connection
        The cluster.
    decide
        Gets an answer, in a worker.
    watcher
        Is told when a task starts; here, when it is handed over to the cluster.
    """

    connection: Connection
    decide: Isolated
    watcher: Watcher

    def __call__(self, tasks: Sequence[Task], cancel: threading.Event) -> Iterator[Result]:
        """Results as they come; Dask repeats those whose workers died."""
        ended: queue.SimpleQueue[str] = queue.SimpleQueue()
        out: dict[str, tuple[Any, Task]] = {}
        left = list(reversed(tasks))
        # The lock of the folder stays here: what workers started ends with them, not with this process.
        with sent(self.connection, replace(self.decide, held=None)) as key:
            try:
                while (left or out) and not cancel.is_set():
                    while left and len(out) < 2 * max(1, self.connection.slots()):
                        task = left.pop()
                        future = self.connection.client.submit(_perform, key, task, pure=False, retries=_RETRIES)
                        out[future.key] = future, task
                        self.watcher.starts(task)
                        future.add_done_callback(lambda done: ended.put(done.key))
                    try:
                        found = out.pop(ended.get(timeout=_POLL), None)
                    except queue.Empty:
                        continue
                    if found is None:
                        continue
                    future, task = found
                    if future.status == "cancelled":  # the scheduler has lost it
                        left.append(task)
                    else:
                        yield future.result() if future.status == "finished" else _failed(task, future.exception())
            finally:
                for future, _ in out.values():
                    future.cancel()


def _perform(key: str, task: Task) -> Result:
    """Perform a task; called by Dask in a worker."""
    result = perform(task, opened(key), threading.Event())
    assert result is not None  # nobody interrupts it there
    return result


def _failed(task: Task, error: BaseException) -> Result:
    from distributed.scheduler import KilledWorker

    if not isinstance(error, KilledWorker):
        raise error

    def decide(task: Task, network: Path, query: Path, cancel: threading.Event) -> Answer:
        raise SlirError("the cluster's workers died again and again while they ran it.")

    result = perform(task, decide, threading.Event())
    assert result is not None
    return result
