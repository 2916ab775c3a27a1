"""What the documentation says of proofs keeps up with the code."""

import re
from pathlib import Path

import pytest

from slir_milp.certificate.format import Kind

ROOT = Path(__file__).parent.parent
TRUST = (ROOT / "docs/trust.md").read_text(encoding="utf-8")
FORMAT = (ROOT / "docs/proof-format.md").read_text(encoding="utf-8")
PROOFS = (ROOT / "docs/proofs.md").read_text(encoding="utf-8")
CHECKER = sorted((ROOT / "slir_milp/certificate/check").glob("*.py"))


@pytest.mark.parametrize(
    "row", re.findall(r"^\|.*certificate/.*\| [0-9,]+ \|$", TRUST, re.MULTILINE), ids=lambda row: row.split("|")[1]
)
def test_the_trusted_base_is_about_as_long_as_it_is_said_to_be(row: str) -> None:
    files = [(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)]+)\)", row)]
    lines = sum(file.read_text(encoding="utf-8").count("\n") for file in files)
    said = int(row.split("|")[-2].replace(",", ""))
    assert 0.85 * said <= lines <= 1.15 * said


@pytest.mark.parametrize("file", CHECKER, ids=lambda file: file.name)
def test_every_file_of_the_checker_is_in_the_trusted_base(file: Path) -> None:
    assert f"(../{file.relative_to(ROOT)})" in TRUST


def test_every_kind_of_entry_is_described() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", FORMAT, re.MULTILINE)
    assert {name: int(number) for number, name in rows} == {kind.name: kind.value for kind in Kind}


def test_every_statement_that_the_checker_cites_is_proven_or_pointed_to() -> None:
    cited = {number for file in CHECKER for number in re.findall(r"Statement (\d)", file.read_text(encoding="utf-8"))}
    assert cited
    assert cited <= set(re.findall(r"Statement (\d)", PROOFS))
