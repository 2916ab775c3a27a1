"""``slir-milp-vnnlib``, called as a user calls it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from compose_cases import box, dense, network, text

from slir_milp import __version__, cli
from slir_milp.vnnlib_cli import main

BENCHMARKS = os.environ.get("SLIR_MILP_BENCHMARKS")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A network that adds two numbers behind rectifiers, and queries about one or two of it."""
    found = {"f": dense(tmp_path / "f.onnx", [np.eye(2), np.ones((1, 2))])}
    hidden = '(declare-hidden H real [2,1] "h0")'
    one = [network("f", "X", "Y", 2, 1, hidden)]
    two = [*one, network("g", "U", "V", 2, 1, relation="(equal-to f)")]
    same = ["(== X[0] U[1])", "(== X[1] U[0])"]
    queries = {
        "sat": text(one, *box("X", 2), "(>= (* Y[0] X[0]) 2.0)"),
        "unsat": text(two, *box("X", 2), *same, "(!= Y[0] V[0])"),
        "floats": text([network("f", "X", "Y", 2, 1).replace("real", "float32")], *box("X", 2), "(>= Y[0] 2.0)"),
        "integers": text([network("f", "X", "Y", 2, 1).replace("real [1]", "int64 [1]")], *box("X", 2)),
        "free": text(one, "(>= X[0] 0.0)", "(<= X[0] 1.0)", "(<= Y[0] -0.5)"),
        "shared": text(two, *box("X", 2), *same, "(>= (+ Y[0] V[0]) 4.0)"),
    }
    for name, content in queries.items():
        found[name] = tmp_path / f"{name}.vnnlib"
        found[name].write_text(content)
    return found


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_name_and_version(capsys):
    assert call(capsys, "--name") == (0, "slir_milp\n", "")
    assert call(capsys, "--version") == (0, f"{__version__}\n", "")


def test_sat_with_its_assignment(capsys, files, tmp_path):
    result = tmp_path / "r.json"
    code, out, err = call(capsys, "verify", files["sat"], "--network", f"f={files['f']}", "--json", result)
    assert code == 0
    assert out == "sat\nX real [2]\n1.0\n1.0\nH real [2,1]\n1.0\n1.0\nY real [1]\n2.0\n"
    assert "replayed" in err
    content = json.loads(result.read_text())
    assert content["assignment"][2] == {"name": "Y", "type": "real", "shape": [1], "values": ["2.0"]}
    assert content["networks"]["f"]["path"] == str(files["f"])
    assert len(content["networks"]["f"]["sha256"]) == 64


def test_equal_inputs_are_reported_for_every_network(capsys, files):
    code, out, _ = call(capsys, "verify", files["shared"], "--network", f"f={files['f']}", "--quiet")
    assert (code, out.split()[0]) == (0, "sat")
    assert out.count("1.0\n") == 6  # X, H and U


def test_unsat_of_two_networks(capsys, files):
    arguments = ("verify", files["unsat"], "--network", f"f={files['f']}", "--quiet", "--timeout", 60)
    assert call(capsys, *arguments) == (0, "unsat\n", "")


def test_serialised_assignments(capsys, files, tmp_path):
    folder = tmp_path / "out"
    arguments = ("verify", files["sat"], "--network", f"f={files['f']}", "--quiet", "--serialise-assignments", folder)
    assert call(capsys, *arguments) == (0, "sat\n", "")
    found = {path.name: onnx.load_tensor(str(path)) for path in folder.iterdir()}
    assert set(found) == {"X.pb", "H.pb", "Y.pb"}
    assert onnx.numpy_helper.to_array(found["H.pb"]).tolist() == [[1.0], [1.0]]
    assert found["Y.pb"].data_type == onnx.TensorProto.DOUBLE


def test_consent_to_real_arithmetic(capsys, files, monkeypatch, tmp_path):
    arguments = ["verify", files["floats"], "--network", f"f={files['f']}", "--quiet"]
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert "X has the element type float32, whose roundings are not verified" in err
    assert call(capsys, *arguments, "--floats-as-real")[:2] == (0, "sat\nX float32 [2]\n1.0\n1.0\nY float32 [1]\n2.0\n")
    monkeypatch.setenv("SLIR_MILP_FLOATS", "real")
    folder = tmp_path / "out"
    assert call(capsys, *arguments, "--serialise-assignments", folder)[0] == 0
    assert onnx.load_tensor(str(folder / "Y.pb")).data_type == onnx.TensorProto.FLOAT


