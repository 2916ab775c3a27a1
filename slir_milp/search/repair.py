"""Repair of a proof: what the checker cannot confirm is searched again, and a mended proof is written.

A node that is not confirmed is a region with conditions: a box, bounds of neurons, a half-space, and the parts of the
formula that are asserted in it.  It is searched as a run searches its roots, with a greater margin, and what is found
takes the place of the node's entries and of all below them.  Nothing here is believed: the checker reads the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import takewhile
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from slir_milp._version import __version__
from slir_milp.bounding.kernel import Settings, compile_network
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region, Side
from slir_milp.certificate.check.rewrite import Rewriter
from slir_milp.certificate.check.tree import Node
from slir_milp.certificate.file import Header, open_proof
from slir_milp.certificate.format import HEAD, Entry, Kind, RawEntry, unpack
from slir_milp.certificate.rewriting import unpack_rewriting
from slir_milp.certificate.write import ProofWriter
from slir_milp.errors import ProofError
from slir_milp.network.normal_form import Network
from slir_milp.query import Clause, Query, clauses
from slir_milp.query.expand import Start
from slir_milp.query.formula import Atom, Formula, Or, numbering
from slir_milp.search.explore import Search
from slir_milp.search.frontier import Target
from slir_milp.search.journal import Journal
from slir_milp.search.limits import Limits
from slir_milp.search.replay import Replayer
from slir_milp.search.roots import Opened, Roots, neurons_to_sharpen
from slir_milp.search.run import available_cores
from slir_milp.search.state import State
from slir_milp.search.target import Charges, Root, root_of
from slir_milp.search.verdict import Options, Reason, Witness

_MOST_OPEN = 256
"""Open conjunctions after which the search is called before more are looked at."""
_HIGHEST = 2**62
_SPLITS = (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON, Kind.CASES)


@dataclass(frozen=True)
class Repair:
    """What came of a repair.

    Attributes
    ----------
    left
        The nodes that are still open; if there are none, the mended proof is there.
    regions
        How many regions were bounded.
    reason
        The limit that ended it, if one did.
    witness
        An input that meets the query, if one was found: then the claim is false.
    """

    left: tuple[int, ...]
    regions: int
    reason: Reason | None = None
    witness: Witness | None = None


def repair(
    proof: str | PathLike[str],
    out: str | PathLike[str],
    network: Network,
    query: Query,
    nodes: Sequence[Node],
    options: Options,
    *,
    margin: float,
    report: Callable[[int], None] | None = None,
) -> Repair:
    """Search some nodes of a proof of ``unsat`` again and write the mended proof.

    Parameters
    ----------
    proof
        The proof; it may be at ``out`` itself.
    out
        Where the mended one is to be; nothing is there if some node stays open.
    network, query
        What the proof is about; that they are is for the caller to know.
    nodes
        The nodes, as a :class:`slir_milp.certificate.check.Report` of a check in float64 gives them.
    options
        Limits, threads and the like.
    margin
        See :class:`slir_milp.bounding.kernel.Settings`.
    report
        Called some ten times a second with the number of regions bounded so far.

    Raises
    ------
    ProofError
        The proof cannot be read, or the mended one cannot be written.
    """
    old = _Old.read(proof, network, query)
    highest = old.highest()
    if highest > _HIGHEST:
        raise ProofError("the numbers of the proof's nodes leave no room for more.")
    kept = old.all_below([0]).keys() - old.all_below([node.number for node in nodes]).keys()
    writer = ProofWriter(out, replace(old.header, writer=f"slir_milp {__version__}"))
    try:
        for entry in (*old.rewritten, *(entry for entry in old.entries if entry.node in kept)):
            head = HEAD.pack(entry.kind, entry.flags, entry.first_layer, len(entry.payload), entry.node)
            writer.append(head + entry.payload, 1)
        writer.reserve(highest)
        again = _Again(old, network, query, Journal(writer, old.header.index), options, margin, report)
        result = again.run(nodes)
        if not result.left:
            writer.commit()
    finally:
        writer.discard()
    return result


@dataclass(frozen=True, eq=False)
class _Old:
    """The proof that is mended: its entries, the network that they speak of, and its splits by node."""

    header: Header
    rewritten: list[RawEntry]
    entries: list[RawEntry]
    network: Network
    splits: dict[int, Entry]
    alternatives: dict[int, Formula]
    atoms: dict[int, Formula]

    @staticmethod
    def read(path: str | PathLike[str], network: Network, query: Query) -> _Old:
        with open_proof(path) as (header, raw):
            entries = list(raw)
        rewriter = Rewriter(network, query.formula)
        rewritten = list(takewhile(lambda entry: entry.kind == Kind.REWRITE, entries))
        for entry in rewritten:
            rewriter.exchange(unpack_rewriting(entry))
        entries = entries[len(rewritten) :]
        splits = {entry.node: unpack(entry, header.index) for entry in entries if entry.kind in _SPLITS}
        atoms, alternatives = _numbered(query.formula)
        return _Old(header, rewritten, entries, rewriter.network, splits, alternatives, atoms)

    def below(self, node: int) -> range:
        """The children of a node."""
        split = self.splits.get(node)
        if split is None:
            return range(0)
        alternative = self.alternatives.get(split.index)
        parts = len(alternative.parts) if split.kind is Kind.CASES and isinstance(alternative, Or) else 2
        return range(split.first, split.first + parts)

    def all_below(self, nodes: Sequence[int]) -> dict[int, int]:
        """Some nodes and all below them, each with its parent (those that are named: themselves)."""
        found = {node: node for node in nodes}
        todo = [*nodes]
        while todo:
            node = todo.pop()
            new = [child for child in self.below(node) if child not in found]
            found.update(dict.fromkeys(new, node))
            todo += new
        return found

    def highest(self) -> int:
        """A number that no node's is above."""
        return max([0, *(entry.node for entry in self.entries), *(self.below(node).stop for node in self.splits)])

    def sides(self, parents: dict[int, int], node: int) -> tuple[NDArray[np.int8], ...]:
        """On which sides of its kink, or of other points, each neuron has been put on the way from the root."""
        layers = self.network.layers
        curved = np.concatenate([*(layer.is_curved for layer in layers), np.zeros(0, dtype=bool)])
        sides = np.zeros(len(curved), dtype=np.int8)
        while node:
            child, node = node, parents[node]
            split = self.splits[node]
            known = split.kind is Kind.SPLIT_NEURON and split.index < len(curved)
            if known and (curved[split.index] or split.value == 0):
                side = Side.NEGATIVE if child == split.first else Side.POSITIVE
                sides[split.index] = side if sides[split.index] in (Side.FREE, side) else Side.BOTH
        return tuple(np.split(sides, np.cumsum([layer.size for layer in layers])[:-1]))


