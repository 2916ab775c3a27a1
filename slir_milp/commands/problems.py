"""``slir-milp problems``: what comes with the program, and what it can fetch."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.output import write_stdout
from slir_milp.problems.catalogue import list_problems, problem
from slir_milp.report.text import plural


def list_all() -> ExitCode:
    """List the problems, one a line, with what they are about."""
    found = list_problems()
    width = max(len(entry.name) for entry in found)
    counts = [plural(len(entry.queries), "query", "queries") for entry in found]
    lines = [f"{entry.name:<{width}}  {count}  {entry.about}" for entry, count in zip(found, counts, strict=True)]
    write_stdout("\n".join(lines) + "\n")
    return ExitCode.DECIDED


def show(name: str) -> ExitCode:
    """Show a problem: what it is, what its queries ask, and the commands that decide them.

    Raises
    ------
    SlirError
        There is no problem of that name.
    """
    entry = problem(name)
    lines = [entry.about, f"network: {_shortest(entry.network)}"]
    lines += [f"also as: {_shortest(twin)}" for twin in entry.twins]
    for query in entry.queries:
        command = shlex.join(["slir-milp", "verify", _shortest(entry.network), _shortest(query.path)])
        lines += ["", f"{query.name} ({query.verdict}): {query.meaning}", f"  {command}"]
    write_stdout("\n".join(lines) + "\n")
    return ExitCode.DECIDED


def fetch(origin: str | None, target: Path) -> ExitCode:
    """Bring the public ACAS Xu set into a folder.

    Raises
    ------
    SlirError
        Something cannot be had, is not what it should be, or cannot be written.
    """
    from slir_milp.fetch import fetch_acasxu

    fetch_acasxu(target, origin, progress=_print_progress)
    write_stdout(
        f"The networks and properties of ACAS Xu are in {target}.\n  slir-milp bench {shlex.quote(str(target))}\n"
    )
    return ExitCode.DECIDED


def _print_progress(done: int, total: int, name: str) -> None:
    print(f"{done:>3}/{total}  {name}", file=sys.stderr, flush=True)


def _shortest(path: Path) -> str:
    """A path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
