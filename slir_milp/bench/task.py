"""One thing to run, and what came of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from slir_milp.bench.instances import BenchmarkSet, Instance, find_file
from slir_milp.errors import SlirError
from slir_milp.report.results import Key, Row, compare


@dataclass(frozen=True)
class Task:
    """An instance to be run by a tool.

    Attributes
    ----------
    set, folder
        Name and folder of its benchmark set.
    instance
        The instance.
    tool
        Name of the tool.
    timeout
        Seconds allowed, ``None`` for no limit.
    """

    set: str
    folder: Path
    instance: Instance
    tool: str
    timeout: float | None

    @property
    def key(self) -> Key:
        """That of its row."""
        return self.set, self.instance.onnx, self.instance.vnnlib, self.tool

    def __str__(self) -> str:
        return f"{self.set} {self.instance.onnx} {self.instance.vnnlib}"


@dataclass(frozen=True)
class Answer:
    """What a run says; the fields that are not described here are those of :class:`slir_milp.report.results.Row`.

    Attributes
    ----------
    seconds
        Wall time of the process; ``None`` where whoever asked is to measure.
    point
        The witness in VNN-LIB form, ``""`` if there is none.
    output, suffix
        The document of the run, or the other tool's output, and how the name of such a file ends; empty for none.
    """

    verdict: str
    reason: str
    regions: int = 0
    closed_by: dict[str, int] = field(default_factory=dict)
    closed_fraction: float = 0.0
    witness: str = ""
    peak_bytes: int | None = None
    seconds: float | None = None
    point: str = ""
    output: bytes = b""
    suffix: str = ""


class Decide(Protocol):
    """A way to get an answer."""

    def __call__(self, task: Task, network: Path, query: Path, cancel: threading.Event) -> Answer:
        """Decide an instance within the task's seconds, files included.

        Raises
        ------
        SlirError
            The instance cannot be run.
        """


@dataclass(frozen=True)
class Result:
    """A row to be, and the files that belong to it."""

    row: Row
    answer: Answer


def perform(task: Task, decide: Decide, cancel: threading.Event) -> Result | None:
    """Run a task, whatever is wrong with it; ``None`` if it was interrupted, and is to be run again."""
    started, begun = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
    try:
        if task.instance.fault:
            raise SlirError(task.instance.fault)
        network, query = (find_file(task.folder, name) for name in (task.instance.onnx, task.instance.vnnlib))
        answer = decide(task, network, query, cancel)
    except SlirError as error:
        answer = Answer("error", str(error))
    except Exception as error:  # a fault of this program must not cost the other instances
        answer = Answer("error", f"internal error: {type(error).__name__}: {error}")
    if cancel.is_set() and answer.verdict not in ("sat", "unsat"):
        return None
    seconds = time.monotonic() - begun if answer.seconds is None else answer.seconds
    row = Row(
        *task.key,
        verdict=answer.verdict,
        truth=task.instance.truth,
        outcome=compare(answer.verdict, task.instance.truth),
        seconds=round(seconds, 4),
        timeout=task.timeout,
        peak_mb=None if answer.peak_bytes is None else round(answer.peak_bytes / 1e6, 1),
        regions=answer.regions,
        closed_by=answer.closed_by,
        closed_fraction=answer.closed_fraction,
        reason=answer.reason,
        witness=answer.witness,
        started=started,
    )
    return Result(row, answer)


def tasks_of(found: BenchmarkSet, tools: tuple[str, ...], timeout: float | None) -> tuple[Task, ...]:
    """Every instance of a set with every tool; an instance gets the lesser of its own limit and the one given."""
    return tuple(
        Task(
            found.name,
            found.folder.resolve(),
            instance,
            tool,
            min((limit for limit in (timeout, instance.timeout) if limit is not None), default=None),
        )
        for instance in found.instances
        for tool in tools
    )
