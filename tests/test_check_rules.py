"""Wrong proofs made by hand, each next to a right one that differs in what is wrong: some for every rule."""

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from brute_force import extremes, find_witness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper
from proof_cases import (
    Problem,
    cases,
    combination,
    empty,
    files_read_once,
    fractions,
    nnet,
    numbers,
    problem,
    refuted,
    slopes,
    split,
    stored_as,
    vnnlib,
)

from slir_milp.certificate import plain
from slir_milp.certificate.check import Files, check
from slir_milp.certificate.check.query import read_query
from slir_milp.certificate.file import MAGIC
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
    Shares,
    pack,
    pack_end,
)
from slir_milp.certificate.rewriting import RECORD, pack_rewriting
from slir_milp.errors import OptionError, ProofError
from slir_milp.network import load_network
from slir_milp.query import And, Atom, Or, Query, load_query
from slir_milp.query.formula import conjuncts
from slir_milp.query.write import write_query

FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TOP = 4
"""Number of the first inequality after those that make the box of two inputs."""

# Two inputs; the outputs: the sum of the rectified inputs, and the first input itself.
SUM = nnet(([[1, 0], [0, 1], [1, 0]], [0, 0, 4]), ([[1, 1, 0], [0, 0, 1]], [0, -4]))
# One output that is zero: relu(x) - relu(2 x) / 2.
NOUGHT = nnet(([[1], [2]], [0, 0]), ([[1, -0.5]], [0]))
# One output that is zero: the rectified difference of two equal values, which interval arithmetic does not see.
DEEP = nnet(([[1], [2]], [2, 4]), ([[1, -0.5]], [0]), ([[1]], [0]))
SQUARE = "(and (>= X_0 -1) (<= X_0 1) (>= X_1 -1) (<= X_1 1))"
SEGMENT = "(and (>= X_0 -1) (<= X_0 1))"

Entries = Sequence[Entry]


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    with files_read_once():
        yield


def total(folder: Path, *conditions: str) -> Problem:
    """A question about the sum of two rectified inputs between -1 and 1."""
    return problem(folder, SUM, vnnlib(2, 2, SQUARE, *conditions))


def single(folder: Path, network: str, *conditions: str) -> Problem:
    """A question about a network of one input between -1 and 1."""
    return problem(folder, network, vnnlib(1, 1, SEGMENT, *conditions))


def accepts(asked: Problem, entries: Entries) -> None:
    """The checker accepts a proof, in both arithmetics; and so does the plain one."""
    for how in ways(asked):
        report = asked.report(entries, **how)
        assert report.accepted, (how, report.failures)


def rejects(asked: Problem, entries: Entries, reason: str, **fields: Any) -> None:
    """The checker rejects a proof for a reason, in both arithmetics; and so does the plain one."""
    for how in ways(asked, **fields):
        try:
            failures = asked.report(entries, **how, **fields).failures
        except ProofError as error:
            failures = (str(error),)
        assert failures, (how, "accepted")
        assert re.search(reason, failures[0]), (how, failures)


def ways(asked: Problem, claim: str = "unsat", **_: Any) -> list[dict[str, Any]]:
    """Ways to check a proof: in both arithmetics, and by the plain checker if that knows about the problem."""
    known = asked.network.suffix == ".nnet" and claim == "unsat"
    return [{}, {"exact": True}, *([{"plainly": True}] if known else [])]


LEAF = refuted(0, {TOP: 1.0})
ABOVE, REACHED = "(>= Y_0 3)", "(>= Y_0 1.5)"

