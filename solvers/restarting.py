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
from typing import ClassVar

import numpy as np

from slir_milp.solvers.elastic import farkas_ray_by, without_solver
from slir_milp.solvers.held import HeldProgram, Order, answer, is_integer
from slir_milp.solvers.protocol import Feature, LinearProgram, Solution, SolverError, Status, Vector


class RestartingSolver(ABC):
    """A back end with nothing to keep; one method to write."""

    name: ClassVar[str]
    features: ClassVar[frozenset[Feature]]
    tolerance: ClassVar[float]

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
        if found.status is Status.UNCLEAR:
            found = replace(found, status=self._infeasible_or_unbounded(order))
        if found.status is Status.INFEASIBLE and found.ray is None and not is_integer(self._program):
            found = replace(found, ray=self._ray(order))
        return replace(found, seconds=time.monotonic() - begun)

    def _solve(self, program: LinearProgram, order: Order) -> Solution:
        if (early := order.verdict()) is not None:
            return answer(program, early)
        known = without_solver(program)
        return known if known is not None else self._solver.run(program, order)

    def _infeasible_or_unbounded(self, order: Order) -> Status:
        """Which of the two: without costs nothing is unbounded."""
        free = replace(self._program, costs=np.zeros(self._program.columns))
        found = self._solve(free, replace(order, target=None, on_point=None))
        return {
            Status.OPTIMAL: Status.UNBOUNDED,
            Status.INFEASIBLE: Status.INFEASIBLE,
            Status.TIME_LIMIT: Status.TIME_LIMIT,
            Status.INTERRUPTED: Status.INTERRUPTED,
        }.get(found.status, Status.UNCLEAR)

    def _ray(self, order: Order) -> Vector | None:
        if not {Feature.FARKAS_RAY, Feature.DUALS} <= self._solver.features:
            return None
        return farkas_ray_by(lambda program: self._solve(program, order), self._program)
