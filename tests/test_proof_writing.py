"""Proofs that the search writes: whole files or none, trees whose leaves are all closed, the usual verdicts."""

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_in import hard_problem
from tiny_cases import tiny_case

from slir_milp.certificate import file as proof_file
from slir_milp.certificate.check import Files, check
from slir_milp.certificate.check.query import read_query
from slir_milp.certificate.file import MAGIC, Header, open_proof
from slir_milp.certificate.format import (
    HEAD,
    Combination,
    Entry,
    Kind,
    Lines,
    Numbers,
    Ratios,
    RawEntry,
    Shares,
    pack,
    pack_end,
    unpack,
)
from slir_milp.certificate.write import Branch, ProofWriter, count_entries
from slir_milp.cli import main
from slir_milp.errors import OptionError, ProofError
from slir_milp.network import load_network
from slir_milp.network.affine import Affine
from slir_milp.network.nnet import read_nnet
from slir_milp.network.normal_form import Network
from slir_milp.problems.catalogue import ProblemInfo, QueryInfo, list_problems
from slir_milp.query import Atom, Box, Query, load_query, parse_query, write_query
from slir_milp.query.box import cut, tighten
from slir_milp.query.formula import numbering
from slir_milp.search import Engine, Options, Splitting, Status, verify

pytestmark = pytest.mark.filterwarnings("ignore:the query:slir_milp.errors.SlirWarning")

HEADER = Header("unsat", "0" * 64, "1" * 64, "", 2, 1, (2,), 2, "a test")
STEPS = (Kind.TIGHTEN, Kind.NEURON)
INDEX = np.array([1, 7], dtype=np.uint16)
COMBINATION = Combination(
    weights=Numbers(INDEX, np.array([0.5, 2.0])),
    weight_fractions=Ratios(INDEX[:1], np.array([3]), np.array([7], dtype=np.uint64)),
    inherited=0.25,
    lines=Lines(shares=Shares(INDEX, np.array([0, 128], dtype=np.uint8))),
    conditions=Numbers(INDEX, np.array([-1.0, 1.0])),
)
ENTRIES = (
    Entry(Kind.TIGHTEN, 0, 0, until=2),
    Entry(Kind.NEURON, 0, index=3, side=-1, lines=Lines(slopes=Numbers(INDEX, np.array([0.5, -1.0])))),
    Entry(Kind.SPLIT_NEURON, 0, 1, index=4, value=0.5, first=1, combination=COMBINATION),
    Entry(Kind.REFUTED, 1, 1, combination=COMBINATION),
    Entry(Kind.CASES, 2, index=0, first=3),
    Entry(Kind.EMPTY, 3),
)


# --- the bytes --------------------------------------------------------------------------------------------------------


def raw(data: bytes) -> RawEntry:
    kind, flags, first_layer, size, node = HEAD.unpack_from(data)
    assert len(data) == HEAD.size + size
    return RawEntry(kind, flags, first_layer, node, data[HEAD.size :])


@pytest.mark.parametrize("width", [2, 4])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind.name)
def test_every_byte_of_an_entry_counts(entry: Entry, width: int) -> None:
    """What was packed is read as it was; with a byte less or more it is nothing."""
    packed = pack(entry, width)
    found = raw(packed)
    assert pack(unpack(found, width), width) == packed
    assert found.first_layer == entry.first_layer
    for size in range(len(found.payload)):
        with pytest.raises(ProofError, match=f"node {entry.node}"):
            unpack(found._replace(payload=found.payload[:size]), width)
    with pytest.raises(ProofError, match="left over"):
        unpack(found._replace(payload=found.payload + b"\0"), width)


