"""The bound that a solution's duals give once they are evaluated backward: what counts in a verification."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slir_milp.bounds.magnitude import slack
from slir_milp.lp.proposal import certify, read_duals
from slir_milp.solvers import Solution
from slir_milp.subproblems.store import Origin


@dataclass(frozen=True)
class Certified:
    """A certified bound.

    Attributes
    ----------
    bound
        In the unit of the program's objective.  If the duals claim that the region is empty, that of the zero function.
    claims_empty
        Whether they do.
    """

    bound: float
    claims_empty: bool

    @property
    def proves(self) -> bool:
        """Whether the region is proven to hold no counterexample."""
        return self.bound > 0


def certified_bound(origin: Origin, solution: Solution) -> Certified | None:
    """Evaluate a solution's duals backward, on the region that the program is of.

    Parameters
    ----------
    origin
        What the program was made from; its relaxation has the rows and columns that the duals are of.
    solution
        Whatever a solver has answered.

    Returns
    -------
    Certified or None
        ``None`` if there are no duals, or numbers among them that are not finite.

    Soundness
    ---------
    As :func:`slir_milp.lp.proposal.certify`: whatever the duals are, the bound holds.
    """
    duals = solution.ray if solution.ray is not None else solution.row_duals
    if duals is None or len(duals) != origin.relaxation.program.rows or not np.isfinite(duals).all():
        return None
    network, region = origin.network, origin.region
    proposal = read_duals(network, region, origin.neurons, origin.relaxation, solution)
    if proposal is None:
        return None
    charges = slack(network, region.lower, region.upper)
    bound, _ = certify(network, charges, origin.rows, region, origin.neurons, proposal)
    return Certified(bound / origin.relaxation.objective_scale, solution.ray is not None)
