"""``slir-milp check`` and ``slir-milp show-proof``, on proofs made by hand."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in import BOX, DECLARATIONS, TINY

from slir_milp.certificate import check as checker
from slir_milp.certificate.check.tree import Tree
from slir_milp.certificate.file import Header
from slir_milp.certificate.format import (
    HEAD,
    NO_LAYER,
    Combination,
    Entry,
    Kind,
    Lines,
    Numbers,
    Pairs,
    Ratios,
    RawEntry,
    Shares,
    pack,
    unpack,
)
from slir_milp.certificate.show import objects, summary
from slir_milp.certificate.write import ProofWriter
from slir_milp.cli import main

COMMAND_LINE = (Path(__file__).parent.parent / "docs/command-line.md").read_text(encoding="utf-8")
UNSAT_ATOM = 4
"""Number of the inequality on the output; the four before it make the box."""
Captured = pytest.CaptureFixture[str]


def write(path: Path, network: Path, query: Path, entries: list[Entry], **fields: Any) -> Path:
    """Write a proof about the tiny network."""
    digests: dict[str, Any] = {
        name: sha256(file.read_bytes()).hexdigest() for name, file in (("network", network), ("query", query))
    }
    header = Header(**{"claim": "unsat", "witness": None, **fields}, **SIZES, **digests)
    writer = ProofWriter(path, header)
    for entry in entries:
        writer.append(pack(entry, header.index))
    writer.commit()
    return path


SIZES: dict[str, Any] = {
    "activations": "",
    "inputs": 2,
    "outputs": 1,
    "layers": (2,),
    "index": 2,
    "writer": "a test",
}


def refuted(node: int) -> Entry:
    """A leaf: the row on the output, once."""
    weights = Numbers(np.array([UNSAT_ATOM], dtype=np.uint16), np.array([1.0]))
    return Entry(Kind.REFUTED, node, first_layer=0, combination=Combination(weights))


def tree(depth: int, *, steps: bool = False) -> list[Entry]:
    """Input 0 halved again and again: ``2 ** depth`` leaves."""
    entries: list[Entry] = []
    level, first = [(0, -1.0, 1.0)], 1
    for _ in range(depth):
        below = []
        for node, low, high in level:
            middle = (low + high) / 2
            entries.append(Entry(Kind.SPLIT_INPUT, node, first_layer=0, index=0, value=middle, first=first))
            below += [(first, low, middle), (first + 1, middle, high)]
            first += 2
        level = below
    for node, _, _ in level:
        entries += [Entry(Kind.TIGHTEN, node, first_layer=0)] if steps else []
        entries.append(refuted(node))
    return entries


@pytest.fixture
def proof(tmp_path: Path, network: Path, query: Path) -> Path:
    """A proof with eight leaves that the tiny query is not met."""
    return write(tmp_path / "run.proof", network, query, tree(3))


# --- check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "arithmetic"), [([], "ball"), (["--exact"], "exact"), (["--jobs", "1"], "ball"), (["--plain"], "plain")]
)
def test_one_line_and_a_word_on_the_readers(
    options: list[str], arithmetic: str, proof: Path, network: Path, query: Path, capsys: Captured
) -> None:
    assert main(["check", str(proof), str(network), str(query), *options]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"accepted: unsat, 8 leaves, {arithmetic}, [0-9.e-]+ m?s\n", out)
    assert err == "The network was read by two independent readers, which agree.\n"
    assert main(["check", str(proof), str(network), str(query), *options, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_tie_needs_exact_arithmetic(tmp_path: Path, network: Path, capsys: Captured) -> None:
    query = tmp_path / "tie.vnnlib"
    query.write_text(f"{DECLARATIONS}{BOX}(assert (> Y_0 2))\n")  # 2 is reached
    proof = write(tmp_path / "tie.proof", network, query, [refuted(0)])
    assert main(["check", str(proof), str(network), str(query)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("accepted: unsat, 1 leaf, ball, 1 node exactly, ")
    assert "1 node needed exact arithmetic." in err


def test_a_wrong_leaf_is_rejected(tmp_path: Path, network: Path, capsys: Captured) -> None:
    query = tmp_path / "reached.vnnlib"
    query.write_text(f"{DECLARATIONS}{BOX}(assert (>= Y_0 1.5))\n")
    proof = write(tmp_path / "wrong.proof", network, query, tree(2))
    for options in ([], ["--exact"]):
        assert main(["check", str(proof), str(network), str(query), *options]) == 1
        out = capsys.readouterr().out
        assert re.fullmatch(r"rejected: node \d+ cannot be confirmed: its combination is bounded by -0.5 only.\n", out)


@pytest.mark.parametrize("wrong", [0, 3, 500])
def test_processes_find_what_one_finds(
    wrong: int, tmp_path: Path, network: Path, query: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Node 500 is a leaf, 3 is divided while work is shared out, and 0 is no leaf of the tree: all goes well."""
    entries = tree(8)
    broken = [Entry(Kind.EMPTY, wrong) if entry.node == wrong else entry for entry in entries]
    proof = write(tmp_path / "run.proof", network, query, broken if wrong else entries)
    monkeypatch.setattr(checker, "_FEW", 10)
    code = main(["check", str(proof), str(network), str(query), "--jobs", "2"])
    out = capsys.readouterr().out
    if wrong:
        assert (code, out) == (
            1,
            f"rejected: node {wrong} cannot be confirmed: its bounds do not exclude each other.\n",
        )
    else:
        assert code == 0
        assert out.startswith("accepted: unsat, 256 leaves, ball, ")


