"""The public interface: what it accepts, what it answers, and that it is documented."""

import dataclasses
import inspect
import subprocess
import sys
from enum import Enum
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest

import slir_milp
from slir_milp import (
    Network,
    NetworkError,
    OptionError,
    Options,
    Problem,
    Query,
    QueryError,
    Reason,
    Status,
    bounds,
    falsify,
    load_network,
    load_query,
    parse_query,
    verify,
    write_query,
)
from slir_milp.display import card
from slir_milp.problems.catalogue import problem
from slir_milp.query import And, Atom, Or

ROOT = Path(__file__).parent.parent
RELU = Network.from_layers([([[1.0, -1.0], [1.0, 1.0]], [0.0, 0.5], "relu"), ([[1.0, 2.0]], [0.25])])


# --- documentation ----------------------------------------------------------------------------------------------------

PUBLIC = [name for name in slir_milp.__all__ if name != "__version__"]


def functions() -> list[tuple[str, object]]:
    """Every public function, and every public method of a public class that is written here."""
    found = []
    for name in PUBLIC:
        value = getattr(slir_milp, name)
        if inspect.isfunction(value):
            found.append((name, value))
        elif inspect.isclass(value):
            for method, member in vars(value).items():
                function = member.__func__ if isinstance(member, (staticmethod, classmethod)) else member
                if inspect.isfunction(function) and not method.startswith("_"):
                    found.append((f"{name}.{method}", function))
    return found


def sections(text: str) -> dict[str, str]:
    """Sections of a NumPy-style docstring."""
    lines, found, name = inspect.cleandoc(text).splitlines(), {"": ""}, ""
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.strip() and set(following) == {"-"}:
            name = line.strip()
            found[name] = ""
        elif set(line) != {"-"}:
            found[name] += line + "\n"
    return found


def names_in(section: str) -> set[str]:
    return {n.strip() for line in section.splitlines() if line[:1].strip() for n in line.split(":")[0].split(",")}


@pytest.mark.parametrize(("name", "function"), functions(), ids=[name for name, _ in functions()])
def test_public_functions_are_documented_and_typed(name: str, function: object) -> None:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    parameters = [p for p in signature.parameters if p not in ("self", "cls")]
    assert signature.return_annotation is not inspect.Signature.empty, name
    assert all(signature.parameters[p].annotation is not inspect.Parameter.empty for p in parameters), name
    found = sections(inspect.getdoc(function) or "")
    assert found[""].strip(), f"{name} has no docstring"
    documented = names_in(found.get("Parameters", ""))
    if parameters and len(parameters) > 1:
        assert documented == set(parameters), name
    if len(parameters) > 1 and signature.return_annotation not in ("None", "str", "bool"):
        assert found.get("Returns", "").strip(), f"{name} does not say what it returns"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_classes_describe_what_they_hold(name: str) -> None:
    value = getattr(slir_milp, name)
    assert inspect.getdoc(value), name
    if not inspect.isclass(value) or issubclass(value, (Enum, BaseException)):
        return
    found = sections(value.__doc__ or "")
    if dataclasses.is_dataclass(value) and name != "Progress":
        held = {field.name for field in dataclasses.fields(value)}
        assert names_in(found.get("Attributes", "")) == held, name


def test_the_reference_names_everything() -> None:
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert {name for name in PUBLIC if f":: slir_milp.{name}\n" not in text} == set()


def test_a_users_program_has_no_type_errors(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        '''"""What a user writes, as strictly typed as can be."""

import numpy as np

from slir_milp import Network, Options, Problem, Query, Ranges, Verdict, bounds, falsify, load_network, verify


def decide(network: Network, query: Query) -> Verdict:
    verdict: Verdict = verify(network, query, Options(timeout=1.0))
    return verdict if verdict.status.decided else falsify(network, query, timeout=1.0)


network = Network.from_layers([(np.eye(2), np.zeros(2), "relu"), (np.ones((1, 2)), np.zeros(1))])
query = Query.box([0.0, 0.0], [1.0, 1.0], outputs=1, where=lambda x, y: [y[0] >= 2 * x[0] + 1, (x[0] > 0) | (y[0] < 1)])
problem = Problem(network, query)
print(decide(network, query), verify(network, query), problem.verify(Options(jobs=1)), problem.falsify(timeout=1.0))
found: Ranges = bounds(load_network("network.onnx"), [0, 0], [1, 1], outputs=[[1.0]])
print(found.lower[0] + 1.0, found.names[0], problem.bounds().upper.max())
''',
        encoding="utf-8",
    )
    run = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--follow-imports=silent", str(program)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- problems ---------------------------------------------------------------------------------------------------------


