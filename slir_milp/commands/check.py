"""``slir-milp check``: whether a proof proves what it claims."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from slir_milp.certificate.check import Files, Report, check
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import digest, make_way, require_file
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError, ProofError
from slir_milp.report.text import plural, seconds

if TYPE_CHECKING:
    from slir_milp.report.document import Json

FORMAT = 1
"""Raised by one whenever a field of the JSON document changes its meaning or goes away."""
_REDRAW_EVERY = 0.2
_CLEAR_LINE = "\r\x1b[K"
_CODES = {
    "accepted": ExitCode.DECIDED,
    "repaired": ExitCode.DECIDED,
    "rejected": ExitCode.REJECTED,
    "undecided": ExitCode.UNDECIDED,
    "interrupted": ExitCode.INTERRUPTED,
}


@dataclass(frozen=True)
class Request:
    """What ``slir-milp check`` is asked.

    Attributes
    ----------
    proof, network, query
        The three files.
    exact
        Whether to use rational arithmetic throughout.
    jobs
        Most processes; 0 for one a core.
    activations
        A file that declares activations of one's own, if there is one.
    json
        Where to write the JSON document, if anywhere.
    quiet
        Whether stderr shows errors only.
    repair
        Where to write the mended proof, if one is wanted.
    timeout
        Most seconds for searching again, for a repair; ``None`` for no limit.
    plain
        Whether the plain checker is asked.
    """

    proof: Path
    network: Path
    query: Path
    exact: bool = False
    jobs: int = 0
    activations: Path | None = None
    json: Path | None = None
    quiet: bool = False
    repair: Path | None = None
    timeout: float | None = None
    plain: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a check ended.

    Attributes
    ----------
    verdict
        ``accepted``, ``repaired``, ``rejected``, ``undecided`` (no memory) or ``interrupted``.
    reasons
        Why, if it is not accepted.
    report
        What the checker found, if it came to its end.
    searched_again
        In a repair: how many nodes were searched again.
    """

    verdict: str
    reasons: tuple[str, ...] = ()
    report: Report | None = None
    searched_again: int = 0


def run(request: Request) -> ExitCode:
    """Check a proof, print one line and write the JSON document.

    Raises
    ------
    SlirError
        A file is not there, or is at fault in another way than by not being what the proof is about.
    """
    inputs = (request.proof, request.network, request.query, request.activations)
    for path in filter(None, inputs):
        require_file(path)
    _prepare(request, inputs)
    started = time.monotonic()
    outcome = _outcome(request)
    write_stdout(_line(outcome, time.monotonic() - started))
    if not request.quiet and outcome.report is not None:
        print("\n".join(_remarks(outcome.report)), file=sys.stderr)
    if request.json is not None:
        from slir_milp.report.document import write_json

        write_json(request.json, document(request, outcome, time.monotonic() - started))
    return _CODES[outcome.verdict]


def _prepare(request: Request, inputs: tuple[Path | None, ...]) -> None:
    """See that what is to be written can be; drop what an earlier run has left there."""
    if request.timeout is not None and request.repair is None:
        raise OptionError("--timeout limits a repair; give --repair, too.")
    if request.plain and (request.repair is not None or request.activations is not None):
        raise OptionError("--plain neither repairs a proof nor reads activations of your own; check without it.")
    outputs = [(f"--{name}", path) for name, path in (("json", request.json), ("repair", request.repair)) if path]
    if len({os.path.realpath(path) for _, path in outputs}) < len(outputs):
        raise OptionError("--json and --repair name the same file; name two.")
    for option, path in outputs:
        make_way(f"{option} {path}", path, inputs)
    if request.repair is not None and request.repair.exists():
        raise OptionError(f"--repair {request.repair} is no file: the mended proof is read again; name a file.")


def _outcome(request: Request) -> Outcome:
    from concurrent.futures.process import BrokenProcessPool

    files = Files(request.proof, request.network, request.query, request.activations)
    count = _Count()
    try:
        with count.shown(None if request.quiet else sys.stderr):
            return _found(request, files, count)
    except ProofError as error:
        return Outcome("rejected", (str(error),))
    except MemoryError:
        return Outcome("undecided", (f"the system has no more memory to give; {count}.",))
    except BrokenProcessPool:
        return Outcome("undecided", (f"the system ended a process, most likely for want of memory; {count}.",))
    except KeyboardInterrupt:
        return Outcome("interrupted", (f"{count}.",) if request.repair else (f"{count}; nothing wrong so far.",))


def _found(request: Request, files: Files, count: _Count) -> Outcome:
    jobs = request.jobs or _cores()
    if request.plain:
        from slir_milp.certificate import plain

        report = plain.check(files, count.note)
        return Outcome("accepted" if report.accepted else "rejected", report.failures, report)
    if request.repair is None:
        report = check(files, exact=request.exact, jobs=jobs, watch=count.note)
        return Outcome("accepted" if report.accepted else "rejected", report.failures, report)
    from slir_milp.commands.repair import Task, mend

    task = Task(files, request.repair, request.exact, jobs, request.timeout, count.note, count.note_search)
    mended = mend(task)
    verdict = "rejected" if mended.reasons else "repaired" if mended.nodes else "accepted"
    return Outcome(verdict, mended.reasons, mended.report, mended.nodes)


