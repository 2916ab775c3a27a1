"""Which back ends there are."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from slir_milp.errors import OptionError
from slir_milp.solvers.protocol import Solver
from slir_milp.solvers.pyomo_solver import PROFILES, executable

PYOMO = "pyomo:"


@dataclass(frozen=True)
class BackEnd:
    """Where a back end is, and what it needs.

    Attributes
    ----------
    module, factory, arguments
        The module within this package, and what to call there, and with what, for a :class:`Solver`.
    libraries
        The modules without which it cannot be used, the one that gives it its version first.
    program
        The executable without which it cannot be used.
    packages
        What to install for it.
    """

    module: str
    factory: str
    libraries: tuple[str, ...]
    packages: tuple[str, ...]
    program: str | None = None
    arguments: tuple[str, ...] = ()

    @property
    def is_installed(self) -> bool:
        """Whether everything that it needs is there; nothing is imported."""
        there = all(find_spec(library) is not None for library in self.libraries)
        return there and (self.program is None or executable(self.program) is not None)

    def make(self) -> Solver:
        """The back end; imports no more than our own module."""
        factory = getattr(import_module(f"slir_milp.solvers.{self.module}"), self.factory)
        made: Solver = factory(*self.arguments)
        return made


def _through_pyomo() -> dict[str, BackEnd]:
    return {
        PYOMO + plugin: BackEnd(
            module="pyomo_solver",
            factory="PyomoSolver",
            libraries=("pyomo",) if profile.library is None else ("pyomo", profile.library),
            packages=("pyomo", profile.package),
            program=profile.program,
            arguments=(plugin,),
        )
        for plugin, profile in PROFILES.items()
    }


_HIGHS = (("highspy",), ("highspy",))
BACK_ENDS = {
    "highs": BackEnd("highs", "HighsSolver", *_HIGHS),
    "highs-primal": BackEnd("highs", "HighsPrimal", *_HIGHS),
    "highs-ipm": BackEnd("highs_restarting", "HighsInteriorPoint", *_HIGHS),
    "highs-pdlp": BackEnd("highs_restarting", "HighsFirstOrder", *_HIGHS),
    "scipy": BackEnd("scipy_optimize", "ScipySolver", ("scipy",), ("scipy",)),
    **_through_pyomo(),
}
"""By name, the preferred one first."""


def available_solvers() -> tuple[str, ...]:
    """Names of the back ends that are installed, the preferred one first; imports none of their libraries."""
    return tuple(name for name, back_end in BACK_ENDS.items() if back_end.is_installed)


def solver(name: str = "highs") -> Solver:
    """Return a back end.

    ``pyomo:NAME`` is any solver that Pyomo knows by that name; of those that are not in the list above nothing is known
    beforehand, so that they are used for linear programs only.

    Raises
    ------
    OptionError
        There is no back end of that name, or it is not installed.
    """
    back_end = BACK_ENDS.get(name)
    if back_end is None and name.startswith(PYOMO) and name != PYOMO:
        back_end = BackEnd("pyomo_solver", "PyomoSolver", ("pyomo",), ("pyomo",), arguments=(name.removeprefix(PYOMO),))
    if back_end is None:
        raise OptionError(f"there is no solver '{name}'; choose one of: {', '.join(BACK_ENDS)}.")
    if not back_end.is_installed:
        raise OptionError(f"the solver '{name}' is not installed; it needs {' and '.join(back_end.packages)}.")
    return back_end.make()
