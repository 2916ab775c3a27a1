"""Each instance in a process of its own, within limits that hold for all that the process starts."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slir_milp.bench.process import Ended, Limited
from slir_milp.bench.task import Answer, Task
from slir_milp.bench.tool import Job, Tool
from slir_milp.errors import SlirError
from slir_milp.report.text import seconds
from slir_milp.search.verdict import Reason

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Isolated:
    """Decides instances by running tools.

    Attributes
    ----------
    tools
        By their names.
    memory
        Most bytes of one run, ``None`` for no limit.
    jobs
        Threads of one run.
    held
        A file that stays open until all of a run's processes have ended, even should this one be killed.
    """

    tools: Mapping[str, Tool]
    memory: int | None
    jobs: int
    held: int | None = None

    def __call__(self, task: Task, network: Path, query: Path, cancel: threading.Event) -> Answer:
        """Decide an instance."""
        tool = self.tools[task.tool]
        with tempfile.TemporaryDirectory(prefix="slir-milp-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            job = Job(network, query, folder, task.timeout, self.memory, self.jobs)
            limited = Limited(
                tool.command(job),
                folder,
                None if task.timeout is None else task.timeout + grace(task.timeout),
                self.memory,
                {**dict.fromkeys(_THREADS, str(self.jobs)), **tool.environment},
                self.held,
            )
            ended = limited.run(cancel)
            answer = _read(tool, job, ended, limited)
            return replace(answer, seconds=ended.seconds, peak_bytes=ended.peak_bytes)


def grace(timeout: float) -> float:
    """Seconds over its time after which a process is ended; it should have ended itself before."""
    return max(3.0, 0.05 * timeout)


def _read(tool: Tool, job: Job, ended: Ended, limited: Limited) -> Answer:
    try:
        answer = tool.read(job, ended, limited.stdout, limited.stderr)
    except (OSError, ValueError, KeyError, TypeError) as error:
        if ended.ended == "itself":
            raise SlirError(f"its result cannot be read: {type(error).__name__}: {error}.") from error
        answer = Answer("error", "")
    except SlirError:
        if ended.ended == "itself":
            raise
        answer = Answer("error", "")
    if ended.ended == "itself" or answer.verdict in ("sat", "unsat"):
        return answer
    if ended.ended == "memory":
        held = f"its processes held more than {(job.memory or 0) / 1e6:,.0f} MB and were ended"
        return replace(answer, verdict="unknown", reason=f"{Reason.MEMORY_LIMIT.value}; {held}")
    if ended.ended == "told":
        return replace(answer, verdict="unknown", reason=Reason.INTERRUPTED.value)
    after = f"its processes had to be ended after {seconds(ended.seconds)}"
    return replace(answer, verdict="timeout", reason=f"{Reason.TIME_LIMIT.value}; {after}")
