"""Programs recorded in a verification, replayed, judged and told of."""

import csv
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from lp_exact import random_case, sound_bounds

from slir_milp import Network, Query, load_network, load_query, parse_query, problems
from slir_milp.activations.catalogue import activation
from slir_milp.cli import main
from slir_milp.errors import SlirError
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.milp import solve_exactly
from slir_milp.lp.observer import Subproblem
from slir_milp.lp.proposal import propose
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, TensorSpec
from slir_milp.search import Engine
from slir_milp.solvers import Feature, LinearProgram, Solution, Status, solver
from slir_milp.subproblems import replay as replaying
from slir_milp.subproblems.certified import certified_bound
from slir_milp.subproblems.judge import Judgement, disagreements, judge
from slir_milp.subproblems.record import Plan, is_refuted, record
from slir_milp.subproblems.replay import Settings, replay
from slir_milp.subproblems.results import Result
from slir_milp.subproblems.store import Entry, Origins, Store, read_index, read_program

HERE = Path(problems.__path__[0])
PENDULUM = HERE / "onnx/pendulum_loop.onnx", HERE / "vnnlib/pendulum_loop_decrease.vnnlib"


def fill(
    folder: Path, files: tuple[Path, Path], engine: Engine, limit: int, every: int = 1, *, exact: bool = True
) -> None:
    network, query = map(str, files)
    store = Store(folder)
    plan = Plan(*files, engine, limit, every, 60.0, exact)
    record(plan, load_network(network), load_query(query), store, cancel=threading.Event())
    store.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Linear and mixed-integer programs of one verification."""
    folder = tmp_path_factory.mktemp("recorded")
    fill(folder, PENDULUM, Engine.LP, 8)
    fill(folder, PENDULUM, Engine.MILP, 3)
    return folder


# --- the observer ----------------------------------------------------------------------------------------------------


def test_an_observer_sees_what_is_solved() -> None:
    seen: list[Subproblem] = []
    case = random_case(4)
    neurons = sound_bounds(case)
    propose(case.network, case.rows, case.region, neurons, solver(), observer=seen.append)
    solve_exactly(case.network, case.rows, case.region, neurons, solver(), observer=seen.append)
    assert [each.is_integer for each in seen] == [False, True]
    assert seen[0].program is seen[0].relaxation.program
    kept = within_sides(case.network, case.region, neurons)
    assert all(np.array_equal(a, b) for a, b in zip(seen[1].neurons.lower, kept.lower, strict=True))


# --- recording -------------------------------------------------------------------------------------------------------


def test_programs_are_recorded_with_exact_optima(recorded: Path) -> None:
    entries = read_index(recorded)
    linear = [entry for entry in entries if entry.kind == "lp"]
    assert [entry.name for entry in entries][:2] == ["00001-lp", "00002-lp"]
    assert len(linear) >= 3 and all(entry.reference in ("optimum", "infeasible") for entry in linear)
    assert {entry.halvings for entry in linear} != {0}  # not the root alone
    for entry in linear:
        program = read_program(recorded, entry)
        assert (program.rows, program.columns, len(program.values)) == (entry.rows, entry.columns, entry.entries)
        if entry.reference == "optimum":
            assert entry.lower is not None and entry.upper is not None and entry.objective is not None
            assert entry.lower <= entry.upper <= np.nextafter(entry.lower, np.inf)
            assert entry.objective == pytest.approx(entry.lower, abs=1e-9)
            assert entry.certified is not None and entry.certified <= entry.upper + 1e-9
            assert entry.certified == pytest.approx(entry.lower, abs=1e-6)


def test_a_recorded_program_is_made_again_from_its_region(recorded: Path) -> None:
    origins = Origins(recorded)
    for entry in read_index(recorded):
        origin = origins.of(entry)
        assert origin is not None
        if entry.kind == "lp":
            made, read = origin.relaxation.program, read_program(recorded, entry)
            assert np.array_equal(made.values, read.values) and np.array_equal(made.indices, read.indices)
            assert np.array_equal(made.row_upper, read.row_upper)
            certified = certified_bound(origin, solver().solve(read))
            assert certified is not None
            if entry.certified is not None:
                assert certified == pytest.approx(entry.certified, abs=1e-9)


def curved() -> tuple[Network, Query]:
    """A network of tanh and a threshold a little above its greatest value."""
    rng = np.random.default_rng(1)
    tanh, zero = activation("tanh"), np.zeros(6, dtype=np.int32)
    first = Layer(Affine(2.0 * rng.normal(size=(6, 2)), rng.normal(size=6)), (tanh,), zero)
    second = Layer(Affine(rng.normal(size=(6, 6)), rng.normal(size=6)), (tanh,), zero)
    output = Affine(rng.normal(size=(1, 6)), np.zeros(1))
    network = Network((first, second), output, (TensorSpec("x", (2,)),), (TensorSpec("y", (1,)),))
    greatest = float(network(rng.uniform(-1, 1, (20_000, 2))).max())
    names = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0"))
    box = "".join(f"(assert (and (>= X_{q} -1) (<= X_{q} 1)))" for q in range(2))
    return network, parse_query(f"{names}{box}(assert (>= Y_0 {greatest + 0.02}))")


def test_programs_of_curves_have_their_lines(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record(Plan(Path("n"), Path("q"), Engine.LP, limit=6), *curved(), store, cancel=threading.Event())
    store.close()
    entries, origins = read_index(tmp_path), Origins(tmp_path)
    assert len(entries) == 6
    found = [origins.of(entry) for entry in entries]
    for entry, origin in zip(entries, found, strict=True):
        assert origin is not None
        assert origin.relaxation.program.values.tobytes() == read_program(tmp_path, entry).values.tobytes()
    assert all(origin is not None and len(origin.relaxation.cuts) > 0 for origin in found)
    _, results = replay(Settings(tmp_path, ("highs",)), cancel=threading.Event())
    assert {row.judgement for row in results} == {Judgement.RIGHT}


def test_a_folder_gets_more_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    fill(tmp_path, PENDULUM, Engine.LP, 2, exact=False)
    with open(tmp_path / "index.csv", "a") as file:
        file.write("00003-lp,lp,half a li")
    fill(tmp_path, PENDULUM, Engine.LP, 2, every=2, exact=False)
    assert [entry.name for entry in read_index(tmp_path)] == ["00001-lp", "00002-lp", "00003-lp", "00004-lp"]


def test_a_region_that_bounds_refute() -> None:
    seen: list[Subproblem] = []
    case = random_case(7, conditions=False)
    for shift in (1e3, -1e3):
        rows = replace(case.rows, constants=case.rows.constants + shift)
        neurons = sound_bounds(case)
        solve_exactly(case.network, rows, case.region, neurons, solver(), observer=seen.append)
    assert [is_refuted(each) for each in seen] == [True, False]
    # Lines about a curve leave room in which the program may have points that the network has not.
    assert not is_refuted(replace(seen[0], network=curved()[0]))


# --- judging ---------------------------------------------------------------------------------------------------------


def entry(reference: str, lower: float | None = None, upper: float | None = None) -> Entry:
    return Entry(
        "00001-lp", "lp", "n", "q", "x", 1, 1, 1, 0, 0, 0, 0, "OPTIMAL", 1.0, reference, lower, upper, None, False, 1.0
    )


@pytest.mark.parametrize(
    ("known", "status", "objective", "expected"),
    [
        (entry("optimum", 1.0, 1.0), Status.OPTIMAL, 1.0 + 1e-8, Judgement.RIGHT),
        (entry("optimum", 1.0, 1.0), Status.OPTIMAL, 1.0 + 1e-5, Judgement.WRONG),
        (entry("optimum", 1.0, 1.0), Status.OPTIMAL, 1.0 - 1e-5, Judgement.WRONG),
        (entry("optimum", 1.0, 1.0), Status.OPTIMAL, float("nan"), Judgement.WRONG),
        (entry("optimum", 1.0, 1.0), Status.INFEASIBLE, np.inf, Judgement.WRONG),
        (entry("optimum", 1.0, 1.0), Status.UNBOUNDED, -np.inf, Judgement.WRONG),
        (entry("optimum", 1.0, 1.0), Status.UNCLEAR, np.inf, Judgement.UNCLEAR),
        (entry("optimum", 1.0, 1.0), Status.TIME_LIMIT, 5.0, Judgement.STOPPED),
        (entry("optimum", 1.0, 1.0), Status.ITERATION_LIMIT, 5.0, Judgement.STOPPED),
        (entry("optimum", 1.0, 1.0), Status.FAILED, 5.0, Judgement.FAILED),
        (entry("infeasible"), Status.INFEASIBLE, np.inf, Judgement.RIGHT),
        (entry("infeasible"), Status.OPTIMAL, 1.0, Judgement.WRONG),
        (entry("open"), Status.OPTIMAL, 1.0, Judgement.UNJUDGED),
        (entry("open", 2.0), Status.OPTIMAL, 1.0, Judgement.WRONG),
        (entry("open", None, 0.0), Status.OPTIMAL, 1.0, Judgement.WRONG),
        (entry("open", None, 0.0), Status.INFEASIBLE, np.inf, Judgement.WRONG),
    ],
)
def test_claims_are_judged(known: Entry, status: Status, objective: float, expected: Judgement) -> None:
    judgement, detail = judge(known, status, objective)
    assert judgement is expected
    assert bool(detail) == (expected is Judgement.WRONG)


def result(name: str, status: Status, objective: float | None, judgement: Judgement) -> Result:
    return Result("00001-lp", "lp", name, status.name, judgement, objective=objective)


def test_disagreements_say_who_was_right() -> None:
    known = entry("optimum", 1.0, 1.0)
    right = result("a", Status.OPTIMAL, 1.0, Judgement.RIGHT)
    empty = result("b", Status.INFEASIBLE, None, Judgement.WRONG)
    slow = result("c", Status.TIME_LIMIT, 7.0, Judgement.STOPPED)
    assert disagreements([known], [right, slow]) == ()
    assert disagreements([known], [right, replace(right, solver="loose", objective=1.00001)]) == ()
    (found,) = disagreements([known], [right, empty, slow])
    assert str(found) == "00001-lp: the optimum is 1.0; a claims 1.0 (right); b claims infeasible (wrong)"
    off = result("d", Status.OPTIMAL, 1.01, Judgement.UNJUDGED)
    assert len(disagreements([entry("open")], [right, off])) == 1


# --- replaying -------------------------------------------------------------------------------------------------------


class Liar:
    """Answers with HiGHS's solution, spoilt."""

    name, features, tolerance = "liar", frozenset({Feature.DUALS}), 1e-7

    def solve(self, program: LinearProgram, **limits: object) -> Solution:
        """An objective that is off, and duals of which every other is wrong."""
        found = solver().solve(program)
        if found.row_duals is None:
            return replace(found, status=Status.OPTIMAL, ray=None, x=np.zeros(program.columns), objective=0.0)
        duals = found.row_duals * np.where(np.arange(program.rows) % 2, 1.0, -3.0)
        return replace(found, row_duals=duals, objective=found.objective + 0.01)


