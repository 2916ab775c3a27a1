"""Bounds of single neurons by linear programs, each made certain by backward evaluation with that program's duals."""

from __future__ import annotations

import time
from threading import Event

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.backward import Rows
from slir_milp.bounding.lines import unstable
from slir_milp.bounding.magnitude import Slack
from slir_milp.bounding.region import NeuronBounds, Region
from slir_milp.lp.cutting import solve_with_cuts
from slir_milp.lp.elimination import Affines, eliminate, within_sides
from slir_milp.lp.program import Relaxation, assemble
from slir_milp.lp.proposal import bound_row, read_duals
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Network
from slir_milp.solvers import Session, Solver, SolverError

Mask = NDArray[np.bool_]

_PATIENCE = 50.0
"""A neuron whose last round of lines gained less than one in this many of its width is left as it is."""


def tighten(
    network: Network,
    slack: Slack,
    region: Region,
    neurons: NeuronBounds,
    solver: Solver,
    *,
    chosen: tuple[Mask, ...] | None = None,
    deadline: float | None = None,
    cancel: Event | None = None,
) -> NeuronBounds | None:
    """Shrink the intervals of unstable neurons, first layer to last, each with the bounds found before it.

    Parameters
    ----------
    network, slack, region
        The network, the rounding charges of a box that contains the region, and the region.
    neurons
        Sound bounds of every pre-activation.
    solver
        The back end.
    chosen
        Per layer which neurons to look at; ``None``: all.  Stable neurons are passed over in any case.
    deadline, cancel
        A moment of ``time.monotonic()`` and a flag at which to stop; what was found so far is returned.

    Returns
    -------
    NeuronBounds or None
        Bounds within the given ones, or ``None`` if the region is proven to be empty.

    Soundness
    ---------
    As :func:`slir_milp.lp.proposal.certify`: solvers only choose lines and multipliers.
    """
    current = within_sides(network, region, neurons)
    lower, upper = [bound.copy() for bound in current.lower], [bound.copy() for bound in current.upper]
    for k, layer in enumerate(network.layers):
        wanted = unstable(layer, lower[k], upper[k])
        if chosen is not None:
            wanted &= chosen[k]
        if not wanted.any():
            continue
        current = NeuronBounds(tuple(lower), tuple(upper))
        programs = _Programs.open(network, region, current, solver, k)
        if programs is None:
            continue
        for i in np.flatnonzero(wanted).tolist():
            for sign, ends in ((1.0, lower), (-1.0, upper)):
                if (cancel is not None and cancel.is_set()) or (deadline is not None and time.monotonic() >= deadline):
                    return NeuronBounds(tuple(lower), tuple(upper))
                bound = programs.least(slack, i, sign, deadline, cancel)
                ends[k][i] = sign * max(bound, sign * ends[k][i])
            if lower[k][i] > upper[k][i]:
                return None
    return NeuronBounds(tuple(lower), tuple(upper))


class _Programs:
    """The program of the layers before one layer, solved for one of its neurons after the other."""

    def __init__(
        self,
        network: Network,
        region: Region,
        neurons: NeuronBounds,
        layer: int,
        relaxation: Relaxation,
        session: Session,
    ) -> None:
        self._network = network
        self._region = region
        self._neurons = neurons
        self._layer = layer
        self._relaxation = relaxation
        self._session = session

    @staticmethod
    def open(network: Network, region: Region, neurons: NeuronBounds, solver: Solver, layer: int) -> _Programs | None:
        """Hand the program to the solver; ``None`` where that cannot be done."""
        parts = eliminate(network, region, neurons, until=layer)
        if parts is None:
            return None
        nothing = Affines(parts.last.matrix[:0], parts.last.constant[:0])
        relaxation = assemble(region, parts, nothing)
        if relaxation is None:
            return None
        try:
            session = solver.open(relaxation.program)
        except SolverError:
            return None
        return _Programs(network, region, neurons, layer, relaxation, session)

    def least(self, slack: Slack, neuron: int, sign: float, deadline: float | None, cancel: Event | None) -> float:
        """A sound lower bound of ``sign`` times a neuron's pre-activation; minus infinity if the solver has nothing."""
        row = sign * self._relaxation.parts.last.matrix[neuron]
        unit = float(np.abs(row).max(initial=0.0)) or 1.0
        ends = self._neurons.upper if sign > 0 else self._neurons.lower
        farthest = float(sign * (ends[self._layer][neuron] - self._relaxation.parts.last.constant[neuron])) / unit
        try:
            self._session.change_costs(np.arange(len(row), dtype=np.int32), row / unit)
            solution, self._relaxation = solve_with_cuts(
                self._session,
                self._relaxation,
                target=farthest,
                patience=_PATIENCE,
                deadline=deadline,
                cancel=cancel,
            )
        except SolverError:
            return -np.inf
        proposal = read_duals(self._network, self._region, self._neurons, self._relaxation, solution, unit=unit)
        if proposal is None:
            return -np.inf
        coefficients: Vector = np.zeros((1, self._network.layers[self._layer].size))
        coefficients[0, neuron] = 0.0 if solution.ray is not None else sign
        wanted = Rows(coefficients, None, np.zeros(1))
        bound, _ = bound_row(self._network, slack, wanted, self._region, self._neurons, proposal, start=self._layer)
        if solution.ray is not None:
            return np.inf if bound > 0 else -np.inf
        return bound
