"""One line a solver: how often it was right, how long it took, what its duals were worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from slir_milp.solvers import Status
from slir_milp.subproblems.judge import Judgement
from slir_milp.subproblems.results import Result
from slir_milp.subproblems.store import Entry

HEADINGS = (
    "solver",
    "kind",
    "solved",
    "right",
    "wrong",
    "unjudged",
    "unclear",
    "failed",
    "stopped",
    "refused",
    "seconds",
    "median ms",
    "iterations",
    "worst error",
    "worst primal",
    "worst dual",
    "median loss",
    "worst loss",
    "proven",
)
"""Columns of the table."""

MEANINGS = """\
right: agrees with exact arithmetic; unjudged: exact arithmetic had no answer; seconds: in all;
median ms, iterations: of a solve; error: objective against the exact optimum, relative to max(1, |optimum|);
primal, dual: residuals, recomputed; loss: by how much the bound that the duals certify is below the optimum,
relative likewise; proven: regions that the duals prove to hold no counterexample, of those that some duals prove.
"""


@dataclass(frozen=True)
class Line:
    """What is told of one solver on one kind of program."""

    solver: str
    kind: str
    cells: tuple[str, ...]


def lines(entries: Sequence[Entry], results: Iterable[Result]) -> tuple[Line, ...]:
    """The table's lines, linear programs first; solvers in the order of their first result."""
    grouped: dict[tuple[str, str], list[Result]] = {}
    provable = {entry.name for entry in entries if entry.proven}
    for result in results:
        grouped.setdefault((result.kind, result.solver), []).append(result)
        if result.proves:
            provable.add(result.name)
    keys = sorted(grouped, key=lambda key: key[0])
    return tuple(Line(name, kind, _cells(grouped[kind, name], provable)) for kind, name in keys)


def _cells(rows: list[Result], provable: set[str]) -> tuple[str, ...]:
    counts = Counter(row.judgement for row in rows)
    solved = [row for row in rows if row.status in (Status.OPTIMAL.name, Status.INFEASIBLE.name)]
    timed = [row.seconds_median for row in rows if row.judgement is not Judgement.REFUSED]
    errors = [row.error for row in solved if row.error is not None]
    optimal = [
        row for row in solved if row.status == Status.OPTIMAL.name
    ]  # (a point of an infeasible one is no answer)
    primal = [row.primal for row in optimal if row.primal is not None]
    dual = [row.dual for row in optimal if row.dual is not None]
    losses = [row.loss for row in solved if row.loss is not None]
    proven = sum(row.proves for row in rows)
    return (
        f"{len(solved)}/{len(rows)}",
        *(str(counts[judgement]) for judgement in Judgement),
        f"{sum(timed):.1f}",
        _or_dash(timed, lambda values: f"{1e3 * median(values):.1f}"),
        _or_dash([row.iterations for row in solved], lambda values: f"{median(values):.0f}"),
        *(_or_dash(values, lambda found: f"{max(found):.1e}") for values in (errors, primal, dual)),
        _or_dash(losses, lambda values: f"{median(values):.1e}"),
        _or_dash(losses, lambda values: f"{max(values):.1e}"),
        f"{proven}/{sum(row.name in provable for row in rows)}" if rows[0].kind == "lp" else "",
    )


def _or_dash(values: Sequence[float], show: Callable[[Sequence[float]], str]) -> str:
    return show(values) if values else "-"