# --- the header ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"network": "0" * 64}, "about another network"),
        ({"query": "0" * 64}, "about another query"),
        ({"activations": "0" * 64}, "about another activations"),
        ({"inputs": 3}, "sizes .* do not agree"),
        ({"outputs": 1}, "sizes .* do not agree"),
        ({"layers": (2,)}, "sizes .* do not agree"),
        ({"layers": (3, 3)}, "sizes .* do not agree"),
    ],
)
def test_a_proof_belongs_to_its_files(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    accepts(total(tmp_path, ABOVE), [LEAF])
    rejects(total(tmp_path, ABOVE), [LEAF], reason, **fields)


def test_a_proof_is_not_one_of_another_claim(tmp_path: Path) -> None:
    asked = total(tmp_path, REACHED)
    assert asked.report([], claim="sat", witness=("1", "1/2")).accepted
    for point in (("0", "1"), ("1", "2"), ("3/4", "0x1.7ffffffffffffp-1")):
        assert not asked.report([], claim="sat", witness=point).accepted
    rejects(asked, [LEAF], "goes on after its end", claim="sat", witness=("1", "1/2"))


def written(asked: Problem, content: Callable[[bytes], bytes]) -> Path:
    """A file whose entries are made of a leaf's bytes."""
    path = asked.query.with_suffix(".proof")
    path.write_bytes(stored_as(MAGIC + asked.header().to_line() + content(pack(LEAF, 2))))
    return path


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda leaf: leaf + pack_end(0), "does not count its entries right"),
        (lambda leaf: leaf + pack_end(2), "does not count its entries right"),
        (lambda leaf: leaf, "ends in the middle"),
        (lambda leaf: leaf + pack_end(1) + b"\0", "goes on after its end"),
        (lambda leaf: pack_end(0) + leaf + pack_end(1), "goes on after its end"),
        (lambda leaf: leaf + pack_end(1)[:-1], "ends in the middle"),
        (lambda leaf: leaf + HEAD.pack(0, 0, 0, 8, 1) + (1).to_bytes(8, "little"), "does not count its entries right"),
        (lambda leaf: leaf[:4] + (2**27).to_bytes(4, "little") + leaf[8:] + pack_end(1), "an entry of 134217728 bytes"),
        (lambda leaf: b"\x09" + leaf[1:] + pack_end(1), "a kind that is not known"),
        (lambda leaf: leaf[:1] + b"\4" + leaf[2:] + pack_end(1), "flags 4, which do not go with its kind"),
        (lambda leaf: leaf[:1] + b"\0" + leaf[2:] + pack_end(1), "flags 0, which do not go with its kind"),
    ],
)
def test_a_file_is_whole(tmp_path: Path, content: Callable[[bytes], bytes], reason: str) -> None:
    asked = total(tmp_path, ABOVE)
    files = Files(written(asked, lambda leaf: leaf + pack_end(1)), asked.network, asked.query)
    assert check(files).accepted
    assert plain.check(files).accepted
    written(asked, content)
    for checked in (check, plain.check):
        with pytest.raises(ProofError, match=reason):
            checked(files)


# --- the tree --------------------------------------------------------------------------------------------------------


def test_the_root_must_be_closed(tmp_path: Path) -> None:
    accepts(total(tmp_path, ABOVE), [LEAF])
    rejects(total(tmp_path, ABOVE), [], "node 0 .*is left open")
    rejects(total(tmp_path, ABOVE), [refuted(1, {TOP: 1.0})], "node 0 .*is left open")
    rejects(total(tmp_path, ABOVE), [LEAF, LEAF], "closed or split more than once")
    rejects(total(tmp_path, ABOVE), [Entry(Kind.TIGHTEN, 0, first_layer=0)], "node 0 .*is left open")


@pytest.mark.parametrize("most", [0, -1])
def test_a_check_does_not_stop_before_its_first_failure(tmp_path: Path, most: int) -> None:
    asked = total(tmp_path, ABOVE)
    rejects(asked, [split(0, 0, 0.5, 1)], "it is left open")
    with pytest.raises(OptionError, match="1 or more"):
        check(Files(asked.query.with_suffix(".proof"), asked.network, asked.query), most_failures=most)


def test_only_a_contradiction_needs_no_entry(tmp_path: Path) -> None:
    accepts(total(tmp_path, "(> X_0 1)"), [])
    accepts(total(tmp_path, "(< X_0 (+ 1 -2))"), [])
    accepts(total(tmp_path, "(<= 1 0)"), [])
    accepts(total(tmp_path, "(< 0 0)"), [])
    rejects(total(tmp_path, "(>= X_0 1)"), [], "node 0 .*is left open")
    rejects(total(tmp_path, "(<= 0 0)"), [], "node 0 .*is left open")


RIGHT = [split(0, 0, 0.25, 1), refuted(1, {TOP: 1.0}), refuted(2, {TOP: 1.0})]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (RIGHT[:2], "node 2 .*is left open"),
        ([RIGHT[0], RIGHT[2]], "node 1 .*is left open"),
        ([split(0, 0, 0.25, 2), *RIGHT[1:]], "node 3 .*is left open"),
        ([split(0, 0, 0.25, 2**64 - 1), *RIGHT[1:]], "node 18446744073709551616 .*is left open"),
        ([split(0, 0, 0.25, 0), *RIGHT[1:]], "node 0 is the child of two nodes"),
        ([RIGHT[0], split(1, 1, 0.0, 1), RIGHT[2]], "node [12] is the child of two nodes"),
        ([RIGHT[0], split(1, 1, 0.0, 0), RIGHT[2]], "node [012] is the child of two nodes"),
        ([RIGHT[0], split(1, 1, 0.0, 2), RIGHT[2], refuted(3, {TOP: 1.0})], "node 2 is the child of two nodes"),
        ([split(0, 2, 0.25, 1), *RIGHT[1:]], "splits input 2, but there are 2"),
        ([split(0, 3, 0.25, 1, neuron=True), *RIGHT[1:]], "splits neuron 3, but there are 3"),
        ([split(0, 0, np.inf, 1), *RIGHT[1:]], "number that is not finite"),
        ([split(0, 0, np.nan, 1), *RIGHT[1:]], "number that is not finite"),
        ([*RIGHT, RIGHT[0]], "closed or split more than once"),
        ([*RIGHT, empty(0)], "closed or split more than once"),
    ],
)
@pytest.mark.parametrize("neuron", [False, True])
def test_children_cover_their_node(tmp_path: Path, entries: list[Entry], reason: str, neuron: bool) -> None:
    def also(entry: Entry) -> Entry:
        return split(entry.node, entry.index, entry.value, entry.first, neuron=True)

    if neuron and "input" not in reason:
        entries = [also(e) if e.kind is Kind.SPLIT_INPUT else e for e in entries]
    asked = total(tmp_path, ABOVE)
    accepts(asked, [also(RIGHT[0]), *RIGHT[1:]] if neuron else RIGHT)
    rejects(asked, entries, reason)


