"""How far a solver's answer is from what it claims, recomputed from the program in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slir_milp.solvers.protocol import LinearProgram, Vector


@dataclass(frozen=True)
class Residuals:
    """Largest violations of the optimality conditions, each zero at an exact optimum.

    Attributes
    ----------
    primal
        By how much a row or a column bound is violated.
    dual
        Largest ``|c − Aᵀy − d|``, or dual whose sign names an infinite side.
    complementarity
        Largest product of a dual with the distance from the side that it names.
    gap
        Objective less dual objective.
    """

    primal: float
    dual: float
    complementarity: float
    gap: float


def primal_residual(program: LinearProgram, x: Vector) -> float:
    """Largest violation of a row or of a column bound at ``x``."""
    activity = program.times(x)
    violations = (
        program.row_lower - activity,
        activity - program.row_upper,
        program.column_lower - x,
        x - program.column_upper,
    )
    return max(float(v.max(initial=0.0)) for v in violations)


def dual_objective(program: LinearProgram, row_duals: Vector, *, with_costs: bool = True) -> float:
    """Dual objective of row duals, the reduced costs being what stationarity makes them.

    A dual whose sign names an infinite side is left out: the value is then that of a nearby dual point, and
    :func:`residuals` says how near.  With ``with_costs`` false the costs and the offset count as zero: a positive value
    then makes ``row_duals`` a Farkas ray.
    """
    costs = program.costs if with_costs else np.zeros(program.columns)
    reduced = costs - program.transposed_times(row_duals)
    total = _supported(row_duals, program.row_lower, program.row_upper)
    total += _supported(reduced, program.column_lower, program.column_upper)
    return total + (program.offset if with_costs else 0.0)


def is_farkas_ray(program: LinearProgram, ray: Vector, *, tolerance: float = 1e-7) -> bool:
    """Whether a ray proves infeasibility up to ``tolerance``, relative to its largest entry."""
    scale = float(np.abs(ray).max(initial=0.0))
    if not 0 < scale < np.inf:
        return False
    ray = ray / scale
    reduced = -program.transposed_times(ray)
    stray = max(
        _unsupported(ray, program.row_lower, program.row_upper),
        _unsupported(reduced, program.column_lower, program.column_upper),
    )
    return stray <= tolerance and dual_objective(program, ray, with_costs=False) > 0


def residuals(program: LinearProgram, x: Vector, row_duals: Vector, reduced_costs: Vector) -> Residuals:
    """Check an optimal solution of a linear program against its optimality conditions."""
    stationarity = np.abs(program.costs - program.transposed_times(row_duals) - reduced_costs).max(initial=0.0)
    stray = max(
        _unsupported(row_duals, program.row_lower, program.row_upper),
        _unsupported(reduced_costs, program.column_lower, program.column_upper),
    )
    complementarity = max(
        _slackness(row_duals, program.times(x), program.row_lower, program.row_upper),
        _slackness(reduced_costs, x, program.column_lower, program.column_upper),
    )
    objective = float(program.costs @ x) + program.offset
    return Residuals(
        primal=primal_residual(program, x),
        dual=max(float(stationarity), stray),
        complementarity=complementarity,
        gap=objective - dual_objective(program, row_duals),
    )


def _supported(duals: Vector, lower: Vector, upper: Vector) -> float:
    """Sum of duals times the sides they name, infinite sides left out."""
    side = np.where(duals > 0, lower, upper)
    return float(np.sum(np.where(np.isfinite(side), duals * np.where(np.isfinite(side), side, 0.0), 0.0)))


def _unsupported(duals: Vector, lower: Vector, upper: Vector) -> float:
    """Largest dual whose sign names an infinite side."""
    side = np.where(duals > 0, lower, upper)
    return float(np.abs(np.where(np.isfinite(side), 0.0, duals)).max(initial=0.0))


def _slackness(duals: Vector, values: Vector, lower: Vector, upper: Vector) -> float:
    side = np.where(duals > 0, lower, upper)
    distance = np.where(np.isfinite(side), values - np.where(np.isfinite(side), side, 0.0), 0.0)
    return float(np.abs(duals * distance).max(initial=0.0))