class _Again:
    """The search of some nodes."""

    def __init__(
        self,
        old: _Old,
        network: Network,
        query: Query,
        journal: Journal,
        options: Options,
        margin: float,
        report: Callable[[int], None] | None,
    ) -> None:
        timeout = options.timeout
        self._old, self._query, self._journal = old, query, journal
        self._limits = Limits(float("inf") if timeout is None else time.monotonic() + timeout, options.memory_limit)
        self._state, self._replayer = State(self._limits), Replayer(network, query)
        jobs = options.jobs or available_cores()
        self._search = Search(old.network, self._replayer, options, self._state, jobs, journal)
        delta = 0.0 if old.network.is_piecewise_linear else options.delta
        settings = Settings(least_interval=delta, margin=margin)
        self._roots = Roots(old.network, settings, self._state, True, neurons_to_sharpen(old.network))
        self._parents = old.all_below([0])
        self._targets: list[tuple[int, Target]] = []
        self._unsettled = set[int]()
        self._report = report

    def run(self, nodes: Sequence[Node]) -> Repair:
        """Search the nodes, some at a time."""
        reason = None
        for at, node in enumerate(nodes):
            reason = self._limits.reached() or (self._explore() if len(self._search.frontier) >= _MOST_OPEN else None)
            if reason is not None or self._state.witness is not None:
                self._unsettled.update(node.number for node in nodes[at:])
                break
            self._open(node)
        reason = reason or self._explore()
        near_miss = self._replayer.near_miss
        witness = self._state.witness or (near_miss if near_miss is not None and near_miss.holds_exactly else None)
        if witness is not None:  # what is below the node that holds it need not have been gone through
            self._unsettled.update(node.number for node in nodes)
        return Repair(tuple(sorted(self._unsettled)), self._state.counts.regions, reason, witness)

    def _explore(self) -> Reason | None:
        """Search what is open; the limit that ended it, if any."""
        reason = None
        if self._state.witness is None:
            reason = self._search.run(self._tell)
        left = {id(piece.target) for piece in self._search.frontier.pieces()}
        self._unsettled.update(n for n, target in self._targets if target.undecided or id(target) in left)
        if reason is None:
            self._targets.clear()
        return reason

    def _tell(self) -> None:
        if self._report is not None:
            self._report(self._state.counts.regions)

    def _open(self, node: Node) -> None:
        """Bound every conjunction of a node; what stays open goes to the search."""
        for found in clauses(
            self._query, lambda partial: self._is_refuted(node, partial), self._journal, self._start(node)
        ):
            if self._limits.reached() is not None or self._state.witness is not None:
                self._unsettled.add(node.number)
                return
            if not found.rows:
                middle = 0.5 * found.lower + 0.5 * found.upper
                self._state.witness = self._replayer.try_point(middle, found.box)
                self._unsettled.add(node.number)
                return
            clause, root, charges, opened = self._bound(node, found, self._journal)
            if opened.record is None:
                continue
            if not charges.are_finite:
                self._unsettled.add(node.number)
                continue
            piece = self._roots.piece(clause, root, opened, charges)
            self._targets.append((node.number, piece.target))
            self._search.frontier.put(piece)

    def _is_refuted(self, node: Node, partial: Clause) -> bool:
        if not partial.rows or self._limits.reached() is not None:
            return False
        branch = self._journal.branch()
        if self._bound(node, partial, branch)[-1].record is not None:
            return False
        branch.keep()
        return True

    def _bound(self, node: Node, found: Clause, journal: Journal) -> tuple[Clause, Root, Charges, Opened]:
        """Bound a conjunction with all that is known in the node."""
        network = self._old.network
        # Where a part of an alternative bounds an input, the checker bounds all neurons afresh.
        known = None if found.place.box_node != node.number else node.bounds
        clause = replace(found, place=journal.enter_cuts(found.place)) if found.place.cuts else found
        root = root_of(network, clause.lower, clause.upper)
        neurons = root.region.neurons
        if known is not None:
            neurons = NeuronBounds(tuple(low for low, _ in known), tuple(high for _, high in known))
        half_spaces = root.region.half_spaces
        if node.half_space is not None:
            normal, offset = node.half_space
            half_spaces = HalfSpaces(normal[None, :], np.array([offset]))
        sides = self._old.sides(self._parents, node.number)
        region = Region(clause.lower.copy(), clause.upper.copy(), half_spaces, sides, neurons)
        charge = slack(network, clause.lower, clause.upper, neurons)
        charges = Charges(charge, compile_network(network, charge))
        return clause, root, charges, self._roots.bound(clause, root, region, charges, journal)

    def _start(self, node: Node) -> Start:
        """All that is asserted in a node, and its box if it is known there."""
        case, old = node.case, self._old
        formulas = (*(old.atoms[i] for i in sorted(case.atoms)), *(old.alternatives[i] for i in sorted(case.pending)))
        if None in case.lower or None in case.upper:
            return Start(node.number, formulas)
        lower, upper = ([(Fraction(end), False) for end in ends.tolist()] for ends in (node.lower, node.upper))
        return Start(node.number, formulas, tuple(lower), tuple(upper))


def _numbered(formula: Formula) -> tuple[dict[int, Formula], dict[int, Formula]]:
    """Inequalities and alternatives of a formula by their numbers."""
    parts, todo = dict[int, Formula](), [formula]
    while todo:
        part = todo.pop()
        parts[id(part)] = part
        if not isinstance(part, Atom):
            todo += part.parts
    atoms, alternatives = numbering(formula)
    return {n: parts[key] for key, n in atoms.items()}, {n: parts[key] for key, n in alternatives.items()}


__all__ = ["Repair", "repair"]
