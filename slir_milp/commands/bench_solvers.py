"""``slir-milp bench-solvers``: recorded programs on one solver after the other."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.background import run_in_background, signals_cancel
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import make_way
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError

if TYPE_CHECKING:
    from slir_milp.subproblems.results import Result
    from slir_milp.subproblems.store import Entry

_MOST_SHOWN = 40


def run(folder: Path, *, solvers: Sequence[str], repeat: int, timeout: float, out: Path | None) -> ExitCode:
    """Replay a folder of programs; print a table of solvers and what they disagree on.

    Raises
    ------
    SlirError
        The folder, a name or the results file is at fault.
    """
    from slir_milp.solvers import available_solvers
    from slir_milp.subproblems.replay import Settings, replay

    if out is not None and not out.exists():
        make_way(f"--out {out}", out, ())
    names = tuple(dict.fromkeys(solvers)) or available_solvers()
    if not names:
        raise OptionError("no solver is installed.")
    cancel = threading.Event()
    done = (0, 0)

    def note(_: Result, number: int, count: int) -> None:
        nonlocal done
        done = (number, count)

    def tick() -> None:
        if sys.stderr.isatty() and done[1]:
            print(f"\r{done[0]}/{done[1]}", end="", file=sys.stderr, flush=True)

    settings = Settings(folder, names, repeat, timeout, out)
    with signals_cancel(cancel):
        entries, results = run_in_background(lambda: replay(settings, cancel=cancel, on_result=note), tick=tick)
    if sys.stderr.isatty() and done[1]:
        print(file=sys.stderr)
    if cancel.is_set():
        print("slir-milp: interrupted; run the same command with --out to go on from here", file=sys.stderr)
    _show(entries, results)
    return ExitCode.INTERRUPTED if cancel.is_set() else ExitCode.DECIDED


def _show(entries: tuple[Entry, ...], results: tuple[Result, ...]) -> None:
    from slir_milp.report.tables import aligned
    from slir_milp.subproblems.judge import Judgement, disagreements
    from slir_milp.subproblems.summary import HEADINGS, MEANINGS, lines

    table = [HEADINGS, *((line.solver, line.kind, *line.cells) for line in lines(entries, results))]
    if sys.stdout.isatty():
        _print_table(table)
    else:
        write_stdout("\n".join(aligned(table)) + "\n")
    found = disagreements(entries, results)
    compared = {result.name for result in results}
    text = [f"{len(compared)} programs; solvers disagree, or some are wrong, on {len(found)} of them."]
    text += [f"  {case}" for case in found[:_MOST_SHOWN]]
    if len(found) > _MOST_SHOWN:
        text.append(f"  and {len(found) - _MOST_SHOWN} more (every row is in the --out file)")
    refused = {result.solver: result.detail for result in results if result.judgement is Judgement.REFUSED}
    text += [f"{name} refused programs: {why}" for name, why in refused.items()]
    write_stdout("\n".join(text) + f"\n\n{MEANINGS}")


def _print_table(table: list[tuple[str, ...]]) -> None:
    """A table that fits a terminal."""
    from rich.console import Console
    from rich.table import Table

    shown = Table(box=None, header_style="bold")
    for number, heading in enumerate(table[0]):
        shown.add_column(heading, justify="left" if number < 2 else "right")
    for row in table[1:]:
        wrong = row[HEADING_OF_WRONG] not in ("0", "-")
        shown.add_row(*row, style="red" if wrong else None)
    Console().print(shown)


HEADING_OF_WRONG = 4
