"""Lines touch where ``f′(x) = s``: tables from a formula."""

from __future__ import annotations

from dataclasses import dataclass

from slir_milp.activations.formula import Formula
from slir_milp.activations.table import Table


@dataclass(frozen=True)
class CriticalPoints:
    """The table of a formula (being written)."""

    formula: Formula
    name: str = "critical points"

    def table(self) -> Table:
        """Everything proven of the function."""
        raise NotImplementedError
