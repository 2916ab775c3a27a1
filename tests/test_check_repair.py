"""``slir-milp check --repair``: damaged proofs are mended, and what is false is never made accepted."""

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_proof_writing import as_file, relu_case

from slir_milp.certificate.check import Files, Report, check
from slir_milp.certificate.check.query import read_query
from slir_milp.certificate.file import Header, open_proof
from slir_milp.certificate.format import HEAD, NO_LINES, NO_NUMBERS, NO_RATIOS, Entry, Kind, RawEntry, pack, unpack
from slir_milp.certificate.write import ProofWriter
from slir_milp.cli import main
from slir_milp.commands.repair import MARGINS
from slir_milp.network import load_network
from slir_milp.problems.catalogue import list_problems
from slir_milp.query import load_query
from slir_milp.query.write import write_query
from slir_milp.search import Options, Splitting, Status, verify
from slir_milp.search.explore import Search
from slir_milp.search.repair import Repair, repair
from slir_milp.search.roots import Roots

Captured = pytest.CaptureFixture[str]
Damage = Callable[[Entry], Entry | None]
MANY = 10**6


def parts_of(path: Path) -> tuple[Header, list[RawEntry]]:
    with open_proof(path) as (header, raw):
        return header, list(raw)


def write(path: Path, header: Header, entries: list[RawEntry]) -> Path:
    writer = ProofWriter(path, header)
    for entry in entries:
        head = HEAD.pack(entry.kind, entry.flags, entry.first_layer, len(entry.payload), entry.node)
        writer.append(head + entry.payload, 1)
    writer.commit()
    return path


def damaged(source: Path, out: Path, damage: Damage, *, seed: int, share: float) -> Path:
    """A share of a proof's ends, chosen at random, are not what they were."""
    rng = np.random.default_rng(seed)
    header, raw = parts_of(source)
    entries = []
    for entry in raw:
        if entry.kind not in (Kind.REWRITE, Kind.TIGHTEN, Kind.NEURON) and rng.random() < share:
            changed = damage(unpack(entry, header.index))
            if changed is not None:
                data = pack(changed, header.index)
                kind, flags, first_layer, _, node = HEAD.unpack_from(data)
                entries.append(RawEntry(kind, flags, first_layer, node, data[HEAD.size :]))
        else:
            entries.append(entry)
    return write(out, header, entries)


def unchanged(entry: Entry) -> Entry:
    return entry


def without_weights(entry: Entry) -> Entry:
    if entry.kind is not Kind.REFUTED or entry.combination is None:
        return entry
    nothing = replace(entry.combination, weights=NO_NUMBERS, weight_fractions=NO_RATIOS, inherited=0.0)
    return replace(entry, combination=nothing)


def with_usual_lines(entry: Entry) -> Entry:
    plain = None if entry.combination is None else replace(entry.combination, lines=NO_LINES)
    return replace(entry, start=None, combination=plain)


def without_leaf(entry: Entry) -> Entry | None:
    return None if entry.kind in (Kind.REFUTED, Kind.EMPTY) else entry


def without_end(entry: Entry) -> None:
    return None


DAMAGES: list[Damage] = [without_weights, with_usual_lines, without_leaf, without_end]
SPLITS = (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON, Kind.CASES)
CASES: list[tuple[str, str, Splitting, list[Damage]]] = [
    ("oscillator", "position_bound", Splitting.INPUT, DAMAGES),
    ("oscillator", "position_bound", Splitting.ACTIVATION, DAMAGES),
    ("boundary", "exceeded", Splitting.ACTIVATION, DAMAGES),
    ("obstacle", "agree", Splitting.AUTO, [with_usual_lines, without_end]),
    ("pendulum_loop", "decrease", Splitting.AUTO, [without_weights]),
    ("pendulum_loop", "stays", Splitting.AUTO, [without_leaf, without_end]),
    ("pendulum", "torque_range", Splitting.AUTO, [without_leaf]),
    ("digits_tanh", "robust", Splitting.ACTIVATION, [without_end]),
]


def files_of(problem: str, question: str) -> tuple[Path, Path]:
    info = next(info for info in list_problems() if info.name == problem)
    return info.network, next(query.path for query in info.queries if question == query.name)


