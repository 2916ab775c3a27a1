"""Getting one instance's answer: in this process, or in one of its own."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from slir_milp.bench.cache import BoundedCache
from slir_milp.errors import SlirError
from slir_milp.report.document import peak_memory
from slir_milp.search.verdict import Options, Reason, Status, Verdict, Witness

if TYPE_CHECKING:
    from slir_milp.activations.registry import Registry
    from slir_milp.network import Network
    from slir_milp.query import Query

_NETWORK_BYTES = 128_000_000
_QUERY_BYTES = 16_000_000
_POLL = 0.05
_GRACE_AFTER_TERMINATION = 3.0
_LAST_WORDS = 300


@dataclass(frozen=True)
class Answer:
    """What a run of one instance says; the fields are those of :class:`slir_milp.bench.results.Row`."""

    verdict: str
    reason: str
    regions: int = 0
    closed_fraction: float = 0.0
    witness: str = ""
    peak_bytes: int | None = None


class Decide(Protocol):
    """A way to get an answer."""

    def __call__(self, network: Path, query: Path, options: Options, cancel: threading.Event) -> Answer:
        """Decide an instance within ``options.timeout`` seconds, files included.

        Raises
        ------
        SlirError
            The instance cannot be run.
        """


class InProcess:
    """Decides instances in this process, where files that several instances share are read once.

    An instance that overruns its time cannot be ended from outside: that takes :class:`Isolated`.

    Parameters
    ----------
    activations
        Activations of one's own that networks use.
    """

    def __init__(self, activations: Registry | None = None) -> None:
        from slir_milp.network import load_network
        from slir_milp.query import load_query

        self._networks: BoundedCache[Network] = BoundedCache(
            partial(load_network, activations=activations), _NETWORK_BYTES
        )
        self._queries: BoundedCache[Query] = BoundedCache(load_query, _QUERY_BYTES)

    def __call__(self, network: Path, query: Path, options: Options, cancel: threading.Event) -> Answer:
        """Decide an instance."""
        from slir_milp.search import verify

        started = time.monotonic()
        try:
            loaded, question = self._networks.get(network), self._queries.get(query)
            question.check_fits(loaded.input_size, loaded.output_size)
            if options.timeout is not None:
                remaining = options.timeout - (time.monotonic() - started)
                if remaining <= 0:
                    return _answer(Verdict(Status.TIMEOUT, Reason.TIME_LIMIT, "Reading the files took all of it."))
                options = replace(options, timeout=remaining)
            return _answer(verify(loaded, question, options, cancel=cancel))
        except MemoryError:
            return _answer(Verdict(Status.UNKNOWN, Reason.MEMORY_LIMIT, "The system has no more memory to give."))


class Isolated:
    """Decides each instance in a process of its own, which is ended when it overruns its time by far.

    Parameters
    ----------
    activations
        A file that declares activations of one's own.
    """

    def __init__(self, activations: Path | None = None) -> None:
        self._further = () if activations is None else ("--activations", str(activations))

    def __call__(self, network: Path, query: Path, options: Options, cancel: threading.Event) -> Answer:
        """Decide an instance."""
        with tempfile.TemporaryDirectory(prefix="slir-milp-") as folder:
            result, messages = Path(folder) / "result.json", Path(folder) / "stderr.txt"
            command = [sys.executable, "-P", "-m", "slir_milp", "verify", str(network), str(query), "--quiet"]
            command += ["--json", str(result), *_arguments(options), *self._further]
            limit = math.inf if options.timeout is None else options.timeout + _overrun(options.timeout)
            with open(messages, "wb") as errors:
                # In a session of its own, a Ctrl-C on the terminal reaches this process only, which passes it on.
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,
                )
                ended = _wait(child, limit, cancel)
            if result.exists():
                return _read_answer(result)
            if not ended:
                reason = Reason.INTERRUPTED if cancel.is_set() else Reason.TIME_LIMIT
                status = Status.UNKNOWN if cancel.is_set() else Status.TIMEOUT
                return _answer(Verdict(status, reason, "The process had to be ended."))
            raise SlirError(_last_words(messages, child.returncode))


def _overrun(timeout: float) -> float:
    """Seconds over its time after which a process is ended; it should have ended itself long before."""
    return max(5.0, 0.1 * timeout)


def _answer(verdict: Verdict) -> Answer:
    reason = f"{verdict.reason.value}; {verdict.detail}" if verdict.detail else verdict.reason.value
    found = verdict.witness
    return Answer(
        verdict.status.value,
        reason,
        verdict.statistics.regions,
        verdict.closed_fraction,
        _arithmetics(found.holds_exactly, found.holds_in_runtime) if isinstance(found, Witness) else "",
        peak_memory(),
    )


def _read_answer(path: Path) -> Answer:
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    reason, witness = document["reason"], document["witness"]
    return Answer(
        document["verdict"],
        f"{reason['text']}; {reason['detail']}" if reason["detail"] else reason["text"],
        document["statistics"]["regions"],
        float(document["closed_fraction"]),
        _arithmetics(witness["holds_exactly"], witness["holds_in_runtime"]) if witness else "",
        document["peak_memory_bytes"],
    )


def _arithmetics(exactly: bool, in_runtime: bool) -> str:
    return {(True, True): "both", (True, False): "exact", (False, True): "runtime"}.get((exactly, in_runtime), "none")


def _arguments(options: Options) -> list[str]:
    """The options as arguments of ``slir-milp verify``."""
    arguments = ["--engine", options.engine.value, "--split", options.splitting.value]
    arguments += ["--slopes", options.slopes.value, "--delta", repr(options.delta)]
    arguments += ["--solver", options.solver]
    arguments += ["--jobs", str(options.jobs), "--seed", str(options.seed)]
    if options.timeout is not None:
        arguments += ["--timeout", repr(options.timeout)]
    if options.memory_limit is not None:
        arguments += ["--memory-limit", repr(options.memory_limit / 1e6)]
    return arguments


def _wait(child: subprocess.Popen[bytes], limit: float, cancel: threading.Event) -> bool:
    """Wait for a process, end it if it must be; whether it ended by itself."""
    started = time.monotonic()
    while time.monotonic() - started < limit and not cancel.is_set():
        try:
            child.wait(_POLL)
            return True
        except subprocess.TimeoutExpired:
            pass
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(_GRACE_AFTER_TERMINATION)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    return False


def _last_words(messages: Path, code: int) -> str:
    text = " ".join(messages.read_text(encoding="utf-8", errors="replace").split())
    text = text.removeprefix("slir-milp: error: ")
    if not text:
        return f"the process ended with code {code} and said nothing."
    return text if len(text) <= _LAST_WORDS else f"…{text[-_LAST_WORDS:]}"
