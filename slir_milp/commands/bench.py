"""``slir-milp bench``: every instance of a folder, compared with the published verdicts."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from slir_milp.bench import Decide, InProcess, Isolated, Outcome, Row, Settings, Summary, run_bench
from slir_milp.commands.background import run_in_background, signals_cancel
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import read_activations
from slir_milp.commands.output import write_stdout
from slir_milp.report.text import seconds

_REMARKS = {Outcome.WRONG: "  WRONG", Outcome.ERROR: "  ERROR", Outcome.UNCHECKED: "  (no published verdict)"}


def run(settings: Settings, *, isolate: bool, activations: Path | None = None) -> ExitCode:
    """Run a folder, print a line as each instance ends and a summary at the end.

    Raises
    ------
    SlirError
        The folder, the results file or the declared activations are at fault.
    """
    known = read_activations(activations)  # (what is wrong with it is said at once, whatever decides)
    cancel = threading.Event()
    decide: Decide = Isolated(activations) if isolate else InProcess(known)

    def work() -> tuple[Row, ...]:
        return run_bench(settings, decide, on_row=_print_row, cancel=cancel)

    with signals_cancel(cancel):
        rows = run_in_background(work)
    summary = Summary(rows)
    if cancel.is_set():
        print("slir-milp: interrupted; run the same command with --out to go on from here", file=sys.stderr)
    write_stdout(f"{summary}\n")
    if cancel.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.BENCH_FAILED if summary.failed else ExitCode.DECIDED


def _print_row(row: Row, number: int, count: int) -> None:
    place = f"{number:>{len(str(count))}}/{count}"
    remark = _REMARKS.get(row.outcome, "")
    write_stdout(f"{place}  {row.verdict:<7}  {seconds(row.seconds):>8}  {row.onnx}  {row.vnnlib}{remark}\n")
