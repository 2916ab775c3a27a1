"""``slir-milp relax`` and ``slir-milp activations``, and ``--activations`` wherever it is taken."""

import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import UNSAT, FakeSearch

from slir_milp.activations import Hinge, shift
from slir_milp.activations.catalogue import CATALOGUE, HINGES, activation
from slir_milp.cli import main
from slir_milp.commands import activations as listing
from slir_milp.commands.relax import ENDINGS, find_curve
from slir_milp.network.operators import OPERATORS
from slir_milp.report.relaxation import CHORD, HAND_CRAFTED, LEAST_AREA, Band, Line, as_curve, relax

OWN = """
[[activation]]
name = "snake"
formula = "x + sin(alpha * x)**2 / alpha"
parameters = { alpha = 1.0 }
operator = "my.domain::Snake"

[[activation]]
name = "bumpy-one"
function = "relax_functions:bumpy"
lipschitz = 3
samples = 64
"""
FUNCTIONS = """
import math
def bumpy(x):
    return 2 * x + math.sin(x)
"""
SIGNATURES = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    (tmp_path / "relax_functions.py").write_text(FUNCTIONS)
    path = tmp_path / "my.toml"
    path.write_text(OWN)
    return path


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs ``relax --json`` and gives what it printed."""

    def run(*arguments: object) -> Any:
        code = main(["relax", *map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        return json.loads(out)

    return run


def bands(found: Any) -> dict[str, Any]:
    return {band["rule"]: band for band in found["lines"]}


def refusal(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([*map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("slir-milp: error: ")
    assert err.count("\n") == 1
    return err


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_gelu_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relax", "gelu", "-3", "2"]) == 0
    out, _ = capsys.readouterr()
    assert "gelu: x * normal_cdf(x)" in out
    assert "by critical points" in out
    rows = [line.split() for line in out.splitlines()]
    shown = {row[-5] if row[-5] in ("above", "below") else "" for row in rows if len(row) >= 5}
    assert {"above", "below"} <= shown
    # Full precision: what is printed is what is meant.
    slope, offset = next(map(float, row[3:5]) for row in rows if row[:2] == ["least", "area"])
    found = relax(find_curve("gelu"), -3, 2).bands[0].above
    assert found is not None
    assert (slope, offset) == (found.slope, found.offset)


def test_gelu_as_json(ask: Callable[..., Any]) -> None:
    found = ask("gelu", "-3", "2")
    assert (found["function"], found["formula"], found["lower"], found["upper"]) == ("gelu", "x * normal_cdf(x)", -3, 2)
    assert found["offsets"]["by"] == "critical points"
    assert found["offsets"]["segments"] >= found["offsets"]["pieces"] > 2
    assert list(bands(found)) == [LEAST_AREA, HAND_CRAFTED, CHORD]
    least = bands(found)[LEAST_AREA]
    # Above is the chord; below, the tangent at the middle.
    ends = [x * 0.5 * math.erfc(-x / math.sqrt(2)) for x in (-3, 2)]
    assert least["above"]["slope"] == pytest.approx((ends[1] - ends[0]) / 5)
    assert least["below"]["touch"] == pytest.approx(-0.5, abs=1e-3)
    assert least["area"] == pytest.approx(least["above"]["area"] + least["below"]["area"])
    assert least["area"] == min(band["area"] for band in found["lines"])


@pytest.mark.parametrize(
    ("name", "lower", "upper"), [("tanh", -1, 3), ("floor", -1.5, 2.2), ("relu", -1, 2), ("sin", -4, 9)]
)
def test_areas(name: str, lower: float, upper: float) -> None:
    curve = find_curve(name)
    x = np.linspace(lower, upper, 400_001)
    middle = 0.5 * (x[1:] + x[:-1])
    value = curve(middle)
    for band in relax(curve, lower, upper, slope=0.3, towards=0.1).bands:
        assert band.above is not None
        assert band.below is not None
        width = upper - lower
        assert band.above.area == pytest.approx(width * (band.above(middle) - value).mean(), rel=1e-4, abs=1e-6)
        assert band.below.area == pytest.approx(width * (value - band.below(middle)).mean(), rel=1e-4, abs=1e-6)
        assert band.area == pytest.approx(band.above.area + band.below.area, rel=1e-4, abs=1e-9)


def sides(band: Band) -> tuple[tuple[int, Line], tuple[int, Line]]:
    assert band.above is not None
    assert band.below is not None
    return (1, band.above), (-1, band.below)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["gelu", "tanh", "mish", "elu", "hard_swish", "clip", "relu", "sin", "floor"]),
    st.floats(-4, 4),
    st.floats(0.01, 6),
    st.floats(0, 1),
)
def test_towards_is_nearest_at_its_point(name: str, lower: float, width: float, share: float) -> None:
    curve, upper = find_curve(name), lower + width
    at = min(lower + share * width, upper)
    here = np.array(at)
    found = relax(curve, lower, upper, towards=at)
    least, towards, *others = found.bands
    assert towards.rule == f"towards {at:g}"
    slopes = np.linspace(-1.5, 2.5, 41)
    ends = np.full_like(slopes, lower), np.full_like(slopes, upper)
    grid = shift.above(curve.table, *ends, slopes), shift.below(curve.table, *ends, slopes)
    for number, (sign, line) in enumerate(sides(towards)):
        height = sign * float(line(here))
        assert height >= sign * float(curve(here)) - 1e-9
        for band in (least, *others):
            assert height <= sign * float(sides(band)[number][1](here)) + 1e-9
        assert height <= (sign * (slopes * at + grid[number].offset)).min() + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["gelu", "tanh", "sin", "floor"]), st.floats(-4, 4), st.floats(0.01, 6))
def test_a_split_leaves_less(name: str, lower: float, width: float) -> None:
    found = relax(find_curve(name), lower, lower + width)
    assert lower < found.split < found.upper
    parts = [relax(found.curve, *ends).bands[0].area for ends in ((lower, found.split), (found.split, found.upper))]
    halves = lower + 0.5 * width
    middle = [relax(found.curve, *ends).bands[0].area for ends in ((lower, halves), (halves, found.upper))]
    assert sum(parts) <= sum(middle) * (1 + 1e-9) + 1e-12


def test_slope(ask: Callable[..., Any]) -> None:
    band = bands(ask("tanh", "-1", "3", "--slope", "-1e-1"))["slope -0.1"]
    assert band["above"]["slope"] == band["below"]["slope"] == -0.1
    assert band["below"]["offset"] == pytest.approx(math.tanh(-1) - 0.1)


def test_negative_numbers_and_formulas_are_no_options(ask: Callable[..., Any]) -> None:
    found = ask("-x**2", "-1e-3", "-.5e-3", "--towards", "-8e-4")
    assert (found["function"], found["formula"], found["lower"]) == ("-x**2", "-x**2", -0.001)
    assert "towards -0.0008" in bands(found)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x * normal_cdf(x)", "gelu"),
        ("x*tanh(x)", "x * tanh(x)"),
        ("x", "x"),
        ("swish:beta=1.702", "swish(beta=1.702)"),
        ("clip: low=-1, high=1", "clip(low=-1, high=1)"),
        ("leaky_relu:slope=0.2", "leaky_relu(slope=0.2)"),
        ("leaky_relu", "leaky_relu(slope=0.01)"),
        ("relu", "relu"),
        ("identity", "identity"),
    ],
)
def test_names_and_formulas(text: str, name: str) -> None:
    assert find_curve(text).name == name


def test_parameters_as_options(ask: Callable[..., Any]) -> None:
    found = ask("clip", "-2", "3", "--parameter", "low=-1", "--parameter", "high = 1")
    assert found["function"] == "clip(low=-1, high=1)"
    assert found == {**ask("clip:low=-1,high=1", "-2", "3"), "offsets": found["offsets"]}


@pytest.mark.parametrize(
    "function", [Hinge(0.0, 1.0), Hinge(0.1, 1.0), Hinge(1.0, -2.0), Hinge(-1.0, 1.0), Hinge(1.0, 1.0)]
)
def test_hinges_are_exact(function: Hinge) -> None:
    curve, x = as_curve(function), np.linspace(-2, 3, 41)
    assert curve(x) == pytest.approx(function(x))
    for band in relax(curve, -2, 3).bands:
        for sign, line in sides(band):
            assert (sign * (line(x) - function(x))).min() == pytest.approx(0, abs=1e-12)


def test_one_side_may_be_unbounded(ask: Callable[..., Any], capsys: pytest.CaptureFixture[str]) -> None:
    least = bands(ask("log", "0", "1"))[LEAST_AREA]
    assert least["below"] is None
    assert least["area"] == "inf"
    assert least["above"]["area"] == pytest.approx(1 - math.log(2), rel=1e-6)
    assert main(["relax", "log", "0", "1"]) == 0
    assert "none is known" in capsys.readouterr().out


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gelo", "-3", "2"], "did you mean gelu"),
        (["gelu", "2", "-3"], "the interval [2, -3] is reversed"),
        (["gelu", "2", "2"], "the interval [2, 2] is empty"),
        (["gelu", "-1.7e308", "1.7e308"], "too wide"),
        (["gelu", "-inf", "2"], "'-inf' is no finite number"),
        (["gelu", "two", "3"], "'two' is no finite number"),
        (["log", "-1", "2"], "nothing bounds log on [-1, 2]: nothing is known of it from -1 to 0"),
        (["reciprocal", "-1", "2"], "nothing bounds reciprocal on [-1, 2]"),
        (["gelu", "-3", "2", "--towards", "4"], "the point 4 lies outside of the interval [-3, 2]"),
        (["x*tanhh(x)", "-3", "2"], "column 3: there is no function 'tanhh'"),
        (["x+", "-3", "2"], "formula 'x+', column"),
        (["swish:gamma=1", "-3", "2"], "no parameter 'gamma'; it takes: beta"),
        (["swish:beta", "-3", "2"], "'beta' is no parameter"),
        (["swish:beta=nan", "-3", "2"], "'beta=nan' is no parameter"),
        (["swish", "-3", "2", "--parameter", "beta=one"], "'beta=one' is no parameter"),
        (["x*x", "-3", "2", "--parameter", "beta=1"], "takes no parameters"),
        (["x*x:beta=1", "-3", "2"], "neither a name with parameters"),
        (["gelu", "-3", "2", "--activations", "absent.toml"], "absent.toml: the file cannot be read"),
        (["gelu", "-3"], "required: UPPER"),
    ],
)
def test_bad_input_gets_a_sentence(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refusal(capsys, "relax", *arguments)


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent/a.png", "does not exist"), ("a.gif", ".png, .svg or .pdf"), ("a", ".png"), ("d.png", "is a folder")],
)
def test_a_picture_that_cannot_be_written(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "d.png").mkdir()
    assert words in refusal(capsys, "relax", "gelu", "-3", "2", "--out", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["d.png"]


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_pictures(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    target = tmp_path / f"picture{ending.upper() if ending == '.png' else ending}"
    target.write_text("of an earlier run")
    assert main(["relax", "tanh", "-1", "3", "--out", str(target), "--towards", "2", "--slope", "0.1"]) == 0
    assert "least area" in capsys.readouterr().out
    content = target.read_bytes()
    assert content.startswith(SIGNATURES[ending[1:]])
    assert len(content) > 5000
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    "arguments",
    [
        ("floor", -1.5, 2.5),
        ("log", 0, 1),
        ("tan", -1.57, 1.57),
        ("relu", 1, 2),
        ("exp", -70, 70),
        ("sin", -1e6, 1e6),
        ("x*0+1", 0, 1),
    ],
)
def test_pictures_of_the_odd(arguments: tuple[str, float, float], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from slir_milp.report.picture import FORMATS, draw

    assert tuple(f".{form}" for form in FORMATS) == ENDINGS
    name, lower, upper = arguments
    found = relax(find_curve(name), lower, upper, slope=0.25)
    once = draw(found, "svg")
    assert once == draw(found, "svg")  # the same picture each time
    assert b"least area" in once or b"<path" in once


def test_numbers_that_are_too_large_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert main(["relax", "gelu", "-1e308", "5e307", "--out", str(tmp_path / "a.png")]) == 2
    out, err = capsys.readouterr()
    assert "least area" in out
    assert "beyond 1e+100" in err
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_numbers_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    target = tmp_path / "gelu.png"
    assert main(["relax", "gelu", "-3", "2", "--out", str(target)]) == 2
    out, err = capsys.readouterr()
    assert "least area" in out
    assert "pictures need matplotlib" in err
    assert "slir-milp[plot]" in err
    assert list(tmp_path.iterdir()) == []


def test_numbers_alone_do_not_load_matplotlib() -> None:
    program = (
        "import sys; from slir_milp.cli import main; main(['relax', 'gelu', '-3', '2']); main(['activations']);"
        "print([name for name in ('matplotlib', 'onnx', 'onnxruntime', 'scipy', 'highspy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


# --- the list --------------------------------------------------------------------------------------------------------


def test_the_list_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["activations"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1 : lines.index("")]]
    assert names == [*HINGES, *CATALOGUE]
    assert any(line.startswith("swish ") and "beta=1" in line and "Swish" in line for line in lines)


def test_the_list_as_json(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["activations", "--json", "--activations", str(own)]) == 0
    found = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert found["clip"]["parameters"] == {"low": 0, "high": 6}
    assert found["clip"]["offsets"] == "breakpoints"
    assert found["relu"] == {
        **{"name": "relu", "formula": "relu(x)", "parameters": {}},
        **{"offsets": "hinge", "operators": ["Relu"], "own": False},
    }
    assert found["snake"] == {
        **{"name": "snake", "formula": "x + sin(alpha * x)**2 / alpha", "parameters": {"alpha": 1}},
        **{"offsets": "critical points", "operators": ["my.domain::Snake"], "own": True},
    }
    assert found["bumpy-one"]["formula"] is None
    assert found["bumpy-one"]["offsets"] == "Lipschitz constant"


def test_the_list_on_a_terminal(own: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["activations", "--activations", str(own)]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in (*HINGES, *CATALOGUE, "snake", "bumpy-one"))


def test_listed_operators_exist() -> None:
    assert set(listing.OPERATORS) <= {*HINGES, *CATALOGUE}
    assert {operator for operators in listing.OPERATORS.values() for operator in operators} <= set(OPERATORS)
    for name in listing.OPERATORS:
        assert activation(name) is not None


# --- activations of one's own ----------------------------------------------------------------------------------------


def test_relax_knows_activations_of_ones_own(ask: Callable[..., Any], own: Path) -> None:
    found = ask("snake", "-2", "3", "--activations", own)
    assert (found["function"], found["formula"]) == ("snake", "x + sin(x)**2")
    found = ask("snake:alpha=2", "-2", "3", "--activations", own)
    assert (found["function"], found["formula"]) == ("snake(alpha=2)", "x + sin(2 * x)**2 / 2")
    found = ask("bumpy-one", "-2", "3", "--activations", own)
    assert (found["formula"], found["offsets"]["by"]) == (None, "Lipschitz constant")
    assert bands(found)[LEAST_AREA]["area"] > 1


def test_faults_of_the_file(
    own: Path, network: Path, query: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "did you mean snake?" in refusal(capsys, "relax", "snaky", "0", "1", "--activations", own)
    assert "no parameter 'beta'" in refusal(capsys, "relax", "snake:beta=2", "0", "1", "--activations", own)
    own.write_text(OWN.replace("lipschitz = 3", "lipschitz = 2.5"))
    assert "relax_functions" not in refusal(capsys, "activations", "--activations", own)
    (tmp_path / "instances.csv").write_text(f"{network},{query},10\n")
    for command in (
        ["verify", network, query],
        ["info", network],
        ["bench", tmp_path],
        ["bench", tmp_path, "--results", tmp_path / "results"],
    ):
        sentence = refusal(capsys, *command, "--activations", own)
        assert "my.toml, line 8" in sentence
        assert "its slope is" in sentence
    own.write_text("[[activation]]\nname = 'gelu'\nformula = 'x'\n")
    assert "my.toml, line 2: 'gelu' is a built-in activation" in refusal(capsys, "activations", "--activations", own)


@pytest.fixture
def snake_network(tmp_path: Path) -> Path:
    """One input, one neuron of an operator that nothing but the file knows."""
    from onnx import TensorProto, helper, save

    node = helper.make_node("Snake", ["x"], ["y"], domain="my.domain", alpha=2.0)
    tensors = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1])] for name in ("x", "y")]
    graph = helper.make_graph([node], "graph", *tensors)
    path = tmp_path / "snake.onnx"
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 1)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_networks_with_them(snake_network: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = tmp_path / "high.vnnlib"  # x + sin(2x)²/2 is at most 1.5 on [0, 1]
    query.write_text(
        "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (and (>= X_0 0) (<= X_0 1)))(assert (>= Y_0 1.6))"
    )
    assert "Snake" in refusal(capsys, "info", snake_network)
    assert main(["info", str(snake_network), "--activations", str(own)]) == 0
    assert "snake(alpha=2)" in capsys.readouterr().out
    target = tmp_path / "result.json"
    arguments = ["--activations", str(own), "--json", str(target), "--timeout", "20"]
    assert main(["verify", str(snake_network), str(query), *arguments]) == 0
    assert capsys.readouterr().out == "unsat\n"
    assert json.loads(target.read_text())["activations"]["path"] == str(own)
    (tmp_path / "instances.csv").write_text(f"{snake_network.name},{query.name},20\n")
    for way in ([], ["--results", str(tmp_path / "results")]):
        assert main(["bench", str(tmp_path), "--activations", str(own), *way]) == 0
        assert "1/1  unsat" in capsys.readouterr().out
    assert "would overwrite" in refusal(capsys, "verify", snake_network, query, "--activations", own, "--json", own)


def test_bench_passes_every_option_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from slir_milp.bench import OwnTool
    from slir_milp.bench.tool import Job
    from slir_milp.commands.arguments import build_parser, options
    from slir_milp.search.verdict import Engine, Options, SlopeRule, Splitting

    given = Options(
        timeout=7.5,
        memory_limit=64_000_000,
        engine=Engine.LP,
        splitting=Splitting.INPUT,
        slopes=SlopeRule.HAND_CRAFTED,
        delta=0.125,
        jobs=2,
        seed=3,
    )
    command = OwnTool(given).command(Job(Path("n"), Path("q"), Path("f"), 7.5, 64_000_000, 2))
    # The program is to end by itself before it is ended.
    less = replace(given, memory_limit=57_600_000)
    assert options(build_parser().parse_args(command[command.index("verify") :])) == less


def test_without_a_file_nothing_changes(network: Path, query: Path, searching: Callable[..., FakeSearch]) -> None:
    searching(UNSAT)
    assert main(["verify", str(network), str(query), "--quiet"]) == 0