@pytest.mark.parametrize("neuron", [False, True])
def test_a_split_beside_the_node_leaves_all_of_it_to_one_child(tmp_path: Path, neuron: bool) -> None:
    asked = total(tmp_path, ABOVE)
    for value, kept, lost in ((5.0, 1, 2), (-5.0, 2, 1), (1e308, 1, 2)):
        accepts(asked, [split(0, 0, value, 1, neuron=neuron), refuted(kept, {TOP: 1.0})])
        rejects(asked, [split(0, 0, value, 1, neuron=neuron), refuted(lost, {TOP: 1.0})], f"node {kept} .*is left open")


@pytest.mark.parametrize("neuron", [False, True])
def test_the_side_that_a_counterexample_is_on_cannot_be_closed(tmp_path: Path, neuron: bool) -> None:
    """At 1.5 the sum is reached where both inputs are large."""
    asked = total(tmp_path, REACHED)
    near = split(0, 0, 0.25, 1, neuron=neuron)
    for leaf, reason in (
        (refuted(2, {TOP: 1.0}), "bounded by -0.5 only"),
        (refuted(2, {TOP: 1e-300}), "bounded by .* only"),
        (refuted(2, {0: 1.0, 1: 1.0}), "bounded by .* only"),
        (empty(2), "do not exclude each other"),
        (split(2, 0, -7.0, 1), "is the child of two nodes"),
    ):
        rejects(asked, [near, refuted(1, {TOP: 1.0}), leaf], f"node 2 .*{reason}")
    accepts(total(tmp_path, "(>= Y_0 2.25)"), [near, refuted(1, {TOP: 1.0}), refuted(2, {TOP: 1.0})])


def test_a_split_of_neurons_is_needed_and_enough(tmp_path: Path) -> None:
    tree = [split(0, 0, 0.0, 1, neuron=True), refuted(1, {2: 1.0}), refuted(2, {2: 1.0}, lines={1: 1.0})]
    asked, touched = (single(tmp_path, NOUGHT, f"(>= Y_0 {value})") for value in ("0.25", "0"))
    accepts(asked, tree)
    accepts(single(tmp_path, NOUGHT, "(> Y_0 0)"), tree)
    rejects(touched, tree, "node [12] cannot be confirmed: its combination is bounded by -?0")
    rejects(asked, [refuted(0, {2: 1.0})], "node 0 cannot be confirmed")
    exchanged = [split(0, 0, 0.0, 1, neuron=True), refuted(1, {2: 1.0}), refuted(2, {2: 1.0}, lines={1: 0.0})]
    rejects(asked, exchanged, "node 2 cannot be confirmed")  # the line of the other side


# --- alternatives ----------------------------------------------------------------------------------------------------

EITHER = "(or (>= Y_0 3) (<= Y_0 -1))"
PARTS = [cases(0, 0, 1), refuted(1, {4: 1.0}), refuted(2, {5: 1.0})]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([refuted(0, {4: 1.0})], "uses an inequality that is not asserted"),
        ([refuted(0, {4: 1.0, 5: 1.0})], "uses an inequality that is not asserted"),
        (PARTS[:2], "node 2 .*is left open"),
        ([PARTS[0], PARTS[2]], "node 1 .*is left open"),
        ([PARTS[0], refuted(1, {5: 1.0}), refuted(2, {4: 1.0})], "uses an inequality that is not asserted"),
        ([cases(0, 0, 2), *PARTS[1:]], "node 3 .*is left open"),
        ([cases(0, 0, 0), PARTS[1]], "node 0 is the child of two nodes|node 1 uses an inequality"),
        ([cases(0, 1, 1), *PARTS[1:]], "alternative 1 is not asserted"),
        ([PARTS[0], cases(1, 0, 3), PARTS[2], refuted(3, {4: 1.0}), refuted(4, {5: 1.0})], "alternative 0 is not"),
        ([PARTS[0], PARTS[1], refuted(2, {4: 1.0})], "node 2 uses an inequality that is not asserted"),
        ([PARTS[0], PARTS[1], refuted(2, {99: 1.0})], "node 2 uses an inequality that is not asserted"),
    ],
)
def test_every_part_of_an_alternative_is_closed(tmp_path: Path, entries: list[Entry], reason: str) -> None:
    asked = total(tmp_path, EITHER)
    accepts(asked, PARTS)
    accepts(asked, [split(0, 0, 0.0, 8), cases(8, 0, 1), *PARTS[1:], cases(9, 0, 3), *_at(PARTS[1:], 2)])
    rejects(asked, entries, reason)


