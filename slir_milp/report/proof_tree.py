"""The tree of splits that a proof holds, cut down to what a picture can show.

A proof of a hard query has more nodes than a picture has points.  Parts of the tree with fewer than a given share of
all leaves are therefore kept as one node that knows how many leaves are below it and how deep they go.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from os import PathLike

from slir_milp.certificate.file import open_proof
from slir_milp.certificate.format import Entry, Kind, unpack
from slir_milp.errors import OptionError, ProofError

FINEST = 1500
"""A part of the tree with less than one part in so many of all leaves is shown as one node."""
_ENDS = (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON, Kind.CASES, Kind.REFUTED, Kind.EMPTY)
_MOST_CASES = 1_000_000
_SPLITS = (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON)


@dataclass(frozen=True)
class Node:
    """A node of the tree, or a part of it that is too small to be shown.

    Attributes
    ----------
    parent
        Its parent's place among the nodes; -1 for the root.
    kind
        ``input``, ``neuron`` (splits), ``cases``, ``refuted``, ``empty`` (leaves), ``implied`` (a leaf that follows
        from its parent's split alone) or ``part`` (a part of the tree).
    index
        Number of the input, neuron or alternative; -1 where there is none.
    value
        Where a split cuts.
    depth
        Splits above it.
    leaves, deepest
        Leaves below it (itself, if it is one), and the depth of the deepest.
    """

    parent: int
    kind: str
    index: int
    value: float
    depth: int
    leaves: int
    deepest: int


@dataclass(frozen=True)
class ProofTree:
    """A tree, cut down.

    Attributes
    ----------
    nodes
        Parents before their children, and children in their order.
    total
        Nodes of the whole tree.
    layers
        Neurons of each layer, so that a neuron's number can be read.
    writer
        What wrote the proof.
    network, query
        SHA-256 of the files that it is about.
    """

    nodes: tuple[Node, ...]
    total: int
    layers: tuple[int, ...]
    writer: str
    network: str
    query: str

    @property
    def leaves(self) -> int:
        """Leaves of the whole tree."""
        return self.nodes[0].leaves

    @property
    def depth(self) -> int:
        """Greatest number of splits above a node."""
        return self.nodes[0].deepest


def proof_tree(path: str | PathLike[str], finest: int = FINEST) -> ProofTree:
    """Read the tree of a proof of ``unsat``; whether it proves anything is not looked at.

    Parameters
    ----------
    path
        The proof.
    finest
        See :data:`FINEST`.

    Raises
    ------
    ProofError
        The file is no proof, or is damaged, or its nodes form no tree.
    OptionError
        It is a proof of ``sat``, which is a point and has no tree.
    """
    ends: dict[int, tuple[Kind, int, float, int]] = {}
    with open_proof(path) as (header, entries):
        if header.claim != "unsat":
            raise OptionError(f"{path} proves sat: it is a witness and has no tree.")
        for raw in entries:
            if raw.kind in _ENDS:
                entry: Entry = unpack(raw, header.index)
                ends.setdefault(raw.node, (entry.kind, entry.index, entry.value, entry.first))
    children = _children(ends)
    order, depths = _order(children)
    leaves: dict[int, int] = {}
    deepest: dict[int, int] = {}
    for node in reversed(order):
        below = children.get(node, ())
        leaves[node] = sum(leaves[child] for child in below) or 1
        deepest[node] = max((deepest[child] for child in below), default=depths[node])
    least = leaves[0] / finest
    places: dict[int, int] = {}
    nodes: list[Node] = []
    parents = {child: node for node, below in children.items() for child in below}
    for node in order:
        parent = parents.get(node)
        if parent is not None and (parent not in places or nodes[places[parent]].kind == "part"):
            continue
        kind, index, value, _ = ends.get(node, (None, -1, 0.0, 0))
        small = node in children and leaves[node] < least
        name = "part" if small else _name(kind)
        number = index if kind in (*_SPLITS, Kind.CASES) and not small else -1
        places[node] = len(nodes)
        nodes.append(
            Node(
                -1 if parent is None else places[parent], name, number, value, depths[node], leaves[node], deepest[node]
            )
        )
    return ProofTree(tuple(nodes), len(order), header.layers, header.writer, header.network, header.query)


def _name(kind: Kind | None) -> str:
    names = {Kind.SPLIT_INPUT: "input", Kind.SPLIT_NEURON: "neuron", Kind.CASES: "cases"}
    return "implied" if kind is None else names.get(kind, kind.name.lower())


def _children(ends: dict[int, tuple[Kind, int, float, int]]) -> dict[int, tuple[int, ...]]:
    """Children of every node that has some; those of cases are the nodes up to the next first child of another."""
    firsts = sorted(first for kind, _, _, first in ends.values() if kind in (*_SPLITS, Kind.CASES))
    last = max([*ends, *(first + 1 for first in firsts), 0])
    following = dict(pairwise([*dict.fromkeys(firsts), last + 1]))
    children: dict[int, tuple[int, ...]] = {}
    for node, (kind, _, _, first) in ends.items():
        if kind in _SPLITS:
            children[node] = (first, first + 1)
        elif kind is Kind.CASES:
            if following[first] - first > _MOST_CASES:
                raise ProofError(f"the cases of node {node} are more than {_MOST_CASES:,}.")
            children[node] = tuple(range(first, following[first]))
    return children


def _order(children: dict[int, tuple[int, ...]]) -> tuple[list[int], dict[int, int]]:
    """Nodes from the root, parents first, and the depth of each."""
    order: list[int] = []
    depths = {0: 0}
    todo = [0]
    while todo:
        node = todo.pop()
        order.append(node)
        for child in reversed(children.get(node, ())):
            if child in depths:
                raise ProofError(f"the nodes form no tree: node {child} is reached twice.")
            depths[child] = depths[node] + 1
            todo.append(child)
    return order, depths
