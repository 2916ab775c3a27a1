"""HiGHS by the simplex method, and by branch and cut: it keeps the program, and goes on from its last basis."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any, ClassVar

import numpy as np

from slir_milp.solvers.held import HeldProgram, answer, is_integer
from slir_milp.solvers.highs_library import answer_of, load, model_status, must, status_of
from slir_milp.solvers.highs_watch import Watch, deferred_interrupt
from slir_milp.solvers.protocol import Feature, Indices, LinearProgram, RowBlock, Solution, SolverError, Status, Vector
from slir_milp.solvers.residuals import is_farkas_ray

_TRY_OTHERWISE = frozenset({"kUnboundedOrInfeasible", "kSolveError", "kUnknown"})
_DUAL_SIMPLEX, _PRIMAL_SIMPLEX = 1, 4


class HighsSolver:
    """HiGHS: dual simplex, and branch and cut."""

    name: ClassVar[str] = "highs"
    features: ClassVar[frozenset[Feature]] = frozenset(Feature)
    tolerance: ClassVar[float] = 1e-7
    strategy: ClassVar[int] = _DUAL_SIMPLEX

    def open(self, program: LinearProgram) -> HighsSession:
        """Hand a program to HiGHS; see :class:`slir_milp.solvers.protocol.Solver`."""
        if is_integer(program) and Feature.INTEGER not in self.features:
            raise SolverError(f"the solver '{self.name}' does not offer integer columns.")
        return HighsSession(program, self.strategy)

    def solve(self, program: LinearProgram, *, deadline: float | None = None, cancel: Event | None = None) -> Solution:
        """Solve a program once."""
        return self.open(program).solve(deadline=deadline, cancel=cancel)


class HighsPrimal(HighsSolver):
    """HiGHS: primal simplex; it ends on infeasible programs without a dual ray."""

    name: ClassVar[str] = "highs-primal"
    features: ClassVar[frozenset[Feature]] = HighsSolver.features - {
        Feature.FARKAS_RAY,
        Feature.INTEGER,
        Feature.INCUMBENTS,
        Feature.TARGET,
    }
    strategy: ClassVar[int] = _PRIMAL_SIMPLEX


class HighsSession(HeldProgram):
    """A program inside HiGHS; for one thread at a time.  See :class:`slir_milp.solvers.protocol.Session`."""

    def __init__(self, program: LinearProgram, strategy: int) -> None:
        super().__init__(program)
        self._strategy = strategy
        self._integer = is_integer(program)
        self._costs_left_out = False
        self._highs = self._loaded()

    def _loaded(self) -> Any:
        """A HiGHS that holds the program as it stands now."""
        # The last basis is a better start than presolving, and only without presolve is there always a Farkas ray.
        simplex = {"presolve": "off", "solver": "simplex", "simplex_strategy": self._strategy}
        return load(self._program, {} if self._integer else simplex)

    def change_column_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:
        """Give some columns new bounds."""
        super().change_column_bounds(columns, lower, upper)
        must(self._highs.changeColsBounds(len(columns), columns, lower, upper), "new column bounds")

    def change_row_bounds(self, rows: Indices, lower: Vector, upper: Vector) -> None:
        """Give some rows new sides."""
        super().change_row_bounds(rows, lower, upper)
        must(self._highs.changeRowsBounds(len(rows), rows, lower, upper), "new row bounds")

    def change_costs(self, columns: Indices, costs: Vector) -> None:
        """Give some columns new costs."""
        super().change_costs(columns, costs)
        must(self._highs.changeColsCost(len(columns), columns, costs), "new costs")

    def change_coefficients(self, rows: Indices, columns: Indices, values: Vector) -> None:
        """Set single entries of the matrix."""
        super().change_coefficients(rows, columns, values)
        for row, column, value in zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True):
            must(self._highs.changeCoeff(row, column, value), "a new coefficient")

    def add_rows(self, block: RowBlock) -> None:
        """Add rows after those that there are; the basis is kept, their slacks in it."""
        super().add_rows(block)
        added = self._highs.addRows(
            len(block), block.lower, block.upper, len(block.values), block.starts[:-1], block.indices, block.values
        )
        must(added, "new rows")

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
        watch = Watch(deadline, cancel, on_point)
        if (early := watch.verdict()) is not None:
            return answer(self._program, early)
        self._highs.setOptionValue("time_limit", np.inf if deadline is None else max(deadline - begun, 0.0))
        self._highs.setOptionValue("objective_target", -np.inf if target is None else target)
        with deferred_interrupt(watch):
            self._run(watch)
        if watch.raised is not None:
            self._put_costs_back()
            raise watch.raised
        status = status_of(self._highs, watch)
        ray = self._farkas_ray() if status is Status.INFEASIBLE and not self._integer else None
        solution = replace(answer_of(self._highs, self._program, status, time.monotonic() - begun), ray=ray)
        self._put_costs_back()
        return solution

    def _run(self, watch: Watch) -> None:
        watch.attach(self._highs, integer=self._integer)
        try:
            self._highs.run()
            if model_status(self._highs) in _TRY_OTHERWISE and watch.verdict() is None:
                self._run_otherwise()
        except BaseException:
            # Something was raised through HiGHS's own frames; what is left of that object is not to be trusted.
            self._highs = self._loaded()
            raise
        watch.detach()

    def _run_otherwise(self) -> None:
        """Solve from nothing by other means.

        The simplex methods of HiGHS may fail where a program has neither a feasible point nor a feasible dual; without
        its costs it has a feasible dual, and is as infeasible as with them.
        """
        self._highs.clearSolver()
        if self._integer:
            self._highs.setOptionValue("presolve", "off")
            self._highs.run()
            self._highs.setOptionValue("presolve", "choose")
            return
        columns = np.arange(self._program.columns, dtype=np.int32)
        self._highs.changeColsCost(len(columns), columns, np.zeros(len(columns)))
        self._highs.run()
        infeasible = model_status(self._highs) == "kInfeasible"
        self._costs_left_out = infeasible
        if not infeasible:
            self._highs.changeColsCost(len(columns), columns, self._program.costs)
            self._highs.clearSolver()
            self._highs.setOptionValue("simplex_strategy", _DUAL_SIMPLEX + _PRIMAL_SIMPLEX - self._strategy)
            self._highs.run()
            self._highs.setOptionValue("simplex_strategy", self._strategy)

    def _put_costs_back(self) -> None:
        if self._costs_left_out:
            columns = np.arange(self._program.columns, dtype=np.int32)
            self._highs.changeColsCost(len(columns), columns, self._program.costs)
            self._costs_left_out = False

    def _farkas_ray(self) -> Vector | None:
        """The solver's dual ray, turned to our sign, if it is one."""
        _, exists, ray = self._highs.getDualRay()
        if not exists:
            return None
        for candidate in (np.array(ray), -np.array(ray)):
            if is_farkas_ray(self._program, candidate):
                return candidate
        return None
