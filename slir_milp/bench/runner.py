"""The loop over tasks: whoever performs them, one place writes what comes of them."""

from __future__ import annotations

import fnmatch
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from slir_milp.bench.instances import BenchmarkSet, Instance, find_sets
from slir_milp.bench.task import Decide, Result, Task, perform, tasks_of
from slir_milp.errors import SlirError
from slir_milp.report.results import Row


@dataclass(frozen=True)
class Selection:
    """Which instances are to be run.

    Attributes
    ----------
    folders
        Benchmark sets, or folders of them.
    only
        Instances only whose network or query matches this shell pattern (``*prop_2*``); ``""`` for all.
    limit
        The first so many of these only, in each set; ``None`` for all.
    """

    folders: tuple[Path, ...]
    only: str = ""
    limit: int | None = None

    def sets(self) -> tuple[BenchmarkSet, ...]:
        """The sets with what is chosen of them, those left out of which nothing is.

        Raises
        ------
        SlirError
            A folder or a list is at fault, or nothing is chosen.
        """
        chosen = [replace(found, instances=self._chosen(found)) for found in find_sets(self.folders)]
        chosen = [found for found in chosen if found.instances]
        if not chosen:
            which = f" that matches '{self.only}'" if self.only else ""
            raise SlirError(f"{', '.join(map(str, self.folders))}: no instance{which} is listed there.")
        return tuple(chosen)

    def _chosen(self, found: BenchmarkSet) -> tuple[Instance, ...]:
        instances = found.instances
        if self.only:
            instances = tuple(
                i for i in instances if any(fnmatch.fnmatch(name, self.only) for name in (i.onnx, i.vnnlib))
            )
        return instances[: self.limit]

    def tasks(self, tools: tuple[str, ...], timeout: float | None) -> tuple[Task, ...]:
        """Every chosen instance with every tool, those of one instance one after the other."""
        return tuple(task for found in self.sets() for task in tasks_of(found, tools, timeout))


class Store(Protocol):
    """Where results are kept: a :class:`~slir_milp.bench.folder.ResultsFolder` or a table alone."""

    @property
    def kept(self) -> tuple[Row, ...]:
        """Rows of earlier commands."""

    def keep(self, result: Result) -> Row:
        """Write a result, and return when it is written; its row."""


class Dispatch(Protocol):
    """A way to have tasks performed."""

    def __call__(self, tasks: Sequence[Task], cancel: threading.Event) -> Iterator[Result]:
        """Results as they come, in whatever order; tasks that were interrupted have none."""


class Watcher:
    """Is told of what happens; this one does nothing with it.  All methods are called from one thread at a time."""

    def begins(self, rows: Sequence[Row], count: int) -> None:
        """The rows that are there already, and how many there will be."""

    def starts(self, task: Task) -> None:
        """A task is being performed."""

    def ends(self, row: Row) -> None:
        """A row has been written."""


def run_tasks(
    tasks: Sequence[Task], store: Store, dispatch: Dispatch, *, watcher: Watcher, cancel: threading.Event
) -> tuple[Row, ...]:
    """Perform what has no row yet, and write a row as each ends.

    Parameters
    ----------
    tasks
        What there is to do.
    store
        Where rows are kept, and where those of earlier commands are.
    dispatch
        Who performs tasks.
    watcher
        Is told.
    cancel
        Set it to stop: what runs then leaves no row, and will be run again.

    Returns
    -------
    tuple of Row
        Rows of an earlier run that were kept, then the new ones.

    Raises
    ------
    SlirError
        A row cannot be written; a fault of an instance is a row.
    """
    wanted = {task.key for task in tasks}
    rows = [row for row in store.kept if row.key in wanted]
    done = {row.key for row in rows}
    watcher.begins(rows, len(tasks))
    left = [task for task in tasks if task.key not in done]
    with closing(dispatch(left, cancel)) as results:  # type: ignore[type-var]
        for result in results:
            if result.row.key in done:  # (a worker that was thought dead may answer after all)
                continue
            row = store.keep(result)
            done.add(row.key)
            rows.append(row)
            watcher.ends(row)
    return tuple(rows)


@dataclass(frozen=True)
class Locally:
    """Performs tasks on this machine, so many at a time.

    Attributes
    ----------
    decide
        Gets an answer.
    parallel
        How many at a time; with one, all are performed in the calling thread.
    watcher
        Is told when a task starts.
    """

    decide: Decide
    parallel: int
    watcher: Watcher

    def __call__(self, tasks: Sequence[Task], cancel: threading.Event) -> Iterator[Result]:
        """Results as they come."""
        if self.parallel == 1:
            yield from self._in_turn(tasks, cancel)
        else:
            yield from self._at_once(tasks, cancel)

    def _in_turn(self, tasks: Sequence[Task], cancel: threading.Event) -> Iterator[Result]:
        for task in tasks:
            if cancel.is_set():
                return
            self.watcher.starts(task)
            result = perform(task, self.decide, cancel)
            if result is None:
                return
            yield result

    def _at_once(self, tasks: Sequence[Task], cancel: threading.Event) -> Iterator[Result]:
        left: queue.SimpleQueue[Task] = queue.SimpleQueue()
        results: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
        for task in tasks:
            left.put(task)
        stop = _Either(cancel)
        threads = [
            threading.Thread(target=self._work, args=(left, results, stop), name=f"campaign-{i}", daemon=True)
            for i in range(min(self.parallel, len(tasks)))
        ]
        for thread in threads:
            thread.start()
        try:
            running = len(threads)
            while running:
                found = results.get()
                if found is None:
                    running -= 1
                elif isinstance(found, BaseException):
                    raise found
                else:
                    yield found
        finally:  # whoever asked for results may have had enough
            stop.set()
            for thread in threads:
                thread.join()

    def _work(
        self,
        left: queue.SimpleQueue[Task],
        results: queue.SimpleQueue[Result | BaseException | None],
        stop: threading.Event,
    ) -> None:
        try:
            while not stop.is_set():
                task = left.get_nowait()
                self.watcher.starts(task)
                result = perform(task, self.decide, stop)
                if result is not None:
                    results.put(result)
        except queue.Empty:
            pass
        except BaseException as error:  # handed to whoever waits for results
            results.put(error)
        finally:
            results.put(None)


class _Either(threading.Event):
    """An event that is set if it is itself, or another is."""

    def __init__(self, other: threading.Event) -> None:
        super().__init__()
        self._other = other

    def is_set(self) -> bool:
        """Whether one of the two is set."""
        return super().is_set() or self._other.is_set()