def _at(entries: Entries, by: int) -> list[Entry]:
    return [Entry(e.kind, e.node + by, first_layer=e.first_layer, combination=e.combination) for e in entries]


def test_a_part_that_can_be_met_is_not_closed(tmp_path: Path) -> None:
    asked = total(tmp_path, "(or (>= Y_0 3) (>= Y_0 1))")
    for leaf in (refuted(2, {5: 1.0}), empty(2), refuted(2, {5: 0.0}), refuted(2, {4: 1.0}), refuted(2, {})):
        rejects(asked, [cases(0, 0, 1), refuted(1, {4: 1.0}), leaf], "node 2 ")


def test_alternatives_within_alternatives(tmp_path: Path) -> None:
    """The inner one is asserted only where the outer one's part is."""
    asked = total(tmp_path, "(or (and (>= Y_0 1) (or (>= Y_0 3) (< Y_1 -1))) (<= Y_0 -1))")
    right = [cases(0, 0, 1), cases(1, 1, 3), refuted(3, {5: 1.0}), refuted(4, {6: 1.0}), refuted(2, {7: 1.0})]
    accepts(asked, right)
    rejects(asked, [cases(0, 1, 1), refuted(1, {5: 1.0}), refuted(2, {6: 1.0})], "alternative 1 is not asserted")
    rejects(asked, [*right[:2], refuted(3, {4: 1.0}), *right[3:]], "node 3 cannot be confirmed")
    rejects(asked, [*right[:4], cases(2, 1, 5)], "alternative 1 is not asserted")


# --- combinations ----------------------------------------------------------------------------------------------------


def combined(**parts: Any) -> Entry:
    return Entry(Kind.REFUTED, 0, first_layer=0, combination=Combination(**parts))


def test_weights_are_not_negative(tmp_path: Path) -> None:
    asked = total(tmp_path, ABOVE, "(>= Y_0 0)")
    accepts(asked, [combined(weights=numbers({4: 1.0, 5: 0.25}))])
    accepts(asked, [combined(weight_fractions=fractions({4: Fraction(1, 3), 5: Fraction(1, 10)}))])
    rejects(asked, [combined(weights=numbers({4: 1.0, 5: -0.25}))], "a weight is negative")
    rejects(asked, [combined(weights=numbers({5: -5e-324}))], "a weight is negative")
    rejects(asked, [combined(weight_fractions=fractions({5: Fraction(-1)}))], "a weight is negative")
    nought = Ratios(*(np.array([i], dtype=t) for i, t in ((4, np.uint16), (1, np.int64), (0, np.uint64))))
    rejects(asked, [combined(weight_fractions=nought)], "a denominator is zero")
    rejects(asked, [combined(weights=numbers({4: np.inf}))], "not finite")
    rejects(asked, [combined(weights=numbers({4: np.nan}))], "not finite")
    # Were weights of either sign allowed, this would refute what can be met.
    rejects(total(tmp_path, "(<= Y_0 3)"), [refuted(0, {TOP: -1.0})], "a weight is negative")


@pytest.mark.parametrize(("threshold", "right"), [(2 + 2**-30, True), (2, False), (2 - 2**-50, False), (1.5, False)])
def test_a_bound_is_positive(tmp_path: Path, threshold: float, right: bool) -> None:
    asked = total(tmp_path, f"(>= Y_0 {threshold:.60f})")
    for leaf in (LEAF, refuted(0, {TOP: 1e-200}), refuted(0, {TOP: 1e200}), refuted(0, {TOP: 5e-324})):
        if right and leaf is LEAF:
            accepts(asked, [leaf])
        elif not right:
            rejects(asked, [leaf], "its combination is bounded by .* only")


def test_zero_is_enough_with_a_strict_inequality_that_has_a_weight(tmp_path: Path) -> None:
    accepts(total(tmp_path, "(> Y_0 2)"), [LEAF])
    rejects(total(tmp_path, "(>= Y_0 2)"), [LEAF], "bounded by .* only")
    besides = total(tmp_path, "(>= Y_0 2)", "(< Y_0 5)")
    for weights in ({4: 1.0, 5: 0.0}, {5: 0.0}, {4: 0.0}, {}, {4: 1.0, 5: 5e-324}):
        rejects(besides, [refuted(0, weights)], "bounded by .* only")
    twice = Numbers(np.array([5, 5], dtype=np.uint16), np.array([1.0, 0.0]))
    rejects(besides, [combined(weights=twice)], "bounded by .* only")
    rejects(besides, [combined(weights=numbers({5: 1.0}), weight_fractions=fractions({5: Fraction(0)}))], "bounded by")
    nothing = total(tmp_path, "(> Y_0 1)", "(< Y_0 3)")
    rejects(nothing, [refuted(0, {4: 0.0, 5: 0.0})], "bounded by .* only")


