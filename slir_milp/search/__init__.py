"""Deciding a query: falsification, branch and bound, and the verdict."""

from slir_milp.search.verdict import (
    Engine,
    OpenRegion,
    Options,
    Progress,
    Reason,
    Splitting,
    Statistics,
    Status,
    Verdict,
    Witness,
)
from slir_milp.search.verify import verify

__all__ = [
    "Engine",
    "OpenRegion",
    "Options",
    "Progress",
    "Reason",
    "Splitting",
    "Statistics",
    "Status",
    "Verdict",
    "Witness",
    "verify",
]
