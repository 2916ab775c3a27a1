"""What the page shows of the rows: counts by set and tool, contradictions, solved instances in time, stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from slir_milp.report.results import Outcome, Row

DECIDED = ("sat", "unsat")
VERDICTS = (*DECIDED, "unknown", "timeout", "error")
POINTS_RIGHT, POINTS_WRONG = 10, -150
"""Points of a verdict that agrees with the published one, and of one that does not, as in VNN-COMP."""
TIMES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Seconds after which solved instances are counted."""

Instance = tuple[str, str, str]
"""Set, network and query."""


def is_solved(row: Row) -> bool:
    """Whether a row has a verdict that is not known to be wrong."""
    return row.verdict in DECIDED and row.outcome in (Outcome.RIGHT, Outcome.UNCHECKED)


def instance_of(row: Row) -> Instance:
    """The instance that a row is about."""
    return row.set, row.onnx, row.vnnlib


@dataclass(frozen=True)
class Tally:
    """Counts over some rows.

    Attributes
    ----------
    rows
        How many there are.
    outcomes
        How many have each outcome; every outcome has an entry.
    sat, unsat
        Solved ones with this verdict.
    seconds, slowest
        Time of all rows together and of the slowest solved one.
    """

    rows: int
    outcomes: Mapping[Outcome, int]
    sat: int
    unsat: int
    seconds: float
    slowest: float

    @staticmethod
    def of(rows: Iterable[Row]) -> Tally:
        """Count."""
        rows = tuple(rows)
        solved = [row for row in rows if is_solved(row)]
        outcomes = Counter(row.outcome for row in rows)
        verdicts = Counter(row.verdict for row in solved)
        return Tally(
            len(rows),
            {outcome: outcomes[outcome] for outcome in Outcome},
            verdicts["sat"],
            verdicts["unsat"],
            sum(row.seconds for row in rows),
            max((row.seconds for row in solved), default=0.0),
        )

    @property
    def solved(self) -> int:
        """Rows with a verdict that is not known to be wrong."""
        return self.sat + self.unsat

    @property
    def score(self) -> int:
        """Points for right and wrong verdicts; unchecked ones count nothing."""
        return POINTS_RIGHT * self.outcomes[Outcome.RIGHT] + POINTS_WRONG * self.outcomes[Outcome.WRONG]


@dataclass(frozen=True)
class Contradiction:
    """An instance that one tool calls ``sat`` and another ``unsat``."""

    instance: Instance
    sat: tuple[str, ...]
    unsat: tuple[str, ...]


def tools_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Tools, each once, in the order in which they appear."""
    return tuple(dict.fromkeys(row.tool for row in rows))


def sets_of(rows: Iterable[Row]) -> tuple[str, ...]:
    """Sets, each once, in the order in which they appear."""
    return tuple(dict.fromkeys(row.set for row in rows))


def tallies(rows: Sequence[Row]) -> dict[tuple[str, str], Tally]:
    """Counts of every set and tool that has rows; the set ``""`` stands for all together."""
    found: dict[tuple[str, str], list[Row]] = {}
    for name in sets_of(rows):
        for tool in tools_of(rows):
            found[name, tool] = []
    for tool in tools_of(rows):
        found["", tool] = []
    for row in rows:
        found[row.set, row.tool].append(row)
        found["", row.tool].append(row)
    return {key: Tally.of(some) for key, some in found.items() if some}


def contradictions(rows: Iterable[Row]) -> tuple[Contradiction, ...]:
    """Instances on which two tools have decided differently; one of them is wrong, whatever is published."""
    answers: dict[Instance, dict[str, list[str]]] = {}
    for row in rows:
        if row.verdict in DECIDED:
            answers.setdefault(instance_of(row), {"sat": [], "unsat": []})[row.verdict].append(row.tool)
    return tuple(
        Contradiction(instance, tuple(found["sat"]), tuple(found["unsat"]))
        for instance, found in answers.items()
        if found["sat"] and found["unsat"]
    )


def cactus(rows: Iterable[Row]) -> dict[str, tuple[float, ...]]:
    """Seconds of the solved instances of each tool, increasing: the k-th is when k instances are solved."""
    rows = tuple(rows)
    return {
        tool: tuple(sorted(row.seconds for row in rows if row.tool == tool and is_solved(row)))
        for tool in tools_of(rows)
    }


def scatter(rows: Iterable[Row], first: str, second: str) -> tuple[tuple[Instance, Row, Row], ...]:
    """Rows of two tools about the same instance."""
    by_tool: dict[str, dict[Instance, Row]] = {first: {}, second: {}}
    for row in rows:
        if row.tool in by_tool:
            by_tool[row.tool][instance_of(row)] = row
    ours, theirs = by_tool[first], by_tool[second]
    return tuple((instance, row, theirs[instance]) for instance, row in ours.items() if instance in theirs)


def solved_within(times: Sequence[float], limits: Sequence[float] = TIMES) -> tuple[int, ...]:
    """How many of some increasing times are within each limit."""
    from bisect import bisect_right

    return tuple(bisect_right(times, limit) for limit in limits)


def stages(rows: Iterable[Row]) -> dict[str, Counter[str]]:
    """Regions closed by each stage, for every set in which any were."""
    found: dict[str, Counter[str]] = {}
    for row in rows:
        if any(row.closed_by.values()):
            found.setdefault(row.set, Counter()).update(row.closed_by)
    return found