BOTH_SIGNS = ("(>= Y_1 0.5)", "(<= Y_1 -0.5)")
"""Refuted by one inequality where the first input, a neuron too, is negative, and by the other where it is positive."""


@pytest.mark.parametrize(("first", "second"), [(1.0, -1.0), (-1.0, -1.0), (1.0, 1.0), (0.0, -1.0), (1.0, 0.0)])
def test_conditions_of_both_signs(tmp_path: Path, first: float, second: float) -> None:
    tree = [
        split(0, 0, 0.0, 1, neuron=True),
        refuted(1, {4: 1.0}, layer=1, conditions={0: first}),
        refuted(2, {5: 1.0}, layer=1, conditions={0: second}),
    ]
    if (first, second) == (1.0, -1.0):
        accepts(total(tmp_path, *BOTH_SIGNS), tree)
    else:
        rejects(total(tmp_path, *BOTH_SIGNS), tree, f"node {2 if first == 1.0 else 1} cannot be confirmed")
    # What the split says holds on its own side alone, and nothing holds beyond the neuron's bounds.
    for asked in (total(tmp_path, BOTH_SIGNS[0]), total(tmp_path, BOTH_SIGNS[1])):
        for mu in (first, second, 1e300, -1e300):
            sides = [refuted(node, {4: 1.0}, layer=1, conditions={0: mu}) for node in (1, 2)]
            rejects(asked, [tree[0], *sides], "node [12] cannot be confirmed")
            rejects(asked, [refuted(0, {4: 1.0}, conditions={0: mu})], "node 0 cannot be confirmed")
    rejects(total(tmp_path, *BOTH_SIGNS), [refuted(0, {4: 1.0}, conditions={3: 1.0})], "neuron 3 is named")


def test_a_half_space_is_inherited_or_there_is_none(tmp_path: Path) -> None:
    asked = total(tmp_path, "(>= (+ Y_1 X_1) 1.5)", "(>= (- Y_1 X_1) 1.5)")
    bare, given = split(0, 0, 0.0, 1), split(0, 0, 0.0, 1, combination=combination({4: 1.0}))
    leaves = [refuted(node, {5: 1.0}, inherited=1.0) for node in (1, 2)]
    own = [refuted(node, {5: 1.0}) for node in (1, 2)]
    accepts(asked, [given, *leaves])
    accepts(asked, [given, *own])  # (mixed in where that helps)
    rejects(asked, [bare, *leaves], "node [12] uses a half-space, but inherits none")
    rejects(asked, [bare, *own], "node 2 cannot be confirmed")
    rejects(asked, [refuted(0, {5: 1.0}, inherited=1.0)], "node 0 uses a half-space, but inherits none")
    rejects(asked, [given, leaves[0], refuted(2, {5: 1.0}, inherited=-1.0)], "negative or not finite")
    rejects(asked, [given, leaves[0], refuted(2, {5: 1.0}, inherited=np.nan)], "negative or not finite")
    further = split(2, 1, 0.0, 3)
    accepts(asked, [given, leaves[0], further, *_at(leaves, 2)])  # it goes on through a split that says nothing
    # A combination's half-space replaces the one before; this one says nothing.
    replaced = split(2, 1, 0.0, 3, combination=combination({0: 1.0}))
    rejects(asked, [given, leaves[0], replaced, *_at(leaves, 2)], "node [34] cannot be confirmed")


def test_a_half_space_is_no_more_than_its_combination(tmp_path: Path) -> None:
    """Both inequalities can be met together, one of them with equality."""
    asked = total(tmp_path, "(>= (+ Y_1 X_1) 1)", "(>= (- Y_1 X_1) 1)")
    for parent in (combination({4: 1.0}), combination({4: 1e150}), combination({4: 1.0}, conditions={0: -1e9})):
        for inherited in (0.0, 1.0, 1e-150, 1e150):
            leaves = [refuted(node, {5: 1.0}, inherited=inherited) for node in (1, 2)]
            rejects(asked, [split(0, 0, 0.0, 1, combination=parent), *leaves], "node 2 (cannot|uses)")
    rejects(asked, [split(0, 0, 0.0, 1, combination=combination({6: 1.0})), *leaves], "not asserted")


# --- what is empty ---------------------------------------------------------------------------------------------------


