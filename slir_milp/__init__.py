"""A complete verifier for small, safety-critical neural networks.

>>> from slir_milp import Problem
>>> verdict = Problem("network.onnx", "query.vnnlib").verify()  # doctest: +SKIP

What is named here is the public interface, described in ``docs/api.md``; modules and whatever else is in them may
change at any time.  Everything is imported when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slir_milp._version import __version__

if TYPE_CHECKING:
    from slir_milp.activations.registry import register_activation
    from slir_milp.compose import Assignment
    from slir_milp.errors import NetworkError, OptionError, ProofError, QueryError, SlirError, SlirWarning
    from slir_milp.network import Network, load_network
    from slir_milp.query import Box, Query, load_query, parse_query, write_query
    from slir_milp.query.build import Condition, Expression
    from slir_milp.search import (
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
    from slir_milp.search import verify as verify
    from slir_milp.search.composed import Answer, verify_vnnlib
    from slir_milp.search.falsification import falsify
    from slir_milp.search.problem import Problem
    from slir_milp.search.ranges import Ranges, bounds

_EXPORTS = {
    "slir_milp.activations.registry": ("register_activation",),
    "slir_milp.errors": ("NetworkError", "OptionError", "ProofError", "QueryError", "SlirError", "SlirWarning"),
    "slir_milp.network": ("Network", "load_network"),
    "slir_milp.query": ("Box", "Query", "load_query", "parse_query", "write_query"),
    "slir_milp.query.build": ("Condition", "Expression"),
    "slir_milp.search": (
        *(
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
        ),
        "verify",
    ),
    "slir_milp.compose": ("Assignment",),
    "slir_milp.search.composed": ("Answer", "verify_vnnlib"),
    "slir_milp.search.falsification": ("falsify",),
    "slir_milp.search.problem": ("Problem",),
    "slir_milp.search.ranges": ("Ranges", "bounds"),
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "Answer",
    "Assignment",
    "Box",
    "Condition",
    "Engine",
    "Expression",
    "Network",
    "NetworkError",
    "OpenRegion",
    "OptionError",
    "Options",
    "Problem",
    "Progress",
    "ProofError",
    "Query",
    "QueryError",
    "Ranges",
    "Reason",
    "SlirError",
    "SlirWarning",
    "SlopeRule",
    "Splitting",
    "Statistics",
    "Status",
    "Verdict",
    "Witness",
    "__version__",
    "bounds",
    "falsify",
    "load_network",
    "load_query",
    "parse_query",
    "register_activation",
    "verify",
    "verify_vnnlib",
    "write_query",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'slir_milp' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