class _Count:
    """How far the check has come; shown on a terminal."""

    def __init__(self) -> None:
        self._nodes = self._leaves = 0
        self._search = ""
        self._stream: TextIO | None = None
        self._started = time.monotonic()
        self._due = self._started + _REDRAW_EVERY

    def __str__(self) -> str:
        return self._search or f"{plural(self._leaves, 'leaf', 'leaves')} closed, {plural(self._nodes, 'node')} seen"

    def note(self, nodes: int, leaves: int) -> None:
        """Take note of the figures so far."""
        self._nodes, self._leaves, self._search = nodes, leaves, ""
        self._redraw()

    def note_search(self, nodes: int, regions: int) -> None:
        """Take note of a repair: nodes that are searched again, and regions bounded for that."""
        self._search = f"searching {plural(nodes, 'node')} again, {plural(regions, 'region')} bounded"
        self._redraw()

    def _redraw(self) -> None:
        now = time.monotonic()
        if self._stream is not None and now >= self._due:
            self._due = now + _REDRAW_EVERY
            print(f"{_CLEAR_LINE}{self}, {seconds(now - self._started)}", end="", file=self._stream, flush=True)

    @contextmanager
    def shown(self, stream: TextIO | None) -> Iterator[None]:
        """Keep a line of a terminal up to date, and remove it at the end; do nothing elsewhere."""
        if stream is None or not stream.isatty():
            yield
            return
        self._stream = stream
        try:
            yield
        finally:
            print(_CLEAR_LINE, end="", file=stream, flush=True)


def _line(outcome: Outcome, elapsed: float) -> str:
    """The one line of stdout."""
    report = outcome.report
    if report is not None and _CODES[outcome.verdict] is ExitCode.DECIDED:
        parts = [report.claim]
        if outcome.searched_again:
            parts.append(f"{plural(outcome.searched_again, 'node')} searched again")
        if report.claim == "unsat":
            parts.append(plural(report.leaves, "leaf", "leaves"))
        parts.append(_arithmetic(report))
        if report.exactly:
            parts.append(f"{plural(report.exactly, 'node')} exactly")
        parts.append(seconds(elapsed if outcome.searched_again else report.seconds))
    else:
        parts = [outcome.reasons[0]]
    line = " ".join(f"{outcome.verdict}: {', '.join(parts)}".split())
    encoding = sys.stdout.encoding or "utf-8"  # (a path in a sentence need not be valid text)
    return line.encode(encoding, errors="backslashreplace").decode(encoding) + "\n"


def _arithmetic(report: Report) -> str:
    return "plain" if report.plain else "exact" if report.exact else "ball"


def _remarks(report: Report) -> Iterator[str]:
    """What is said besides, on stderr."""
    if report.read_twice:
        yield "The network was read by two independent readers, which agree."
    else:
        yield "The network was read by one reader only: the second does not cover it."
    if report.exactly:
        yield f"{plural(report.exactly, 'node')} needed exact arithmetic."
    if report.note:
        yield f"{report.note}."


def document(request: Request, outcome: Outcome, elapsed: float) -> Json:
    """Everything about a check, as JSON values; the fields are described in ``docs/command-line.md``."""
    from slir_milp.report.document import peak_memory, versions

    report = outcome.report
    found: dict[str, Json] = {
        "format": FORMAT,
        "verdict": outcome.verdict,
        "reasons": list(outcome.reasons),
        "claim": None if report is None else report.claim,
        "arithmetic": None if report is None else _arithmetic(report),
        "nodes": None if report is None else report.nodes,
        "leaves": None if report is None else report.leaves,
        "nodes_exactly": None if report is None else report.exactly,
        "nodes_searched_again": outcome.searched_again if request.repair else None,
        "read_twice": None if report is None else report.read_twice,
        "runtime": None if report is None else report.note or None,
        "writer": None if report is None else report.header.writer,
        "seconds": elapsed,
        "peak_memory_bytes": peak_memory(),
        "options": {"exact": request.exact, "jobs": request.jobs, "plain": request.plain, "timeout": request.timeout},
    }
    names = ("network", "query", "activations")
    checked = {} if report is None else {name: getattr(report.header, name) for name in names}
    for name in ("proof", "network", "query", "activations"):
        named = digest(getattr(request, name))
        # Where the checker came to an end, the digests are those of the bytes that it read.
        found[name] = None if named is None else {"path": named[0], "sha256": checked.get(name, named[1])}
    mended = digest(request.repair if _CODES[outcome.verdict] is ExitCode.DECIDED else None)
    found["repaired"] = None if mended is None else {"path": mended[0], "sha256": mended[1]}
    return found | {"versions": versions()}


def _cores() -> int:
    """Number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # (not Linux)
        return os.cpu_count() or 1