def test_what_is_not_empty(tmp_path: Path) -> None:
    accepts(total(tmp_path, "(>= (+ X_0 X_1) 2.5)"), [empty(0)])
    rejects(total(tmp_path, "(>= (+ X_0 X_1) 2)"), [empty(0)], "do not exclude each other")
    rejects(total(tmp_path, ABOVE), [empty(0)], "do not exclude each other")
    bounds = [split(0, 0, 0.5, 1, neuron=True), refuted(1, {TOP: 1.0}), empty(2)]
    # The neurons x + 4 and x contradict each other where the one is at most 4 and the other at least 0.5.
    apart = [split(0, 0, 0.5, 1, neuron=True), empty(1), split(2, 2, 4.0, 3, neuron=True), empty(3), empty(4)]
    rejects(total(tmp_path, ABOVE), bounds, "node 2 cannot be confirmed: its bounds do not exclude")
    rejects(total(tmp_path, ABOVE), apart, "node [1234] cannot be confirmed: its bounds do not exclude")


def test_rows_on_inputs_hold_where_they_are_asserted(tmp_path: Path) -> None:
    half = "(<= (+ X_0 X_1) 0)"
    accepts(total(tmp_path, half, "(>= Y_0 1.5)"), [refuted(0, {5: 1.0})])
    rejects(total(tmp_path, "(<= (+ X_0 X_1) 2)", "(>= Y_0 1.5)"), [refuted(0, {5: 1.0})], "cannot be confirmed")
    leaves = [cases(0, 0, 1), refuted(1, {5: 1.0}), refuted(2, {6: 1.0})]
    rejects(total(tmp_path, f"(or (and {half} (>= Y_0 1.5)) (>= Y_0 1.5))"), leaves, "node 2 cannot be confirmed")
    leaves = [cases(0, 0, 1), refuted(1, {5: 1.0}), refuted(2, {7: 1.0})]
    accepts(total(tmp_path, f"(or (and {half} (>= Y_0 1.5)) (and {half} (>= Y_0 1.5)))"), leaves)
    box = "(or (and (<= X_0 0) (>= Y_0 1.5)) (and (<= X_0 1) (>= Y_0 1.5)))"
    rejects(total(tmp_path, box), leaves, "node 2 cannot be confirmed")


# --- bounds and lines ------------------------------------------------------------------------------------------------


def test_neurons_are_bounded_where_the_proof_says_so(tmp_path: Path) -> None:
    def leaf(layer: int) -> Entry:
        return refuted(0, {2: 1.0}, layer=layer)

    def tighten(first: int, until: int) -> Entry:
        return Entry(Kind.TIGHTEN, 0, first_layer=first, until=until)

    def neuron(index: int, side: int) -> Entry:
        return Entry(Kind.NEURON, 0, index=index, side=side, lines=Lines())

    asked = single(tmp_path, DEEP, "(>= Y_0 0.5)")
    for right in ([leaf(0)], [leaf(1)], [tighten(1, 2), leaf(NO_LAYER)], [neuron(2, 0), leaf(NO_LAYER)]):
        accepts(asked, right)
        rejects(single(tmp_path, DEEP, "(>= Y_0 0)"), right, "its combination is bounded by")
        rejects(single(tmp_path, DEEP, "(>= Y_0 0.5)"), [*right[:-1], empty(0, NO_LAYER)], "do not exclude")
    accepts(asked, [leaf(NO_LAYER), neuron(2, -1)])  # steps come first wherever they stand
    for wrong in ([leaf(NO_LAYER)], [tighten(0, 1), leaf(NO_LAYER)], [neuron(0, 0), leaf(NO_LAYER)], [leaf(2)]):
        rejects(asked, wrong, "its combination is bounded by -0.5 only")
    rejects(asked, [neuron(3, 0), leaf(0)], "neuron 3 is named, but there are 3")
    rejects(asked, [neuron(2, 2), leaf(0)], "the side of a neuron is -1, 0 or 1, not 2")
    rejects(asked, [Entry(Kind.TIGHTEN, 1, first_layer=1, until=2), leaf(NO_LAYER)], "bounded by -0.5 only")


def test_no_split_of_a_neuron_hides_a_counterexample(tmp_path: Path) -> None:
    """Wherever a tree cuts the neurons of a network that gives zero, zero stays."""
    asked = single(tmp_path, DEEP, "(>= Y_0 0)")
    for neuron in range(3):
        for value in (-1.0, 0.0, 1.0):
            for layer in (0, 1, NO_LAYER):
                leaves = [refuted(node, {2: 1.0}, layer=layer) for node in (1, 2)]
                rejects(asked, [split(0, neuron, value, 1, neuron=True), *leaves], "node [12] cannot be confirmed")
                ends = [empty(node, layer) for node in (1, 2)]
                rejects(asked, [split(0, neuron, value, 1, neuron=True), *ends], "node [12] cannot be confirmed")


FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SLOPES = st.one_of(st.floats(-2, 3), FLOATS, st.sampled_from([0.0, 0.5, 1.0, 1e308, -1e308, 5e-324]))