def wrong(**changes: Any) -> Entry:
    return Entry(Kind.REFUTED, 5, combination=replace(COMBINATION, **changes))


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (wrong(weights=Numbers(INDEX, np.array([0.5, np.nan]))), "not finite"),
        (wrong(weights=Numbers(INDEX, np.array([0.5, -1.0]))), "negative"),
        (wrong(weight_fractions=Ratios(INDEX[:1], np.array([-3]), np.array([7], dtype=np.uint64))), "negative"),
        (wrong(condition_fractions=Ratios(INDEX[:1], np.array([3]), np.array([0], dtype=np.uint64))), "zero"),
        (wrong(inherited=-1.0), "negative"),
        (wrong(inherited=np.inf), "not finite"),
        (wrong(lines=Lines(shares=Shares(INDEX, np.array([1, 129], dtype=np.uint8)))), "129"),
        (Entry(Kind.SPLIT_INPUT, 5, value=np.inf), "not finite"),
        (Entry(Kind.NEURON, 5, side=2), "side"),
        (Entry(Kind.REFUTED, 5), "flags"),
        (Entry(Kind.EMPTY, 5, combination=COMBINATION), "flags"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_numbers_that_cannot_be(entry: Entry, text: str) -> None:
    with pytest.raises(ProofError, match=rf"node 5.*{text}"):
        unpack(raw(pack(entry, 2)), 2)


def test_a_list_longer_than_its_entry_is_not_allocated() -> None:
    packed = bytearray(pack(Entry(Kind.REFUTED, 5, combination=COMBINATION), 2))
    packed[16:20] = b"\xff\xff\xff\xff"
    with pytest.raises(ProofError, match="4294967295 parts"):
        unpack(raw(bytes(packed)), 2)


# --- the file ---------------------------------------------------------------------------------------------------------


def packed_file(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content))
    return path


def whole(entries: tuple[Entry, ...] = ENTRIES) -> bytes:
    return MAGIC + HEADER.to_line() + b"".join(pack(entry, 2) for entry in entries) + pack_end(len(entries))


def read(path: Path) -> tuple[Header, list[RawEntry]]:
    with open_proof(path) as (header, entries):
        return header, list(entries)


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    header, entries = read(packed_file(tmp_path / "p", whole()))
    assert header == HEADER
    assert b"".join(pack(unpack(entry, 2), 2) for entry in entries) == b"".join(pack(e, 2) for e in ENTRIES)


def test_any_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    """Both of what is packed and of what it is packed into."""
    content, path = whole(), tmp_path / "p"
    for size in range(len(content)):
        with pytest.raises(ProofError, match=str(path)):
            read(packed_file(path, content[:size]))
    stored = gzip.compress(content)
    for size in range(len(stored)):
        path.write_bytes(stored[:size])
        with pytest.raises(ProofError, match=str(path)):
            read(path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"slir-milp proof 2\n" + whole()[len(MAGIC) :], "no proof of version 1"),
        (whole() + b"\0", "goes on after its end"),
        (whole().replace(pack_end(6), pack_end(5)), "count its entries"),
        (MAGIC + b" " * 2_000_000, "its header"),
        (MAGIC + b"{}\n", "missing"),
        (MAGIC + b"[" * 100_000 + b"\n", "no JSON"),
        (MAGIC + HEADER.to_line().replace(b'"inputs":2', b'"inputs":2,"inputs":2'), "twice"),
        (MAGIC + HEADER.to_line().replace(b'"inputs":2', b'"inputs":true'), "size"),
        (MAGIC + HEADER.to_line().replace(b'"inputs":2', b'"inputs":2,"more":1'), "not known"),
        (MAGIC + HEADER.to_line() + HEAD.pack(6, 2, 0, 2**31, 0), "2147483648 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_files_get_a_sentence(content: bytes, text: str, tmp_path: Path) -> None:
    with pytest.raises(ProofError, match=text):
        read(packed_file(tmp_path / "p", content))


def test_no_more_is_unpacked_than_a_proof_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof_file, "LARGEST_FILE", 1 << 20)
    entries = pack(Entry(Kind.EMPTY, 1), 2) * 200_000
    with pytest.raises(ProofError, match="larger than 1048576 bytes"):
        read(packed_file(tmp_path / "p", MAGIC + HEADER.to_line() + entries))


def test_a_witness_is_exact(tmp_path: Path) -> None:
    header = replace(HEADER, claim="sat", witness=("-0x1.8p-3", "1/3"))
    ProofWriter(tmp_path / "p", header).commit()
    assert read(tmp_path / "p") == (header, [])
    assert header.point == (Fraction(-3, 16), Fraction(1, 3))
    for number in ("1/0", "0.5", "nan", "1e400", "0x1p-1 "):
        with pytest.raises(ProofError, match="no number"):
            replace(header, witness=("1", number))


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_proof_appears_when_it_is_whole(tmp_path: Path) -> None:
    """From several threads at once; before that an earlier one of the name is gone, and nothing else stays behind."""
    path = tmp_path / "p"
    path.write_text("an earlier proof")
    writer = ProofWriter(path, HEADER)
    assert not path.exists()

    def work() -> None:
        for _ in range(200):
            writer.append(pack(Entry(Kind.EMPTY, writer.reserve(1)), 2))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.commit()
    _, entries = read(path)
    assert sorted(entry.node for entry in entries) == list(range(1, 801))
    assert [p.name for p in tmp_path.iterdir()] == ["p"]
    writer.discard()
    assert path.exists()
    with pytest.raises(ProofError, match="ended before"):
        writer.commit()


