"""Spoilt proofs: rejected with a sentence, or still proofs; and never accepted for a problem that an input meets.

``benchmarks/mutations.py`` does the same ten thousand times and counts.
"""

import gzip
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest
from proof_cases import Case, Problem, embedded_cases, files_read_once, made_cases, nnet, problem, stored_as, vnnlib
from proof_judge import REJECTED, SAME, UNEVEN, VALID, Judge, WrongError
from proof_mutations import CONTENT, ENTRIES, draft, mutants

from slir_milp.certificate.check import Files, check
from slir_milp.certificate.format import Kind
from slir_milp.errors import ProofError
from slir_milp.search import Status, verify

_LIMIT = 60.0
"""Seconds for a check that usually takes a tenth of one; the machine may be busy."""
KINDS = len(CONTENT) + len(ENTRIES)


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with files_read_once():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("proofs")


@pytest.fixture(scope="module")
def few(folder: Path) -> list[Case]:
    """Input splits with half-spaces and a row on inputs; neuron splits; curves with cases; ties; linear programs."""
    made = made_cases(folder, "relu, one row", "relu, neurons", "curves, neurons")
    return [*made, *embedded_cases(folder, "boundary", "boundary_2d", "junction")]


def spoil(cases: list[Case], folder: Path, seed: int, count: int) -> Counter[str]:
    """Spoil each of some proofs so many times; how often that came to what."""
    found, rng = Counter[str](), np.random.default_rng(seed)
    for case in cases:
        judge = Judge(case, folder, _LIMIT)
        for i, (kind, stored) in enumerate(islice(mutants(case, rng), count)):
            try:
                found[judge.outcome(stored, exact=i % 8 == 0, again=i % 4 == 0).verdict] += 1
            except WrongError as error:
                raise AssertionError(f"{case.name}, {kind}, seed {seed}, number {i}: {error}") from error
    return found


def test_proofs_are_valid_and_not_for_their_twins(few: list[Case], folder: Path) -> None:
    for case in few:
        judge = Judge(case, folder, _LIMIT)
        assert judge.outcome(case.stored, exact=True).verdict == SAME, case.name
        judge.walk(case.stored)


def test_spoilt_proofs(few: list[Case], folder: Path) -> None:
    found = spoil(few, folder, seed=1, count=35)
    assert found[REJECTED] > 0.5 * found.total()
    assert found[VALID] > 0.02 * found.total()
    assert found[UNEVEN] < 0.05 * found.total()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_spoilt_proofs(folder: Path, seed: int) -> None:
    cases = list(chain(made_cases(folder), embedded_cases(folder)))
    assert spoil(cases, folder, seed, 1000 // len(cases) + 1).total() >= 1000


def test_every_kind_of_damage_is_done(few: list[Case]) -> None:
    rng, done = np.random.default_rng(0), set[str]()
    for case in few:
        done |= {kind for kind, _ in islice(mutants(case, rng), KINDS)}
    assert done == CONTENT.keys() | ENTRIES.keys()


# --- on purpose ------------------------------------------------------------------------------------------------------


def test_no_leaf_can_be_left_out(few: list[Case], folder: Path) -> None:
    """Only a node that is closed by its bounds needs no entry that says how."""
    found = Counter[str]()
    for case in few[:3]:
        judge, given = Judge(case, folder, _LIMIT), draft(case)
        leaves = [i for i, e in enumerate(given.entries) if e.kind in (Kind.REFUTED, Kind.EMPTY)]
        for i in leaves[:6]:
            outcome = judge.outcome(
                stored_as(replace(given, entries=given.entries[:i] + given.entries[i + 1 :]).content())
            )
            found[outcome.verdict] += 1
            assert outcome.verdict == VALID or "left open" in outcome.reason
    assert found[REJECTED] > found[VALID]


def test_no_part_of_a_file_can_be_left_out(few: list[Case], folder: Path) -> None:
    case = few[0]
    judge, content = Judge(case, folder, _LIMIT), gzip.decompress(case.stored)
    for size in range(0, len(content), max(1, len(content) // 30)):
        assert judge.outcome(stored_as(content[:size])).verdict == REJECTED
    for size in range(0, len(case.stored), max(1, len(case.stored) // 30)):
        assert judge.outcome(case.stored[:size]).verdict == REJECTED


def test_another_network_of_the_same_sizes(tmp_path: Path) -> None:
    """The proof's header is made to fit; one network gives at most 2, the others a little more, or a little less."""

    def asked(weight: float) -> Problem:
        network = nnet(([[1, 0], [0, 1]], [0, 0]), ([[1, weight]], [0]))
        box = "(and (>= X_0 -1) (<= X_0 1) (>= X_1 -1) (<= X_1 1))"
        return problem(tmp_path, network, vnnlib(2, 1, box, "(>= Y_0 2.0000001)"))

    from slir_milp.network import load_network
    from slir_milp.query import load_query

    ours, path = asked(1.0), tmp_path / "own.proof"
    verdict = verify(load_network(ours.network), load_query(ours.query), proof=path)
    assert verdict.status is Status.UNSAT
    stored = gzip.decompress(path.read_bytes())
    for weight, right in ((1.0, True), (0.5, True), (1 + 2.0**-20, False), (1.5, False), (-1.0, True)):
        other = asked(weight)
        changed = stored.replace(ours.header().network.encode(), other.header().network.encode())
        path.write_bytes(stored_as(changed))
        files = Files(path, other.network, other.query)
        assert check(files).accepted == check(files, exact=True).accepted == right
        if weight != 1.0:
            path.write_bytes(stored_as(stored))
            with pytest.raises(ProofError, match="about another network"):
                check(files)