def all_forms(slope: float, other: float, share: int) -> list[Lines]:
    """Lines of two neurons in the four ways that a proof may give them."""
    index = np.array([0, 1], dtype=np.uint16)
    ratio = Fraction(slope).limit_denominator(10**9) if abs(slope) < 1e6 else Fraction(1, 3)
    return [
        slopes({0: slope, 1: other}),
        Lines(shares=Shares(index, np.array([share, 128 - share], dtype=np.uint8))),
        Lines(fractions=fractions({0: ratio, 1: -ratio})),
        Lines(pairs=Pairs(index, np.array([slope, other]), np.array([other, slope]))),
    ]


@FEW
@given(slope=SLOPES, other=SLOPES, share=st.integers(0, 128))
def test_a_wrong_slope_only_loosens(tmp_path: Path, slope: float, other: float, share: int) -> None:
    reached = single(tmp_path, NOUGHT, "(>= Y_0 0)")
    for lines in all_forms(slope, other, share):
        for node in (
            Entry(Kind.REFUTED, 0, first_layer=0, start=lines, combination=combination({2: 1.0})),
            combined(weights=numbers({2: 1.0}), lines=lines),
        ):
            rejects(reached, [node], "its combination is bounded by|no bounds there")
    exact = combined(weights=numbers({2: 1.0}), lines=slopes({1: 0.5}))
    accepts(single(tmp_path, NOUGHT, "(>= Y_0 0.75)"), [exact])


def test_shares_and_slopes_are_checked_as_numbers(tmp_path: Path) -> None:
    asked, index = single(tmp_path, NOUGHT, "(>= Y_0 0.75)"), np.array([1], dtype=np.uint16)
    accepts(asked, [combined(weights=numbers({2: 1.0}), lines=Lines(shares=Shares(index, np.array([64], "u1"))))])
    for lines, reason in (
        (Lines(shares=Shares(index, np.array([129], "u1"))), "a share is 129 of 128"),
        (slopes({1: np.nan}), "not finite"),
        (Lines(pairs=Pairs(index, np.array([0.0]), np.array([np.inf]))), "not finite"),
        (slopes({2: 0.5}), "neuron 2 is named, but there are 2"),
        (Lines(shares=Shares(index + 1, np.array([64], "u1"))), "neuron 2 is named, but there are 2"),
    ):
        rejects(asked, [combined(weights=numbers({2: 1.0}), lines=lines)], reason)


@pytest.fixture
def curve(tmp_path: Path) -> Callable[[str], Problem]:
    """Questions about tanh between -1 and 1."""
    path = tmp_path / "curve.onnx"
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, (1, 1)) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Tanh", ["x"], ["y"])], "curve", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)

    def asked(condition: str) -> Problem:
        query = tmp_path / f"{abs(hash(condition))}.vnnlib"
        query.write_text(vnnlib(1, 1, SEGMENT, condition))
        return Problem(path, query)

    return asked


def test_lines_around_curves(curve: Callable[[str], Problem]) -> None:
    """The tangent of the hyperbola at one is 0.76159415595576488812."""
    flat, chord = (refuted(0, {2: 1.0}, lines={0: slope}) for slope in (0.0, 0.76))
    accepts(curve("(>= Y_0 0.76159415595577)"), [flat])
    accepts(curve("(<= Y_0 -0.76159415595577)"), [flat])
    rejects(curve("(>= Y_0 0.76159415595576)"), [flat], "its combination is bounded by -")
    rejects(curve("(<= Y_0 -0.76159415595576)"), [flat], "its combination is bounded by -")
    rejects(curve("(>= Y_0 0.8)"), [chord], "its combination is bounded by -")
    sides = Lines(pairs=Pairs(np.array([0], dtype=np.uint16), np.array([0.76]), np.array([0.0])))
    accepts(curve("(>= Y_0 0.8)"), [combined(weights=numbers({2: 1.0}), lines=sides)])
    rejects(curve("(<= Y_0 -0.8)"), [combined(weights=numbers({2: 1.0}), lines=sides)], "bounded by -")


@FEW
@given(below=SLOPES, above=SLOPES, value=st.floats(-1, 1))
def test_no_slope_and_no_split_makes_a_curve_steeper(
    curve: Callable[[str], Problem], below: float, above: float, value: float
) -> None:
    pairs = Pairs(np.array([0], dtype=np.uint16), np.array([below]), np.array([above]))
    lines = Lines(pairs=pairs)
    for condition in ("(>= Y_0 0.76159415595576)", "(<= Y_0 -0.76159415595576)"):
        asked = curve(condition)
        rejects(asked, [combined(weights=numbers({2: 1.0}), lines=lines)], "bounded by|no bounds there")
        leaves = [
            Entry(Kind.REFUTED, node, first_layer=0, combination=Combination(weights=numbers({2: 1.0}), lines=lines))
            for node in (1, 2)
        ]
        for neuron in (False, True):
            rejects(asked, [split(0, 0, value, 1, neuron=neuron), *leaves], "node [12] cannot be confirmed")


