"""``slir-milp report``: what the page says, without a browser."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from report_cases import HOSTILE, PLAIN, WRONG, folder_of, rows

from slir_milp.cli import main
from slir_milp.report.campaign import SetEntry
from slir_milp.report.page.data import row_id
from slir_milp.report.page.figures import (
    Tally,
    cactus,
    contradictions,
    scatter,
    solved_within,
    stages,
    tallies,
)
from slir_milp.report.page.published import published_times
from slir_milp.report.results import Outcome, Row


class Page(HTMLParser):
    """Elements of a page, and the text within them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within in self.raw:
            self.raw[self._within].append(data)
        else:
            self.texts.append(data)

    @property
    def data(self) -> Any:
        return json.loads(self.raw["script"][0])

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(folder: Path, *more: str, out: Path | None = None) -> Page:
    path = out or folder / "report.html"
    assert main(["report", str(folder), "--out", str(path), *more]) == 0
    return Page(path.read_text(encoding="utf-8"))


def test_tallies_count_by_set_and_tool() -> None:
    some = [PLAIN, WRONG, replace(PLAIN, set="b", seconds=3.0), replace(PLAIN, tool="other", outcome=Outcome.UNCHECKED)]
    found = tallies(some)
    assert set(found) == {
        ("acas", "slir-milp"),
        ("acas", "other"),
        ("b", "slir-milp"),
        ("", "slir-milp"),
        ("", "other"),
    }
    all_of_it = found["", "slir-milp"]
    assert (all_of_it.rows, all_of_it.solved, all_of_it.unsat, all_of_it.sat) == (3, 2, 2, 0)
    assert (all_of_it.outcomes[Outcome.WRONG], all_of_it.seconds, all_of_it.slowest) == (1, 4.0, 3.0)
    assert all_of_it.score == 10 + 10 - 150
    assert found["", "other"].score == 0  # nothing is known of what is not checked
    assert Tally.of([]).rows == 0


def test_cactus_has_the_times_of_what_is_solved_in_order() -> None:
    some = [replace(PLAIN, seconds=s) for s in (3.0, 1.0, 2.0)] + [WRONG, replace(PLAIN, tool="b", verdict="unknown")]
    assert cactus(some) == {"slir-milp": (1.0, 2.0, 3.0), "b": ()}
    assert solved_within((1.0, 2.0, 3.0), (0.5, 2.0, 9.0)) == (0, 2, 3)


def test_scatter_pairs_rows_of_the_same_instance() -> None:
    other = replace(PLAIN, tool="other", seconds=9.0)
    lonely = replace(PLAIN, vnnlib="alone")
    ((instance, ours, theirs),) = scatter([PLAIN, lonely, other], "slir-milp", "other")
    assert instance == ("acas", PLAIN.onnx, PLAIN.vnnlib)
    assert (ours, theirs) == (PLAIN, other)
    assert scatter([PLAIN], "slir-milp", "nobody") == ()


def test_contradictions_are_found_whatever_is_published() -> None:
    sat = replace(PLAIN, tool="other", verdict="sat", truth="", outcome=Outcome.UNCHECKED)
    (one,) = contradictions([PLAIN, sat, replace(PLAIN, tool="third", verdict="unknown")])
    assert (one.sat, one.unsat) == (("other",), ("slir-milp",))
    assert contradictions([PLAIN, replace(sat, vnnlib="another")]) == ()


def test_stages_add_up_by_set() -> None:
    found = stages([PLAIN, PLAIN, replace(PLAIN, set="b", closed_by={}), replace(PLAIN, set="c", closed_by={"lp": 2})])
    assert found == {"acas": {"bound": 66, "inherited": 16}, "c": {"lp": 2}}


def test_published_times_are_those_of_the_last_year(tmp_path: Path) -> None:
    (tmp_path / "tool_times.csv").write_text(
        "tool,year,onnx,vnnlib,verdict,seconds\n"
        f"Fast,2024,{PLAIN.onnx},{PLAIN.vnnlib},unsat,9\n"
        f"fast,2025,{PLAIN.onnx}.gz,./{PLAIN.vnnlib},unsat,1.5\n"
        f"slow,2020,{PLAIN.onnx},{PLAIN.vnnlib},nonsense,1\n"
        "fast,2025,unheard.onnx,of,unsat,1\n"
    )
    (one,) = published_times([SetEntry("acas", str(tmp_path), 1)], [PLAIN])
    assert (one.tool, one.verdict, one.seconds) == ("fast 2025", "unsat", 1.5)
    assert published_times([SetEntry("acas", str(tmp_path / "none"), 1)], [PLAIN]) == ()


