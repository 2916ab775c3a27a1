"""``slir-milp bounds``: what it prints, writes and refuses."""

import json
from pathlib import Path

import pytest

from slir_milp.cli import main
from slir_milp.commands.exit_code import ExitCode


def test_it_prints_a_table_and_writes_all_there_is(
    network: Path, query: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ranges.json"
    assert main(["bounds", str(network), "--box", str(query), "--json", str(out)]) == ExitCode.DECIDED
    answer = capsys.readouterr()
    head, line = answer.out.splitlines()
    assert head.split() == ["functional", "proven", "≥", "attained", "≤", "attained", "≥", "proven", "≤", "gap"]
    assert line.startswith("Y_0")
    assert "Every range is known to within the tolerance." in answer.err
    content = json.loads(out.read_text(encoding="utf-8"))
    (found,) = content["ranges"]
    assert found["lower"] <= found["attained_lower"] <= found["attained_upper"] <= found["upper"]
    assert found["upper"] == pytest.approx(2.0, rel=1e-2)
    assert len(found["upper_point"]) == 2
    assert content["reason"]["code"] == "within_tolerance"
    assert content["network"]["sha256"] and content["box"]["sha256"]


def test_ends_and_functionals_are_given_as_numbers(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bounds", str(network), "--lower=-1,-1", "--upper=1,1", "--functional=-2", "--functional=1", "--quiet"]
    assert main(arguments) == ExitCode.DECIDED
    answer = capsys.readouterr()
    assert [line.split()[0] for line in answer.out.splitlines()] == ["functional", "-2*Y_0", "Y_0"]
    assert answer.err == ""


def test_an_end_before_the_tolerance_is_told_by_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    avoidance = Path(__file__).parent.parent / "problems"
    box = str(avoidance / "vnnlib/avoidance_head_on.vnnlib")
    arguments = ["bounds", str(avoidance / "onnx/avoidance.onnx"), "--box", box, "--timeout", "0.1", "--tolerance", "0"]
    assert main(arguments) == ExitCode.UNDECIDED
    assert "The time limit was reached." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the set of inputs"),
        (["--lower=0,0"], "name the set of inputs"),
        (["--lower=0,0", "--upper=1,1", "--box", "x"], "name the set of inputs"),
        (["--lower=0,a", "--upper=1,1"], "'a' is no finite number"),
        (["--lower=0", "--upper=1"], "takes 2 inputs"),
        (["--lower=0,0", "--upper=1,1", "--functional=1,2"], "shape (k, 1)"),
        (["--box", "nowhere.vnnlib"], "nowhere.vnnlib"),
        (["--lower=0,0", "--upper=1,1", "--json", "/nowhere/at/all.json"], "does not exist"),
    ],
)
def test_bad_arguments_get_a_sentence(
    network: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bounds", str(network), *arguments]) == ExitCode.BAD_INPUT
    answer = capsys.readouterr()
    assert message in answer.err
    assert answer.out == ""
