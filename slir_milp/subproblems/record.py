"""Recording the programs that a verification meets."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np

from slir_milp.lp.observer import Subproblem
from slir_milp.lp.proposal import propose, read_duals
from slir_milp.network.normal_form import Network
from slir_milp.query import And, Atom, Query, clauses
from slir_milp.search import Engine, Options, Verdict
from slir_milp.search import Status as Verdicts
from slir_milp.solvers import Status, solver
from slir_milp.solvers.exact import Finding, dual_bound, enclosure, solve_exactly
from slir_milp.solvers.exact_integer import solve_integer_exactly
from slir_milp.subproblems.certified import bound_of
from slir_milp.subproblems.store import Entry, Store

_MOST_CLAUSES = 256
_SECONDS_OF_BOUNDS = 2.0
_ANSWERS = (Status.OPTIMAL, Status.INFEASIBLE, Status.TARGET_REACHED)

Reference: TypeAlias = tuple[Finding, float | None, float | None, str]


@dataclass(frozen=True)
class Plan:
    """What to record.

    Attributes
    ----------
    network, query
        The files, as the index is to name them.
    engine
        ``LP`` or ``MILP``: which programs.
    limit
        Most programs; ``None`` for no limit.
    every
        Record the first of so many programs, and leave out the others.
    timeout
        Most seconds of the verification; ``None`` for no limit.
    exact
        Whether to look for exact references.
    """

    network: Path
    query: Path
    engine: Engine
    limit: int | None = None
    every: int = 1
    timeout: float | None = None
    exact: bool = True


def record(
    plan: Plan,
    network: Network,
    query: Query,
    store: Store,
    *,
    cancel: threading.Event,
    on_entry: Callable[[Entry], None] | None = None,
) -> Verdict:
    """Verify a query with an engine that solves programs, and record them.

    The verification runs in one thread, so that the same programs are met each time.  It ends when enough programs are
    recorded, and its verdict is then that it was interrupted.

    Parameters
    ----------
    plan
        What to record.
    network, query
        As read from the plan's files.
    store
        Takes the programs.
    cancel
        Set it to stop.
    on_entry
        Called with every new line of the index.

    Raises
    ------
    SlirError
        The programs cannot be written.
    """
    from slir_milp.search import verify

    stop = threading.Event()
    recorder = _Recorder(plan, store, _extent(query), stop, cancel, on_entry)
    options = Options(timeout=plan.timeout, engine=plan.engine, jobs=1)
    verdict: Verdict = verify(network, query, options, cancel=recorder.stop, observer=recorder)
    return verdict


class _Recorder:
    """Is told of every program, and writes those that are wanted."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        extent: float,
        stop: threading.Event,
        cancel: threading.Event,
        on_entry: Callable[[Entry], None] | None,
    ) -> None:
        self._plan, self._store, self._extent = plan, store, extent
        self.stop, self._cancel, self._on_entry = stop, cancel, on_entry
        self._met = self._recorded = 0

    def __call__(self, subproblem: Subproblem) -> None:
        plan = self._plan
        if self._cancel.is_set():
            self.stop.set()
        wanted = subproblem.is_integer == (plan.engine is Engine.MILP)
        if self.stop.is_set() or not wanted or subproblem.solution.status not in _ANSWERS:
            return
        self._met += 1
        if (self._met - 1) % plan.every:
            return
        kind = "milp" if subproblem.is_integer else "lp"
        entry = self._entry(self._store.next_name(kind), kind, subproblem)
        comments = (
            f"from verifying {plan.query.name} on {plan.network.name} with slir-milp, engine {plan.engine.value}",
            "infeasible, or an optimum above zero: the region holds no counterexample",
        )
        self._store.add(entry, subproblem, comments)
        self._recorded += 1
        if self._on_entry is not None:
            self._on_entry(entry)
        if self._recorded == plan.limit:
            self.stop.set()

    def _entry(self, name: str, kind: str, subproblem: Subproblem) -> Entry:
        program, relaxation, region = subproblem.program, subproblem.relaxation, subproblem.region
        finding, lower, upper, note = _reference(subproblem) if self._plan.exact else (Finding.OPEN, None, None, "")
        certified = _certified(subproblem)
        solution = subproblem.solution
        return Entry(
            name=name,
            kind=kind,
            network=str(self._plan.network),
            query=str(self._plan.query),
            networks=self._store.add_network(subproblem.network),
            rows=program.rows,
            columns=program.columns,
            entries=len(program.values),
            integers=0 if program.integral is None else int(program.integral.sum()),
            unstable=relaxation.parts.count,
            splits=0 if region.sides is None else int(sum(np.count_nonzero(side) for side in region.sides)),
            halvings=max(round(self._extent - _logarithm(region.upper - region.lower)), 0),
            status=solution.status.name,
            objective=solution.objective if math.isfinite(solution.objective) else None,
            reference=finding.value,
            lower=lower,
            upper=upper,
            certified=certified / relaxation.objective_scale if math.isfinite(certified) else None,
            proven=certified > 0,
            scale=relaxation.objective_scale,
            note=note,
        )


