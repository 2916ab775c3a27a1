"""Which solver an engine uses, and that none can make a verdict wrong."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from solver_cases import INF, diet, hard, program
from tiny_cases import tiny_case

from slir_milp.cli import main
from slir_milp.errors import OptionError
from slir_milp.search import Engine, Options, Status, verify
from slir_milp.solvers import Feature, available_solvers, solver
from slir_milp.solvers.held import Order
from slir_milp.solvers.helper import HelperError, call_in_helper
from slir_milp.solvers.registry import BACK_ENDS

pytestmark = pytest.mark.filterwarnings("ignore:the query is empty:slir_milp.errors.SlirWarning")
pyomo = pytest.mark.skipif("pyomo:cbc" not in available_solvers(), reason="needs Pyomo and CBC")


@pytest.mark.parametrize("name", available_solvers())
@pytest.mark.parametrize("engine", [Engine.LP, Engine.MILP])
def test_no_solver_makes_a_verdict_wrong(name: str, engine: Engine) -> None:
    """Against exact enumeration; a weak solver may leave a query open, and may not decide it wrongly."""
    needed = Feature.INTEGER if engine is Engine.MILP else Feature.DUALS
    if needed not in solver(name).features:
        pytest.skip(f"{name} does not offer {needed}")
    decided = 0
    for seed in range(2 if name.startswith("pyomo:") else 8):
        case = tiny_case(seed)
        verdict = verify(case.network, case.query, Options(engine=engine, solver=name, timeout=1, jobs=1))
        truth, lie = (Status.UNSAT, Status.SAT) if case.witness() is None else (Status.SAT, Status.UNSAT)
        assert verdict.status is not lie
        decided += verdict.status is truth
    assert decided or name.startswith("pyomo:")  # (whose first solves may take all the time there is)


def test_a_solver_that_cannot_serve_is_refused() -> None:
    with pytest.raises(OptionError, match="no solver 'simplex'"):
        Options(solver="simplex")
    with pytest.raises(OptionError, match="'highs-ipm' does not offer integer columns"):
        Options(solver="highs-ipm", engine=Engine.MILP)


@pyomo
def test_a_solver_that_pyomo_does_not_find_is_refused() -> None:
    with pytest.raises(OptionError, match="Pyomo finds no solver 'no_such_solver'"):
        solver("pyomo:no_such_solver")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slir_milp.solvers.registry.find_spec", lambda _: None)
    assert available_solvers() == ()
    with pytest.raises(OptionError, match="'pyomo:cbc' is not installed; it needs pyomo and pulp"):
        solver("pyomo:cbc")


def test_the_list_of_solvers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["solvers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(BACK_ENDS)]] == list(BACK_ENDS)
    assert main(["solvers", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    first = document["solvers"][0]
    assert (first["name"], first["installed"], first["tolerance"]) == ("highs", True, 1e-7)
    assert {"duals", "integer"} <= set(first["features"])


def test_listing_imports_no_solver() -> None:
    code = (
        "import sys; from slir_milp.solvers import available_solvers; available_solvers();"
        "print([m for m in ('highspy', 'scipy', 'pyomo', 'pulp', 'pyscipopt') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_helper_tells_what_failed() -> None:
    with pytest.raises(HelperError, match="ValueError: invalid literal"):
        call_in_helper(int, ("x",), Order())
    assert call_in_helper(int, ("7",), Order()) == 7


def test_a_helper_that_dies_is_replaced() -> None:
    with pytest.raises(HelperError, match="the process of the solver ended"):
        call_in_helper(os.abort, (), Order())
    assert call_in_helper(int, ("7",), Order()) == 7


def test_a_helper_is_ended_at_a_flag() -> None:
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    begun = time.monotonic()
    call_in_helper(time.sleep, (20,), Order(cancel=cancel))
    assert time.monotonic() - begun < 5


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc")
def test_no_helper_outlives_us(tmp_path: Path) -> None:
    """Killed outright, with a helper at work that has a child: both end, and their folder goes."""
    code = (
        "import os, subprocess, sys; from slir_milp.solvers.held import Order;"
        "from slir_milp.solvers.helper import call_in_helper;"
        "call_in_helper(subprocess.call, (['sleep', '77.25'],), Order())"
    )
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})

    def sleepers() -> list[str]:
        lines = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
        return [line.decode() for line in lines if b"sleep\x0077.25" in line]

    deadline = time.monotonic() + 20
    while not sleepers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleepers()
    child.send_signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 10
    while (sleepers() or any(tmp_path.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not sleepers()
    assert not any(tmp_path.iterdir())


@pyomo
def test_every_condition_of_pyomo_has_a_meaning() -> None:
    from pyomo.opt import TerminationCondition

    from slir_milp.solvers.pyomo_solver import STATUSES

    assert {str(condition) for condition in TerminationCondition} <= set(STATUSES)


def test_every_status_of_scipy_has_a_meaning() -> None:
    from slir_milp.solvers.scipy_optimize import STATUSES

    assert set(STATUSES) == set(range(5))


@pyomo
def test_a_best_point_at_the_deadline() -> None:
    """The command line of a solver stops a little before the deadline, and tells what it has found."""
    solution = solver("pyomo:cbc").solve(hard(), deadline=time.monotonic() + 2.5)
    assert solution.status.name == "TIME_LIMIT"
    assert solution.x is None or np.isfinite(solution.objective)


def test_columns_and_rows_that_nothing_mentions() -> None:
    """An empty row, a free row, a column of no row and no cost."""
    odd = program([[1, 0, 0], [0, 0, 0], [1, 1, 0]], [1, 1, 0], rows=([1, -1, -INF], INF), columns=(0, [9, 9, 9]))
    for name in available_solvers():
        backend = solver(name)
        solution = backend.solve(odd)
        assert solution.objective == pytest.approx(1, abs=10 * backend.tolerance), name
        assert len(solution.x) == 3, name
    gc.collect()


def test_bounds_that_cross() -> None:
    for name in available_solvers():
        session = solver(name).open(diet())
        session.change_column_bounds(np.array([1], dtype=np.int32), np.array([2.0]), np.array([1.0]))
        assert session.solve().status.name == "INFEASIBLE", name