def test_equal_proofs_are_equal_files(tmp_path: Path) -> None:
    for name in "ab":
        writer = ProofWriter(tmp_path / name, HEADER)
        writer.append(b"".join(pack(entry, 2) for entry in ENTRIES))
        writer.commit()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_nothing_is_left_of_a_proof_that_is_given_up(tmp_path: Path) -> None:
    for end in ("discard", "forgotten"):
        writer = ProofWriter(tmp_path / "p", HEADER)
        writer.append(pack(ENTRIES[0], 2) * 100_000)
        assert list(tmp_path.iterdir())
        if end == "discard":
            writer.discard()
        del writer
        assert not list(tmp_path.iterdir())


def test_a_full_disk_and_a_missing_folder_get_sentences(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    writer = ProofWriter("/dev/full", HEADER)
    with pytest.raises(ProofError, match="cannot be written to /dev/full: No space left"):
        for seed in range(100):
            writer.append(np.random.default_rng(seed).bytes(1 << 18), 1)
    with pytest.raises(ProofError, match="No such file or directory"):
        ProofWriter(tmp_path / "missing" / "p", HEADER)


def test_a_proof_that_nobody_could_read_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slir_milp.certificate.write.LARGEST_FILE", 2 << 20)
    writer = ProofWriter(tmp_path / "p", HEADER)
    for _ in range(4):
        writer.append(pack(ENTRIES[-1], 2) * 40_000)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ProofError, match="larger than 2097152 bytes"):
        writer.commit()


def test_a_branch_is_kept_or_dropped(tmp_path: Path) -> None:
    writer = ProofWriter(tmp_path / "p", HEADER)
    kept, dropped = Branch(writer), Branch(Branch(writer))
    for branch, node in ((kept, 1), (dropped, 2)):
        branch.append(pack(Entry(Kind.EMPTY, node), 2) * 3)
        branch.keep()
    writer.commit()
    assert [entry.node for entry in read(tmp_path / "p")[1]] == [1, 1, 1]
    assert count_entries(b"".join(pack(entry, 2) for entry in ENTRIES)) == len(ENTRIES)


# --- the query's part -------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_numbers_of_inequalities_are_those_of_the_checker(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Random formulas, read by the product and by the checker's own reader."""
    rng = np.random.default_rng(seed)

    def condition(depth: int) -> str:
        if depth == 0 or rng.random() < 0.2:
            return (
                f"({rng.choice(['<=', '<', '>=', '>', '='])} {rng.choice(['X_0', 'Y_0', 'Y_1'])} {rng.integers(-9, 9)})"
            )
        head = str(rng.choice(["and", "or", "not"]))
        parts = [condition(depth - 1) for _ in range(1 if head == "not" else int(rng.integers(1, 4)))]
        return f"({head} {' '.join(parts)})"

    text = "".join(f"(declare-const {name} Real)" for name in ("X_0", "Y_0", "Y_1"))
    text += "(assert (and (>= X_0 -5) (<= X_0 5)))" + "".join(f"(assert {condition(4)})" for _ in range(2))
    path = tmp_path_factory.mktemp("query") / "q.vnnlib"
    path.write_text(text)
    query, question = parse_query(text), read_query(path)
    atoms, alternatives = numbering(query.formula)
    assert sorted(atoms.values()) == list(range(len(question.atoms)))
    own = {number: part for part, number in parts_of(query, atoms)}
    for number, atom in enumerate(question.atoms):
        assert own[number] == atom
    choices = {number: part for part, number in parts_of(query, alternatives)}
    assert [len(choices[i].parts) for i in range(len(choices))] == [len(o.parts) for o in question.alternatives]