def proven(files: tuple[Path, Path], path: Path, splitting: Splitting = Splitting.AUTO) -> Path:
    network, query = load_network(files[0], check=False), load_query(files[1])
    verdict = verify(network, query, Options(jobs=1, timeout=30, splitting=splitting), proof=path)
    assert verdict.status is Status.UNSAT
    return path


def run(*arguments: object) -> int:
    return main(["check", *map(str, arguments)])


def checked(proof: Path, files: tuple[Path, Path]) -> Report:
    return check(Files(proof, *files), most_failures=MANY)


@pytest.mark.parametrize(
    ("problem", "question", "splitting", "damages"), CASES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_damaged_proofs_are_mended(
    problem: str, question: str, splitting: Splitting, damages: list[Damage], tmp_path: Path, capsys: Captured
) -> None:
    files = files_of(problem, question)
    whole = proven(files, tmp_path / "whole", splitting)
    for seed, damage in enumerate(damages):
        hurt = damaged(whole, tmp_path / "hurt", damage, seed=seed, share=0.4)
        before = checked(hurt, files)
        code = run(hurt, *files, "--repair", tmp_path / "mended", "--jobs", 1, "--timeout", 30)
        line = capsys.readouterr().out
        assert code == 0, line
        again = f"{len(before.open)} node{'s' * (len(before.open) != 1)} searched again, "
        assert line.startswith(f"repaired: unsat, {again}" if before.open else "accepted: unsat, "), line
        assert checked(tmp_path / "mended", files).accepted
        # What was confirmed is as it was, and of the rest nothing is left.
        old, new = (parts_of(tmp_path / name)[1] for name in ("hurt", "mended"))
        gone = {entry.node for entry in set(old) - set(new)} & below(hurt, {0}, files[1])
        assert gone <= below(hurt, {node.number for node in before.open}, files[1])
        assert {entry.node for entry in new} <= below(tmp_path / "mended", {0}, files[1])


def below(proof: Path, nodes: set[int], query: Path) -> set[int]:
    """Some nodes and all below them."""
    header, raw = parts_of(proof)
    splits = {entry.node: unpack(entry, header.index) for entry in raw if entry.kind in SPLITS}
    alternatives = read_query(query).alternatives
    found, todo = set[int](), [*nodes]
    while todo:
        node = todo.pop()
        found.add(node)
        if node in splits:
            split = splits[node]
            count = len(alternatives[split.index].parts) if split.kind is Kind.CASES else 2
            todo += range(split.first, split.first + count)
    return found


def test_a_tree_without_its_root_is_searched_as_a_whole(tmp_path: Path, capsys: Captured) -> None:
    """Nothing of the old tree is left, and squares that were exchanged for the box are, still."""
    files = files_of("pendulum_loop", "decrease")
    whole = proven(files, tmp_path / "whole")
    header, entries = parts_of(whole)
    kept = [e for e in entries if e.node or e.kind == Kind.REWRITE]
    hurt = write(tmp_path / "hurt", header, kept)
    assert run(hurt, *files, "--repair", tmp_path / "mended") == 0
    assert capsys.readouterr().out.startswith("repaired: unsat, 1 node searched again")
    new = parts_of(tmp_path / "mended")[1]
    rewritten = [e for e in entries if e.kind == Kind.REWRITE]
    assert [e for e in new if e.kind == Kind.REWRITE] == rewritten
    assert set(new) & set(kept) == set(rewritten)


def test_exact_arithmetic_has_the_last_word(tmp_path: Path, capsys: Captured) -> None:
    files = files_of("oscillator", "position_bound")
    hurt = damaged(proven(files, tmp_path / "p"), tmp_path / "hurt", without_leaf, seed=1, share=0.5)
    assert run(hurt, *files, "--repair", tmp_path / "mended", "--exact", "--json", tmp_path / "json") == 0
    line = capsys.readouterr().out
    assert line.startswith("repaired: unsat, ")
    assert ", exact, " in line
    content = json.loads((tmp_path / "json").read_text())
    assert content["verdict"] == "repaired"
    assert content["nodes_searched_again"] == len(checked(hurt, files).open)
    digest = sha256((tmp_path / "mended").read_bytes()).hexdigest()
    assert content["repaired"] == {"path": str(tmp_path / "mended"), "sha256": digest}


def test_a_proof_that_needs_no_repair_is_copied(tmp_path: Path, capsys: Captured) -> None:
    files = files_of("oscillator", "position_bound")
    whole = proven(files, tmp_path / "p")
    assert run(whole, *files, "--repair", tmp_path / "mended") == 0
    assert capsys.readouterr().out.startswith("accepted: unsat, ")
    assert (tmp_path / "mended").read_bytes() == whole.read_bytes()


# --- what is not to be mended -----------------------------------------------------------------------------------------


def transplanted(source: Path, out: Path, network: Path, query: Path) -> Path:
    """A proof that says to be about other files."""
    header, entries = parts_of(source)
    digests = load_network(network, check=False).sha256, load_query(query).sha256
    return write(out, replace(header, network=digests[0], query=digests[1]), entries)


@pytest.mark.parametrize(
    ("problem", "true", "false"),
    [("obstacle", "agree", "agree_closely"), ("pendulum_loop", "decrease", "decrease_near")],
)
def test_a_false_claim_is_never_accepted(problem: str, true: str, false: str, tmp_path: Path, capsys: Captured) -> None:
    """The proof of one query, said to be one of a query that is met."""
    network, query = files_of(problem, true)
    _, met = files_of(problem, false)
    claim = transplanted(proven((network, query), tmp_path / "p"), tmp_path / "claim", network, met)
    for seed, damage in enumerate([unchanged, without_end]):
        hurt = damaged(claim, tmp_path / "hurt", damage, seed=seed, share=0.5)
        assert not checked(hurt, (network, met)).accepted
        code = run(hurt, network, met, "--repair", tmp_path / "mended", "--timeout", 10)
        line = capsys.readouterr().out
        assert code == 1
        assert line.startswith("rejected: the claim is false: X_0 = "), line
        assert list(tmp_path.glob("*mended*")) == []


@pytest.mark.filterwarnings("ignore:the query")
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(DAMAGES), st.sampled_from(Splitting))
def test_tiny_networks(
    tmp_path_factory: pytest.TempPathFactory, seed: int, damage: Damage, splitting: Splitting
) -> None:
    """Ties, strict ends, rows on inputs, alternatives: true claims are mended, false ones are not."""
    case, folder = relu_case(seed), tmp_path_factory.mktemp("tiny")
    network = as_file(case.network, folder / "n.nnet")
    (folder / "q.vnnlib").write_text(write_query(case.query))
    query, files = load_query(folder / "q.vnnlib"), (folder / "n.nnet", folder / "q.vnnlib")
    options = Options(jobs=1, timeout=0.5, splitting=splitting)
    verdict = verify(network, query, options, proof=folder / "p")
    if not verdict.status.decided:
        return
    header, entries = parts_of(folder / "p")
    if verdict.status is Status.UNSAT:
        hurt = damaged(folder / "p", folder / "hurt", damage, seed=seed, share=0.5)
    else:  # every proof of unsat is wrong; that with nothing in it is as good as any
        hurt = write(folder / "hurt", replace(header, claim="unsat", witness=None), entries)
    report = checked(hurt, files)
    assert not (report.accepted and verdict.status is Status.SAT)
    result = repair(hurt, folder / "mended", network, query, report.open, options, margin=MARGINS[0])
    assert (folder / "mended").exists() == (not result.left)
    if verdict.status is Status.SAT:
        assert result.left
        assert result.witness is not None or result.reason is not None
    else:
        assert result.witness is None
        assert result.left == () or result.reason is not None
        assert result.left or checked(folder / "mended", files).accepted


