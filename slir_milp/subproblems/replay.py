"""Replaying recorded programs on back ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from slir_milp.errors import SlirError
from slir_milp.solvers import Feature, LinearProgram, Solution, Solver, SolverError, Status, solver
from slir_milp.solvers.residuals import primal_residual, residuals
from slir_milp.subproblems.certified import certified_bound
from slir_milp.subproblems.judge import TOLERANCE, Judgement, distance, judge
from slir_milp.subproblems.results import Result, ResultsFile
from slir_milp.subproblems.store import Entry, Origins, read_index, read_program


@dataclass(frozen=True)
class Settings:
    """What to replay, and how.

    Attributes
    ----------
    folder
        The folder of recorded programs.
    solvers
        Names of back ends.
    repeat
        How often to solve each program.
    timeout
        Seconds for one solve.
    out
        Results file, ``None`` for none.
    """

    folder: Path
    solvers: tuple[str, ...]
    repeat: int = 1
    timeout: float = 10.0
    out: Path | None = None


def replay(
    settings: Settings, *, cancel: threading.Event, on_result: Callable[[Result, int, int], None] | None = None
) -> tuple[tuple[Entry, ...], tuple[Result, ...]]:
    """Solve every recorded program with every solver, program after program.

    Parameters
    ----------
    settings
        What to replay.
    cancel
        Set it to stop: the program that is being solved then leaves no row, and will be solved again.
    on_result
        Called with every new row, its number (kept ones counted), and how many there are to be.

    Returns
    -------
    entries, results
        The programs, and the rows of the chosen solvers: those of an earlier run that were kept, then the new ones.

    Raises
    ------
    SlirError
        The folder, a program's file, a solver's name or the results file is at fault.
    """
    entries = read_index(settings.folder)
    if not entries:
        raise SlirError(f"{settings.folder} has no recorded program.")
    chosen = {name: solver(name) for name in settings.solvers}
    origins = Origins(settings.folder)
    with ResultsFile(settings.out) as file:
        names = {entry.name for entry in entries}
        results = [row for row in file.kept if row.name in names and row.solver in chosen]
        done = {(row.name, row.solver) for row in results}
        for entry in entries:
            left = [name for name in chosen if (entry.name, name) not in done]
            if not left or cancel.is_set():
                continue
            program = read_program(settings.folder, entry)
            for name in left:
                if cancel.is_set():
                    break
                result = _replayed(entry, program, chosen[name], name, settings, origins, cancel)
                if result is None:
                    break
                file.append(result)
                results.append(result)
                if on_result is not None:
                    on_result(result, len(results), len(entries) * len(chosen))
    return entries, tuple(results)


def _replayed(
    entry: Entry,
    program: LinearProgram,
    back_end: Solver,
    name: str,
    settings: Settings,
    origins: Origins,
    cancel: threading.Event,
) -> Result | None:
    """The row of one program and solver; ``None`` if it was interrupted."""
    if entry.kind == "milp" and Feature.INTEGER not in back_end.features:
        return _refused(entry, name, "it takes no integer columns")
    times: list[float] = []
    solution: Solution | None = None
    for _ in range(settings.repeat):
        begun = time.monotonic()
        try:
            solution = back_end.solve(program, deadline=begun + settings.timeout, cancel=cancel)
        except SolverError as error:
            return _refused(entry, name, str(error))
        times.append(time.monotonic() - begun)
        if cancel.is_set():
            return None
        if solution.status in (Status.TIME_LIMIT, Status.FAILED):
            break
    assert solution is not None  # (repeat is at least one)
    return _row(entry, program, name, solution, times, origins, tolerance_of(back_end))


def tolerance_of(back_end: Solver) -> float:
    """By how much a back end's objective may be off: what it promises, but at least :data:`TOLERANCE`."""
    return max(back_end.tolerance, TOLERANCE)


def _row(
    entry: Entry,
    program: LinearProgram,
    name: str,
    solution: Solution,
    times: Sequence[float],
    origins: Origins,
    tolerance: float,
) -> Result:
    judgement, detail = judge(entry, solution.status, solution.objective, tolerance)
    primal = dual = gap = None
    if solution.x is not None and solution.row_duals is not None and solution.reduced_costs is not None:
        found = residuals(program, solution.x, solution.row_duals, solution.reduced_costs)
        primal, dual, gap = found.primal, found.dual, found.gap
    elif solution.x is not None:
        primal = primal_residual(program, solution.x)
    origin = origins.of(entry) if entry.kind == "lp" else None
    certified = None if origin is None else certified_bound(origin, solution)
    bound = None if certified is None else _finite(certified)
    loss = None
    if bound is not None and entry.reference == "optimum" and entry.lower is not None:
        loss = (entry.lower - bound) / max(1.0, abs(entry.lower))
    return Result(
        name=entry.name,
        kind=entry.kind,
        solver=name,
        status=solution.status.name,
        judgement=judgement,
        seconds_min=round(min(times), 6),
        seconds_median=round(median(times), 6),
        repeat=len(times),
        iterations=solution.iterations,
        nodes=solution.nodes,
        objective=_finite(solution.objective),
        bound=_finite(solution.dual_bound),
        error=distance(entry, solution.objective) if solution.status is Status.OPTIMAL else None,
        primal=primal,
        dual=dual,
        gap=gap,
        certified=bound,
        loss=loss,
        proves=certified is not None and certified > 0,
        detail=detail,
    )


def _refused(entry: Entry, name: str, why: str) -> Result:
    return Result(entry.name, entry.kind, name, "REFUSED", Judgement.REFUSED, detail=why)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
