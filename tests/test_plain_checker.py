"""The plain checker against the other one: proofs of searches, hand-made ones, and spoilt ones.

The wrong proofs of ``test_check_rules.py`` go through both checkers, too.
"""

import ast
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from exact_points import forward
from proof_cases import (
    Case,
    Problem,
    cases,
    embedded_cases,
    empty,
    files_read_once,
    made_cases,
    nnet,
    problem,
    refuted,
    split,
    vnnlib,
)
from proof_mutations import mutants, readdressed

from slir_milp.certificate import plain
from slir_milp.certificate.check import Files, check
from slir_milp.certificate.format import Entry
from slir_milp.cli import main
from slir_milp.errors import OptionError, ProofError
from slir_milp.network import load_network
from slir_milp.problems.catalogue import list_problems
from slir_milp.query import load_query
from slir_milp.search import Options, Status, verify

ROOT = Path(__file__).parent.parent
BOX = "(and (>= X_0 -1) (<= X_0 1) (>= X_1 -1) (<= X_1 1))"
SUM = nnet(([[1, 0], [0, 1], [1, 0]], [0, 0, 4]), ([[1, 1, 0], [0, 0, 1]], [0, -4]))


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with files_read_once():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain")


@pytest.fixture(scope="module")
def few(folder: Path) -> list[Case]:
    """Input splits with half-spaces and a row on inputs; neuron splits; cases; ties that only exact numbers settle."""
    made = made_cases(folder, "relu, one row", "relu, neurons", "relu, nested", "relu, two rows")
    return [*made, *embedded_cases(folder, "boundary", "boundary_2d", "junction", "cruise", "pendulum", "strokes")]


def verdict(path: Path, asked: Problem) -> str:
    """The claim if it is accepted, else what is said against it."""
    try:
        report = plain.check(Files(path, asked.network, asked.query))
    except ProofError as error:
        return str(error)
    return "" if report.accepted else report.failures[0]


def test_proofs_of_searches_are_accepted(few: list[Case], folder: Path) -> None:
    path = folder / "search.proof"
    for case in few:
        path.write_bytes(case.stored)
        files = Files(path, case.problem.network, case.problem.query)
        ours, theirs = plain.check(files), check(files)
        assert ours.accepted and ours.plain and ours.exact and ours.read_twice == theirs.read_twice, case.name
        assert (ours.nodes, ours.leaves) == (theirs.nodes, theirs.leaves), case.name


@pytest.mark.slow
def test_proofs_of_all_problems_with_hinges_are_accepted(folder: Path) -> None:
    path, accepted = folder / "all.proof", 0
    for info in list_problems():
        network = load_network(info.network)
        if not network.is_piecewise_linear or not all(affine.is_exact for affine in network.affines):
            continue
        for query in info.queries:
            path.unlink(missing_ok=True)
            found = verify(network, load_query(query.path), Options(jobs=1, timeout=20), proof=path)
            if found.status is Status.UNSAT and found.statistics.regions < 400:
                assert verdict(path, Problem(info.network, query.path)) == "", (info.name, query.name)
                accepted += 1
    assert accepted > 5


def test_spoilt_proofs_have_the_same_verdict(few: list[Case], folder: Path) -> None:
    """And none of them is one for the twin, which an input meets."""
    path, rng, count, rejected = folder / "spoilt.proof", np.random.default_rng(5), 0, 0
    for case in [case for case in few if case.name.startswith(("relu", "boundary", "junction"))]:
        for kind, stored in islice(mutants(case, rng), 17):
            path.write_bytes(stored)
            try:
                ours = verdict(path, case.problem)
            except OptionError:  # (the claim has become one of sat)
                continue
            # Only float64 may see more in numbers near its end, by leaving a combination out that comes to nothing.
            theirs = accepted(path, case.problem)
            if theirs != (not ours):
                theirs = accepted(path, case.problem, exact=True)
            assert theirs == (not ours), f"{case.name}, {kind}: {ours or 'accepted'}"
            count, rejected = count + 1, rejected + bool(ours)
            if (other := readdressed(stored, case)) is not None:
                path.write_bytes(other)
                assert verdict(path, case.twin), f"{case.name}, {kind}: accepted for the twin"
    assert count > 100
    assert 0.3 * count < rejected < count


def accepted(path: Path, asked: Problem, exact: bool = False) -> bool:
    """Whether the other checker accepts."""
    try:
        return check(Files(path, asked.network, asked.query), exact=exact).accepted
    except ProofError:
        return False


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([split(0, 0, 0.25, 0), refuted(1, {4: 1.0})], "node 0 is the child of two nodes"),
        ([split(0, 0, 0.25, 1), split(1, 1, 0.0, 1), refuted(2, {4: 1.0})], "node [12] is the child of two nodes"),
        ([split(0, 0, 0.25, 1), refuted(1, {4: 1.0})], "node 2 cannot be confirmed: it is left open"),
        ([], "node 0 cannot be confirmed: it is left open"),
        ([empty(0)], "do not exclude each other"),
        ([cases(0, 0, 1)], "alternative 0 is not asserted"),
        ([refuted(0, {4: 1.0}), refuted(0, {4: 1.0})], "closed or split more than once"),
    ],
)
def test_trees_with_cycles_and_without_ends(tmp_path: Path, entries: list[Entry], reason: str) -> None:
    asked = problem(tmp_path, SUM, vnnlib(2, 2, BOX, "(>= Y_0 3)"))
    assert asked.report([refuted(0, {4: 1.0})], plainly=True).accepted
    with pytest.raises((ProofError, AssertionError), match=reason):
        assert not (failures := asked.report(entries, plainly=True).failures), failures[0]


