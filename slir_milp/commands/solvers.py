"""``slir-milp solvers``: which back ends there are for linear and mixed-integer programs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.output import write_stdout
from slir_milp.report.tables import aligned

if TYPE_CHECKING:
    from slir_milp.solvers import Feature

_ON_PATH = ("cplex", "gurobi_cl", "ipopt", "scip", "xpress", "mosek", "clp", "highs")
"""Executables that Pyomo can call by some name, and that have no entry of their own."""
_AS = {"gurobi_cl": "gurobi"}

_HEADS = {
    "DUALS": "duals",
    "FARKAS_RAY": "rays",
    "INTEGER": "integer",
    "WARM_START": "warm",
    "INCUMBENTS": "points",
    "TARGET": "target",
    "TIME_LIMIT": "time",
    "INTERRUPTION": "stop",
}

_FOOT = """\
duals: of linear programs, from which bounds are made (without them: for bench-solvers only); rays: proofs of
infeasibility; integer: mixed-integer programs; warm: goes on from its last solve; points, target: reports points as it
finds them, ends at the first that is good enough; time, stop: ends a solve at a deadline, at a flag or Ctrl-C.
Any other solver that Pyomo knows is 'pyomo:NAME'. Use one by: slir-milp verify ... --engine lp --solver NAME"""


@dataclass(frozen=True)
class Row:
    """A back end, as it is told of."""

    name: str
    installed: bool
    version: str | None
    needs: tuple[str, ...]
    features: frozenset[Feature]
    tolerance: float


def run(*, json: bool) -> ExitCode:
    """List every back end, and the executables on the path that Pyomo could call besides."""
    rows, others = _rows(), _others()
    if json:
        write_stdout(_as_json(rows, others))
        return ExitCode.DECIDED
    lines = aligned([("name", "version", "tolerance", *_HEADS.values()), *map(_cells, rows)])
    if others:
        lines += ["", f"On the path, for Pyomo: {', '.join(others)}"]
    if missing := [row for row in rows if not row.installed]:
        lines += ["", "To install:", *(f"  {row.name}: {' and '.join(row.needs)}" for row in missing)]
    write_stdout("\n".join([*lines, "", _FOOT]) + "\n")
    return ExitCode.DECIDED


def _rows() -> list[Row]:
    from slir_milp.solvers.registry import BACK_ENDS

    rows = []
    for name, back_end in BACK_ENDS.items():
        solver = back_end.make()
        installed = back_end.is_installed
        found = _version(back_end.libraries) if installed else None
        rows.append(Row(name, installed, found, back_end.packages, solver.features, solver.tolerance))
    return rows


def _version(libraries: tuple[str, ...]) -> str | None:
    """The versions of the Python packages of these modules."""
    try:
        return ", ".join(f"{library} {version(library)}" for library in libraries)
    except PackageNotFoundError:
        return None


def _others() -> list[str]:
    return [f"pyomo:{_AS.get(program, program)}" for program in _ON_PATH if shutil.which(program) is not None]


def _cells(row: Row) -> tuple[str, ...]:
    have = {feature.name for feature in row.features}
    marks = ("yes" if name in have else "-" for name in _HEADS)
    return row.name, (row.version or "?") if row.installed else "not installed", f"{row.tolerance:.0e}", *marks


def _as_json(rows: list[Row], others: list[str]) -> str:
    import json

    solvers = [
        {
            "name": row.name,
            "installed": row.installed,
            "version": row.version,
            "needs": list(row.needs),
            "features": sorted(feature.name.lower() for feature in row.features),
            "tolerance": row.tolerance,
        }
        for row in rows
    ]
    return json.dumps({"solvers": solvers, "on_path_for_pyomo": others}, indent=2) + "\n"
