"""``slir-milp subproblems``: the programs that a verification meets, as files."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from slir_milp.commands.background import run_in_background, signals_cancel
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import read_network, read_query
from slir_milp.commands.output import write_stdout
from slir_milp.search.verdict import Engine


@dataclass(frozen=True)
class Request:
    """What ``slir-milp subproblems`` is asked; see its help."""

    network: Path
    query: Path
    out: Path
    kind: str
    limit: int | None
    every: int
    timeout: float | None
    exact: bool
    activations: Path | None
    check_network: bool


def run(request: Request) -> ExitCode:
    """Verify a query, record the programs, and say how many there are.

    Raises
    ------
    SlirError
        A file is at fault, or the folder cannot be written.
    """
    cancel = threading.Event()
    counts: Counter[str] = Counter()
    shown = 0

    def tick() -> None:
        nonlocal shown
        if sys.stderr.isatty() and counts.total() > shown:
            shown = counts.total()
            print(f"\r{shown} programs recorded", end="", file=sys.stderr, flush=True)

    with signals_cancel(cancel):
        notes = run_in_background(lambda: _record(request, counts, cancel), tick=tick)
    if shown:
        print(file=sys.stderr)
    for note in notes:
        print(f"slir-milp: {note}", file=sys.stderr)
    known = f"{counts['optimum']} with an exact optimum, {counts['infeasible']} infeasible, {counts['open']} open"
    write_stdout(f"{counts.total()} programs recorded in {request.out}: {known}\n")
    return ExitCode.INTERRUPTED if cancel.is_set() else ExitCode.DECIDED


def _record(request: Request, counts: Counter[str], cancel: threading.Event) -> list[str]:
    """Record either kind or both; what there is to say besides."""
    from slir_milp.subproblems.record import Plan, record
    from slir_milp.subproblems.store import Entry, Store

    network = read_network(request.network, check=request.check_network, activations=request.activations)
    query = read_query(request.query, network)
    engines = {"lp": (Engine.LP,), "milp": (Engine.MILP,), "both": (Engine.LP, Engine.MILP)}[request.kind]
    notes: list[str] = []

    def count(entry: Entry) -> None:
        counts[entry.reference] += 1

    store = Store(request.out)
    try:
        for engine in engines:
            if cancel.is_set():
                break
            if engine is Engine.MILP and not network.is_piecewise_linear:
                notes.append("a network with activations that are not piecewise linear has no mixed-integer programs.")
                continue
            before = counts.total()
            plan = Plan(
                request.network, request.query, engine, request.limit, request.every, request.timeout, request.exact
            )
            verdict = record(plan, network, query, store, cancel=cancel, on_entry=count)
            if counts.total() == before and not cancel.is_set():
                notes.append(f"the engine {engine.value} solved no program before its verdict: {verdict.status}.")
    finally:
        store.close()
    return notes
