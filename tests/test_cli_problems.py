"""``slir-milp problems``."""

import shlex
from pathlib import Path

import pytest

from slir_milp.cli import main
from slir_milp.problems.catalogue import ProblemInfo, list_problems


def test_list_names_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["problems", "list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [entry.name for entry in list_problems()]


@pytest.mark.parametrize("entry", list_problems(), ids=lambda entry: entry.name)
def test_show_gives_commands_that_can_be_pasted(
    entry: ProblemInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["problems", "show", entry.name]) == 0
    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("  slir-milp ")]
    assert len(commands) == len(entry.queries)
    for program, verify, network, query in commands:
        assert (program, verify) == ("slir-milp", "verify")
        assert Path(network).is_file()
        assert Path(query).is_file()


def test_an_unknown_name_gets_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["problems", "show", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_the_first_command_of_the_readme_names_files_that_are_there() -> None:
    root = Path(__file__).parent.parent
    (first, *_) = [line for line in (root / "README.md").read_text().splitlines() if line.startswith("./run ")]
    assert all((root / name).is_file() for name in shlex.split(first)[3:])
