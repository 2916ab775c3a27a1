"""Our own verifier as a tool: in this process, or by its command line."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slir_milp._version import __version__
from slir_milp.bench.cache import BoundedCache
from slir_milp.bench.process import Ended
from slir_milp.bench.task import Answer, Task
from slir_milp.bench.tool import Job, last_words
from slir_milp.errors import SlirError
from slir_milp.report.document import peak_memory
from slir_milp.report.results import OWN
from slir_milp.search.verdict import Options, Reason, Status, Verdict, Witness

if TYPE_CHECKING:
    from slir_milp.activations.registry import Registry
    from slir_milp.network import Network
    from slir_milp.query import Query

_NETWORK_BYTES = 128_000_000
_QUERY_BYTES = 16_000_000
_OWN_MEMORY = 0.9
"""The part of the memory limit at which the program ends by itself, with what it knows."""


def own_name(options: Options) -> str:
    """Name of this program's rows: with the options that change how it decides, so that they are told apart."""
    return " ".join([OWN, *(f"{name}={value}" for name, value in _deciding(options) if value != _DEFAULTS[name])])


def _deciding(options: Options) -> tuple[tuple[str, str], ...]:
    return (
        ("engine", options.engine.value),
        ("split", options.splitting.value),
        ("slopes", options.slopes.value),
        ("delta", repr(options.delta)),
        ("seed", str(options.seed)),
    )


_DEFAULTS = dict(_deciding(Options()))


class InProcess:
    """Decides instances in this process, where files that several instances share are read once.

    An instance that overruns its time cannot be ended from outside: that takes a process of its own.

    Parameters
    ----------
    options
        For every instance; the time comes with each.
    activations
        Activations of one's own that networks use.
    """

    def __init__(self, options: Options, activations: Registry | None = None) -> None:
        from slir_milp.network import load_network
        from slir_milp.query import load_query

        self._options = options
        self._networks: BoundedCache[Network] = BoundedCache(
            partial(load_network, activations=activations), _NETWORK_BYTES
        )
        self._queries: BoundedCache[Query] = BoundedCache(load_query, _QUERY_BYTES)

    def __call__(self, task: Task, network: Path, query: Path, cancel: threading.Event) -> Answer:
        """Decide an instance."""
        from slir_milp.search import verify

        started = time.monotonic()
        try:
            loaded, question = self._networks.get(network), self._queries.get(query)
            question.check_fits(loaded.input_size, loaded.output_size)
            remaining = None if task.timeout is None else task.timeout - (time.monotonic() - started)
            if remaining is not None and remaining <= 0:
                return _answer(Verdict(Status.TIMEOUT, Reason.TIME_LIMIT, "Reading the files took all of it."))
            return _answer(verify(loaded, question, replace(self._options, timeout=remaining), cancel=cancel))
        except MemoryError:
            return _answer(Verdict(Status.UNKNOWN, Reason.MEMORY_LIMIT, "The system has no more memory to give."))


@dataclass(frozen=True)
class OwnTool:
    """The command line of slir-milp.

    Attributes
    ----------
    options
        For every instance; time, memory and threads come with each.
    activations
        A file that declares activations of one's own.
    """

    options: Options
    activations: Path | None = None

    @property
    def name(self) -> str:
        """By which its rows are known."""
        return own_name(self.options)

    @property
    def version(self) -> str:
        """Its version."""
        return __version__

    @property
    def environment(self) -> dict[str, str]:
        """Variables that it needs: none."""
        return {}

    @property
    def template(self) -> tuple[str, ...]:
        """Its command with the places left open."""
        command = ["slir-milp", "verify", "{network}", "{query}", "--quiet", "--json", "{result}"]
        for name, value in _deciding(self.options):
            command += [f"--{name}", value]
        command += ["--timeout", "{timeout}", "--memory-limit", "{memory_mb}", "--jobs", "{jobs}"]
        if self.activations is not None:
            command += ["--activations", str(self.activations.resolve())]
        return tuple(command)

    def command(self, job: Job) -> list[str]:
        """Its command for a job."""
        command = [sys.executable, "-P", "-m", "slir_milp", "verify", str(job.network), str(job.query), "--quiet"]
        command += ["--json", str(job.result), "--jobs", str(job.jobs)]
        for name, value in _deciding(self.options):
            command += [f"--{name}", value]
        if job.timeout is not None:
            command += ["--timeout", repr(job.timeout)]
        if job.memory is not None:
            command += ["--memory-limit", repr(_OWN_MEMORY * job.memory / 1e6)]
        if self.activations is not None:
            command += ["--activations", str(self.activations.resolve())]
        return command

    def read(self, job: Job, ended: Ended, stdout: Path, stderr: Path) -> Answer:
        """Read the JSON document, and the witness from stdout."""
        if not job.result.exists():
            raise SlirError(last_words(stderr, ended.code).removeprefix("slir-milp: error: "))
        content = job.result.read_bytes()
        document: dict[str, Any] = json.loads(content)
        reason, witness, statistics = document["reason"], document["witness"], document["statistics"]
        answer = Answer(
            document["verdict"],
            f"{reason['text']}; {reason['detail']}" if reason["detail"] else reason["text"],
            statistics["regions"],
            statistics["closed_by"],
            float(document["closed_fraction"]),
            _arithmetics(witness["holds_exactly"], witness["holds_in_runtime"]) if witness else "",
            document["peak_memory_bytes"],
            output=content,
            suffix=".json",
        )
        if answer.verdict != "sat":
            return answer
        return replace(answer, point=stdout.read_text(encoding="utf-8").partition("\n")[2])


def _answer(verdict: Verdict) -> Answer:
    reason = f"{verdict.reason.value}; {verdict.detail}" if verdict.detail else verdict.reason.value
    found = verdict.witness
    return Answer(
        verdict.status.value,
        reason,
        verdict.statistics.regions,
        dict(verdict.statistics.closed_by),
        verdict.closed_fraction,
        _arithmetics(found.holds_exactly, found.holds_in_runtime) if isinstance(found, Witness) else "",
        peak_memory(),
    )


def _arithmetics(exactly: bool, in_runtime: bool) -> str:
    return {(True, True): "both", (True, False): "exact", (False, True): "runtime"}.get((exactly, in_runtime), "none")