def test_an_input_without_bounds_is_no_unsat(capsys, files):
    code, out, err = call(capsys, "verify", files["free"], "--network", f"f={files['f']}")
    assert (code, out) == (3, "unknown\n")
    assert "searched near zero only: X[1]; assert bounds" in err


def test_time_that_is_over(capsys, files):
    code, out, _ = call(capsys, "verify", files["unsat"], "--network", f"f={files['f']}", "--timeout", "0.000001")
    assert (code, out) == (3, "timed-out\n")


def test_what_is_said_has_the_names_of_the_query(capsys, files):
    arguments = ("verify", files["unsat"], "--network", f"f={files['f']}", "--engine", "milp")
    code, out, err = call(capsys, *arguments)
    assert "Y_" not in err and "X_" not in err
    assert (code, out) in [(0, "unsat\n"), (3, "unknown\n")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "{sat}"], "the network f of the query has no model; add --network f=FILE"),
        (["verify", "{sat}", "--network", "f={f}", "--network", "f={f}"], "--network f=... is given twice"),
        (["verify", "{sat}", "--network", "f"], "'f' has not the form NAME=FILE"),
        (["verify", "{unsat}", "--network", "f={f}", "--network", "g={f}"], "g is declared equal to f"),
        (["verify", "{missing}", "--network", "f={f}"], "cannot be read"),
        (["verify", "{f}", "--network", "f={f}"], "is no text in UTF-8"),
        (["verify", "{integers}", "--network", "f={f}"], "the query uses real and int64"),
        (["verify", "{sat}", "--network", "f={f}", "--serialise-assignments", "{f}"], "is no folder; name one"),
        (["verify", "{sat}", "--network", "f={f}", "--json", "{f}"], "would overwrite an input file"),
        (["compose", "{free}", "--network", "f={f}", "--out", "{new}"], "X[1] has no bounds"),
    ],
)
def test_complaints(capsys, files, tmp_path, arguments, message):
    given = [word.format(**files, new=tmp_path / "new", missing=tmp_path / "missing") for word in arguments]
    code, out, err = call(capsys, *given)
    assert (code, out) == (2, "")
    assert err.startswith("slir-milp-vnnlib: error: ") and message in err
    assert not (tmp_path / "new").exists()


def test_a_composed_query_is_decided_and_proven(capsys, files, tmp_path):
    out = tmp_path / "composed"
    code, said, _ = call(capsys, "compose", files["unsat"], "--network", f"f={files['f']}", "--out", out)
    model, query, table = said.split()
    assert code == 0
    assert Path(table).read_text().splitlines()[:2] == ["X_0 X[0]", "X_1 X[1]"]
    onnx.checker.check_model(model)
    proof = str(tmp_path / "run.proof")
    assert cli.main(["verify", model, query, "--proof", proof, "--quiet"]) == 0
    assert cli.main(["check", proof, model, query, "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("unsat\naccepted: unsat")


def test_slir_milp_reads_simple_queries_and_refuses_others(capsys, files, tmp_path):
    simple = tmp_path / "simple.vnnlib"
    simple.write_text(text([network("f", "X", "Y", 2, 1)], *box("X", 2), "(>= Y[0] 2.5)"))
    assert cli.main(["verify", str(files["f"]), str(simple), "--quiet"]) == 0
    assert capsys.readouterr().out == "unsat\n"
    assert cli.main(["verify", str(files["f"]), str(files["unsat"]), "--quiet"]) == 2
    assert "the query is about 2 networks; slir-milp-vnnlib verify reads it" in capsys.readouterr().err


def test_a_start_loads_nothing_heavy():
    program = """
import sys, slir_milp.vnnlib_cli as program
program.main(["--name"])
print(*[name for name in ("onnx", "scipy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "slir_milp\n\n"


@pytest.mark.skipif(not BENCHMARKS, reason="SLIR_MILP_BENCHMARKS names no folder of benchmarks")
@pytest.mark.filterwarnings("default::slir_milp.errors.SlirWarning")
def test_twins_get_the_verdicts_of_their_originals(capsys):
    root = Path(BENCHMARKS or "") / "acasxu"
    model = next(root.glob("onnx/*run2a_1_1_*.onnx"))
    for name in ("prop_3", "prop_4"):
        arguments = ["verify", str(model), str(root / "vnnlib" / f"{name}.vnnlib"), "--quiet"]
        assert cli.main(arguments) == 0
        original = capsys.readouterr().out.split()[0]
        code, out, err = call(capsys, "verify", root / "vnnlib2" / f"{name}.vnnlib", "--network", f"{name}={model}")
        assert (code, out.split()[0]) == (0, original)
        assert "X is declared as [5], but 'input' in" in err