def test_a_broken_rule_is_not_for_repair(tmp_path: Path, capsys: Captured) -> None:
    files = files_of("oscillator", "position_bound")
    header, entries = parts_of(proven(files, tmp_path / "p"))
    leaf = next(entry for entry in entries if entry.kind == Kind.REFUTED)
    twice = write(tmp_path / "twice", header, [*entries, leaf])
    assert run(twice, *files, "--repair", tmp_path / "mended") == 1
    assert "closed or split more than once" in capsys.readouterr().out
    other = transplanted(tmp_path / "p", tmp_path / "other", files[0], files_of("obstacle", "agree")[1])
    assert run(other, *files, "--repair", tmp_path / "mended") == 1
    assert "another query" in capsys.readouterr().out
    assert list(tmp_path.glob("*mended*")) == []


def test_a_witness_that_is_none_is_not_for_repair(tmp_path: Path, capsys: Captured) -> None:
    files = files_of("boundary", "reached")
    header = parts_of(proven(files_of("boundary", "exceeded"), tmp_path / "p"))[0]
    digest = load_query(files[1]).sha256
    write(tmp_path / "wrong", replace(header, claim="sat", query=digest, witness=("0",)), [])
    assert run(tmp_path / "wrong", *files, "--repair", tmp_path / "mended") == 1
    assert capsys.readouterr().out.startswith("rejected: the point is no witness")
    assert not (tmp_path / "mended").exists()


