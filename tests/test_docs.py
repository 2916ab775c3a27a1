"""The documentation keeps up with the code."""

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from stand_in import SAT

from slir_milp.cli import main
from slir_milp.commands.arguments import build_parser
from slir_milp.commands.exit_code import ExitCode
from slir_milp.report.document import document
from slir_milp.report.results import Row
from slir_milp.search.verdict import Options

ROOT = Path(__file__).parent.parent
COMMAND_LINE = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("docs/**/*.md")), ROOT / "README.md"]


def test_every_json_field_is_described() -> None:
    content = document(SAT, options=Options(), network=("n", "0"), query=("q", "1"), elapsed=1.0)
    read = json.loads(json.dumps(content))
    names = {*read, *read["witness"], *read["statistics"], *read["options"], *read["reason"], *read["network"]}
    assert {name for name in names if f"`{name}`" not in COMMAND_LINE} == set()


def test_every_column_is_described() -> None:
    assert {field.name for field in fields(Row) if f"`{field.name}`" not in COMMAND_LINE} == set()


def test_every_exit_code_is_described() -> None:
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", COMMAND_LINE, re.MULTILINE)} == set(ExitCode)


# --- links ---------------------------------------------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The names that a page's headings can be linked by."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def without_code(text: str) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> Iterator[tuple[str, str]]:
    """File and anchor of every link to another place in the repository; either may be empty."""
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text(encoding="utf-8"))):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            yield file, anchor


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page: Path) -> None:
    wrong = []
    for file, anchor in links(page):
        there = page.parent / file if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            wrong.append(f"{file}#{anchor}")
    assert wrong == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page not in reached and page.suffix == ".md" and page.exists():
            reached.add(page)
            ahead += [(page.parent / file).resolve() for file, _ in links(page) if file]
    assert set(PAGES) <= reached


# --- code ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the indented text that follows it (what it prints)."""

    code: str
    shown: str


def blocks(page: Path, language: str) -> list[Block]:
    found = re.finditer(
        rf"^( *)```{language}\n(.*?)^\1```\n((?:\n+(?:    [^\n]*\n)+)?)",
        page.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return [Block(textwrap.dedent(match[2]), textwrap.dedent(match[3]).strip("\n")) for match in found]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that looks like a fresh clone to somebody who follows the text."""
    (tmp_path / "problems").symlink_to(ROOT / "problems", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLIR_MILP_CACHE", str(tmp_path / "cache"))


def shape(line: str) -> str:
    """A line without its numbers, which depend on the machine and the hour, and without its spaces."""
    return " ".join(re.sub(r"[-+]?\d[\d,.]*(e[-+]?\d+)?", "#", line).split())


def assert_as_shown(answer: str, shown: str) -> None:
    """Hold what was printed against what the page shows of it, which may leave off at a line of dots."""
    wanted = shown.splitlines()
    given = answer.splitlines()
    for n, line in enumerate(wanted):
        if line.strip() == "...":
            return
        assert n < len(given), f"{line!r} is shown, but was not printed"
        assert shape(given[n]) == shape(line)


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda path: path.name)
def test_python_runs(page: Path, reader: None, capsys: pytest.CaptureFixture[str]) -> None:
    """As in a notebook: one block after another, each printing what is shown below it, numbers apart."""
    names: dict[str, object] = {"__name__": "reader"}
    for block in blocks(page, "python"):
        capsys.readouterr()
        exec(compile(block.code, str(page), "exec"), names)
        if block.shown:
            assert_as_shown(capsys.readouterr().out, block.shown)


@pytest.mark.parametrize("page", pages_with("shell"), ids=lambda path: path.name)
def test_commands_run_and_answer_as_shown(page: Path, reader: None, capfd: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page, "shell"):
        answer = ""
        for line in block.code.replace("./run slir-milp", "slir-milp").splitlines():
            program, *arguments = shlex.split(line, comments=True) or [""]
            if program == "slir-milp":
                assert main(arguments) == ExitCode.DECIDED, line
                answer = capfd.readouterr().out
        if block.shown:
            assert answer.splitlines()[0] == block.shown.splitlines()[0]
            on_stdout = block.shown.splitlines()[: len(answer.splitlines())]  # what follows is said on stderr
            assert_as_shown(answer, "\n".join(on_stdout))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_have_arguments_that_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in re.findall(r"^(?: {4}|time |\./run )*slir-milp (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        if "[" in line or "|" in line or line.startswith(("COMMAND", "--version")):
            continue
        try:
            build_parser().parse_args(shlex.split(line))
        except SystemExit:
            pytest.fail(f"slir-milp {line}\n{capsys.readouterr().err}")
