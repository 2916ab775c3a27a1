"""A linear program as a Pyomo model, and what Pyomo found of it as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from slir_milp.solvers.protocol import LinearProgram, Vector


def model_of(program: LinearProgram, *, duals: bool = False) -> Any:
    """Build a ``ConcreteModel`` with the variables ``x``, the constraints ``rows`` and the objective ``least``.

    Rows without entries or without a finite side are left out, and so is the offset of the objective.  With ``duals``
    there is a suffix ``dual`` to be filled by the solver.
    """
    import pyomo.environ as pyo
    from pyomo.core.expr.numeric_expr import LinearExpression

    model = pyo.ConcreteModel()
    model.x = pyo.Var(range(program.columns))
    lower, upper = _ends(program.column_lower), _ends(program.column_upper)
    columns = [model.x[j] for j in range(program.columns)]
    for j, column in enumerate(columns):
        column.setlb(lower[j])
        column.setub(upper[j])
        if program.integral is not None and program.integral[j]:
            column.domain = pyo.Integers
    model.rows = pyo.Constraint(pyo.Any)
    lower, upper = _ends(program.row_lower), _ends(program.row_upper)
    for i in range(program.rows):
        entries = slice(program.starts[i], program.starts[i + 1])
        values, at = program.values[entries], program.indices[entries]
        used = values != 0
        if not used.any() or (lower[i] is None and upper[i] is None):
            continue
        body = LinearExpression(linear_coefs=values[used].tolist(), linear_vars=[columns[j] for j in at[used].tolist()])
        model.rows[i] = pyo.inequality(lower[i], body, upper[i]) if lower[i] != upper[i] else body == lower[i]
    model.least = pyo.Objective(expr=LinearExpression(linear_coefs=program.costs.tolist(), linear_vars=columns))
    if duals:
        model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    return model


def point_of(model: Any, program: LinearProgram) -> Vector:
    """Values of the columns; one that no row and no cost mentions gets the number nearest to zero."""
    unused = np.clip(0.0, program.column_lower, program.column_upper)
    values = [model.x[j].value for j in range(program.columns)]
    return np.array([unused[j] if value is None else value for j, value in enumerate(values)], dtype=np.float64)


def duals_of(model: Any, program: LinearProgram) -> Vector | None:
    """Duals of the rows, which Pyomo gives our sign; ``None`` if some are missing."""
    duals = np.zeros(program.rows)
    for i, row in model.rows.items():
        value = model.dual.get(row)
        if value is None:
            return None
        duals[i] = value
    return duals


def _ends(bounds: Vector) -> list[float | None]:
    return [bound if np.isfinite(bound) else None for bound in bounds.tolist()]
