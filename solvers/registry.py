"""Which back ends there are."""

from __future__ import annotations

from importlib.util import find_spec

from slir_milp.errors import OptionError
from slir_milp.solvers.protocol import Solver

_LIBRARY = {"highs": "highspy"}
"""The library that each back end needs, the preferred back end first."""


def available_solvers() -> tuple[str, ...]:
    """Names of the back ends whose library is installed, the preferred one first; imports none of them."""
    return tuple(name for name, library in _LIBRARY.items() if find_spec(library) is not None)


def solver(name: str = "highs") -> Solver:
    """Return a back end.

    Raises
    ------
    OptionError
        There is no back end of that name, or its library is not installed.
    """
    if name not in _LIBRARY:
        raise OptionError(f"there is no solver '{name}'; choose one of: {', '.join(_LIBRARY)}.")
    if name not in available_solvers():
        raise OptionError(f"the solver '{name}' needs the package {_LIBRARY[name]}, which is not installed.")
    from slir_milp.solvers.highs import HighsSolver

    return HighsSolver()
