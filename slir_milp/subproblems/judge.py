"""What a solver's answer is worth: compared with what is certain of a program, and with other solvers' answers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from slir_milp.solvers import Status
from slir_milp.subproblems.store import Entry

if TYPE_CHECKING:
    from slir_milp.subproblems.results import Result

TOLERANCE = 1e-6
"""By how much of ``max(1, |optimum|)`` an objective may be off and count as right, if it promises no less."""


class Judgement(StrEnum):
    """What became of one program with one solver; no two of these are ever merged."""

    RIGHT = "right"
    WRONG = "wrong"
    UNJUDGED = "unjudged"
    UNCLEAR = "unclear"
    FAILED = "failed"
    STOPPED = "stopped"
    REFUSED = "refused"


_CLAIMS = (Status.OPTIMAL, Status.INFEASIBLE, Status.UNBOUNDED, Status.TARGET_REACHED)
_STOPS = (Status.TIME_LIMIT, Status.ITERATION_LIMIT, Status.INTERRUPTED)


def judge(entry: Entry, status: Status, objective: float, tolerance: float = TOLERANCE) -> tuple[Judgement, str]:
    """Compare a claim with what is certain.

    Parameters
    ----------
    entry
        What is known of the program.
    status, objective
        The claim.
    tolerance
        See :data:`TOLERANCE`.

    Returns
    -------
    Judgement, str
        The judgement, and for a wrong claim what is wrong with it.
    """
    if status in _STOPS:
        return Judgement.STOPPED, ""
    if status is Status.UNCLEAR:
        return Judgement.UNCLEAR, ""
    if status not in _CLAIMS:
        return Judgement.FAILED, ""
    if status is Status.UNBOUNDED:  # every recorded program is bounded: its rows are
        return Judgement.WRONG, "claims that the objective has no bound"
    if entry.reference == "infeasible":
        if status is Status.INFEASIBLE:
            return Judgement.RIGHT, ""
        return Judgement.WRONG, f"claims an optimum of {objective!r} of a program that has no feasible point"
    if status is Status.INFEASIBLE:
        if entry.upper is not None:
            return Judgement.WRONG, f"claims that no point is feasible; the optimum is at most {entry.upper!r}"
        return Judgement.UNJUDGED, ""
    for side, end in (("least", entry.lower), ("most", entry.upper)):
        if end is not None:
            error = end - objective if side == "least" else objective - end
            if not error <= tolerance * max(1.0, abs(end)):
                return Judgement.WRONG, f"claims {objective!r}; the optimum is at {side} {end!r}"
    return (Judgement.RIGHT if entry.reference == "optimum" else Judgement.UNJUDGED), ""


def distance(entry: Entry, objective: float) -> float | None:
    """How far an objective is from the exact optimum, relative to ``max(1, |optimum|)``; ``None`` if that is open."""
    if entry.reference != "optimum" or entry.lower is None or entry.upper is None or not math.isfinite(objective):
        return None
    off = max(entry.lower - objective, objective - entry.upper, 0.0)
    return off / max(1.0, abs(entry.lower))


@dataclass(frozen=True)
class Disagreement:
    """Solvers that claim different things of one program.

    Attributes
    ----------
    entry
        The program.
    claims
        Each solver's claim, as a phrase, and the judgement.
    """

    entry: Entry
    claims: tuple[tuple[str, str, Judgement], ...]

    def __str__(self) -> str:
        ends = (("at least", self.entry.lower), ("at most", self.entry.upper))
        bounds = " and ".join(f"{side} {end!r}" for side, end in ends if end is not None)
        known = {
            "optimum": f"the optimum is {self.entry.lower!r}",
            "infeasible": "no point is feasible",
        }.get(self.entry.reference, f"the optimum is {bounds}" if bounds else "nobody knows exactly")
        told = "; ".join(f"{solver} claims {claim} ({judgement})" for solver, claim, judgement in self.claims)
        return f"{self.entry.name}: {known}; {told}"


def disagreements(
    entries: Sequence[Entry], results: Sequence[Result], tolerance: float = TOLERANCE
) -> tuple[Disagreement, ...]:
    """Programs of which two solvers claim different things, or of which some claim is wrong.

    Claims differ if one says ``infeasible`` and another has an optimum, or if optima differ by more than ``tolerance``
    times ``max(1, |optimum|)``.  Solvers that claim nothing (failed, stopped, refused) take no part, and where every
    claim is right, each as near to the exact optimum as its solver promises, there is no disagreement.
    """
    by_name: dict[str, list[Result]] = {}
    for result in results:
        by_name.setdefault(result.name, []).append(result)
    found = []
    for entry in entries:
        claiming = [r for r in by_name.get(entry.name, []) if r.status in {status.name for status in _CLAIMS}]
        values = [r.objective for r in claiming if r.objective is not None and r.status != Status.INFEASIBLE.name]
        spread = max(values) - min(values) if values else 0.0
        differ = len({r.status == Status.INFEASIBLE.name for r in claiming}) > 1
        differ |= spread > tolerance * max(1.0, max(map(abs, values), default=0.0))
        differ &= any(r.judgement is not Judgement.RIGHT for r in claiming)
        if differ or any(r.judgement is Judgement.WRONG for r in claiming):
            found.append(Disagreement(entry, tuple((r.solver, _claim(r), r.judgement) for r in claiming)))
    return tuple(found)


def _claim(result: Result) -> str:
    if result.status in (Status.INFEASIBLE.name, Status.UNBOUNDED.name) or result.objective is None:
        return result.status.lower()
    return f"{result.objective!r}"