def test_a_witness_is_replayed(tmp_path: Path, network: Path, capsys: Captured) -> None:
    query = tmp_path / "met.vnnlib"
    query.write_text(f"{DECLARATIONS}{BOX}(assert (>= Y_0 1.5))\n")
    good = write(tmp_path / "good.proof", network, query, [], claim="sat", witness=("3/4", "0x1.8p-1"))
    assert main(["check", str(good), str(network), str(query)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("accepted: sat, exact, ")
    assert "NumPy's outputs (float32) meet the query too." in err
    bad = write(
        tmp_path / "bad.proof", network, query, [], claim="sat", witness=("3/4", "0.74999".replace("0.", "0/1"))
    )
    assert main(["check", str(bad), str(network), str(query)]) == 1
    assert capsys.readouterr().out == "rejected: the point is no witness: it does not meet the query.\n"


def damaged(how: str, proof: bytes) -> bytes:
    content = gzip.decompress(proof)
    return {
        "cut short": proof[:-9],
        "cut short by much": proof[: len(proof) // 2],
        "empty": b"",
        "no gzip": b"slir-milp proof 1\n",
        "another format": gzip.compress(b"something else\n"),
        "a leaf left out": gzip.compress(_without_a_leaf(content)),
        "more behind": gzip.compress(content + b"x"),
    }[how]


def _without_a_leaf(content: bytes) -> bytes:
    """Drop the last leaf, and count one less."""
    size = len(pack(refuted(1), 2))
    end = len(content) - HEAD.size - 8
    count = int.from_bytes(content[-8:], "little") - 1
    return content[: end - size] + content[end:-8] + count.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("cut short", "ends in the middle"),
        ("cut short by much", "ends in the middle"),
        ("empty", "is no proof|ends in the middle"),
        ("no gzip", "is no proof: it is no gzip file"),
        ("another format", "is no proof"),
        ("a leaf left out", "left open"),
        ("more behind", "goes on after its end"),
    ],
)
def test_damage_is_a_rejection(
    how: str, reason: str, proof: Path, network: Path, query: Path, capsys: Captured
) -> None:
    proof.write_bytes(damaged(how, proof.read_bytes()))
    assert main(["check", str(proof), str(network), str(query), "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert re.fullmatch(rf"rejected: [^\n]*({reason})[^\n]*\.\n", out)
    assert err == ""


def test_other_files_are_a_rejection(proof: Path, network: Path, query: Path, tmp_path: Path, capsys: Captured) -> None:
    other = tmp_path / "other.nnet"
    other.write_text(TINY.replace("1.0,0.0,\n0.0,1.0", "1.0,0.0,\n0.0,1.5"))
    assert main(["check", str(proof), str(other), str(query)]) == 1
    assert "the proof is about another network" in capsys.readouterr().out
    query.write_text(query.read_text() + "; a remark\n")
    assert main(["check", str(proof), str(network), str(query)]) == 1
    assert "the proof is about another query" in capsys.readouterr().out


def test_files_that_are_not_there_or_no_files_of_the_kind(
    proof: Path, network: Path, query: Path, tmp_path: Path, capsys: Captured
) -> None:
    absent, text = tmp_path / "absent", tmp_path / "text.onnx"
    text.write_text("no network")
    named = [str(proof), str(network), str(query)]
    for place in range(3):
        for wrong in (absent, tmp_path):
            assert main(["check", *named[:place], str(wrong), *named[place + 1 :]]) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert str(wrong) in err
    assert main(["check", str(proof), str(text), str(query)]) == 2
    assert main(["check", *named, "--activations", str(absent)]) == 2
    assert main(["check", *named, "--json", str(proof)]) == 2
    assert main(["check", *named, "--jobs", "-1"]) == 2
    assert proof.exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (KeyboardInterrupt(), "interrupted: 0 leaves closed, 3 nodes seen; nothing wrong so far.", 130),
        (MemoryError(), "undecided: the system has no more memory to give; 0 leaves closed, 3 nodes seen.", 3),
        (BrokenProcessPool(), "undecided: the system ended a process, most likely for want of memory; .* seen.", 3),
    ],
)
def test_what_is_known_when_it_ends_early(
    error: BaseException,
    line: str,
    code: int,
    proof: Path,
    network: Path,
    query: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    whole, calls = Tree.close, iter(range(1000))

    def close(self: Tree, nodes: Any) -> Iterator[Any]:
        if next(calls) == 2:
            raise error
        return whole(self, nodes)

    monkeypatch.setattr(Tree, "close", close)
    target = tmp_path / "check.json"
    assert main(["check", str(proof), str(network), str(query), "--json", str(target)]) == code
    out, err = capsys.readouterr()
    assert re.fullmatch(f"{line}\n", out)
    assert err == ""
    document = json.loads(target.read_text())
    assert document["verdict"] == line.partition(":")[0]
    assert document["leaves"] is None


def test_progress_is_shown_on_a_terminal_and_removed(
    proof: Path, network: Path, query: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    from slir_milp.commands import check

    monkeypatch.setattr(check, "_REDRAW_EVERY", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["check", str(proof), str(network), str(query)]) == 0
    shown = capsys.readouterr().err
    assert re.search(r"\r\x1b\[K8 leaves closed, 15 nodes seen, [^\r]*\r\x1b\[KThe network was read", shown)


@pytest.mark.parametrize("claim", ["unsat", "sat", "wrong"])
def test_json_says_it_all(
    claim: str, proof: Path, network: Path, query: Path, tmp_path: Path, capsys: Captured
) -> None:
    if claim == "sat":
        query.write_text(f"{DECLARATIONS}{BOX}(assert (>= Y_0 1.5))\n")
        write(proof, network, query, [], claim="sat", witness=("1", "1"))
    elif claim == "wrong":
        write(proof, network, query, [Entry(Kind.EMPTY, 0)])
    target = tmp_path / "check.json"
    code = main(["check", str(proof), str(network), str(query), "--exact", "--jobs", "1", "--json", str(target)])
    document = json.loads(target.read_text())
    assert {name for name in (*document, *document["options"]) if f"`{name}`" not in COMMAND_LINE} == set()
    assert document["verdict"] == ("rejected" if claim == "wrong" else "accepted")
    assert code == (claim == "wrong")
    assert document["reasons"] == (
        ["node 0 cannot be confirmed: its bounds do not exclude each other."] if claim == "wrong" else []
    )
    assert document["claim"] == ("sat" if claim == "sat" else "unsat")
    assert document["arithmetic"] == "exact"
    assert document["read_twice"] is True
    if claim == "unsat":
        assert (document["nodes"], document["leaves"], document["nodes_exactly"]) == (15, 8, 0)
    assert (document["runtime"] is not None) is (claim == "sat")
    assert document["writer"] == "a test"
    for name, path in (("proof", proof), ("network", network), ("query", query)):
        assert document[name] == {"path": str(path), "sha256": sha256(path.read_bytes()).hexdigest()}
    assert (document["activations"], document["repaired"], document["nodes_searched_again"]) == (None, None, None)
    assert {"slir_milp", "python", "numpy", "python-flint"} <= document["versions"].keys()
    assert (document["format"], document["options"]) == (1, {"exact": True, "jobs": 1, "plain": False, "timeout": None})


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_all_processes(jobs: int, tmp_path: Path, network: Path, query: Path) -> None:
    proof = write(tmp_path / "large.proof", network, query, tree(15, steps=True))
    command = [sys.executable, "-m", "slir_milp", "check", str(proof), str(network), str(query), "--jobs", str(jobs)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        time.sleep(4)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert re.fullmatch(r"interrupted: [\d,]+ leaves closed, [\d,]+ nodes seen; nothing wrong so far.\n", out)
    assert err == ""


# --- show-proof ----------------------------------------------------------------------------------------------------

small = st.integers(0, 0xFFFF)
real = st.floats(allow_nan=False, allow_infinity=False)
weight = st.floats(0, allow_infinity=False)


def columns(*kinds: st.SearchStrategy[Any], build: Callable[..., Any], types: list[str]) -> st.SearchStrategy[Any]:
    def built(rows: list[tuple[Any, ...]]) -> Any:
        return build(*(np.array([row[i] for row in rows], dtype=kind) for i, kind in enumerate(types)))

    return st.lists(st.tuples(small, *kinds), max_size=3).map(built)


def numbers(values: st.SearchStrategy[float]) -> st.SearchStrategy[Numbers]:
    return columns(values, build=Numbers, types=["u2", "f8"])


def ratios(least: int) -> st.SearchStrategy[Ratios]:
    return columns(st.integers(least, 2**63 - 1), st.integers(1, 2**64 - 1), build=Ratios, types=["u2", "i8", "u8"])


LINES = st.builds(
    Lines,
    columns(st.integers(0, 128), build=Shares, types=["u2", "u1"]),
    numbers(real),
    ratios(-(2**63)),
    columns(real, real, build=Pairs, types=["u2", "f8", "f8"]),
)
COMBINATIONS = st.builds(Combination, numbers(weight), ratios(0), weight, LINES, numbers(real), ratios(-(2**63)))
ENTRIES = st.one_of(
    st.builds(Entry, st.just(Kind.TIGHTEN), small, small, st.none() | LINES, small),
    st.builds(Entry, st.just(Kind.NEURON), small, index=small, side=st.integers(-1, 1), lines=LINES),
    st.builds(
        Entry,
        st.sampled_from([Kind.SPLIT_INPUT, Kind.SPLIT_NEURON]),
        small,
        small,
        start=st.none() | LINES,
        index=small,
        value=real,
        first=st.integers(0, 2**64 - 1),
        combination=st.none() | COMBINATIONS,
    ),
    st.builds(Entry, st.just(Kind.CASES), small, index=small, first=small),
    st.builds(Entry, st.just(Kind.REFUTED), small, small, st.none() | LINES, combination=COMBINATIONS),
    st.builds(Entry, st.just(Kind.EMPTY), small, small, st.none() | LINES),
)


def entry_of(content: dict[str, Any]) -> Entry:
    """An entry read back from its JSON."""
    index = next((content[name] for name in ("input", "neuron", "alternative") if name in content), 0)
    from_layer, until = (NO_LAYER if content.get(name) is None else content[name] for name in ("from", "until"))
    return Entry(
        Kind[content["entry"]],
        content["node"],
        from_layer,
        lines_of(content["start"]) if "start" in content else None,
        until,
        index,
        float.fromhex(content.get("value", "0x0p+0")),
        content.get("first", 0),
        content.get("side", 0),
        lines_of(content["lines"]) if "lines" in content else None,
        combination_of(content["combination"]) if "combination" in content else None,
    )


def lines_of(content: dict[str, Any]) -> Lines:
    shares = [(i, Fraction(k) * 128) for i, k in content.get("shares", [])]
    pairs = [(i, float.fromhex(a), float.fromhex(b)) for i, a, b in content.get("pairs", [])]
    return Lines(
        Shares(*(np.array([row[at] for row in shares], dtype=kind) for at, kind in enumerate(("u2", "u1")))),
        *numbers_of(content.get("slopes", [])),
        Pairs(*(np.array([row[at] for row in pairs], dtype=kind) for at, kind in enumerate(("u2", "f8", "f8")))),
    )


def combination_of(content: dict[str, Any]) -> Combination:
    weights, conditions = numbers_of(content["weights"]), numbers_of(content["conditions"])
    return Combination(*weights, float.fromhex(content["inherited"]), lines_of(content["lines"]), *conditions)


def numbers_of(pairs: list[tuple[int, str]]) -> tuple[Numbers, Ratios]:
    floats = [(i, float.fromhex(text)) for i, text in pairs if "/" not in text]
    exact = [(i, *map(int, text.split("/"))) for i, text in pairs if "/" in text]
    return (
        Numbers(*(np.array([row[at] for row in floats], dtype=kind) for at, kind in enumerate(("u2", "f8")))),
        Ratios(*(np.array([row[at] for row in exact], dtype=kind) for at, kind in enumerate(("u2", "i8", "u8")))),
    )


@given(st.lists(ENTRIES, max_size=5))
def test_json_holds_every_bit_of_a_proof(tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]) -> None:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "n").write_text("n")
    proof = write(folder / "p", folder / "n", folder / "n", entries)
    head, *found, end = (json.loads(json.dumps(content)) for content in objects(proof))
    assert [pack(entry_of(content), 2) for content in found] == [pack(entry, 2) for entry in entries]
    assert end == {"entry": "END", "entries": len(entries)}
    assert head["format"] == "slir-milp proof 1"
    assert Header(**{**SIZES, "claim": "unsat", "network": head["network"], "query": head["query"]}).to_line() == (
        gzip.decompress(proof.read_bytes()).split(b"\n")[1] + b"\n"
    )
    counted = summary(proof)
    assert sum(counted.kinds.values()) == len(entries)
    assert counted.unpacked == len(gzip.decompress(proof.read_bytes()))
    assert counted.stored == proof.stat().st_size


def test_show_proof_prints_json_lines(proof: Path, capsys: Captured, tmp_path: Path) -> None:
    assert main(["show-proof", str(proof)]) == 0
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == 1 + 15 + 1
    assert lines[1] == {"entry": "SPLIT_INPUT", "node": 0, "from": 0, "input": 0, "value": "0x0.0p+0", "first": 1}
    assert lines[-2]["combination"] == {
        "weights": [[UNSAT_ATOM, "0x1.0000000000000p+0"]],
        "inherited": "0x0.0p+0",
        "lines": {},
        "conditions": [],
    }
    assert main(["show-proof", str(proof), "--out", str(tmp_path / "run.jsonl")]) == 0
    assert (tmp_path / "run.jsonl").read_text() == out


def test_summary_counts(proof: Path, capsys: Captured) -> None:
    assert main(["show-proof", str(proof), "--summary"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^leaves +8, each [\d.]+ bytes, unpacked [\d.]+$", out, re.MULTILINE)
    assert re.search(r"^depth +3$", out, re.MULTILINE)
    assert re.search(r"^ +7 SPLIT_INPUT$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("entries", "depth"),
    [
        ([], 0),
        ([refuted(0)], 0),
        (
            [
                Entry(Kind.CASES, 0, first=10),
                refuted(10),
                refuted(12),
                Entry(Kind.SPLIT_INPUT, 11, first=1),
                refuted(2),
            ],
            2,
        ),
        (list(reversed(tree(5))), 5),
        ([Entry(Kind.SPLIT_INPUT, 5, first=5), refuted(5)], None),
        ([Entry(Kind.SPLIT_INPUT, 3, first=8), Entry(Kind.SPLIT_INPUT, 9, first=2), refuted(9)], None),
    ],
)
def test_depth_is_that_of_the_tree(
    entries: list[Entry], depth: int | None, tmp_path: Path, network: Path, query: Path
) -> None:
    assert summary(write(tmp_path / "p", network, query, entries)).depth == depth


def test_a_damaged_proof_is_shown_up_to_the_damage(proof: Path, capsys: Captured, tmp_path: Path) -> None:
    proof.write_bytes(gzip.compress(gzip.decompress(proof.read_bytes())[:-30]))
    assert main(["show-proof", str(proof)]) == 2
    out, err = capsys.readouterr()
    assert all(json.loads(line) for line in out.splitlines())
    assert len(out.splitlines()) > 10
    assert "ends in the middle" in err
    target = tmp_path / "out.jsonl"
    assert main(["show-proof", str(proof), "--out", str(target)]) == 2
    assert main(["show-proof", str(proof), "--summary"]) == 2
    assert main(["show-proof", str(tmp_path / "absent")]) == 2
    assert main(["show-proof", str(proof), "--out", str(proof)]) == 2
    assert not target.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_entry_is_read_as_it_was_packed() -> None:
    data = pack(refuted(7), 2)
    kind, flags, first_layer, size, node = HEAD.unpack_from(data)
    assert len(data) == HEAD.size + size
    assert unpack(RawEntry(kind, flags, first_layer, node, data[HEAD.size :]), 2).node == 7
