"""The bound that a solution's duals give once they are evaluated backward: what counts in a verification."""

from __future__ import annotations

import numpy as np

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.lp.proposal import Proposal, certify, read_duals
from slir_milp.network.normal_form import Network
from slir_milp.solvers import Solution
from slir_milp.subproblems.store import Origin


def certified_bound(origin: Origin, solution: Solution) -> float | None:
    """Evaluate a solution's duals backward, on the region that the program is of.

    Parameters
    ----------
    origin
        What the program was made from; its relaxation has the rows and columns that the duals are of.
    solution
        Whatever a solver has answered.

    Returns
    -------
    float or None
        At most the largest row of the query at every counterexample of the region, in the unit of the program's
        objective: plus infinity if the region is proven to hold none by itself, minus infinity if nothing is said.
        ``None`` if there are no duals, or numbers among them that are not finite.

    Soundness
    ---------
    As :func:`slir_milp.lp.proposal.certify`: whatever the duals are, the bound holds.
    """
    duals = solution.ray if solution.ray is not None else solution.row_duals
    if duals is None or len(duals) != origin.relaxation.program.rows or not np.isfinite(duals).all():
        return None
    proposal = read_duals(origin.network, origin.region, origin.neurons, origin.relaxation, solution)
    if proposal is None:
        return None
    found = bound_of(origin.network, origin.rows, origin.region, origin.neurons, proposal)
    return found / origin.relaxation.objective_scale


def bound_of(network: Network, rows: Rows, region: Region, neurons: NeuronBounds, proposal: Proposal) -> float:
    """What a proposal certifies, in the unit of the rows; see :func:`certified_bound`.

    Multipliers of the rows that are all zero bound the zero function: it is positive nowhere, so a positive bound says
    that the region is empty, and any other says nothing.
    """
    bound, _ = certify(network, slack(network, region.lower, region.upper), rows, region, neurons, proposal)
    if proposal.weights.any():
        return bound
    return np.inf if bound > 0 else -np.inf
