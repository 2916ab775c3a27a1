"""A proof as plain JSON, for people and for programs in any language: one object a line (JSON Lines).

The first line is the header, with the names it has in the file and ``"format": "slir-milp proof 1"`` before them.  Then
comes a line for every entry, in the order of the file; the last one is the entry ``END``.  Numbers of nodes, layers,
neurons, inputs, inequalities and alternatives, and counts, are JSON numbers.  Every other number is a string and exact:
``0x1.8p-1`` (a binary64 number as C's ``%a`` writes it) or ``3/4``.

=============== ================================= ===================================================================
field           in the entries                    meaning
=============== ================================= ===================================================================
``entry``       all                               kind: ``TIGHTEN``, ``NEURON``, ``SPLIT_INPUT``, ``SPLIT_NEURON``,
                                                  ``CASES``, ``REFUTED``, ``EMPTY``, ``REWRITE``, ``END``
``node``        all but ``END``                   the node that it is a step or the end of
``from``        all but ``END``                   first hidden layer bounded afresh beforehand; ``null`` for none
``until``       ``TIGHTEN``                       layer before which bounding ends; ``null`` for after the last
``start``       those that have one               lines used while bounding neurons (see below)
``neuron``      ``NEURON``, ``SPLIT_NEURON``      its number over all layers
``input``       ``SPLIT_INPUT``                   its number
``side``        ``NEURON``                        1 for its lower bound, -1 for its upper, 0 for both
``lines``       ``NEURON``                        lines below the neuron
``value``       ``SPLIT_INPUT``, ``SPLIT_NEURON`` where it is split
``alternative`` ``CASES``                         which alternative of the query the children are the parts of
``first``       splits and ``CASES``              first child; the others follow it
``combination`` ``REFUTED``, some splits          object of ``weights``, ``inherited``, ``lines`` and ``conditions``
``weights``     within a combination              pairs of an inequality of the query and its multiplier
``inherited``   within a combination              multiplier of the half-space that the node inherits
``conditions``  within a combination              pairs of a neuron and the multiplier of its upper bound (positive) or
                                                  lower bound (negative)
``records``     ``REWRITE``                       triples of a row, a column (or ``null`` for the row's constant) and
                                                  its new value
``entries``     ``END``                           how many entries came before
=============== ================================= ===================================================================

Lines are an object of three lists: ``shares``, pairs of a neuron and ``k/128``, the share of its right slope (else its
left) in the slope of the line through its kink; ``slopes``, pairs of a neuron and the slope used on either side;
``pairs``, triples of a neuron and the slopes of the lines below and above it.  Lists that are empty are left out.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from os import PathLike
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from slir_milp.certificate.file import MAGIC, Header, open_proof
from slir_milp.certificate.format import (
    HEAD,
    NO_LAYER,
    SHARES,
    Combination,
    Entry,
    Kind,
    Lines,
    Numbers,
    Ratios,
    RawEntry,
    unpack,
)

Json: TypeAlias = "int | str | list[Json] | dict[str, Json] | None"
Object: TypeAlias = "dict[str, Json]"
Ids: TypeAlias = NDArray[np.uint64]
_KINDS = {kind.value for kind in Kind}


def objects(path: str | PathLike[str]) -> Iterator[Object]:
    """The header of a proof, then each of its entries, as JSON objects; one is held at a time.

    Raises
    ------
    ProofError
        The file is no proof, or is damaged; what comes before the damage has been given by then.
    """
    with open_proof(path) as (header, entries):
        yield _header(header)
        count = 0
        for raw in entries:
            yield _rewriting(raw) if raw.kind == Kind.REWRITE else _entry(unpack(raw, header.index))
            count += 1
        if header.claim == "unsat":
            yield {"entry": Kind.END.name, "entries": count}


@dataclass(frozen=True)
class Summary:
    """Figures of a proof.

    Attributes
    ----------
    header
        What it is about.
    stored, unpacked
        Bytes of the file, and of what it holds.
    kinds
        How many entries of each kind there are.
    depth
        Greatest number of splits above a node; ``None`` if the nodes form no tree.
    """

    header: Header
    stored: int
    unpacked: int
    kinds: dict[str, int]
    depth: int | None

    @property
    def leaves(self) -> int:
        """Nodes without children that have an entry."""
        return self.kinds.get("REFUTED", 0) + self.kinds.get("EMPTY", 0)


def summary(path: str | PathLike[str]) -> Summary:
    """Count what is in a proof, without a look at whether it proves anything.

    Raises
    ------
    ProofError
        The file is no proof, or is damaged.
    """
    kinds, nodes, firsts = Counter[str](), array("Q"), array("Q", [0])
    with open_proof(path) as (header, entries):
        size = len(MAGIC) + len(header.to_line()) + (HEAD.size + 8) * (header.claim == "unsat")
        owners = array("Q", [0])
        for raw in entries:
            size += HEAD.size + len(raw.payload)
            kinds[Kind(raw.kind).name if raw.kind in _KINDS else f"kind {raw.kind}"] += 1
            nodes.append(raw.node)
            if raw.kind in (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON, Kind.CASES):
                firsts.append(unpack(raw, header.index).first)
                owners.append(raw.node)
    stored = os.path.getsize(path)
    return Summary(header, stored, size, dict(kinds), _depth(*map(np.asarray, (nodes, firsts, owners))))


def _depth(nodes: Ids, firsts: Ids, owners: Ids) -> int | None:
    """Longest way up: the parent of a node is whoever has the greatest first child that is not beyond it."""
    order = np.argsort(firsts, kind="stable")
    firsts, owners = firsts[order], owners[order]
    at, depth = np.unique(nodes[nodes != 0]), 0
    while len(at):
        if depth > len(firsts):
            return None
        at = np.unique(owners[np.searchsorted(firsts, at, side="right") - 1])
        at, depth = at[at != 0], depth + 1
    return depth


def _header(header: Header) -> Object:
    content: Object = {"format": MAGIC.decode().strip()}
    for field in fields(header):
        value = getattr(header, field.name)
        if value is not None:
            content[field.name] = list(value) if isinstance(value, tuple) else value
    return content


def _entry(entry: Entry) -> Object:
    content: Object = {"entry": entry.kind.name, "node": entry.node, "from": _layer(entry.first_layer)}
    if entry.kind is Kind.TIGHTEN:
        content["until"] = _layer(entry.until)
    if entry.start is not None:
        content["start"] = _lines(entry.start)
    if entry.kind is Kind.NEURON:
        content |= {"neuron": entry.index, "side": entry.side, "lines": _lines(entry.lines or Lines())}
    elif entry.kind in (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON):
        name = "input" if entry.kind is Kind.SPLIT_INPUT else "neuron"
        content |= {name: entry.index, "value": entry.value.hex(), "first": entry.first}
    elif entry.kind is Kind.CASES:
        content |= {"alternative": entry.index, "first": entry.first}
    if entry.combination is not None:
        content["combination"] = _combination(entry.combination)
    return content


def _rewriting(raw: RawEntry) -> Object:
    from slir_milp.certificate.rewriting import BIAS, unpack_rewriting

    records: list[Json] = [
        [row, None if column == BIAS else column, value.hex()] for row, column, value in unpack_rewriting(raw).tolist()
    ]
    return {"entry": Kind.REWRITE.name, "node": raw.node, "from": _layer(raw.first_layer), "records": records}


def _combination(combination: Combination) -> Object:
    return {
        "weights": _pairs(combination.weights, combination.weight_fractions),
        "inherited": combination.inherited.hex(),
        "lines": _lines(combination.lines),
        "conditions": _pairs(combination.conditions, combination.condition_fractions),
    }


def _lines(lines: Lines) -> Object:
    triples = zip(*(column.tolist() for column in lines.pairs), strict=True)
    content: dict[str, list[Json]] = {
        "shares": [[i, f"{k}/{SHARES}"] for i, k in zip(*(column.tolist() for column in lines.shares), strict=True)],
        "slopes": _pairs(lines.slopes, lines.fractions),
        "pairs": [[i, lower.hex(), upper.hex()] for i, lower, upper in triples],
    }
    return {name: values for name, values in content.items() if values}


def _pairs(numbers: Numbers, ratios: Ratios) -> list[Json]:
    floats: list[Json] = [[i, x.hex()] for i, x in zip(*(column.tolist() for column in numbers), strict=True)]
    return floats + [[i, f"{p}/{q}"] for i, p, q in zip(*(column.tolist() for column in ratios), strict=True)]


def _layer(number: int) -> int | None:
    return None if number == NO_LAYER else number


__all__ = ["Summary", "objects", "summary"]