def test_a_problem_is_made_of_files_objects_models_and_arrays() -> None:
    junction = problem("junction")
    query = junction.queries[0].path
    network = load_network(junction.network)
    statuses = {
        Problem(given, query).verify(Options(jobs=1)).status
        for given in (junction.network, str(junction.network), network, onnx.load(junction.network))
    }
    assert len(statuses) == 1
    whole = Problem(network, load_query(query))
    assert whole.verify().status is verify(whole.network, whole.query).status is verify(network, whole.query).status
    layers = [([[1.0]], [0.0])]
    assert Problem(layers, Query.box([0], [1], 1, lambda x, y: y[0] > 1)).verify().status is Status.UNSAT


def test_what_is_no_problem_is_refused() -> None:
    query = Query.box([0, 0], [1, 1], 1)
    for make, error, message in (
        (lambda: Problem(RELU, 3), OptionError, "not a int"),  # type: ignore[arg-type]
        (lambda: Problem(3, query), NetworkError, "not from a int"),  # type: ignore[arg-type]
        (lambda: Problem([], query), NetworkError, "at least one layer"),
        (lambda: Problem([([[1.0]], [0.0, 1.0])], query), NetworkError, "layer 0 has a weight of shape"),
        (lambda: Problem([([[1.0]], [0.0]), ([[1.0, 1.0]], [0.0])], query), NetworkError, "takes 2 values"),
        (lambda: Problem([([[np.inf]], [0.0])], query), NetworkError, "finite"),
        (lambda: Problem([([1.0], [0.0])], query), NetworkError, "2 dimensions"),
        (lambda: Problem([([[1.0]], [0.0], "rely")], query), OptionError, "rely"),
        (lambda: Problem(RELU, Query.box([0], [1], 1)), QueryError, "declares 1 inputs"),
        (lambda: Problem("nowhere.onnx", query), NetworkError, "nowhere.onnx"),
        (lambda: verify(RELU, RELU), OptionError, "verify takes"),  # type: ignore[arg-type]
        (lambda: falsify(RELU, RELU), OptionError, "falsify takes"),  # type: ignore[arg-type]
        (lambda: falsify(RELU, query, timeout=-1), OptionError, "timeout"),
    ):
        with pytest.raises(error, match=message):
            make()


def test_networks_of_arrays_compute_what_they_say() -> None:
    rng = np.random.default_rng(0)
    (a, b), (c, d) = ((rng.normal(size=(4, 3)), rng.normal(size=4)), (rng.normal(size=(2, 4)), rng.normal(size=2)))
    x = rng.normal(size=3)
    made = Network.from_layers([(a, b, "tanh"), (c, d, "relu")])
    assert np.allclose(made(x), np.maximum(c @ np.tanh(a @ x + b) + d, 0))
    assert made.inputs[0].dtype == "float64"
    single = Network.from_layers([(a.astype(np.float32), b.astype(np.float32))])
    assert single.inputs[0].dtype == "float32"
    linear = Network.from_layers([(a, b), (c, d)])
    assert np.allclose(linear(x), c @ (a @ x + b) + d)


# --- queries ----------------------------------------------------------------------------------------------------------


def test_conditions_are_what_they_look_like() -> None:
    two = np.float64(2)
    query = Query.box(
        [Fraction(1, 3), -1], [1, 0.5], 2, lambda x, y: [2 * y[0] - y[1] / 4 + 1 >= x[0], (y[0] < 1) | (two < y[1])]
    )
    assert isinstance(query.formula, And)
    *_, first, second = query.formula.parts
    half = Fraction(1, 4)
    assert first == Atom(((0, Fraction(1)), (2, Fraction(-2)), (3, half)), Fraction(-1))
    assert second == Or(
        (Atom(((2, Fraction(1)),), Fraction(-1), strict=True), Atom(((3, Fraction(-1)),), Fraction(2), strict=True))
    )
    assert parse_query(write_query(query)) == query
    assert query.input_boxes()[0].lower_ends[0][0] == Fraction(1, 3)