def parts_of(query: Query, numbers: dict[int, int]) -> Iterator[tuple[Any, int]]:
    todo: list[Any] = [query.formula]
    while todo:
        part = todo.pop()
        if id(part) in numbers:
            yield part, numbers[id(part)]
        todo += getattr(part, "parts", ())


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_cuts_exclude_nothing_that_meets_the_rows(seed: int) -> None:
    """What is cut off is excluded by the row named, exactly; what is left is hardly more than without rounding."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 4))

    def number() -> Fraction:
        return Fraction(int(rng.integers(-20, 21)), int(rng.choice([1, 2, 3, 7])))

    ends = [sorted((number(), number())) for _ in range(n)]
    box = Box(tuple((a, a < b and rng.random() < 0.2) for a, b in ends), tuple((b, False) for _, b in ends))
    rows = [
        Atom(tuple((i, number() or Fraction(1)) for i in range(n)), number(), bool(rng.random() < 0.3))
        for _ in range(int(rng.integers(1, 4)))
    ]
    lower, upper = [end for end, _ in box.lower_ends], [end for end, _ in box.upper_ends]

    def least(row: Atom) -> Fraction:
        return row.constant + sum(a * (lower[i] if a > 0 else upper[i]) for i, a in row.terms)

    found = cut(box, rows)
    for part in found.cuts:
        value, side = Fraction(part.value), lower if part.above else upper
        kept, side[part.input] = side[part.input], value
        assert lower[part.input] <= upper[part.input]
        assert least(rows[part.row]) > 0
        side[part.input] = kept
        (upper if part.above else lower)[part.input] = value
    assert lower == [end for end, _ in found.box.lower_ends]
    assert upper == [end for end, _ in found.box.upper_ends]
    shrunk = tighten(box, rows)
    if found.excluded_by is not None:
        row = rows[found.excluded_by]
        assert least(row) > 0 or (least(row) == 0 and (row.strict or found.strict_input is not None))
    elif shrunk is not None:
        for (a, _), (b, _), c, d in zip(shrunk.lower_ends, shrunk.upper_ends, lower, upper, strict=True):
            assert c <= a
            assert b <= d


# --- the search -------------------------------------------------------------------------------------------------------


def tree_of(path: Path, query: Query) -> Counter[str]:
    """Walk the tree from its root: every node that is reached has one end, and leaves are closed; kinds of entries."""
    header, entries = read(path)
    ends: dict[int, Entry] = {}
    kinds: Counter[str] = Counter()
    for found in entries:
        entry = unpack(found, header.index)
        kinds[entry.kind.name] += 1
        if entry.kind not in STEPS:
            assert entry.node not in ends
            ends[entry.node] = entry
    choices = {number: part for part, number in parts_of(query, numbering(query.formula)[1])}
    todo, seen = [0], 0
    while todo:
        seen += 1
        end = ends.get(todo.pop())
        if end is None:
            kinds["none"] += 1  # facts that contradict each other: for the checker to see
        elif end.kind is Kind.CASES:
            todo += range(end.first, end.first + len(choices[end.index].parts))
        elif end.kind in (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON):
            todo += [end.first, end.first + 1]
    assert seen >= len(ends)
    return kinds


FAST = {"pendulum", "pendulum_loop", "oscillator", "strokes", "boundary", "boundary_2d", "obstacle"}
QUESTIONS = [(info, query) for info in list_problems() if info.name in FAST for query in info.queries]


@pytest.mark.parametrize(("info", "question"), QUESTIONS, ids=lambda value: value.name)
def test_problems_that_come_with_the_program(info: ProblemInfo, question: QueryInfo, tmp_path: Path) -> None:
    """The verdict that they should have, and a proof of it that the checker accepts."""
    network, query = load_network(info.network, check=False), load_query(question.path)
    path = tmp_path / "p"
    verdict = verify(network, query, Options(jobs=1, timeout=20), proof=path)
    assert verdict.status == question.verdict
    assert verdict.proof == str(path)
    header, _ = read(path)
    assert header.claim == question.verdict
    assert (header.network, header.query) == (network.sha256, query.sha256)
    if verdict.status is Status.UNSAT:
        kinds = tree_of(path, query)
        assert not kinds["none"]
    report = check(Files(path, info.network, question.path))
    assert report.accepted, report.failures


@pytest.mark.parametrize("engine", [Engine.LP, Engine.MILP])
@pytest.mark.parametrize("splitting", [Splitting.INPUT, Splitting.ACTIVATION])
def test_every_engine_proves(engine: Engine, splitting: Splitting, tmp_path: Path) -> None:
    info = next(info for info in list_problems() if info.name == "oscillator")
    question = next(query for query in info.queries if "position" in query.name)
    network, query = load_network(info.network, check=False), load_query(question.path)
    options = Options(jobs=1, engine=engine, splitting=splitting, timeout=20)
    verdict = verify(network, query, options, proof=tmp_path / "p")
    assert verdict.status is Status.UNSAT
    assert not tree_of(tmp_path / "p", query)["none"]
    assert check(Files(tmp_path / "p", info.network, question.path)).accepted


def test_threads_write_one_proof(tmp_path: Path) -> None:
    info = next(info for info in list_problems() if info.name == "avoidance")
    question = next(query for query in info.queries if "head_on" in query.name)
    network, query = load_network(info.network, check=False), load_query(question.path)
    assert verify(network, query, Options(jobs=3), proof=tmp_path / "p").status is Status.UNSAT
    assert not tree_of(tmp_path / "p", query)["none"]
    assert check(Files(tmp_path / "p", info.network, question.path)).accepted


NETWORK_TEXT = (
    "// tiny\n{count},{inputs},{outputs},{widest},\n{sizes},\n0,\n{low},\n{high},\n{means},\n{ranges},\n{weights}\n"
)


def as_file(network: Network, path: Path) -> Network:
    """A network of ReLUs written as ``.nnet``, and read again."""
    affines = network.affines
    sizes = [network.input_size, *(affine.rows for affine in affines)]
    values = [v for affine in affines for part in (dense(affine).tolist(), [[b] for b in affine.bias]) for v in part]
    inputs = network.input_size
    path.write_text(
        NETWORK_TEXT.format(
            count=len(affines),
            inputs=inputs,
            outputs=network.output_size,
            widest=max(sizes),
            sizes=",".join(map(str, sizes)),
            low=",".join(["-1e6"] * inputs),
            high=",".join(["1e6"] * inputs),
            means=",".join(["0"] * (inputs + 1)),
            ranges=",".join(["1"] * (inputs + 1)),
            weights="\n".join(",".join(repr(float(x)) for x in row) for row in values),
        )
    )
    return load_network(path, check=False)


def dense(affine: Affine) -> np.ndarray[Any, np.dtype[np.float64]]:
    return affine.weight if isinstance(affine.weight, np.ndarray) else affine.weight.toarray()


def relu_case(seed: int) -> Any:
    """The first of the tiny cases from a seed on that has ReLUs alone, and numbers that ``.nnet`` can hold."""
    while True:
        case = tiny_case(seed)
        kinds = {function for layer in case.network.layers for function in layer.functions}
        if len(kinds) == 1:
            return case
        seed += 1


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(Engine), st.sampled_from(Splitting))
def test_tiny_networks(
    tmp_path_factory: pytest.TempPathFactory, seed: int, engine: Engine, splitting: Splitting
) -> None:
    """Ties, strict ends, rows on inputs, alternatives: the verdict is the usual one, and the proof is accepted."""
    case = relu_case(seed)
    folder = tmp_path_factory.mktemp("tiny")
    network = as_file(case.network, folder / "n.nnet")
    (folder / "q.vnnlib").write_text(write_query(case.query))
    query = load_query(folder / "q.vnnlib")
    options = Options(jobs=1, timeout=0.3, engine=engine, splitting=splitting)
    without = verify(network, query, options)
    verdict = verify(network, query, options, proof=folder / "p")
    if without.status.decided and verdict.status is not Status.TIMEOUT:
        assert verdict.status is without.status
    assert (folder / "p").exists() == verdict.status.decided
    assert len(list(folder.iterdir())) == 2 + verdict.status.decided
    if not verdict.status.decided:
        assert "There is no proof" in verdict.detail
        return
    if verdict.status is Status.UNSAT:
        tree_of(folder / "p", query)
    report = check(Files(folder / "p", folder / "n.nnet", folder / "q.vnnlib"))
    assert report.accepted or verdict.statistics.closed_by.get("exact"), report.failures


def test_nothing_is_left_when_a_run_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By time, by cancellation, by a fault."""
    folder = tmp_path / "proofs"
    folder.mkdir()
    network_path, query_path = hard_problem(tmp_path)
    network, query = load_network(network_path, check=False), load_query(query_path)

    def run(options: Options, cancel: threading.Event | None = None) -> str:
        verdict = verify(network, query, options, cancel=cancel, proof=folder / "p")
        assert not verdict.status.decided
        assert verdict.proof is None
        return verdict.detail

    assert "There is no proof" in run(Options(timeout=0.3))
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    assert "There is no proof" in run(Options(jobs=2), cancel)
    assert not list(folder.iterdir())

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("slir_milp.search.explore.Search._explore", fail)
    with pytest.raises(ZeroDivisionError):
        run(Options(timeout=5))
    assert not list(folder.iterdir())