def _reference(subproblem: Subproblem) -> Reference:
    """What rational arithmetic says of a program, and between which numbers its optimum lies, as far as is known."""
    if not subproblem.is_integer:
        linear = solve_exactly(subproblem.program)
        if linear.finding is Finding.OPEN and subproblem.solution.row_duals is not None:
            bound = dual_bound(subproblem.program, subproblem.solution.row_duals)
            return linear.finding, None if bound is None else enclosure(bound)[0], None, linear.why
        if linear.objective is None:
            return linear.finding, None, None, linear.why
        return linear.finding, *enclosure(linear.objective), linear.why
    if subproblem.solution.status is Status.INFEASIBLE and is_refuted(subproblem):
        return Finding.INFEASIBLE, None, None, "by sound bounds of the region"
    exact = solve_integer_exactly(subproblem.program, subproblem.solution.x)
    if exact.objective is None:
        return exact.finding, None, None, exact.why
    low, high = enclosure(exact.objective)
    return exact.finding, low if exact.finding is Finding.OPTIMUM else None, high, exact.why


def is_refuted(subproblem: Subproblem) -> bool:
    """Whether bounds prove, within seconds, that the whole box of a region without divided neurons meets no query.

    Its mixed-integer program is then infeasible: a point of it would be one of the network's graph that meets the rows.
    Not so where curves are written as lines: of such programs nothing is said.
    """
    from slir_milp.search import verify

    region, rows = subproblem.region, subproblem.rows
    if region.sides is not None or not subproblem.network.is_piecewise_linear:
        return False
    ends = zip(region.lower.tolist(), region.upper.tolist(), strict=True)
    atoms = [
        Atom(((q, Fraction(sign)),), Fraction(-sign * end))
        for q, pair in enumerate(ends)
        for sign, end in zip((-1, 1), pair, strict=True)
    ]
    count, direct = len(region.lower), rows.inputs
    for r, (coefficients, constant) in enumerate(zip(rows.coefficients.tolist(), rows.constants.tolist(), strict=True)):
        own = [] if direct is None else [(q, Fraction(c)) for q, c in enumerate(direct[r].tolist()) if c]
        own += [(count + j, Fraction(c)) for j, c in enumerate(coefficients) if c]
        if not own:
            return False
        atoms.append(Atom(tuple(own), Fraction(constant)))
    query = Query(count, rows.coefficients.shape[1], And(tuple(atoms)))
    network = replace(subproblem.network, source="", sha256="")
    return bool(verify(network, query, Options(timeout=_SECONDS_OF_BOUNDS, jobs=1)).status is Verdicts.UNSAT)


def _certified(subproblem: Subproblem) -> float:
    """The bound of the region by the linear program's duals, in the unit of the query's rows."""
    network, rows, region, neurons = subproblem.network, subproblem.rows, subproblem.region, subproblem.neurons
    if subproblem.is_integer:
        proposal = propose(network, rows, region, neurons, solver()).proposal
    else:
        proposal = read_duals(network, region, neurons, subproblem.relaxation, subproblem.solution)
    if proposal is None:
        return -math.inf
    return bound_of(network, rows, region, neurons, proposal)


def _extent(query: Query) -> float:
    """Logarithm of the volume of the hull of the query's boxes (of the first many of them)."""
    lower, upper = np.full(query.inputs, np.inf), np.full(query.inputs, -np.inf)
    for count, clause in enumerate(clauses(query)):
        if count == _MOST_CLAUSES:
            break
        lower, upper = np.minimum(lower, clause.box.lower), np.maximum(upper, clause.box.upper)
    return _logarithm(upper - lower)


def _logarithm(widths: np.ndarray) -> float:
    """Sum of the binary logarithms of the widths that are not zero."""
    return float(np.log2(widths[(widths > 0) & np.isfinite(widths)]).sum())
