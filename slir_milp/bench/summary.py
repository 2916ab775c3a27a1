"""What a bench run came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from slir_milp.report.results import Outcome, Row
from slir_milp.report.tables import aligned
from slir_milp.report.text import plural, seconds

_HEAD = ("set", "tool", "instances", "unsat", "sat", "undecided", "errors", "wrong", "time", "longest")


@dataclass(frozen=True)
class Summary:
    """Counts over the rows of a run.

    Attributes
    ----------
    rows
        All of them.
    """

    rows: tuple[Row, ...]

    def count(self, outcome: Outcome) -> int:
        """How many rows have an outcome."""
        return sum(row.outcome is outcome for row in self.rows)

    @property
    def solved(self) -> int:
        """Rows whose verdict is ``sat`` or ``unsat`` and is not known to be wrong."""
        return self.count(Outcome.RIGHT) + self.count(Outcome.UNCHECKED)

    @property
    def failed(self) -> bool:
        """Whether any verdict is wrong or any instance could not be run."""
        return self.count(Outcome.WRONG) + self.count(Outcome.ERROR) > 0

    def table(self) -> list[str]:
        """A line for each set and tool, below a head; empty if there is but one such pair."""
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.set, row.tool), []).append(row)
        if len(groups) < 2:
            return []
        lines = [_counts(name, tool, rows) for (name, tool), rows in groups.items()]
        return aligned([_HEAD, *lines])

    def __str__(self) -> str:
        verdicts = Counter(row.verdict for row in self.rows if row.outcome in (Outcome.RIGHT, Outcome.UNCHECKED))
        split = f" ({verdicts['unsat']} unsat, {verdicts['sat']} sat)" if verdicts else ""
        unchecked = self.count(Outcome.UNCHECKED)
        parts = [
            f"{self.solved} solved{split}",
            *([f"{unchecked} of them without a published verdict"] if unchecked else []),
            f"{self.count(Outcome.WRONG)} wrong",
            f"{self.count(Outcome.UNDECIDED)} undecided",
            plural(self.count(Outcome.ERROR), "error"),
        ]
        table = self.table()
        lines = [*table, *([""] if table else [])]
        lines.append(f"{plural(len(self.rows), 'instance')}: {', '.join(parts)}.")
        if self.rows:
            total = sum(row.seconds for row in self.rows)
            slowest = max(self.rows, key=lambda row: row.seconds)
            lines.append(
                f"{seconds(total)} in all; the slowest took {seconds(slowest.seconds)}: "
                f"{slowest.onnx} {slowest.vnnlib} ({slowest.verdict})."
            )
        by_outcome = sorted(self.rows, key=lambda row: row.outcome is not Outcome.WRONG)  # those that count most first
        lines += [f"{row.outcome.value}: {described(row)}" for row in by_outcome if row.outcome in _REMARKABLE]
        return "\n".join(lines)


_REMARKABLE = (Outcome.WRONG, Outcome.ERROR)


def described(row: Row) -> str:
    """A row that is wrong or an error, in a line."""
    remark = row.reason if row.outcome is Outcome.ERROR else f"{row.verdict}, published as {row.truth}"
    return f"{row.set}: {row.onnx} {row.vnnlib}: {row.tool}: {remark}"


def _counts(name: str, tool: str, rows: Sequence[Row]) -> tuple[str, ...]:
    verdicts, outcomes = Counter(row.verdict for row in rows), Counter(row.outcome for row in rows)
    numbers = (
        len(rows),
        verdicts["unsat"],
        verdicts["sat"],
        outcomes[Outcome.UNDECIDED],
        outcomes[Outcome.ERROR],
        outcomes[Outcome.WRONG],
    )
    times = (sum(row.seconds for row in rows), max(row.seconds for row in rows))
    return name, tool, *map(str, numbers), *map(seconds, times)