def test_a_wrong_solver_is_found_out_and_certifies_nothing_false(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = solver
    monkeypatch.setattr(replaying, "solver", lambda name: Liar() if name == "liar" else real(name))
    settings = Settings(recorded, ("highs", "liar"))
    entries, results = replay(settings, cancel=threading.Event())
    by_solver = {name: [row for row in results if row.solver == name] for name in settings.solvers}
    assert {row.judgement for row in by_solver["highs"]} <= {Judgement.RIGHT, Judgement.UNJUDGED}
    linear = [row for row in by_solver["liar"] if row.kind == "lp"]
    assert {row.judgement for row in linear} == {Judgement.WRONG}
    assert {row.judgement for row in by_solver["liar"] if row.kind == "milp"} == {Judgement.REFUSED}
    assert len(disagreements(entries, results)) == len(linear)
    known = {each.name: each for each in entries}
    for row in results:
        upper = known[row.name].upper
        if row.certified is not None and upper is not None:
            assert row.certified <= upper + 1e-9
        if row.loss is not None and row.solver == "highs":
            assert row.loss < 1e-6


def test_results_are_kept_and_none_is_made_twice(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    cancel = threading.Event()
    count = len(read_index(recorded))

    def stop(_: Result, number: int, __: int) -> None:
        if number == 3:
            cancel.set()

    settings = Settings(recorded, ("highs",), out=out)
    _, first = replay(settings, cancel=cancel, on_result=stop)
    assert len(first) == 3
    with open(out, "a") as file:
        file.write("torn")
    _, second = replay(settings, cancel=threading.Event())
    assert second[:3] == first and len(second) == count
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["name"] for row in rows}) == count