def test_a_proof_needs_files(network: Path, query: Path, tmp_path: Path) -> None:
    read_network_, read_query_ = load_network(network), load_query(query)
    made = read_nnet(network.read_bytes())
    with pytest.raises(OptionError, match="network was not read from a file"):
        verify(made, read_query_, proof=tmp_path / "p")
    with pytest.raises(OptionError, match="query was not read from a file"):
        verify(read_network_, parse_query(query.read_text()), proof=tmp_path / "p")
    with pytest.raises(OptionError, match="would overwrite the network"):
        verify(read_network_, read_query_, proof=network)
    with pytest.raises(OptionError, match="would overwrite the query"):
        verify(read_network_, read_query_, proof=query)
    assert not (tmp_path / "p").exists()


def test_a_disk_that_is_full_at_the_end_leaves_the_verdict(
    network: Path, query: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("slir_milp.certificate.write.os.fsync", full)
    folder = tmp_path / "proofs"
    folder.mkdir()
    verdict = verify(load_network(network), load_query(query), proof=folder / "p")
    assert verdict.status is Status.UNSAT
    assert verdict.proof is None
    assert "No space left on device" in verdict.detail
    assert not list(folder.iterdir())


# --- the command line -------------------------------------------------------------------------------------------------


def test_verify_writes_a_proof(network: Path, query: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json
    from hashlib import sha256

    proof, document = tmp_path / "run.proof", tmp_path / "run.json"
    assert main(["verify", str(network), str(query), "--proof", str(proof), "--json", str(document)]) == 0
    assert capsys.readouterr().out.startswith("unsat")
    content = proof.read_bytes()
    recorded = json.loads(document.read_text())["proof"]
    assert recorded == {"path": str(proof), "bytes": len(content), "sha256": sha256(content).hexdigest()}
    assert read(proof)[0].claim == "unsat"
    assert main(["verify", str(network), str(query), "--json", str(document)]) == 0
    assert json.loads(document.read_text())["proof"] is None


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (lambda network, query, folder: network, "would overwrite an input file"),
        (lambda network, query, folder: query, "would overwrite an input file"),
        (lambda network, query, folder: folder, "is a folder"),
        (lambda network, query, folder: folder / "missing" / "p", "does not exist"),
        (lambda network, query, folder: folder / "run.json", "name the same file"),
    ],
)
def test_places_where_no_proof_can_be(
    place: Callable[[Path, Path, Path], Path],
    text: str,
    network: Path,
    query: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = network.read_bytes(), query.read_bytes()
    arguments = ["--proof", str(place(network, query, tmp_path)), "--json", str(tmp_path / "run.json")]
    assert main(["verify", str(network), str(query), *arguments]) == 2
    assert text in capsys.readouterr().err
    assert (network.read_bytes(), query.read_bytes()) == before


def test_a_proof_is_about_a_query_that_the_checker_reads(network: Path, tmp_path: Path) -> None:
    loaded = load_network(network)
    lines = [f"(assert (<= 0.0 X[{i}])) (assert (<= X[{i}] 1.0))" for i in range(loaded.input_size)]
    tensors = f"(declare-input X real [{loaded.input_size}]) (declare-output Y real [{loaded.output_size}])"
    text = "\n".join(["(vnnlib-version <2.0>)", f"(declare-network f {tensors})", *lines, "(assert (<= Y[0] 0.0))"])
    newer = tmp_path / "newer.vnnlib"
    newer.write_text(text)
    with pytest.raises(OptionError, match=r"1\.0, which is what the checker reads, and not 2\.0; 'slir-milp-vnnlib"):
        verify(loaded, load_query(newer), proof=tmp_path / "p")
    assert not (tmp_path / "p").exists()
