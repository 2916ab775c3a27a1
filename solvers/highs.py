"""The HiGHS back end, through highspy's array calls: one thread, silent, stopped by deadlines, flags and Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from slir_milp.solvers.protocol import Feature, Indices, LinearProgram, Solution, SolverError, Status, Vector
from slir_milp.solvers.residuals import dual_objective, is_farkas_ray

if TYPE_CHECKING:
    import highspy

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
    # Only presolve leaves the two undistinguished, and then the session solves again without it.
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
        import highspy

        self._program = _copy(program)
        self._integer = program.integral is not None and bool(program.integral.any())
        # The class beneath highspy.Highs: plain array calls, and callbacks that hold no reference cycle.
        self._highs: Any = highspy._core._Highs()
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            self._highs.setOptionValue(option, LINEAR_TOLERANCE)
        if self._integer:
            self._highs.setOptionValue("mip_feasibility_tolerance", INTEGER_TOLERANCE)
            self._highs.setOptionValue("mip_rel_gap", 0.0)
        else:
            # The last basis is a better start than presolving, and only without presolve is there always a Farkas ray.
            self._highs.setOptionValue("presolve", "off")
            self._highs.setOptionValue("solver", "simplex")
        kinds = np.zeros(program.columns, dtype=np.int32)
        if program.integral is not None:
            kinds[program.integral] = int(highspy.HighsVarType.kInteger)
        self._must(
            self._highs.passModel(
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
            ),
            "the program",
        )

    def change_column_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:
        """Give some columns new bounds."""
        self._program.column_lower[columns], self._program.column_upper[columns] = lower, upper
        self._must(self._highs.changeColsBounds(len(columns), columns, lower, upper), "new column bounds")

    def change_row_bounds(self, rows: Indices, lower: Vector, upper: Vector) -> None:
        """Give some rows new sides."""
        self._program.row_lower[rows], self._program.row_upper[rows] = lower, upper
        self._must(self._highs.changeRowsBounds(len(rows), rows, lower, upper), "new row bounds")

    def change_costs(self, columns: Indices, costs: Vector) -> None:
        """Give some columns new costs."""
        self._program.costs[columns] = costs
        self._must(self._highs.changeColsCost(len(columns), columns, costs), "new costs")

    def change_coefficients(self, rows: Indices, columns: Indices, values: Vector) -> None:
        """Set single entries of the matrix."""
        program = self._program
        for row, column, value in zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True):
            begin, end = program.starts[row : row + 2]
            found = np.flatnonzero(program.indices[begin:end] == column)
            if len(found) != 1:
                raise SolverError(f"row {row} has no single entry in column {column}.")
            program.values[begin + found[0]] = value
            self._must(self._highs.changeCoeff(row, column, value), "a new coefficient")

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
        watch = _Watch(deadline, cancel, on_point)
        if (early := watch.verdict()) is not None:
            return _nothing(early)
        self._highs.setOptionValue("time_limit", np.inf if deadline is None else max(deadline - begun, 0.0))
        self._highs.setOptionValue("objective_target", -np.inf if target is None else target)
        watch.attach(self._highs, integer=self._integer)
        try:
            self._highs.run()
            if self._model_status() == "kUnboundedOrInfeasible":
                self._highs.setOptionValue("presolve", "off")
                self._highs.run()
        finally:
            watch.detach()
        if watch.raised is not None:
            raise watch.raised
        status = STATUSES[self._model_status()]
        if status is Status.INTERRUPTED and watch.stopped is not None:
            status = watch.stopped
        return self._answer(status, time.monotonic() - begun)

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
    def _must(status: highspy.HighsStatus, what: str) -> None:
        if status.name == "kError":
            raise SolverError(f"HiGHS refuses {what}.")


class _Watch:
    """Looks at the clock and at the flag whenever HiGHS calls back, and collects what it finds.

    An exception must not pass through the C++ frames, so it is kept and raised afterwards; a Ctrl-C that arrives during
    a solve in the main thread is raised by the interpreter inside the callback and so ends up here as well.
    """

    def __init__(self, deadline: float | None, cancel: Event | None, on_point: Callable[[Vector], None] | None) -> None:
        self.deadline = np.inf if deadline is None else deadline
        self.cancel = cancel
        self.on_point = on_point
        self.stopped: Status | None = None
        self.raised: BaseException | None = None
        self._highs: Any = None
        self._solution_events: frozenset[int] = frozenset()

    def verdict(self) -> Status | None:
        """Why to stop, if there is a reason."""
        if self.cancel is not None and self.cancel.is_set():
            return Status.INTERRUPTED
        return Status.TIME_LIMIT if time.monotonic() >= self.deadline else None

    def attach(self, highs: Any, *, integer: bool) -> None:
        """Have HiGHS call back from now on."""
        from highspy import cb

        kind = cb.HighsCallbackType
        solutions = [kind.kCallbackMipSolution, kind.kCallbackMipImprovingSolution]
        events = [kind.kCallbackSimplexInterrupt]
        if integer:
            events += [kind.kCallbackMipInterrupt, *(solutions if self.on_point is not None else ())]
        self._solution_events = frozenset(int(event) for event in solutions)
        self._highs = highs
        highs.setCallback(self._called, None)
        for event in events:
            highs.startCallback(event)

    def detach(self) -> None:
        """Have HiGHS forget this object."""
        self._highs.setCallback(None, None)

    def _called(self, event: Any, _message: str, output: Any, reply: Any, _data: Any) -> None:
        try:
            if int(event) in self._solution_events:
                if self.on_point is not None and len(output.mip_solution):
                    self.on_point(np.array(output.mip_solution, dtype=np.float64))
            else:
                self.stopped = self.stopped or self.verdict()
        except BaseException as error:
            self.raised = self.raised or error
        if reply is not None and (self.stopped is not None or self.raised is not None):
            reply.user_interrupt = True


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
