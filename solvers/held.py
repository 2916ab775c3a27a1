"""A program that is changed in place, and the answer to it: what every back end needs, whatever it keeps itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event

import numpy as np

from slir_milp.solvers.protocol import Indices, LinearProgram, RowBlock, Solution, SolverError, Status, Vector
from slir_milp.solvers.residuals import dual_objective


@dataclass(frozen=True, eq=False)
class Order:
    """What a solve was asked for; see :meth:`slir_milp.solvers.protocol.Session.solve`."""

    deadline: float | None = None
    cancel: Event | None = None
    target: float | None = None
    on_point: Callable[[Vector], None] | None = None

    def verdict(self) -> Status | None:
        """Why to stop now, if there is a reason."""
        if self.cancel is not None and self.cancel.is_set():
            return Status.INTERRUPTED
        return Status.TIME_LIMIT if self.seconds() <= 0 else None

    def seconds(self) -> float:
        """Seconds left; infinite without a deadline."""
        return np.inf if self.deadline is None else self.deadline - time.monotonic()


class HeldProgram:
    """A copy of a program, and the changes of it that :class:`slir_milp.solvers.protocol.Session` offers."""

    def __init__(self, program: LinearProgram) -> None:
        self._program = replace(
            program,
            costs=program.costs.copy(),
            column_lower=program.column_lower.copy(),
            column_upper=program.column_upper.copy(),
            row_lower=program.row_lower.copy(),
            row_upper=program.row_upper.copy(),
            values=program.values.copy(),
        )
        self._refuse_nan(program.column_lower, program.column_upper, program.row_lower, program.row_upper)
        self._refuse_infinite(program.costs, program.values, np.array([program.offset]))

    def change_column_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:
        """Give some columns new bounds."""
        self._refuse_nan(lower, upper)
        self._program.column_lower[columns], self._program.column_upper[columns] = lower, upper

    def change_row_bounds(self, rows: Indices, lower: Vector, upper: Vector) -> None:
        """Give some rows new sides."""
        self._refuse_nan(lower, upper)
        self._program.row_lower[rows], self._program.row_upper[rows] = lower, upper

    def change_costs(self, columns: Indices, costs: Vector) -> None:
        """Give some columns new costs."""
        self._refuse_infinite(costs)
        self._program.costs[columns] = costs

    def change_coefficients(self, rows: Indices, columns: Indices, values: Vector) -> None:
        """Set single entries of the matrix."""
        self._refuse_infinite(values)
        program, places = self._program, []
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            begin, end = program.starts[row : row + 2]
            found = np.flatnonzero(program.indices[begin:end] == column)
            if len(found) != 1:
                raise SolverError(f"row {row} has no single entry in column {column}.")
            places.append(begin + found[0])
        program.values[places] = values

    def add_rows(self, block: RowBlock) -> None:
        """Add rows after those that there are."""
        self._refuse_nan(block.lower, block.upper)
        self._refuse_infinite(block.values)
        self._program = self._program.with_rows(block)

    @staticmethod
    def _refuse_nan(*arrays: Vector) -> None:
        """No solver says a word about NaN: some take it, some never end."""
        if any(np.isnan(array).any() for array in arrays):
            raise SolverError("a program with bounds that are no numbers cannot be solved.")

    @staticmethod
    def _refuse_infinite(*arrays: Vector) -> None:
        if not all(np.isfinite(array).all() for array in arrays):
            raise SolverError("a program whose costs or coefficients are not finite cannot be solved.")


def answer(
    program: LinearProgram,
    status: Status,
    *,
    x: Vector | None = None,
    row_duals: Vector | None = None,
    bound: float = -np.inf,
    ray: Vector | None = None,
    iterations: int = 0,
    nodes: int = 0,
    seconds: float = 0.0,
) -> Solution:
    """Make a solution of what a solver has to say, with everything recomputed that can be.

    Parameters
    ----------
    program
        The program that was solved.
    x, row_duals
        The solver's point and duals, in our convention of signs; what is not finite is dropped.
    bound
        The solver's bound of a mixed-integer program; that of a linear one follows from the duals.
    ray
        A Farkas ray that was checked.
    """
    x = None if x is None or not np.isfinite(x).all() else x
    if is_integer(program) or (row_duals is not None and not np.isfinite(row_duals).all()):
        row_duals = None
    if not is_integer(program):
        bound = -np.inf if row_duals is None else dual_objective(program, row_duals)
    return Solution(
        status=status,
        x=x,
        row_duals=row_duals,
        reduced_costs=None if row_duals is None else program.costs - program.transposed_times(row_duals),
        objective=np.inf if x is None else float(program.costs @ x) + program.offset,
        dual_bound=bound if not np.isnan(bound) else -np.inf,
        ray=ray,
        iterations=max(iterations, 0),
        nodes=max(nodes, 0) if is_integer(program) else 0,
        seconds=seconds,
    )


def is_integer(program: LinearProgram) -> bool:
    """Whether some column must be an integer."""
    return program.integral is not None and bool(program.integral.any())
