"""Which back ends there are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from slir_milp.errors import OptionError
from slir_milp.solvers.protocol import Solver


@dataclass(frozen=True)
class BackEnd:
    """Where a back end is, and what it needs.

    Attributes
    ----------
    module, factory
        The module within this package, and what to call there (with no arguments) for a :class:`Solver`.
    library
        The module whose absence means that the back end cannot be used.
    package
        What to install for that.
    """

    module: str
    factory: str
    library: str
    package: str

    @property
    def is_installed(self) -> bool:
        """Whether its library is there; nothing is imported."""
        return find_spec(self.library) is not None

    def make(self) -> Solver:
        """The back end; imports no more than our own module."""
        made: Solver = getattr(import_module(f"slir_milp.solvers.{self.module}"), self.factory)()
        return made


BACK_ENDS = {
    "highs": BackEnd("highs", "HighsSolver", "highspy", "highspy"),
    "highs-primal": BackEnd("highs", "HighsPrimal", "highspy", "highspy"),
    "highs-ipm": BackEnd("highs_restarting", "HighsInteriorPoint", "highspy", "highspy"),
    "highs-pdlp": BackEnd("highs_restarting", "HighsFirstOrder", "highspy", "highspy"),
    "scipy": BackEnd("scipy_optimize", "ScipySolver", "scipy", "scipy"),
}
"""By name, the preferred one first."""


def available_solvers() -> tuple[str, ...]:
    """Names of the back ends whose library is installed, the preferred one first; imports none of them."""
    return tuple(name for name, back_end in BACK_ENDS.items() if back_end.is_installed)


def solver(name: str = "highs") -> Solver:
    """Return a back end.

    Raises
    ------
    OptionError
        There is no back end of that name, or its library is not installed.
    """
    if name not in BACK_ENDS:
        raise OptionError(f"there is no solver '{name}'; choose one of: {', '.join(BACK_ENDS)}.")
    back_end = BACK_ENDS[name]
    if not back_end.is_installed:
        raise OptionError(f"the solver '{name}' needs the package {back_end.package}, which is not installed.")
    return back_end.make()
