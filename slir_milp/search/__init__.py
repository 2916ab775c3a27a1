"""Deciding a query: falsification, branch and bound, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slir_milp.search.verdict import (
    Engine,
    OpenRegion,
    Options,
    Progress,
    Reason,
    SlopeRule,
    Splitting,
    Statistics,
    Status,
    Verdict,
    Witness,
)

if TYPE_CHECKING:
    from slir_milp.search.run import verify

__all__ = [
    "Engine",
    "OpenRegion",
    "Options",
    "Progress",
    "Reason",
    "SlopeRule",
    "Splitting",
    "Statistics",
    "Status",
    "Verdict",
    "Witness",
    "verify",
]


def __getattr__(name: str) -> Any:
    # The search itself is imported when it is first used: the command line needs only the words above to start.
    if name == "verify":
        from slir_milp.search.run import verify

        return verify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
