"""``slir-milp check --repair``: search again what the checker cannot confirm, and check the mended proof."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.certificate.check import Files, Report, Watch, check
from slir_milp.commands.files import read_network, read_query
from slir_milp.errors import SlirError
from slir_milp.report.text import plural

if TYPE_CHECKING:
    from slir_milp.search.repair import Repair
    from slir_milp.search.verdict import Witness

MARGINS = (16.0, 256.0)
"""Margins of the search, one for each time that it is called; ``verify`` takes 4."""
_MOST_NODES = 10_000
_SHOWN_INPUTS = 5


@dataclass(frozen=True)
class Task:
    """What is to be mended, and how.

    Attributes
    ----------
    files
        The proof and what it is about.
    out
        Where the mended proof is to be.
    exact, jobs
        As for the check.
    timeout
        Most seconds for searching again; ``None`` for no limit.
    watch
        Told of how far a check has come.
    note
        Told of how many nodes are searched again, and of how many regions that has taken so far.
    """

    files: Files
    out: Path
    exact: bool
    jobs: int
    timeout: float | None
    watch: Watch
    note: Callable[[int, int], None]


@dataclass(frozen=True)
class Mended:
    """What came of it.

    Attributes
    ----------
    report
        The last check: of the mended proof, or of the old one if that could not be mended.
    nodes
        How many nodes were searched again.
    reasons
        Why there is no mended proof, as sentences; empty if there is one, and it is accepted.
    """

    report: Report
    nodes: int = 0
    reasons: tuple[str, ...] = ()


def mend(task: Task) -> Mended:
    """Check a proof, repair it, and check it again; ``out`` is there only if all went well.

    Raises
    ------
    ProofError
        The proof is damaged, breaks a rule, or belongs to other files: that is not for a repair.
    SlirError
        Another file is at fault, or the mended proof cannot be written.
    """
    try:
        mended = _mend(task)
    except BaseException:
        task.out.unlink(missing_ok=True)
        raise
    if mended.reasons:
        task.out.unlink(missing_ok=True)
    return mended


def _mend(task: Task) -> Mended:
    deadline = None if task.timeout is None else time.monotonic() + task.timeout
    report, files, nodes = _checked(task, task.files), task.files, 0
    for margin in MARGINS if report.claim == "unsat" else ():
        if report.accepted:
            break
        if len(report.failures) >= _MOST_NODES:
            most = f"at least {_MOST_NODES} nodes cannot be confirmed, too many for a repair; write another proof"
            return Mended(report, nodes, (f"{most}.", *report.failures))
        found = _searched(task, files, report, margin, deadline)
        reasons = _failures(report, found)
        if reasons:
            return Mended(report, nodes, reasons)
        nodes += len(report.open)
        files = replace(task.files, proof=task.out)
        report = _checked(task, files)
    if not report.accepted:
        return Mended(report, nodes, report.failures)
    if files is task.files:
        _copy(Path(os.fspath(files.proof)), task.out)
    if task.exact and not report.exact:
        files = replace(task.files, proof=task.out)
        report = check(files, exact=True, jobs=task.jobs, watch=task.watch)
    return Mended(report, nodes, report.failures)


def _checked(task: Task, files: Files) -> Report:
    return check(files, jobs=task.jobs, most_failures=_MOST_NODES, watch=task.watch)


def _searched(task: Task, files: Files, report: Report, margin: float, deadline: float | None) -> Repair:
    from slir_milp.search.repair import repair
    from slir_milp.search.verdict import Options

    own = None if files.activations is None else Path(files.activations)
    network = read_network(Path(files.network), check=False, activations=own)
    query = read_query(Path(files.query), network)
    options = Options(jobs=task.jobs, timeout=None if deadline is None else max(1e-3, deadline - time.monotonic()))

    def tell(regions: int) -> None:
        task.note(len(report.open), regions)

    tell(0)
    return repair(files.proof, task.out, network, query, report.open, options, margin=margin, report=tell)


def _failures(report: Report, found: Repair) -> tuple[str, ...]:
    """Why a search has not mended a proof; nothing if it has."""
    from slir_milp.search.verdict import Reason

    if found.witness is not None:
        return (f"the claim is false: {_shown(found.witness)} meets the query; see slir-milp verify.",)
    if not found.left:
        return ()
    left = set(found.left)
    pairs = zip(report.open, report.failures, strict=True)
    failures = [failure for node, failure in pairs if node.number in left]
    count = f"{len(left)} of {plural(len(report.open), 'node')} could not be repaired"
    return (f"{count}: {(found.reason or Reason.TOO_SMALL).value}. First, {failures[0]}", *failures)


def _shown(witness: Witness) -> str:
    values: Sequence[str] = [f"X_{i} = {float(value)!r}" for i, value in enumerate(witness.x[:_SHOWN_INPUTS])]
    return ", ".join([*values, "..."] if len(witness.x) > _SHOWN_INPUTS else values)


def _copy(source: Path, out: Path) -> None:
    """Copy a proof in which nothing needs repair."""
    try:
        shutil.copyfile(source, out)
    except OSError as error:
        raise SlirError(f"the proof cannot be written to {out}: {error.strerror or error}.") from error