def test_nothing_is_exchanged_but_squares(tmp_path: Path) -> None:
    asked = total(tmp_path, ABOVE)
    records = np.array([(0, 0, 1.0)], dtype=RECORD)
    written(asked, lambda leaf: pack_rewriting(records) + leaf + pack_end(2))
    files = Files(asked.query.with_suffix(".proof"), asked.network, asked.query)
    with pytest.raises(ProofError, match="exchanges neurons that are no squares"):
        check(files)
    written(asked, lambda leaf: leaf + pack_rewriting(records) + pack_end(2))
    with pytest.raises(ProofError, match="of a kind that is not known"):
        check(files)


# --- false claims ----------------------------------------------------------------------------------------------------


def random_proof(rng: np.random.Generator, neurons: int) -> list[Entry]:
    """A tree that breaks no rule of form: splits, cases of the only alternative, steps, and random combinations.

    Many leaves have the weight that they should have, so that some trees prove what can be proven.
    """
    entries, todo, following = list[Entry](), [(0, 0, 0)], 1
    magnitudes = np.array([1.0, 1.0, 1.0, 0.5, 2.0, 1e-9, 1e9, 1e200, 5e-324])

    def lines() -> dict[int, float]:
        return {i: float(rng.choice([0, 0.5, 1, rng.normal()])) for i in range(neurons) if rng.random() < 0.5}

    def given(row: int) -> Combination:
        if row and rng.random() < 0.5:
            return combination({row: 1.0}, lines=lines())
        used = np.flatnonzero(rng.random(row + 1) < 0.3).tolist() if row else []
        mu = {i: float(rng.choice(magnitudes) * rng.choice([-1, 1])) for i in range(neurons) if rng.random() < 0.3}
        return combination({i: float(rng.choice(magnitudes)) for i in used}, lines=lines(), conditions=mu)

    while todo:
        node, depth, row = todo.pop()
        layer, chosen = int(rng.choice([0, 0, 0, 1, NO_LAYER])), rng.random()
        if rng.random() < 0.2:
            entries.append(Entry(Kind.TIGHTEN, node, first_layer=0, start=slopes(lines())))
        if rng.random() < 0.2:
            side, index = int(rng.integers(-1, 2)), int(rng.integers(0, neurons))
            entries.append(Entry(Kind.NEURON, node, index=index, side=side, lines=slopes(lines())))
        if not row and (chosen < 0.5 or depth > 2):
            entries.append(cases(node, 0, following))
        elif depth < 3 and chosen < 0.6:
            value = float(rng.choice([0.0, 0.25, -0.5, rng.normal()]))
            neuron = bool(rng.random() < 0.5)
            index = int(rng.integers(0, neurons if neuron else 2))
            inherits = given(row) if rng.random() < 0.5 else None
            entries.append(split(node, index, value, following, neuron=neuron, combination=inherits))
        else:
            leaf = Entry(Kind.REFUTED, node, first_layer=layer, combination=given(row))
            entries.append(leaf if rng.random() < 0.95 else empty(node, layer))
            continue
        cased = entries[-1].kind is Kind.CASES
        todo += [(following + 1, depth + 1, 5 if cased else row), (following, depth + 1, 4 if cased else row)]
        following += 2
    return entries


@pytest.mark.parametrize("seed", range(6))
def test_no_tree_that_breaks_no_rule_proves_a_false_claim(tmp_path: Path, seed: int) -> None:
    """Random problems with an alternative of two equal parts, whose threshold is the greatest value, or just above."""
    rng = np.random.default_rng(seed)
    weights = [rng.integers(-4, 5, shape) / 2 for shape in ((3, 2), (2, 3), (1, 2))]
    text = nnet(*((w.tolist(), (rng.integers(-2, 3, len(w)) / 2).tolist()) for w in weights))
    path = tmp_path / "random.nnet"
    path.write_text(text)
    top = extremes(load_network(path), [(2, Fraction(1))], (-1.0, -1.0), (1.0, 1.0))[1]

    def asked(threshold: Fraction) -> Problem:
        atom = Atom(((2, Fraction(-1)),), threshold)
        parts = Or((atom, And((atom, Atom(((0, Fraction(1)),), Fraction(-3))))))
        return problem(tmp_path, text, write_query(Query(2, 1, And((*box, parts)))))

    box = conjuncts(read_query(problem(tmp_path, text, vnnlib(2, 1, SQUARE)).query).formula)
    reached, beyond = asked(top), asked(top + 99)
    network, formula = load_network(path), load_query(reached.query).formula
    assert find_witness(network, formula, (-1.0, -1.0), (1.0, 1.0), Fraction(0)) is not None
    accepted = 0
    for i in range(40):
        entries = random_proof(rng, 5)
        assert not _accepted(reached, entries, exact=i % 4 == 0)
        assert not _accepted(reached, entries, plainly=True)
        accepted += _accepted(beyond, entries)
    assert accepted


def _accepted(asked: Problem, entries: Entries, **how: bool) -> bool:
    try:
        return asked.report(entries, **how).accepted
    except ProofError:
        return False
