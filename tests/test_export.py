"""Queries written as mixed-integer programs, read back by HiGHS and compared with exact verdicts."""

import json
from fractions import Fraction
from pathlib import Path

import highspy
import numpy as np
import pytest
from tiny_cases import TinyCase, tiny_case

from slir_milp import load_network, load_query, problems
from slir_milp.cli import main
from slir_milp.errors import OptionError, QueryError
from slir_milp.pyomo.export import write_model
from slir_milp.pyomo.formulation import Formulation
from slir_milp.pyomo.query_model import query_model
from slir_milp.query import parse_query

HERE = Path(problems.__path__[0])
PENDULUM = HERE / "onnx/pendulum.onnx"


def solve(path: Path) -> tuple[str, dict[str, float]]:
    """HiGHS's status of a file, and the values of its columns by name."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("mip_feasibility_tolerance", 1e-9)
    highs.setOptionValue("primal_feasibility_tolerance", 1e-9)
    assert highs.readModel(str(path)).name == "kOk"
    highs.run()
    names = [highs.getColName(j)[1] for j in range(highs.getNumCol())]
    values = dict(zip(names, highs.getSolution().col_value, strict=False))
    return highs.modelStatusToString(highs.getModelStatus()), values


def inputs_of(names: Path, values: dict[str, float]) -> list[float]:
    """The input that a solution stands for, by the map of names."""
    meant = json.loads(names.read_text())["variables"]
    found = {meant[name]["number"]: value for name, value in values.items() if meant[name]["what"] == "input"}
    return [found[i] for i in sorted(found)]


def nearly_meets(case: TinyCase, x: list[float]) -> bool:
    """Whether a point misses a query by a little at most."""
    inside = np.clip(x, case.lower, case.upper)
    y = [(Fraction(float(v)), Fraction(float(v))) for v in case.network(inside)]
    return float(case.query.violation([Fraction(float(v)) for v in inside], y)) < 1e-5


@pytest.mark.filterwarnings("ignore:the query is empty by itself")
@pytest.mark.parametrize("suffix", [".mps", ".lp"])
@pytest.mark.parametrize("seed", range(12))
def test_tiny_queries_are_feasible_where_they_are_sat(seed: int, suffix: str, tmp_path: Path) -> None:
    case = tiny_case(seed)
    path = tmp_path / f"query{suffix}"
    try:
        names = write_model(query_model(case.network, case.query), path, ("a comment",))
    except QueryError:  # the inputs' bounds and conditions exclude each other
        assert case.witness() is None
        return
    status, values = solve(path)
    if case.is_close():
        return
    if case.witness() is None:
        assert status == "Infeasible"
    else:
        assert status == "Optimal"
        assert nearly_meets(case, inputs_of(names, values))
    relaxed = tmp_path / f"relaxed{suffix}"
    write_model(query_model(case.network, case.query, formulation=Formulation.RELAXED), relaxed, ())
    if case.witness() is not None:
        assert solve(relaxed)[0] == "Optimal"


@pytest.mark.filterwarnings("ignore:the query is empty by itself")
def test_conjunctions_one_by_one_are_the_whole(tmp_path: Path) -> None:
    seen = set()
    for seed in range(30):
        case = tiny_case(seed)
        if case.is_close():
            continue
        try:
            whole = query_model(case.network, case.query)
        except QueryError:
            continue
        statuses = []
        for clause in range(1, whole.clauses + 1):
            path = tmp_path / "one.lp"
            write_model(query_model(case.network, case.query, clause=clause), path, ())
            statuses.append(solve(path)[0])
        assert ("Optimal" in statuses) == (case.witness() is not None)
        seen.add(whole.clauses)
        if len(seen) > 2:
            break


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("wrong_way", "Infeasible"), ("torque_limit", "Optimal")])
def test_the_command(name: str, status: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out, query = tmp_path / "query.mps", HERE / f"vnnlib/pendulum_{name}.vnnlib"
    assert main(["export", str(PENDULUM), str(query), str(out)]) == 0
    told = capfd.readouterr()
    assert told.out.startswith(f"{out}: feasible exactly where an input meets the query")
    assert told.err == ""
    assert out.read_text().startswith(f"* {query.name} on pendulum.onnx, written by slir-milp export\n")
    found, values = solve(out)
    assert found == status
    if status == "Optimal":
        network, asked = load_network(str(PENDULUM)), load_query(str(query))
        x = inputs_of(tmp_path / "query.mps.json", values)
        y = [(Fraction(float(v)),) * 2 for v in network(np.array(x))]
        assert float(asked.violation([Fraction(v) for v in x], y)) < 1e-5


def test_curves_make_a_relaxation_and_it_is_said_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "query.lp"
    files = HERE / "onnx/digits_tanh.onnx", HERE / "vnnlib/digits_tanh_robust.vnnlib"
    assert main(["export", *map(str, files), str(out), "--clause", "2", "--lines", "1"]) == 0
    told = capfd.readouterr()
    assert "RELAXATION" in told.out and "is a relaxation" in told.err
    assert "RELAXATION" in "".join(out.read_text().splitlines()[:3])
    assert solve(out)[0] in ("Optimal", "Infeasible")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["query.txt"], "ends neither in .mps nor in .lp"),
        (["query.lp", "--clause", "9"], "there is no conjunction 9: the query has 1, counted from 1"),
        (["nowhere/query.lp"], "the folder of nowhere/query.lp does not exist"),
    ],
)
def test_bad_input_gets_a_sentence(
    extra: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    query = HERE / "vnnlib/pendulum_wrong_way.vnnlib"
    assert main(["export", str(PENDULUM), str(query), *extra]) == 2
    assert message in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("out", "kept"), [("notes.txt", "notes.txt"), ("asked.lp", "asked.lp.json")])
def test_what_is_there_and_is_no_result_is_kept(
    out: str, kept: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    text = (HERE / "vnnlib/pendulum_wrong_way.vnnlib").read_text()
    (tmp_path / kept).write_text(text)
    assert main(["export", str(PENDULUM), str(tmp_path / kept), str(tmp_path / out)]) == 2
    assert "Traceback" not in capfd.readouterr().err
    assert (tmp_path / kept).read_text() == text


def test_an_empty_query_and_a_vast_one_are_refused() -> None:
    network = load_network(str(PENDULUM))
    head = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0"))
    box = "(assert (and (>= X_0 0) (<= X_0 1) (>= X_1 0) (<= X_1 1)))"
    with pytest.raises(QueryError, match="no input meets the query"), pytest.warns(UserWarning):
        query_model(network, parse_query(f"{head}{box}(assert (>= X_0 2))"))
    many = "".join(f"(and (>= Y_0 {i}) (<= X_0 0.{i + 1}))" for i in range(501))
    with pytest.raises(OptionError, match="more than 500 conjunctions"):
        query_model(network, parse_query(f"{head}{box}(assert (or {many}))"))
