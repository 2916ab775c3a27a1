"""HiGHS through highspy's array calls: loading a program, what its statuses mean, and reading its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slir_milp.solvers.held import answer, is_integer
from slir_milp.solvers.highs_watch import Watch
from slir_milp.solvers.protocol import LinearProgram, Solution, SolverError, Status

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
    # Some solves are tried again before this is said.
    "kUnboundedOrInfeasible": Status.UNCLEAR,
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


def load(program: LinearProgram, options: Mapping[str, Any]) -> Any:
    """Hand a program to a new HiGHS: one thread, silent, our tolerances, and these options.

    Raises
    ------
    SolverError
        HiGHS refuses the program.
    """
    import highspy

    # The class beneath highspy.Highs: plain array calls, and callbacks that hold no reference cycle.
    highs: Any = highspy._core._Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        highs.setOptionValue(option, LINEAR_TOLERANCE)
    if is_integer(program):
        highs.setOptionValue("mip_feasibility_tolerance", INTEGER_TOLERANCE)
        highs.setOptionValue("mip_rel_gap", 0.0)
    for option, value in options.items():
        highs.setOptionValue(option, value)
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
    must(accepted, "the program")
    return highs


def must(status: Any, what: str) -> None:
    """Raise if HiGHS did not take what it was given."""
    if status.name == "kError":
        raise SolverError(f"HiGHS refuses {what}.")


def model_status(highs: Any) -> str:
    """HiGHS's own word for how the solve ended."""
    return str(highs.getModelStatus().name)


def status_of(highs: Any, watch: Watch) -> Status:
    """How the solve ended; who stopped it knows why."""
    status = STATUSES[model_status(highs)]
    return watch.stopped if status is Status.INTERRUPTED and watch.stopped is not None else status


def answer_of(highs: Any, program: LinearProgram, status: Status, seconds: float) -> Solution:
    """The point, duals and counts of a solve; HiGHS has our signs."""
    info, found = highs.getInfo(), highs.getSolution()
    x = np.array(found.col_value) if found.value_valid and program.columns else None
    if program.columns == 0 and status is Status.OPTIMAL:
        x = np.zeros(0)
    counts = (info.simplex_iteration_count, info.ipm_iteration_count, info.pdlp_iteration_count)
    return answer(
        program,
        status,
        x=x,
        row_duals=np.array(found.row_dual) if found.dual_valid else None,
        bound=float(info.mip_dual_bound),
        iterations=sum(max(int(count), 0) for count in counts),
        nodes=int(info.mip_node_count),
        seconds=seconds,
    )
