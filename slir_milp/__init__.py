"""A complete verifier for small, safety-critical neural networks.

>>> from slir_milp import load_network, load_query, verify
>>> verdict = verify(load_network("network.onnx"), load_query("query.vnnlib"))  # doctest: +SKIP

Everything named here is imported when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slir_milp._version import __version__

if TYPE_CHECKING:
    from slir_milp.activations.registry import register_activation
    from slir_milp.errors import NetworkError, OptionError, QueryError, SlirError, SlirWarning
    from slir_milp.network import Network, load_network
    from slir_milp.query import Query, load_query, parse_query
    from slir_milp.search import (
        Engine,
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

_EXPORTS = {
    "slir_milp.activations.registry": ("register_activation",),
    "slir_milp.errors": ("NetworkError", "OptionError", "QueryError", "SlirError", "SlirWarning"),
    "slir_milp.network": ("Network", "load_network"),
    "slir_milp.query": ("Query", "load_query", "parse_query"),
    "slir_milp.search": (
        *(
            "Engine",
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
}
_HOME = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "Engine",
    "Network",
    "NetworkError",
    "OptionError",
    "Options",
    "Progress",
    "Query",
    "QueryError",
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
    "load_network",
    "load_query",
    "parse_query",
    "register_activation",
    "verify",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'slir_milp' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
