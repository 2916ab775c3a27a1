"""What a bench run came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from slir_milp.bench.results import Outcome, Row
from slir_milp.report.text import plural, seconds


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
        lines = [f"{plural(len(self.rows), 'instance')}: {', '.join(parts)}."]
        if self.rows:
            total = sum(row.seconds for row in self.rows)
            slowest = max(self.rows, key=lambda row: row.seconds)
            lines.append(
                f"{seconds(total)} in all; the slowest took {seconds(slowest.seconds)}: "
                f"{slowest.onnx} {slowest.vnnlib} ({slowest.verdict})."
            )
        lines += [
            f"{row.outcome.value}: {row.onnx} {row.vnnlib}: {_remark(row)}"
            for row in self.rows
            if row.outcome in (Outcome.WRONG, Outcome.ERROR)
        ]
        return "\n".join(lines)


def _remark(row: Row) -> str:
    return row.reason if row.outcome is Outcome.ERROR else f"{row.verdict}, published as {row.truth}"
