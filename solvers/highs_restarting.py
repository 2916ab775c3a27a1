"""HiGHS by its methods that have no use for a last basis: interior point, and PDLP, a first-order method."""

from __future__ import annotations

from typing import Any, ClassVar

from slir_milp.solvers.held import Order
from slir_milp.solvers.highs_library import answer_of, load, status_of
from slir_milp.solvers.highs_watch import Watch, deferred_interrupt
from slir_milp.solvers.protocol import Feature, LinearProgram, Solution, Status
from slir_milp.solvers.restarting import RestartingSolver


class _Highs(RestartingSolver):
    """HiGHS with the options of one method, and with others where these come to nothing."""

    options: ClassVar[dict[str, Any]]
    otherwise: ClassVar[dict[str, Any]] = {}

    def run(self, program: LinearProgram, order: Order) -> Solution:
        """Solve a program; see :class:`RestartingSolver`."""
        found = self._run(program, order, self.options)
        if self.otherwise and found.status in (Status.FAILED, Status.UNCLEAR) and order.verdict() is None:
            again = self._run(program, order, {**self.options, **self.otherwise})
            found = found if again.status is Status.FAILED else again
        return found

    def _run(self, program: LinearProgram, order: Order, options: dict[str, Any]) -> Solution:
        watch = Watch(order.deadline, order.cancel, None)
        highs = load(program, {**options, "time_limit": max(order.seconds(), 0.0)})
        with deferred_interrupt(watch):
            watch.attach(highs, integer=False)
            highs.run()
            watch.detach()
        if watch.raised is not None:
            raise watch.raised
        return answer_of(highs, program, status_of(highs, watch), 0.0)


class HighsInteriorPoint(_Highs):
    """Interior point, without a crossover to a basis: its duals are from the middle of the best ones."""

    name: ClassVar[str] = "highs-ipm"
    features: ClassVar[frozenset[Feature]] = frozenset(
        {Feature.DUALS, Feature.FARKAS_RAY, Feature.TIME_LIMIT, Feature.INTERRUPTION}
    )
    tolerance: ClassVar[float] = 1e-6
    options: ClassVar[dict[str, Any]] = {"solver": "ipm", "run_crossover": "off", "ipm_optimality_tolerance": 1e-10}
    # What presolving leaves has sometimes no duals that HiGHS accepts; without it, other programs fail.
    otherwise: ClassVar[dict[str, Any]] = {"presolve": "off"}


class HighsFirstOrder(_Highs):
    """PDLP: a primal-dual method of first order; many cheap steps, few digits."""

    name: ClassVar[str] = "highs-pdlp"
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.DUALS, Feature.TIME_LIMIT})
    tolerance: ClassVar[float] = 1e-4
    # By its tolerances of feasibility HiGHS judges what PDLP brings: stricter ones make failures of good answers.
    options: ClassVar[dict[str, Any]] = {
        "solver": "pdlp",
        "pdlp_optimality_tolerance": 1e-6,
        "primal_feasibility_tolerance": 1e-5,
        "dual_feasibility_tolerance": 1e-5,
    }
