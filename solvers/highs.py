"""The HiGHS back end, through highspy's array calls: one thread, silent, stopped by deadlines, flags and Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any, ClassVar

import numpy as np

from slir_milp.solvers.highs_watch import Watch, deferred_interrupt
from slir_milp.solvers.protocol import Feature, Indices, LinearProgram, RowBlock, Solution, SolverError, Status, Vector
from slir_milp.solvers.residuals import dual_objective, is_farkas_ray

STATUSES: dict[str, Status] = {
    "kOptimal": Status.OPTIMAL,
    "kModelEmpty": Status.OPTIMAL,
    "kInfeasible": Status.INFEASIBLE,
    "kUnbounded": Status.UNBOUNDED,
    "kObjectiveTarget": Status.TARGET_REACHED,
    "kObjectiveBound": Status.TARGET_REACHED,
    "kTimeLimit": Status.TIME_LIMIT,
    "kIterationLimit": Status.ITERATION_LIMIT,
    "kSolutionLimit": Status.ITERATION_LIMIT,
    "kInterrupt": Status.INTERRUPTED,
    "kHighsInterrupt": Status.INTERRUPTED,
    # What is left when the session has tried otherwise.
    "kUnboundedOrInfeasible": Status.FAILED,
    "kMemoryLimit": Status.FAILED,
    "kNotset": Status.FAILED,
    "kLoadError": Status.FAILED,
    "kModelError": Status.FAILED,
    "kPresolveError": Status.FAILED,
    "kSolveError": Status.FAILED,
    "kPostsolveError": Status.FAILED,
    "kUnknown": Status.FAILED,
}
"""What every model status of HiGHS means here; a test compares the keys with the library's own list."""

_TRY_OTHERWISE = frozenset({"kUnboundedOrInfeasible", "kSolveError", "kUnknown"})
_DUAL_SIMPLEX, _PRIMAL_SIMPLEX = 1, 4

LINEAR_TOLERANCE = 1e-9
"""Primal and dual feasibility tolerance of linear programs; duals become proofs, so they had better be good."""

INTEGER_TOLERANCE = 1e-9
"""Feasibility and integrality tolerance of mixed-integer programs; HiGHS takes no less than 1e-10."""


class HighsSolver:
    """HiGHS: dual simplex, and branch and cut."""

    name: ClassVar[str] = "highs"
    features: ClassVar[frozenset[Feature]] = frozenset(Feature)

    def open(self, program: LinearProgram) -> HighsSession:
        """Hand a program to HiGHS; see :class:`slir_milp.solvers.protocol.Solver`."""
        return HighsSession(program)

    def solve(self, program: LinearProgram, *, deadline: float | None = None, cancel: Event | None = None) -> Solution:
        """Solve a program once."""
        return self.open(program).solve(deadline=deadline, cancel=cancel)


