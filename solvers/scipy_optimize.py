"""SciPy's ``linprog`` and ``milp``: SciPy's own HiGHS, behind SciPy's view of programs and of duals."""

from __future__ import annotations

import re
from typing import Any, ClassVar

import numpy as np

from slir_milp.solvers.held import Order, answer, is_integer
from slir_milp.solvers.protocol import Feature, LinearProgram, Solution, Status, Vector
from slir_milp.solvers.restarting import RestartingSolver

STATUSES: dict[int, Status] = {
    0: Status.OPTIMAL,
    1: Status.ITERATION_LIMIT,  # "iteration or time limit": which, only the clock can tell
    2: Status.INFEASIBLE,
    3: Status.UNBOUNDED,
    4: Status.FAILED,  # unless the message names the status below
}
"""What the statuses of SciPy mean here."""

_UNCLEAR = re.compile("unbounded or infeasible")
_TOLERANCE = 1e-9


class ScipySolver(RestartingSolver):
    """SciPy: ``linprog`` (dual simplex) for linear programs, ``milp`` for mixed-integer ones.

    It cannot be interrupted: a flag, or Ctrl-C, is noticed when the solve has ended.
    """

    name: ClassVar[str] = "scipy"
    features: ClassVar[frozenset[Feature]] = frozenset(
        {Feature.DUALS, Feature.FARKAS_RAY, Feature.INTEGER, Feature.TIME_LIMIT}
    )
    tolerance: ClassVar[float] = 1e-7

    def run(self, program: LinearProgram, order: Order) -> Solution:
        """Solve a program; see :class:`RestartingSolver`."""
        from scipy.sparse import csr_array

        shape = (program.rows, program.columns)
        matrix = csr_array((program.values, program.indices, program.starts), shape=shape)
        options: dict[str, Any] = {} if np.isinf(order.seconds()) else {"time_limit": max(order.seconds(), 0.0)}
        run = _milp if is_integer(program) else _linprog
        found, duals = run(program, matrix, options)
        status = STATUSES[int(found.status)]
        if status is Status.FAILED and _UNCLEAR.search(str(found.message)):
            status = Status.UNCLEAR
        if status is Status.ITERATION_LIMIT and order.seconds() <= 0:
            status = Status.TIME_LIMIT
        return answer(
            program,
            status,
            x=None if found.x is None else np.asarray(found.x, dtype=np.float64),
            row_duals=duals if status is Status.OPTIMAL else None,
            bound=_number(found, "mip_dual_bound") + program.offset,
            iterations=int(_number(found, "nit", 0)),
            nodes=int(_number(found, "mip_node_count", 0)),
        )


def _milp(program: LinearProgram, matrix: Any, options: dict[str, Any]) -> tuple[Any, None]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    assert program.integral is not None
    found = milp(
        program.costs,
        integrality=program.integral.astype(np.int32),
        bounds=Bounds(program.column_lower, program.column_upper),
        constraints=LinearConstraint(matrix, program.row_lower, program.row_upper),
        options={**options, "mip_rel_gap": 0.0},
    )
    return found, None


def _linprog(program: LinearProgram, matrix: Any, options: dict[str, Any]) -> tuple[Any, Vector | None]:
    """Rows become ``=`` and ``<=``, a ranged one two of these; marginals are derivatives of the optimum by the side."""
    from scipy.optimize import linprog
    from scipy.sparse import vstack

    lower, upper = program.row_lower, program.row_upper
    equal = lower == upper
    above, below = np.isfinite(lower) & ~equal, np.isfinite(upper) & ~equal
    found = linprog(
        program.costs,
        A_ub=vstack([matrix[below], -matrix[above]], format="csr"),
        b_ub=np.concatenate([upper[below], -lower[above]]),
        A_eq=matrix[equal],
        b_eq=lower[equal],
        bounds=np.column_stack([program.column_lower, program.column_upper]),
        method="highs-ds",
        options={
            **options,
            "primal_feasibility_tolerance": _TOLERANCE,
            "dual_feasibility_tolerance": _TOLERANCE,
        },
    )
    if found.status != 0:
        return found, None
    duals, split = np.zeros(program.rows), int(below.sum())
    duals[equal] = found.eqlin.marginals
    duals[below] += found.ineqlin.marginals[:split]
    duals[above] -= found.ineqlin.marginals[split:]
    return found, duals


def _number(found: Any, name: str, missing: float = -np.inf) -> float:
    value = getattr(found, name, None)
    return missing if value is None else float(value)
