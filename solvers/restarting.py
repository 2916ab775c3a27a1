"""Back ends that keep nothing from one solve to the next: a program goes in, an answer comes out.

What such a solver does not do itself is done here for all of them: programs that need no solver, telling infeasible
from unbounded where it does not say, and Farkas rays by way of a second program.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from threading import Event

import numpy as np

from slir_milp.solvers.elastic import farkas_ray_by, without_solver
from slir_milp.solvers.held import HeldProgram, Order, answer, is_integer
from slir_milp.solvers.protocol import Feature, LinearProgram, Solution, SolverError, Status, Vector


class RestartingSolver(ABC):
    """A back end with nothing to keep; one method to write."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the registry calls it."""

    @property
    @abstractmethod
    def features(self) -> frozenset[Feature]:
        """What it can do."""

    @property
    @abstractmethod
    def tolerance(self) -> float:
        """What it promises."""

    @abstractmethod
    def run(self, program: LinearProgram, order: Order) -> Solution:
        """Solve a program that has at least one column and one entry, and no bounds or sides that cross."""

    def open(self, program: LinearProgram) -> RestartingSession:
        """Keep a program; see :class:`slir_milp.solvers.protocol.Solver`."""
        return RestartingSession(self, program)

    def solve(self, program: LinearProgram, *, deadline: float | None = None, cancel: Event | None = None) -> Solution:
        """Solve a program once."""
        return self.open(program).solve(deadline=deadline, cancel=cancel)


class RestartingSession(HeldProgram):
    """A program that is handed over anew for every solve.  See :class:`slir_milp.solvers.protocol.Session`."""

    def __init__(self, solver: RestartingSolver, program: LinearProgram) -> None:
        super().__init__(program)
        self._solver = solver
        if is_integer(program) and Feature.INTEGER not in solver.features:
            raise SolverError(f"the solver '{solver.name}' does not offer integer columns.")

    def solve(
        self,
        *,
        deadline: float | None = None,
        cancel: Event | None = None,
        target: float | None = None,
        on_point: Callable[[Vector], None] | None = None,
    ) -> Solution:
        """Solve the program as it stands now."""
        begun = time.monotonic()
        order = Order(deadline, cancel, target, on_point)
        found = self._solve(self._program, order)
        if found.status in (Status.UNCLEAR, Status.FAILED):
            found = replace(found, status=self._without_costs(found.status, order))
        if found.status is Status.INFEASIBLE and found.ray is None and not is_integer(self._program):
            found = replace(found, ray=self._ray(order))
        return replace(found, seconds=time.monotonic() - begun)

    def _solve(self, program: LinearProgram, order: Order) -> Solution:
        if (early := order.verdict()) is not None:
            return answer(program, early)
        known = without_solver(program)
        return known if known is not None else self._solver.run(program, order)

    def _without_costs(self, status: Status, order: Order) -> Status:
        """Ask anew without costs, where nothing is unbounded, and what is infeasible is so with costs as well."""
        if not self._program.costs.any():
            return status
        free = replace(self._program, costs=np.zeros(self._program.columns))
        found = self._solve(free, replace(order, target=None, on_point=None)).status
        if found is Status.OPTIMAL and status is Status.UNCLEAR:
            return Status.UNBOUNDED
        return found if found in (Status.INFEASIBLE, Status.TIME_LIMIT, Status.INTERRUPTED) else status

    def _ray(self, order: Order) -> Vector | None:
        if not {Feature.FARKAS_RAY, Feature.DUALS} <= self._solver.features:
            return None
        return farkas_ray_by(lambda program: self._solve(program, order), self._program)
