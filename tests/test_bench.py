"""The bench: instances, results that survive a kill, comparison with published verdicts."""

import csv
import gzip
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from stand_in import SAT, TIMEOUT, TINY, UNSAT, FakeSearch

from slir_milp.bench import Answer, Locally, ResultsTable, Selection, Summary, Task, Watcher, read_instances, run_tasks
from slir_milp.bench.cache import BoundedCache
from slir_milp.bench.instances import find_sets
from slir_milp.bench.task import Result
from slir_milp.cli import main
from slir_milp.errors import SlirError
from slir_milp.report.results import Outcome, ResultsFile, Row, compare, file_stem, folder_name
from slir_milp.search.verdict import Reason, Status, Verdict

Searching = Callable[..., FakeSearch]


@pytest.fixture
def folder(tmp_path: Path, query: Path) -> Path:
    """Four good instances, one whose network is missing, one whose line is broken."""
    bench = tmp_path / "bench"
    for name in ("onnx", "vnnlib"):
        (bench / name).mkdir(parents=True)
    (bench / "onnx/a.nnet").write_text(TINY)
    (bench / "onnx/b.nnet.gz").write_bytes(gzip.compress(TINY.encode()))
    (bench / "vnnlib/p.vnnlib").write_bytes(query.read_bytes())
    (bench / "vnnlib/q.vnnlib.gz").write_bytes(gzip.compress(query.read_bytes()))
    (bench / "instances.csv").write_text(
        "onnx/a.nnet,vnnlib/p.vnnlib,20\n"
        "./onnx/b.nnet,./vnnlib/p.vnnlib,30.5\n"
        "\n"
        "onnx/a.nnet,vnnlib/q.vnnlib,\n"
        "onnx/b.nnet.gz,vnnlib/q.vnnlib.gz\n"
        "onnx/c.nnet,vnnlib/p.vnnlib,10\n"
        "onnx/a.nnet,vnnlib/r.vnnlib,soon\n"
    )
    (bench / "truth.csv").write_text(
        "onnx,vnnlib,timeout,verdict,n_agree\n"
        "onnx/a.nnet,vnnlib/p.vnnlib,20,unsat,5\n"
        "onnx/b.nnet,vnnlib/p.vnnlib,20,UNSAT,5\n"
        "onnx/a.nnet,vnnlib/q.vnnlib,20,unsat,5\n"
    )
    return bench


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_instance_has_its_row(
    folder: Path, searching: Searching, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(UNSAT, SAT, TIMEOUT, SAT)
    out = tmp_path / "results.csv"
    assert main(["bench", str(folder), "--out", str(out)]) == 1
    found = rows(out)
    assert [row["verdict"] for row in found] == ["unsat", "sat", "timeout", "sat", "error", "error"]
    assert [row["outcome"] for row in found] == ["right", "wrong", "undecided", "unchecked", "error", "error"]
    assert [row["truth"] for row in found] == ["unsat", "unsat", "unsat", "", "", ""]
    assert [row["witness"] for row in found] == ["", "both", "", "both", "", ""]
    assert "c.nnet" in found[4]["reason"]
    assert "'soon'" in found[5]["reason"]
    text = capsys.readouterr().out
    assert "6 instances: 2 solved (1 unsat, 1 sat)" in text
    assert "1 wrong, 1 undecided, 2 errors" in text
    assert "sat, published as unsat" in text


def test_an_instance_gets_the_lesser_of_two_limits(folder: Path, searching: Searching) -> None:
    fake = searching(UNSAT)
    main(["bench", str(folder), "--timeout", "25"])
    asked = [options.timeout for options in fake.asked]
    assert asked == [pytest.approx(limit, abs=5) for limit in (20, 25, 25, 25)]
    fake.asked.clear()
    main(["bench", str(folder)])
    assert [options.timeout is None for options in fake.asked] == [False, False, True, True]


def test_all_right_is_success(folder: Path, searching: Searching) -> None:
    searching(UNSAT)
    assert main(["bench", str(folder), "--limit", "4"]) == 0


def test_only_and_limit(folder: Path, searching: Searching, capsys: pytest.CaptureFixture[str]) -> None:
    fake = searching(UNSAT)
    assert main(["bench", str(folder), "--only", "*q.vnnlib*"]) == 0
    assert len(fake.asked) == 2
    assert main(["bench", str(folder), "--only", "*nothing*"]) == 2
    assert "*nothing*" in capsys.readouterr().err


def test_a_stopped_run_goes_on(folder: Path, searching: Searching, tmp_path: Path) -> None:
    out = tmp_path / "results.csv"
    fake = searching(UNSAT)
    main(["bench", str(folder), "--out", str(out), "--limit", "2"])
    whole = out.read_bytes()
    # A kill in the middle of the second row.
    out.write_bytes(whole[:-20])
    fake.asked.clear()
    main(["bench", str(folder), "--out", str(out)])
    assert len(fake.asked) == 3
    assert [row["onnx"] for row in rows(out)] == [i.onnx for i in read_instances(folder)]
    fake.asked.clear()
    before = out.read_bytes()
    main(["bench", str(folder), "--out", str(out)])
    assert fake.asked == []
    assert out.read_bytes() == before


@given(cut=st.integers(0, 5000))
@example(cut=3)
def test_a_file_cut_anywhere_is_mended(cut: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("cut") / "results.csv"
    some = [row_of(verdict, "unsat") for verdict in ("sat", "unsat", "timeout")]
    with ResultsFile(path) as results:
        for row in some:
            results.append(row)
    whole = path.read_bytes()
    path.write_bytes(whole[: cut % (len(whole) + 1)])
    with ResultsFile(path) as results:
        kept = len(results.kept)
        assert list(results.kept) == some[:kept]
        for row in some[kept:]:
            results.append(row)
    assert path.read_bytes() == whole


def row_of(verdict: str, truth: str, seconds: float = 1.5, reason: str = 'a reason, with "quotes"') -> Row:
    return Row(
        set="some",
        onnx="a,b.onnx",
        vnnlib=f"p  {verdict}.vnnlib",
        tool="slir-milp",
        verdict=verdict,
        truth=truth,
        outcome=compare(verdict, truth),
        seconds=seconds,
        timeout=None,
        peak_mb=12.5,
        regions=5,
        closed_by={"bound": 3, "lp": 1},
        closed_fraction=0.5,
        reason=reason,
        document="documents/some/a-b.json",
        started="2026-01-02T03:04:05.678+00:00",
    )


def test_rows_stay_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    with ResultsFile(path) as results:
        results.append(row_of("error", "", reason="two\nlines"))
    assert path.read_text().count("\n") == 2


@pytest.mark.parametrize("content", ["my only thesis\n", "onnx,vnnlib\na,b\n", "a,b,1\nc,d,2"])
def test_a_foreign_file_is_left_alone(content: str, folder: Path, searching: Searching, tmp_path: Path) -> None:
    searching(UNSAT)
    out = tmp_path / "results.csv"
    out.write_text(content)
    assert main(["bench", str(folder), "--out", str(out)]) == 2
    assert out.read_text() == content


def test_results_of_two_engines_are_told_apart(folder: Path, searching: Searching, tmp_path: Path) -> None:
    searching(UNSAT)
    out = tmp_path / "results.csv"
    main(["bench", str(folder), "--out", str(out), "--limit", "1"])
    assert main(["bench", str(folder), "--out", str(out), "--engine", "lp", "--limit", "1"]) == 0
    assert [row["tool"] for row in rows(out)] == ["slir-milp", "slir-milp engine=lp"]


@pytest.mark.parametrize(
    ("verdict", "truth", "outcome"),
    [
        ("sat", "sat", Outcome.RIGHT),
        ("unsat", "sat", Outcome.WRONG),
        ("sat", "unsat", Outcome.WRONG),
        ("timeout", "unsat", Outcome.UNDECIDED),
        ("unsat", "unknown", Outcome.UNCHECKED),
        ("unsat", "", Outcome.UNCHECKED),
        ("error", "unsat", Outcome.ERROR),
    ],
)
def test_comparison(verdict: str, truth: str, outcome: Outcome) -> None:
    assert compare(verdict, truth) is outcome


def test_a_fault_in_one_instance_costs_no_other(folder: Path, searching: Searching, tmp_path: Path) -> None:
    searching(RuntimeError("a fault"), UNSAT)
    out = tmp_path / "results.csv"
    assert main(["bench", str(folder), "--out", str(out), "--limit", "2"]) == 1
    assert [row["verdict"] for row in rows(out)] == ["error", "unsat"]


@pytest.mark.parametrize("parallel", [1, 2])
def test_an_interrupted_instance_leaves_no_row(folder: Path, parallel: int) -> None:
    cancel = threading.Event()
    answers = iter([Answer("unsat", "proved"), Answer("unknown", "interrupted"), *[Answer("unknown", "late")] * 2])

    def decide(task: Task, network: Path, query: Path, cancelled: threading.Event) -> Answer:
        answer = next(answers)
        if answer.verdict == "unknown":
            cancel.set()
        return answer

    class Seen(Watcher):
        def __init__(self) -> None:
            self.rows: list[Row] = []

        def ends(self, row: Row) -> None:
            self.rows.append(row)

    seen = Seen()
    tasks = Selection((folder,)).tasks(("some",), None)
    with ResultsTable(None) as table:
        found = run_tasks(tasks, table, Locally(decide, parallel, seen), watcher=seen, cancel=cancel)
    assert [row.verdict for row in found] == ["unsat"]
    assert list(found) == seen.rows


def test_a_row_that_cannot_be_written_ends_the_run(folder: Path) -> None:
    class Full(ResultsTable):
        def keep(self, result: Result) -> Row:
            raise SlirError("the disk is full.")

    def decide(task: Task, network: Path, query: Path, cancelled: threading.Event) -> Answer:
        return Answer("unsat", "proved")

    tasks = Selection((folder,)).tasks(("some",), None)
    for parallel in (1, 2):
        with Full(None) as table, pytest.raises(SlirError, match="full"):
            watcher = Watcher()
            run_tasks(tasks, table, Locally(decide, parallel, watcher), watcher=watcher, cancel=threading.Event())


def test_sets_of_a_folder(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "second").mkdir()
    (tmp_path / "second/instances.csv").write_text("x.onnx,y.vnnlib,1\nx.onnx,y.vnnlib,2\n")
    found = find_sets((tmp_path, folder))
    assert [(s.name, len(s.instances)) for s in found] == [("bench", 6), ("second", 1)]
    other = tmp_path / "elsewhere/bench"
    other.mkdir(parents=True)
    (other / "instances.csv").write_text("x.onnx,y.vnnlib,1\n")
    assert main(["bench", str(folder), str(other)]) == 2
    assert "two sets have the name bench" in capsys.readouterr().err
    (other / "instances.csv").write_text('"x.onnx,y.vnnlib,1\nx.onnx",y.vnnlib,1\n')
    assert main(["bench", str(other)]) == 2
    assert "line break" in capsys.readouterr().err


@given(st.text(), st.text(), st.text(min_size=1))
def test_names_of_files_are_safe(onnx: str, vnnlib: str, tool: str) -> None:
    stem, name = file_stem(onnx, vnnlib, tool), folder_name(tool)
    for text in (stem, name):
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", text)
        assert not text.startswith(".")
        assert len(text) < 180
    assert stem != file_stem(onnx + "x", vnnlib, tool)
    assert stem != file_stem(onnx, vnnlib, tool + "x")
    assert folder_name("ml4acopf_2024") == "ml4acopf_2024"


@pytest.mark.parametrize(
    "lists", [{}, {"instances.csv": b"\xff\xfe\x00"}, {"instances.csv": b""}, {"truth.csv": b"no"}]
)
def test_bad_folders_get_a_sentence(
    lists: dict[str, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in lists.items():
        (tmp_path / name).write_bytes(content)
    assert main(["bench", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("slir-milp: error: ")


def test_cache_keeps_what_fits(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(bytes(10))
    loaded: list[Path] = []

    def load(path: Path) -> bytes:
        loaded.append(path)
        return path.read_bytes()

    cache = BoundedCache(load, 20)
    a, b, c = paths
    for path in (a, b, a, c, a, b):
        cache.get(path)
    assert loaded == [a, b, c, b]


def test_summary_names_the_slowest() -> None:
    summary = Summary((row_of("sat", "sat"), row_of("unsat", "", seconds=2.5), row_of("timeout", "")))
    assert "5.5 s in all; the slowest took 2.5 s: a,b.onnx p  unsat.vnnlib (unsat)." in str(summary)
    assert not summary.failed
    assert Summary((row_of("unsat", "sat"),)).failed
    assert str(Summary(())).startswith("0 instances")


def test_verdict_of_a_memory_error(folder: Path, searching: Searching, tmp_path: Path) -> None:
    searching(MemoryError(), Verdict(Status.UNKNOWN, Reason.TOO_SMALL))
    out = tmp_path / "results.csv"
    assert main(["bench", str(folder), "--out", str(out), "--limit", "2"]) == 0
    assert [row["outcome"] for row in rows(out)] == ["undecided", "undecided"]
