"""What a linear or mixed-integer program is, what a solver answers, and what both promise.

Everything is minimised::

    minimise    c·x + offset
    subject to  row_lower ≤ A x ≤ row_upper,   column_lower ≤ x ≤ column_upper,   x_j integer where ``integral``

*Sign convention of duals.*  With row duals ``y`` and reduced costs ``d``, at an optimum ``c = Aᵀy + d``, and

- ``y_i ≥ 0`` where row i is held by its lower side, ``y_i ≤ 0`` where by its upper side, 0 where by neither;
- ``d_j ≥ 0`` where column j is at its lower bound, ``d_j ≤ 0`` where at its upper bound, 0 where between.

The *dual objective* is ``offset + Σ y_i·side_i + Σ d_j·bound_j``, with the side or bound that the sign names; by weak
duality it is at most the objective of any feasible point.  A *Farkas ray* is a ``y`` for which, with ``c = 0`` and so
``d = −Aᵀy``, that sum is positive: then no point is feasible.

Nothing here is a proof: solvers work to tolerances.  Residuals and gaps are recomputed from the program
(:mod:`slir_milp.solvers.residuals`), never believed, and no verdict rests on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from threading import Event
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int32]


class Status(StrEnum):
    """How a solve ended; no two of these are ever merged."""

    OPTIMAL = "optimal to the solver's tolerances"
    INFEASIBLE = "infeasible to the solver's tolerances"
    UNBOUNDED = "unbounded"
    UNCLEAR = "infeasible or unbounded, and the solver does not say which"
    TARGET_REACHED = "a point at least as good as the target was found"
    TIME_LIMIT = "the time limit was reached"
    ITERATION_LIMIT = "the iteration or node limit was reached"
    INTERRUPTED = "the solve was cancelled"
    FAILED = "the solver failed"


class Feature(StrEnum):
    """What a back end can do beyond solving a linear program; what it does not name, nobody may count on."""

    DUALS = "row duals and reduced costs of linear programs"
    FARKAS_RAY = "a Farkas ray of an infeasible linear program"
    INTEGER = "integer columns"
    WARM_START = "a solve that starts from where the last one ended"
    INCUMBENTS = "reports of the points found during a mixed-integer solve"
    TARGET = "a mixed-integer solve that ends at the first point that is good enough"
    TIME_LIMIT = "a deadline that ends a solve under way"
    INTERRUPTION = "a flag, or Ctrl-C, that ends a solve under way"


@dataclass(frozen=True, eq=False)
class RowBlock:
    """Rows ``lower ≤ A x ≤ upper`` to be added to a program, stored as there."""

    lower: Vector
    upper: Vector
    starts: Indices
    indices: Indices
    values: Vector

    def __len__(self) -> int:
        return len(self.lower)


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """A linear program, mixed-integer where ``integral`` says so; the matrix is stored by rows (CSR).

    Attributes
    ----------
    costs, column_lower, column_upper
        Shape ``(columns,)``; bounds may be infinite.
    row_lower, row_upper
        Shape ``(rows,)``; may be infinite.
    starts, indices, values
        Row i has the entries ``starts[i]`` to ``starts[i + 1]`` of ``indices`` (columns) and ``values``.
    integral
        Shape ``(columns,)``: which columns must be integers; ``None`` for none.
    offset
        Constant of the objective.
    """

    costs: Vector
    column_lower: Vector
    column_upper: Vector
    row_lower: Vector
    row_upper: Vector
    starts: Indices
    indices: Indices
    values: Vector
    integral: NDArray[np.bool_] | None = None
    offset: float = 0.0

    @property
    def columns(self) -> int:
        """Number of columns."""
        return len(self.costs)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.row_lower)

    def times(self, x: Vector) -> Vector:
        """``A x``, shape ``(rows,)``."""
        weights: Vector = self.values * x[self.indices]
        return np.bincount(self.row_of_entry, weights=weights, minlength=self.rows).astype(np.float64)

    def transposed_times(self, y: Vector) -> Vector:
        """``Aᵀ y``, shape ``(columns,)``."""
        weights: Vector = self.values * y[self.row_of_entry]
        return np.bincount(self.indices, weights=weights, minlength=self.columns).astype(np.float64)

    def with_rows(self, block: RowBlock) -> LinearProgram:
        """The program with more rows after its own."""
        return replace(
            self,
            row_lower=np.concatenate([self.row_lower, block.lower]),
            row_upper=np.concatenate([self.row_upper, block.upper]),
            starts=np.concatenate([self.starts, self.starts[-1] + block.starts[1:]]).astype(np.int32),
            indices=np.concatenate([self.indices, block.indices]).astype(np.int32),
            values=np.concatenate([self.values, block.values]),
        )

    @cached_property
    def row_of_entry(self) -> Indices:
        """Row of every stored entry."""
        return np.repeat(np.arange(self.rows, dtype=np.int32), np.diff(self.starts))


@dataclass(frozen=True, eq=False)
class Solution:
    """What a solver answered.

    Attributes
    ----------
    status
        How the solve ended.
    x
        Shape ``(columns,)``: the optimum, or the best point there is; ``None`` if there is none.
    row_duals, reduced_costs
        Shapes ``(rows,)`` and ``(columns,)``, in the convention above; ``None`` if there are none (always so for
        mixed-integer programs).
    objective
        Value of ``x``, recomputed; infinite without one.
    dual_bound
        What the solver has for a lower bound on the optimum: for a linear program the dual objective recomputed from
        the duals, for a mixed-integer one the solver's own word.
    ray
        Shape ``(rows,)``: a Farkas ray that was checked in float64; only of a linear program whose status is
        ``INFEASIBLE``, and even with the feature ``None`` where no ray passed the check.
    iterations
        Simplex (or interior point) iterations.
    nodes
        Branch-and-bound nodes; zero for a linear program.
    seconds
        Wall time of the solve.
    """

    status: Status
    x: Vector | None
    row_duals: Vector | None
    reduced_costs: Vector | None
    objective: float
    dual_bound: float
    ray: Vector | None
    iterations: int
    nodes: int
    seconds: float


class Session(Protocol):
    """A program held by a solver, changed in place and solved again from where the last solve ended."""

    def change_column_bounds(self, columns: Indices, lower: Vector, upper: Vector) -> None:
        """Give some columns new bounds."""
        ...

    def change_row_bounds(self, rows: Indices, lower: Vector, upper: Vector) -> None:
        """Give some rows new sides."""
        ...

    def change_costs(self, columns: Indices, costs: Vector) -> None:
        """Give some columns new costs."""
        ...

    def change_coefficients(self, rows: Indices, columns: Indices, values: Vector) -> None:
        """Set single entries of the matrix.

        Raises
        ------
        SolverError
            An entry is not stored in the program that was opened (store a zero where one is to come).
        """
        ...

    def add_rows(self, block: RowBlock) -> None:
        """Add rows after those that there are."""
        ...

    def solve(
        self,
        *,
        deadline: float | None = None,
        cancel: Event | None = None,
        target: float | None = None,
        on_point: Callable[[Vector], None] | None = None,
    ) -> Solution:
        """Solve the program as it stands now.

        A deadline that has passed and a flag that is set are answered before anything is solved, by every back end; the
        rest as far as the features say.

        Parameters
        ----------
        deadline
            A moment of ``time.monotonic()`` at which to stop; kept where there is ``TIME_LIMIT``.
        cancel
            Stop soon after this is set, from whichever thread; kept where there is ``INTERRUPTION``.
        target
            Stop a mixed-integer solve as soon as a point has an objective of at most this; without ``TARGET`` the solve
            goes on to an optimum.
        on_point
            Called with every point that a mixed-integer solve finds, feasible to the solver's tolerances only; never
            without ``INCUMBENTS``.
        """
        ...


class Solver(Protocol):
    """A back end; stateless, so that one instance serves every thread.

    Attributes
    ----------
    name
        What the registry calls it.
    features
        What it can do.
    tolerance
        What it promises: the residuals and the gap of an optimum (:mod:`slir_milp.solvers.residuals`) are below this,
        relative to the largest number of the program and of the answer.
    """

    @property
    def name(self) -> str:
        """What the registry calls it."""
        ...

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do."""
        ...

    @property
    def tolerance(self) -> float:
        """What it promises."""
        ...

    def open(self, program: LinearProgram) -> Session:
        """Hand a program to the solver; its arrays are copied.

        Raises
        ------
        SolverError
            The solver refuses the program (entries that are not finite, or integer columns that it does not offer).
        """
        ...

    def solve(self, program: LinearProgram, *, deadline: float | None = None, cancel: Event | None = None) -> Solution:
        """Solve a program once; the same as opening it and solving."""
        ...


class SolverError(RuntimeError):
    """A back end refused a program or a change of one; a defect of the caller, not of the user's input."""
