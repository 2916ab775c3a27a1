"""``slir-milp verify`` and its siblings, called in this process with the search replaced."""

import gzip
import json
import warnings
from collections.abc import Callable
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import pytest
from stand_in import BOX, DECLARATIONS, SAT, TIMEOUT, UNSAT, FakeSearch

from slir_milp.cli import main
from slir_milp.commands.arguments import build_parser, options
from slir_milp.query import load_query, parse_witness
from slir_milp.search.verdict import Engine, Options, Reason, Splitting, Status, Verdict

Searching = Callable[..., FakeSearch]
INTERRUPTED = Verdict(Status.UNKNOWN, Reason.INTERRUPTED, closed_fraction=0.5)


@pytest.mark.parametrize(
    ("verdict", "first_line", "code"),
    [
        (SAT, "sat", 0),
        (UNSAT, "unsat", 0),
        (TIMEOUT, "timeout", 3),
        (Verdict(Status.UNKNOWN, Reason.TOO_SMALL), "unknown", 3),
        (INTERRUPTED, "unknown", 130),
    ],
)
def test_first_line_and_exit_code(
    verdict: Verdict,
    first_line: str,
    code: int,
    network: Path,
    query: Path,
    searching: Searching,
    capsys: pytest.CaptureFixture[str],
) -> None:
    searching(verdict)
    assert main(["verify", str(network), str(query)]) == code
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == first_line
    assert verdict.reason.value in err.lower()