def test_another_file_is_no_results_file(recorded: Path, tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SlirError, match="holds no results of bench-solvers"):
        replay(Settings(recorded, ("highs",), out=tmp_path / "other.csv"), cancel=threading.Event())


# --- the commands ----------------------------------------------------------------------------------------------------


def test_the_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "programs"
    arguments = ["subproblems", *map(str, PENDULUM), "--out", str(folder), "--kind", "both", "--limit", "2"]
    assert main(arguments) == 0
    assert capfd.readouterr().out.startswith(f"4 programs recorded in {folder}: ")
    assert main(["bench-solvers", str(folder), "--solver", "highs", "--repeat", "2"]) == 0
    table = capfd.readouterr().out
    assert table.splitlines()[0].split()[:3] == ["solver", "kind", "solved"]
    assert "4 programs; solvers disagree, or some are wrong, on 0 of them." in table


def test_bad_input_gets_a_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["bench-solvers", str(tmp_path)]) == 2
    assert "has no index.csv; 'slir-milp subproblems' records programs" in capfd.readouterr().err
    (tmp_path / "index.csv").write_text("name\n")
    assert main(["bench-solvers", str(tmp_path)]) == 2
    assert "is no index of recorded programs of this version" in capfd.readouterr().err
    assert main(["subproblems", *map(str, PENDULUM), "--out", str(tmp_path)]) == 2
    assert "is no index of recorded programs" in capfd.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["subproblems", *map(str, PENDULUM), "--out", str(tmp_path / "file")]) == 2
    assert "cannot hold recorded programs" in capfd.readouterr().err


def test_a_damaged_program_is_named(recorded: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(recorded, folder)
    (folder / "programs/00001-lp.mps").write_text("NAME\n")
    assert main(["bench-solvers", str(folder), "--solver", "highs"]) == 2
    assert "00001-lp.mps is no MPS file" in capfd.readouterr().err
    assert main(["bench-solvers", str(folder), "--solver", "nonsense"]) == 2
    assert "there is no solver 'nonsense'" in capfd.readouterr().err


def test_without_its_region_a_program_is_compared_all_the_same(recorded: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(recorded, folder)
    for path in (folder / "regions").iterdir():
        path.write_bytes(b"nothing")
    _, results = replay(Settings(folder, ("highs",)), cancel=threading.Event())
    assert all(row.certified is None for row in results)
    assert {row.judgement for row in results if row.kind == "lp"} == {Judgement.RIGHT}