def test_published_times_count_an_instance_once_and_no_wrong_verdict(tmp_path: Path) -> None:
    (tmp_path / "tool_times.csv").write_text(
        "tool,year,onnx,vnnlib,verdict,seconds\n"
        f"fast,2025,{PLAIN.onnx},{PLAIN.vnnlib},unsat,1\n"
        f"fast,2025,{PLAIN.onnx},{PLAIN.vnnlib},unsat,2\n"
        f"wrong,2025,{PLAIN.onnx},{PLAIN.vnnlib},sat,1\n"
        f"open,2025,{PLAIN.onnx},{PLAIN.vnnlib},timeout,9\n"
    )
    found = published_times([SetEntry("acas", str(tmp_path), 1)], [PLAIN])
    assert [(one.tool, one.seconds, one.solved) for one in found] == [
        ("fast 2025", 1.0, True),
        ("wrong 2025", 1.0, False),
        ("open 2025", 9.0, False),
    ]
    (unchecked,) = [
        one
        for one in published_times([SetEntry("acas", str(tmp_path), 1)], [replace(PLAIN, truth="")])
        if one.tool == "wrong 2025"
    ]
    assert unchecked.solved


@pytest.mark.parametrize(
    "content", ["", "a,b\n1,2\n", "tool,year,onnx,vnnlib,verdict,seconds\nf,1,a,b,unsat,soon\n", "\0"]
)
def test_published_times_that_cannot_be_read_are_left_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "tool_times.csv").write_text(content)
    assert published_times([SetEntry("acas", str(tmp_path), 1)], [replace(PLAIN, onnx="a", vnnlib="b")]) == ()


def test_a_page_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path / "results", rows(12)))
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} has {name}"
            assert name != "style", f"the policy would block the style of {tag}"
            if name in ("src", "href"):
                assert value is not None
                assert value.startswith(("#", "data:")), f"{tag} leads to {value}"
    text = "".join(page.raw["style"] + page.raw["script"][1:])
    assert re.findall(r"https?://[^\s\"'`)]*|@import|url\(", text) == ["http://www.w3.org/2000/svg"]