def test_time_is_limited(tmp_path: Path, capsys: Captured) -> None:
    files = files_of("pendulum_loop", "decrease")
    header, entries = parts_of(proven(files, tmp_path / "p"))
    splits = [entry for entry in entries if entry.kind not in (Kind.REFUTED, Kind.EMPTY)]
    hurt = write(tmp_path / "hurt", header, splits)
    count = len(checked(hurt, files).open)
    assert run(hurt, *files, "--repair", tmp_path / "mended", "--timeout", 0.001) == 1
    line = capsys.readouterr().out
    assert line.startswith("rejected: ")
    assert f" of {count} nodes could not be repaired: the time limit was reached. First, node " in line
    assert line.endswith("cannot be confirmed: it is left open.\n")
    assert list(tmp_path.glob("*mended*")) == []


@pytest.fixture
def hurt(tmp_path: Path) -> Path:
    proven(files_of("oscillator", "position_bound"), tmp_path / "p")
    return damaged(tmp_path / "p", tmp_path / "hurt", without_leaf, seed=0, share=1.0)


def test_ctrl_c_leaves_nothing(hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    files = files_of("oscillator", "position_bound")
    monkeypatch.setattr(Search, "run", interrupted)
    monkeypatch.setattr(Roots, "bound", interrupted)
    assert run(hurt, *files, "--repair", tmp_path / "mended") == 130
    assert capsys.readouterr().out.startswith("interrupted: searching ")
    assert list(tmp_path.glob("*mended*")) == []


def test_what_a_second_margin_does_not_mend_is_rejected(
    hurt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """A search whose proofs are never confirmed: each margin is tried once, and nothing is left."""
    margins = []

    def useless(proof: Path, out: Path, *_: object, margin: float, **__: object) -> Repair:
        margins.append(margin)
        out.write_bytes(proof.read_bytes())
        return Repair((), 0)

    monkeypatch.setattr("slir_milp.search.repair.repair", useless)
    assert run(hurt, *files_of("oscillator", "position_bound"), "--repair", tmp_path / "mended") == 1
    assert capsys.readouterr().out.startswith("rejected: node ")
    assert tuple(margins) == MARGINS
    assert not (tmp_path / "mended").exists()


def test_places_where_no_mended_proof_can_be(hurt: Path, tmp_path: Path, capsys: Captured) -> None:
    files = files_of("oscillator", "position_bound")
    for options, text in (
        (["--timeout", 3], "give --repair"),
        (["--repair", hurt], "overwrite an input file"),
        (["--repair", tmp_path], "is a folder"),
        (["--repair", tmp_path / "no" / "where"], "does not exist"),
        (["--repair", tmp_path / "x", "--json", tmp_path / "x"], "the same file"),
        (["--repair", "/dev/null"], "is no file"),
    ):
        assert run(hurt, *files, *options) == 2
        assert text in capsys.readouterr().err
    assert hurt.exists()


def test_a_proof_may_be_mended_in_place(hurt: Path) -> None:
    """The search's own function reads all of the proof before it writes."""
    files = files_of("oscillator", "position_bound")
    network, query = load_network(files[0], check=False), load_query(files[1])
    report = checked(hurt, files)
    assert report.open
    result = repair(hurt, hurt, network, query, report.open, Options(jobs=2), margin=MARGINS[0])
    assert (result.left, result.reason, result.witness) == ((), None, None)
    assert result.regions >= len(report.open)
    assert checked(hurt, files).accepted