def test_other_files(tmp_path: Path) -> None:
    asked, other = (problem(tmp_path, SUM, vnnlib(2, 2, BOX, f"(>= Y_0 {value})")) for value in (3, 1))
    leaf = refuted(0, {4: 1.0})
    assert asked.report([leaf], plainly=True).accepted
    for field in ("network", "query", "activations"):
        with pytest.raises(ProofError, match=f"another {field}"):
            asked.report([leaf], plainly=True, **{field: "0" * 64})
    with pytest.raises(ProofError, match="another query"):
        plain.check(Files(asked.query.with_suffix(".proof"), asked.network, other.query))
    with pytest.raises(ProofError, match="sizes"):
        asked.report([leaf], plainly=True, layers=(2,))


def test_what_it_does_not_know(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (curved,) = made_cases(folder, "curves, neurons")
    path = tmp_path / "curves.proof"
    path.write_bytes(curved.stored)
    arguments = ["check", str(path), str(curved.problem.network), str(curved.problem.query), "--plain"]
    assert main(arguments) == 2
    assert "knows nothing of curves; check without --plain" in capsys.readouterr().err
    asked = problem(tmp_path, SUM, vnnlib(2, 2, BOX, "(>= Y_0 1)"))
    with pytest.raises(OptionError, match="claims of sat; check without --plain"):
        asked.report([], plainly=True, claim="sat", witness=("1", "1"))
    for more in (["--repair", str(tmp_path / "out")], ["--activations", str(path)]):
        assert main([*arguments, *more]) == 2
        assert "check without it" in capsys.readouterr().err


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_at_random_points(tmp_path: Path, seed: int) -> None:
    """Intervals, backward evaluation with any slopes, combinations and half-spaces, against exact values."""
    rng = np.random.default_rng(seed)
    layers = [(rng.normal(size=(b, a)).tolist(), rng.normal(size=b).tolist()) for a, b in pairwise((2, 5, 4, 3, 1))]
    network = load_network(problem(tmp_path, nnet(*layers), vnnlib(2, 1, BOX)).network)
    x = [Fraction(int(n), 64) for n in rng.integers(-64, 65, 2)]
    values, outputs = forward(network, x)
    exact, point = [plain._number(z) for layer in values for z in layer], [plain._number(n) for n in x]
    net, normal = plain.Net(network), [plain._number(c) for c in rng.integers(-3, 4, 2).tolist()]
    half = [*normal, -sum(c * n for c, n in zip(normal, point, strict=True))]  # the point is on its border
    for rounds in (False, True):
        region = plain.Region(net, ([-plain.ONE] * 2, [plain.ONE] * 2), [half], None, rounds)
        slopes = {i: plain._number(float(rng.normal())) for i in range(len(exact))}
        for given in (None, slopes):
            region.tighten(0, 9, given)
            assert not region.is_empty
            assert all(low <= z <= up for low, z, up in zip(region.bounds[0], exact, region.bounds[1], strict=True))
        slack = {i: plain._number(float(rng.normal())) for i in range(len(exact))}
        row = region.combine(net.output[0], slopes, slack)
        at_point = sum((c * n for c, n in zip(row, point, strict=False)), row[-1])
        assert at_point <= plain._number(outputs[0])
        assert region.least(row) <= at_point
        short = region.half_space(row)
        assert sum((c * n for c, n in zip(short, point, strict=False)), short[-1]) <= at_point


def test_it_imports_readers_and_the_form_of_entries_only() -> None:
    allowed = {
        "slir_milp.certificate": {"format"},
        "slir_milp.certificate.check": {"Files", "Report"},
        "slir_milp.certificate.check.network": {"read_network"},
        "slir_milp.certificate.check.query": {"Question", "read_query"},
        "slir_milp.certificate.file": {"Header", "open_proof"},
        "slir_milp.certificate.format": {"Entry", "Kind", "RawEntry"},
        "slir_milp.errors": {"OptionError", "ProofError"},
        "slir_milp.network.normal_form": {"Network"},
        "slir_milp.query.formula": {"And", "Formula", "Or"},
    }
    tree = ast.parse((ROOT / "slir_milp/certificate/plain.py").read_text(encoding="utf-8"))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    ours = {str(node.module): {alias.name for alias in node.names} for node in imported}
    assert {module: names for module, names in ours.items() if module.startswith("slir_milp")} == allowed
    assert not any(isinstance(node, ast.Constant) and isinstance(node.value, float) for node in ast.walk(tree))