def test_witness_follows_and_reads_back(
    network: Path, query: Path, searching: Searching, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(SAT)
    main(["verify", str(network), str(query), "--quiet"])
    out, err = capsys.readouterr()
    assert err == ""
    x, y = parse_witness(out.removeprefix("sat\n"))
    assert SAT.witness is not None
    assert tuple(x) == SAT.witness.x
    assert tuple(map(float, y)) == SAT.witness.outputs


def test_json_says_it_all(network: Path, query: Path, searching: Searching, tmp_path: Path) -> None:
    searching(TIMEOUT)
    target = tmp_path / "result.json"
    target.write_text("of an earlier run")
    arguments = ["--timeout", "7.5", "--engine", "lp", "--split", "input", "--jobs", "2", "--memory-limit", "64"]
    assert main(["verify", str(network), str(query), *arguments, "--json", str(target)]) == 3
    document = json.loads(target.read_text())
    assert document["verdict"] == "timeout"
    assert document["reason"] == {"code": "time_limit", "text": Reason.TIME_LIMIT.value, "detail": "it was close"}
    assert document["witness"] is None
    assert document["near_miss"]["holds_in_runtime"]
    assert not document["near_miss"]["holds_exactly"]
    assert Fraction(document["near_miss"]["x_exact"][0]) == Fraction(1, 3)
    assert document["worst_bound"] == "-inf"
    assert document["open_regions"] == [
        {"lower": [0.0, 0.0], "upper": [1.0, 0.5], "bound": -0.25, "point": None, "margin": None}
    ]
    assert document["statistics"]["regions"] == 9
    assert document["options"] == {
        "timeout": 7.5,
        "memory_limit": 64_000_000,
        "engine": "lp",
        "splitting": "input",
        "slopes": "optimised",
        "delta": Options.delta,
        "solver": Options.solver,
        "jobs": 2,
        "seed": 0,
    }
    assert document["network"] == {"path": str(network), "sha256": sha256(network.read_bytes()).hexdigest()}
    assert document["query"] == {"path": str(query), "sha256": sha256(query.read_bytes()).hexdigest()}
    assert document["activations"] is None
    assert {"slir_milp", "python", "numpy"} <= set(document["versions"])
    assert 0 < document["seconds"] < 60
    assert list(tmp_path.glob("*.json*")) == [target]


def test_json_is_gone_when_the_run_fails(network: Path, searching: Searching, tmp_path: Path) -> None:
    searching(UNSAT)
    target = tmp_path / "result.json"
    target.write_text("of an earlier run")
    assert main(["verify", str(network), str(tmp_path / "absent.vnnlib"), "--json", str(target)]) == 2
    assert not target.exists()


@pytest.mark.parametrize("name", ["tiny.nnet", "tiny.vnnlib", ".", "absent/result.json"])
def test_json_that_cannot_be_written_is_refused_at_once(
    name: str, network: Path, query: Path, searching: Searching, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = searching(UNSAT)
    assert main(["verify", str(network), str(query), "--json", str(tmp_path / name)]) == 2
    assert "--json" in capsys.readouterr().err
    assert fake.asked == []
    assert network.exists()
    assert load_query(query).inputs == 2


def test_the_time_for_reading_counts(network: Path, query: Path, searching: Searching) -> None:
    fake = searching(UNSAT)
    main(["verify", str(network), str(query), "--timeout", "50"])
    asked = fake.asked[0].timeout
    assert asked is not None
    assert 30 < asked < 50


def test_time_that_ends_while_reading(
    network: Path, query: Path, searching: Searching, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = searching(UNSAT)
    assert main(["verify", str(network), str(query), "--timeout", "1e-9"]) == 3
    assert capsys.readouterr().out == "timeout\n"
    assert fake.asked == []


def test_memory_error_is_an_answer(
    network: Path, query: Path, searching: Searching, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(MemoryError())
    assert main(["verify", str(network), str(query)]) == 3
    assert capsys.readouterr().out == "unknown\n"


def test_partial_knowledge_is_shown_and_rounded_soundly(
    network: Path, query: Path, searching: Searching, capsys: pytest.CaptureFixture[str]
) -> None:
    searching(TIMEOUT)
    main(["verify", str(network), str(query)])
    err = capsys.readouterr().err
    assert "99.99 %" in err
    assert "0.123456 <= Y_0 <= 2" in err
    assert "not in exact arithmetic" in err


def damaged(folder: Path, network: Path, query: Path) -> dict[str, tuple[Path, Path, str]]:
    """Inputs that must be refused, with a word that the complaint must have."""
    garbage = folder / "garbage.onnx"
    garbage.write_bytes(bytes(range(256)) * 8)
    text = folder / "garbage.vnnlib"
    text.write_bytes(bytes(range(256)) * 8)
    empty = folder / "empty.onnx"
    empty.touch()
    cut = folder / "cut.vnnlib.gz"
    cut.write_bytes(gzip.compress(query.read_bytes())[:-9])
    other = folder / "other.vnnlib"
    other.write_text(f"{DECLARATIONS}(declare-const X_2 Real)\n{BOX}(assert (and (<= X_2 1) (>= X_2 0) (>= Y_0 3)))")
    open_ended = folder / "open.vnnlib"
    open_ended.write_text(f"{DECLARATIONS}(assert (and (<= X_0 1) (>= X_0 0) (<= X_1 1) (>= Y_0 3)))")
    return {
        "no network": (folder / "absent.onnx", query, "absent.onnx"),
        "no query": (network, folder / "absent.vnnlib", "absent.vnnlib"),
        "a folder as network": (folder, query, str(folder)),
        "a folder as query": (network, folder, str(folder)),
        "garbage as network": (garbage, query, "garbage.onnx"),
        "garbage as query": (network, text, ""),
        "an empty network": (empty, query, ""),
        "a query as network": (query, query, ""),
        "a network as query": (network, network, ""),
        "a cut archive": (network, cut, "gzip"),
        "another number of inputs": (network, other, "3 inputs"),
        "an unbounded input": (network, open_ended, "X_1"),
    }


def test_bad_input_gets_a_sentence(
    network: Path, query: Path, searching: Searching, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = searching(UNSAT)
    for what, (first, second, word) in damaged(tmp_path, network, query).items():
        assert main(["verify", str(first), str(second)]) == 2, what
        out, err = capsys.readouterr()
        assert out == "", what
        assert err.startswith("slir-milp: error: "), what
        assert word in err, what
        assert "Traceback" not in err, what
    assert fake.asked == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["verify"],
        ["verify", "one"],
        ["verify", "one", "two", "three"],
        ["verify", "one", "two", "--timeout", "0"],
        ["verify", "one", "two", "--timeout", "nan"],
        ["verify", "one", "two", "--timeout", "inf"],
        ["verify", "one", "two", "--memory-limit", "-1"],
        ["verify", "one", "two", "--engine", "magic"],
        ["verify", "one", "two", "--jobs", "-1"],
        ["verify", "one", "two", "--jobs", "1.5"],
        ["verify", "one", "two", "--time", "3"],
        ["bench"],
        ["bench", "folder", "--limit", "0"],
        ["problems"],
        ["nonsense"],
    ],
)
def test_bad_arguments_get_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("slir-milp: error: ")
    assert "--help" in err


@pytest.mark.parametrize("command", [[], ["verify"], ["bench"], ["info"], ["problems"], ["problems", "fetch"]])
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: slir-milp")


def test_options_default_to_the_library_s() -> None:
    parsed = options(build_parser().parse_args(["verify", "a", "b"]))
    assert (parsed.timeout, parsed.memory_limit, parsed.jobs, parsed.seed) == (None, None, 0, 0)
    assert (parsed.engine, parsed.splitting) == (Engine.AUTO, Splitting.AUTO)


def test_warnings_are_sentences(
    network: Path, searching: Searching, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from slir_milp.errors import SlirWarning

    searching(UNSAT)
    query = tmp_path / "q.vnnlib"
    query.write_text(f"{DECLARATIONS}{BOX}(assert (>= X_0 2))(assert (>= Y_0 3))")

    def warn(*_: object, **__: object) -> Verdict:
        warnings.warn(SlirWarning("something odd"), stacklevel=1)
        return UNSAT

    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        warnings.simplefilter("default")
        patch.setattr("slir_milp.search.verify", warn, raising=False)
        assert main(["verify", str(network), str(query), "--quiet"]) == 0
    assert capsys.readouterr().err == "slir-milp: warning: something odd\n"


def test_a_fault_of_the_program_is_confessed(
    network: Path,
    query: Path,
    searching: Searching,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    searching(KeyError("a fault"))
    assert main(["verify", str(network), str(query)]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert "report" in err
    (trace,) = tmp_path.glob("slir-milp-fault-*.txt")
    assert trace.name in err
    assert "KeyError: 'a fault'" in trace.read_text()

    monkeypatch.setenv("SLIR_MILP_DEBUG", "1")
    assert main(["verify", str(network), str(query)]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_info_shows_the_normal_form(network: Path, query: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(network), str(query)]) == 0
    out = capsys.readouterr().out
    assert sha256(network.read_bytes()).hexdigest() in out
    assert "2 relu" in out
    assert "1 conjunction over 1 box" in out
    assert "-1.0 <= X_1 <= 1.0" in out