def test_what_is_no_condition_is_refused() -> None:
    for where, error in (
        (lambda x, y: 0 <= y[0] <= 1, TypeError),
        (lambda x, y: [y[0] == 1], QueryError),
        (lambda x, y: y[0] / 0 <= 1, QueryError),
        (lambda x, y: y[0] <= np.inf, QueryError),
        (lambda x, y: y[0] * "a" <= 1, QueryError),
    ):
        with pytest.raises(error):
            Query.box([0], [1], 1, where)
    for lower, upper, outputs in (([0], [1, 2], 1), ([1], [0], 1), ([], [], 1), ([0], [1], 0), (["a"], [1], 1)):
        with pytest.raises(QueryError):
            Query.box(lower, upper, outputs)  # type: ignore[arg-type]


def test_the_input_set_of_a_query_is_its_boxes() -> None:
    declarations = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= Y_0 9))"
    text = "(assert (or (and (>= X_0 0) (<= X_0 1) (>= Y_0 3)) (and (>= X_0 4) (<= X_0 5))))(assert (<= Y_0 X_0))"
    boxes = parse_query(declarations + text).input_boxes()
    assert [(float(box.lower[0]), float(box.upper[0])) for box in boxes] == [(0, 1), (4, 5)]
    with pytest.raises(QueryError, match="empty"):
        parse_query(declarations + "(assert (>= X_0 1))(assert (<= X_0 0))").input_boxes()
    with pytest.raises(QueryError, match="several inputs"):
        Query.box([0, 0], [1, 1], 1, lambda x, y: x[0] <= x[1]).input_boxes()


# --- the falsifier ----------------------------------------------------------------------------------------------------


def test_the_falsifier_finds_what_there_is_and_never_says_unsat() -> None:
    for given in (problem("avoidance"), problem("junction")):
        for query in given.queries:
            verdict = Problem(given.network, query.path).falsify(timeout=0.5, seed=1)
            assert verdict.status in (Status.SAT, Status.UNKNOWN)
            if verdict.witness is None:
                assert verdict.reason is Reason.NOT_FOUND
            else:
                assert verdict.witness.holds_exactly
                assert query.verdict != "unsat"


def test_the_falsifier_ends_early_where_there_is_nothing_to_look_for() -> None:
    declarations = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= Y_0 9))"
    empty = parse_query(declarations + "(assert (<= X_0 0))(assert (>= X_0 1))")
    line = Network.from_layers([([[1.0]], [0.0])])
    with pytest.warns(slir_milp.SlirWarning, match="empty"):
        verdict = falsify(line, empty, timeout=60)
    assert verdict.status is Status.UNKNOWN
    assert falsify(line, Query.box([0], [1], 1), timeout=60).status is Status.SAT


# --- what a notebook shows --------------------------------------------------------------------------------------------


def test_results_show_themselves() -> None:
    p = Problem(RELU, Query.box([0, 0], [1, 1], 1, lambda x, y: y[0] >= 3))
    verdict, found = p.verify(), p.bounds(tolerance=0.1)
    assert repr(verdict).startswith("<Verdict sat: a witness was found and replayed")
    assert repr(RELU) == "<Network: 2 - 2 - 1, relu>"
    assert repr(found).startswith("<Ranges of 1: every range")
    for shown in (p, p.network, p.query, verdict, verdict.statistics, found):
        html = shown._repr_html_()
        assert html.count("<div") == html.count("</div>") == 1
        assert html.count("<tr>") == html.count("</tr>") > 0
        assert "script" not in html
    assert "&lt;b&gt;" in card("<b>", [("x", "<i>")]) and "<i>" not in card("<b>", [("x", "<i>")])
    assert "and 76 more" in card("many", columns=["a"], rows=[["1"]] * 100)


def test_ranges_draw_themselves() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    found = bounds(RELU, [0, 0], [1, 1], outputs=[[1.0], [2.0]])
    axes = found.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Y_0", "2*Y_0"]
    assert found.plot(axes) is axes