def test_the_policy_names_the_digests_of_style_and_script(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path / "results", [PLAIN]))
    (policy,) = (a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, text in (("style-src", "".join(page.raw["style"])), ("script-src", page.raw["script"][-1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    some = [
        replace(
            PLAIN,
            set=HOSTILE,
            onnx=HOSTILE,
            vnnlib=HOSTILE,
            tool=HOSTILE,
            reason=HOSTILE,
            truth=HOSTILE,
            witness=HOSTILE,
        ),
        replace(WRONG, set=HOSTILE, onnx=HOSTILE, document="javascript:alert(1)", closed_by={HOSTILE: 3}),
        replace(
            PLAIN,
            tool="\u2028</script>",
            document="../../etc/passwd",
            reason="\ud800".encode(errors="replace").decode(),
        ),
    ]
    page = page_of(folder_of(tmp_path / "results", some), "--title", HOSTILE)
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "img" not in [tag for tag, _ in page.tags]
    assert page.data["rows"][0][0] == row_id(some[0])
    assert page.data["sets"] == [HOSTILE, "acas"]
    assert page.words.count("document.title") >= 5  # as text


def test_a_surrogate_in_a_name_is_written(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "results", [PLAIN])
    assert main(["report", str(folder), "--out", str(tmp_path / "a.html"), "--title", "odd \udc80 name"]) == 0
    assert "odd ? name" in (tmp_path / "a.html").read_text(encoding="utf-8")


def test_nothing_has_been_run_yet(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "results", [])
    page = page_of(folder)
    assert "No instance has been run yet." in page.words
    assert "No verdict is wrong" not in page.words
    (folder / "results.csv").unlink()
    assert "No instance has been run yet." in page_of(folder).words


def test_one_row(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path / "results", [PLAIN]))
    assert "No verdict is wrong; 1 agrees with published ones." in page.words
    assert "1 run of 1 tool over 1 set" in page.words
    assert "All sets" not in page.words
    assert page.data["rows"][0][8] == 0.5


def test_wrong_verdicts_cannot_be_overlooked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = page_of(folder_of(tmp_path / "results", [PLAIN, *(replace(WRONG, vnnlib=f"v{k}") for k in range(20))]))
    assert "20 wrong verdicts" in page.words
    assert "No verdict is wrong" not in page.words
    assert "and 8 more" in page.words
    assert f"#row={row_id(replace(WRONG, vnnlib='v0'))}" in [a.get("href") for t, a in page.tags if t == "a"]
    assert "21 rows, 20 wrong" in capsys.readouterr().out


def test_contradictions_of_tools_are_told(tmp_path: Path) -> None:
    sat = replace(PLAIN, tool="other", verdict="sat", truth="", outcome=Outcome.UNCHECKED)
    page = page_of(folder_of(tmp_path / "results", [replace(PLAIN, truth="", outcome=Outcome.UNCHECKED), sat]))
    assert "1 contradiction between tools" in page.words
    assert "sat by other" in page.words.replace("  ", " ")


def test_without_scripts_there_is_a_table_of_everything(tmp_path: Path) -> None:
    some = rows(20)
    text = (folder_of(tmp_path / "results", some) / "report.html", page_of(tmp_path / "results"))[0].read_text()
    plain = text[text.index("<noscript>") : text.index("</noscript>")]
    assert plain.count("<tr>") == len(some) + 1
    assert all(row.vnnlib in plain for row in some)


def test_five_thousand_rows_stay_small(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "results", rows(2500))
    page_of(folder)
    assert (folder / "report.html").stat().st_size < 2_500_000


def test_links_lead_to_the_folder_from_where_the_page_lies(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "my results", rows(2))
    assert page_of(folder).data["base"] == "./"
    (tmp_path / "pages").mkdir()
    page = page_of(folder, out=tmp_path / "pages" / "report.html")
    assert page.data["base"] == "../my%20results/"
    sat = [row for row in page.data["rows"] if row[17]]
    assert [row[17] for row in sat] == ["witnesses/set_1/query_1.txt"]


def test_the_page_is_well_formed(tmp_path: Path) -> None:
    page = page_of(folder_of(tmp_path / "results", rows(30)))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        for name in ("aria-labelledby", "aria-describedby", "for"):
            for target in (attributes.get(name) or "").split():
                assert target in ids, f"{tag}: {name} names {target}, which is not there"
        if tag == "a" and re.fullmatch(r"#[\w-]+", attributes.get("href") or ""):
            assert (attributes["href"] or "")[1:] in ids
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "has no campaign.json"),
        (lambda folder: (folder_of(folder, [PLAIN]), (folder / "campaign.json").write_text("[1"))[0], "no description"),
        (lambda folder: (folder_of(folder, [PLAIN]), (folder / "results.csv").write_text("a,b\n1,2\n"))[0], "no table"),
        (lambda folder: folder_of(folder, [replace(PLAIN, seconds=float("inf"))]), "not finite"),
    ],
)
def test_bad_folders_get_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, said: str) -> None:
    make(tmp_path / "results")
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "results"), "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_bad_picture_gets_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "results", [PLAIN])
    bad = tmp_path / "bad.json"
    for content, said in (("{", "no JSON"), ("[]", "no picture of ours"), ('{"picture": "decision map"}', "of format")):
        bad.write_text(content)
        assert main(["report", str(folder), "--out", str(tmp_path / "a.html"), "--picture", str(bad)]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["results.csv", "campaign.json", PLAIN.document])
def test_no_file_of_the_campaign_is_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = folder_of(tmp_path / "results", [PLAIN])
    before = (folder / name).read_bytes()
    assert main(["report", str(folder), "--out", str(folder / name)]) == 2
    assert "would overwrite an input file" in capsys.readouterr().err
    assert (folder / name).read_bytes() == before


def test_an_unfinished_line_is_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "results", rows(3))
    path = folder / "results.csv"
    path.write_bytes(path.read_bytes()[:-20])
    assert len(page_of(folder).data["rows"]) == 5


def test_without_jinja_a_sentence(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "results", [PLAIN])
    program = (
        "import sys; sys.modules['jinja2'] = None\nfrom slir_milp.cli import main\n"
        f"sys.exit(main(['report', {str(folder)!r}, '--out', {str(tmp_path / 'a.html')!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "pip install slir-milp[report]" in done.stderr
    assert not (tmp_path / "a.html").exists()


def test_every_row_has_an_identifier_of_its_own() -> None:
    some: list[Row] = rows(500)
    assert len({row_id(row) for row in some}) == len(some)
