"""What can be told of every program that is solved: for whoever records them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.lp.program import Relaxation
from slir_milp.network.normal_form import Network
from slir_milp.solvers import LinearProgram, Solution


@dataclass(frozen=True, eq=False)
class Subproblem:
    """A region's program as it was solved last, all lines of curves in it.

    Attributes
    ----------
    network, rows, region
        What was asked; the network as it was written for the query's box.
    neurons
        Bounds of every pre-activation, within the region's sides.
    relaxation
        The linear program, and what its rows and columns stand for.
    program
        The program that was solved: that of the relaxation, or the mixed-integer one made of it.
    solution
        What the solver answered.
    """

    network: Network
    rows: Rows
    region: Region
    neurons: NeuronBounds
    relaxation: Relaxation
    program: LinearProgram
    solution: Solution

    @property
    def is_integer(self) -> bool:
        """Whether the program has columns that must be integers."""
        return self.program.integral is not None and bool(self.program.integral.any())


Observer: TypeAlias = Callable[[Subproblem], None]
"""Is called with every program after it was solved, in the thread that solved it; what it raises ends the run."""
