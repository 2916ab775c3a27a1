"""Solvers of linear and mixed-integer programs, one file a back end, all behind one protocol.

Adding one is a file with a class that meets :class:`Solver` and a line in the registry; the conformance tests then
cover it.  What a solver answers is a proposal: no verdict rests on it.
"""

from slir_milp.solvers.protocol import (
    Feature,
    LinearProgram,
    RowBlock,
    Session,
    Solution,
    Solver,
    SolverError,
    Status,
)
from slir_milp.solvers.registry import available_solvers, solver

__all__ = [
    "Feature",
    "LinearProgram",
    "RowBlock",
    "Session",
    "Solution",
    "Solver",
    "SolverError",
    "Status",
    "available_solvers",
    "solver",
]