class HighsSession:
    """A program inside HiGHS; for one thread at a time.  See :class:`slir_milp.solvers.protocol.Session`."""

    def __init__(self, program: LinearProgram) -> None:
        self._program = _copy(program)
        self._integer = program.integral is not None and bool(program.integral.any())
        self._costs_left_out = False
        self._highs = self._loaded()

    def _loaded(self) -> Any:
        """A HiGHS of our options that holds the program as it stands now."""
        import highspy

        program = self._program
        self._refuse_nan(program.costs, program.values, program.column_lower, program.column_upper)
        self._refuse_nan(program.row_lower, program.row_upper)
        # The class beneath highspy.Highs: plain array calls, and callbacks that hold no reference cycle.
        highs: Any = highspy._core._Highs()
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", 1)
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            highs.setOptionValue(option, LINEAR_TOLERANCE)
        if self._integer:
            highs.setOptionValue("mip_feasibility_tolerance", INTEGER_TOLERANCE)
            highs.setOptionValue("mip_rel_gap", 0.0)
        else:
            # The last basis is a better start than presolving, and only without presolve is there always a Farkas ray.
            highs.setOptionValue("presolve", "off")
            highs.setOptionValue("solver", "simplex")
        kinds = np.zeros(program.columns, dtype=np.int32)
        if program.integral is not None:
            kinds[program.integral] = int(highspy.HighsVarType.kInteger)
        accepted = highs.passModel(
            program.columns,
            program.rows,
            len(program.values),
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            program.offset,
            program.costs,
            program.column_lower,
            program.column_upper,
            program.row_lower,
            program.row_upper,
            program.starts,
            program.indices,
            program.values,
            kinds,
        )
        self._must(accepted, "the program")
        return highs

    def change_column_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:
        """Give some columns new bounds."""
        self._refuse_nan(lower, upper)
        self._program.column_lower[columns], self._program.column_upper[columns] = lower, upper
        self._must(self._highs.changeColsBounds(len(columns), columns, lower, upper), "new column bounds")

    def change_row_bounds(self, rows: Indices, lower: Vector, upper: Vector) -> None:
        """Give some rows new sides."""
        self._refuse_nan(lower, upper)
        self._program.row_lower[rows], self._program.row_upper[rows] = lower, upper
        self._must(self._highs.changeRowsBounds(len(rows), rows, lower, upper), "new row bounds")

    def change_costs(self, columns: Indices, costs: Vector) -> None:
        """Give some columns new costs."""
        self._refuse_nan(costs)
        self._program.costs[columns] = costs
        self._must(self._highs.changeColsCost(len(columns), columns, costs), "new costs")

    def change_coefficients(self, rows: Indices, columns: Indices, values: Vector) -> None:
        """Set single entries of the matrix."""
        self._refuse_nan(values)
        program = self._program
        for row, column, value in zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True):
            begin, end = program.starts[row : row + 2]
            found = np.flatnonzero(program.indices[begin:end] == column)
            if len(found) != 1:
                raise SolverError(f"row {row} has no single entry in column {column}.")
            program.values[begin + found[0]] = value
            self._must(self._highs.changeCoeff(row, column, value), "a new coefficient")

    def add_rows(self, block: RowBlock) -> None:
        """Add rows after those that there are; the basis is kept, their slacks in it."""
        self._refuse_nan(block.lower, block.upper, block.values)
        self._program = self._program.with_rows(block)
        added = self._highs.addRows(
            len(block), block.lower, block.upper, len(block.values), block.starts[:-1], block.indices, block.values
        )
        self._must(added, "new rows")

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
            return _nothing(early)
        self._highs.setOptionValue("time_limit", np.inf if deadline is None else max(deadline - begun, 0.0))
        self._highs.setOptionValue("objective_target", -np.inf if target is None else target)
        with deferred_interrupt(watch):
            self._run(watch)
        if watch.raised is not None:
            self._put_costs_back()
            raise watch.raised
        status = STATUSES[self._model_status()]
        if status is Status.INTERRUPTED and watch.stopped is not None:
            status = watch.stopped
        answer = self._answer(status, time.monotonic() - begun)
        self._put_costs_back()
        return answer

    def _run(self, watch: Watch) -> None:
        watch.attach(self._highs, integer=self._integer)
        try:
            self._highs.run()
            if self._model_status() in _TRY_OTHERWISE and watch.verdict() is None:
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
        infeasible = self._model_status() == "kInfeasible"
        self._costs_left_out = infeasible
        if not infeasible:
            self._highs.changeColsCost(len(columns), columns, self._program.costs)
            self._highs.clearSolver()
            self._highs.setOptionValue("simplex_strategy", _PRIMAL_SIMPLEX)
            self._highs.run()
            self._highs.setOptionValue("simplex_strategy", _DUAL_SIMPLEX)

    def _put_costs_back(self) -> None:
        if self._costs_left_out:
            columns = np.arange(self._program.columns, dtype=np.int32)
            self._highs.changeColsCost(len(columns), columns, self._program.costs)
            self._costs_left_out = False

    def _answer(self, status: Status, seconds: float) -> Solution:
        program, info, found = self._program, self._highs.getInfo(), self._highs.getSolution()
        x = np.array(found.col_value) if found.value_valid and program.columns else None
        if program.columns == 0 and status is Status.OPTIMAL:
            x = np.zeros(0)
        if x is not None and not np.isfinite(x).all():
            x = None
        duals = np.array(found.row_dual) if found.dual_valid and not self._integer else None
        if duals is not None and not np.isfinite(duals).all():
            duals = None
        if self._integer:
            bound = float(info.mip_dual_bound)
        else:
            bound = -np.inf if duals is None else dual_objective(program, duals)
        return Solution(
            status=status,
            x=x,
            row_duals=duals,
            reduced_costs=None if duals is None else program.costs - program.transposed_times(duals),
            objective=np.inf if x is None else float(program.costs @ x) + program.offset,
            dual_bound=bound,
            ray=self._farkas_ray() if status is Status.INFEASIBLE and not self._integer else None,
            iterations=max(int(info.simplex_iteration_count), 0),
            nodes=max(int(info.mip_node_count), 0) if self._integer else 0,
            seconds=seconds,
        )

    def _farkas_ray(self) -> Vector | None:
        """The solver's dual ray, turned to our sign, if it is one."""
        _, exists, ray = self._highs.getDualRay()
        if not exists:
            return None
        for candidate in (np.array(ray), -np.array(ray)):
            if is_farkas_ray(self._program, candidate):
                return candidate
        return None

    def _model_status(self) -> str:
        return str(self._highs.getModelStatus().name)

    @staticmethod
    def _refuse_nan(*arrays: Vector) -> None:
        """HiGHS takes NaN without a word."""
        if any(np.isnan(array).any() for array in arrays):
            raise SolverError("a program with entries that are no numbers cannot be solved.")

    @staticmethod
    def _must(status: Any, what: str) -> None:
        if status.name == "kError":
            raise SolverError(f"HiGHS refuses {what}.")


def _copy(program: LinearProgram) -> LinearProgram:
    """A program whose arrays may be changed in place."""
    return replace(
        program,
        costs=program.costs.copy(),
        column_lower=program.column_lower.copy(),
        column_upper=program.column_upper.copy(),
        row_lower=program.row_lower.copy(),
        row_upper=program.row_upper.copy(),
        values=program.values.copy(),
    )


def _nothing(status: Status) -> Solution:
    """The answer of a solve that did not begin."""
    return Solution(status, None, None, None, np.inf, -np.inf, None, 0, 0, 0.0)
