"""The documentation keeps up with the code."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
from stand_in import SAT

from slir_milp.bench import Row
from slir_milp.commands.exit_code import ExitCode
from slir_milp.report.document import document
from slir_milp.search.verdict import Options

ROOT = Path(__file__).parent.parent
COMMAND_LINE = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")


def test_every_json_field_is_described() -> None:
    content = document(SAT, options=Options(), network=("n", "0"), query=("q", "1"), elapsed=1.0)
    read = json.loads(json.dumps(content))
    names = {*read, *read["witness"], *read["statistics"], *read["options"], *read["reason"], *read["network"]}
    assert {name for name in names if f"`{name}`" not in COMMAND_LINE} == set()


def test_every_column_is_described() -> None:
    assert {field.name for field in fields(Row) if f"`{field.name}`" not in COMMAND_LINE} == set()


def test_every_exit_code_is_described() -> None:
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", COMMAND_LINE, re.MULTILINE)} == set(ExitCode)


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
