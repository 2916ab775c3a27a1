"""Rewritten products and sums of squares as entries of a proof.

What :mod:`slir_milp.bounding.balance` makes of a network is compared with the network, layer by layer; the numbers that
differ are the entries.  The network to go on with is what the checker makes of them, radii included, so the bounds of a
run and those of its proof are about one network.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounding.balance import stages
from slir_milp.certificate.rewriting import BIAS, RECORD, Records, pack_rewriting
from slir_milp.errors import ProofError
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Network
from slir_milp.network.storage import at, entries
from slir_milp.query import Query


def provably_prepared(
    network: Network, query: Query, lower: Vector, upper: Vector, *, everywhere: bool = False
) -> tuple[Network, list[bytes]]:
    """Write a network as suits a box, as far as a proof can tell of it.

    Parameters
    ----------
    network, query
        The problem.
    lower, upper
        The box that the result is to suit.
    everywhere
        As for :func:`slir_milp.bounding.balance.prepared`.

    Returns
    -------
    tuple
        A network that encloses the given one for all inputs that meet the query, and the entries that say how it is
        made, to stand before all others; none if nothing is gained.
    """
    from slir_milp.certificate.check.rewrite import Rewriter

    rewriter, found, before = Rewriter(network, query.formula), list[bytes](), network
    for k, after in stages(network, lower, upper, everywhere=everywhere):
        if after is not before:
            records = _difference(before, after, k)
            try:
                rewriter.exchange(records)
            except ProofError:
                break  # what later layers have exchanged takes these constants for granted
            found.append(pack_rewriting(records))
        before = after
    return rewriter.network, found


def _difference(before: Network, after: Network, k: int) -> Records:
    """Rows of layer ``k`` that differ, as a whole, then numbers of later rows that differ."""
    first = np.cumsum([0, *(affine.rows for affine in before.affines)])
    parts = []
    for j, (old, new) in enumerate(zip(before.affines, after.affines, strict=True)):
        if j < k or old is new:
            continue
        rows, columns = _places(old, new)
        shifted = np.flatnonzero(old.bias != new.bias)
        if j == k:
            members = np.union1d(rows, shifted)
            rows, columns, _ = entries(new.weight)
            kept = np.isin(rows, members)
            rows, columns, shifted = rows[kept], columns[kept], members
        part = np.zeros(len(rows) + len(shifted), dtype=RECORD)
        part["row"] = first[j] + np.concatenate([rows, shifted])
        part["column"] = np.concatenate([columns, np.full(len(shifted), BIAS)])
        part["value"] = np.concatenate([at(new.weight, rows, columns), new.bias[shifted]])
        parts.append(part)
    return np.concatenate(parts)


def _places(old: Affine, new: Affine) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where two matrices differ."""
    some = [entries(affine.weight)[:2] for affine in (old, new)]
    rows, columns = (np.concatenate(pair) for pair in zip(*some, strict=True))
    both = np.unique(rows * old.columns + columns)
    rows, columns = both // old.columns, both % old.columns
    differ = at(old.weight, rows, columns) != at(new.weight, rows, columns)
    return rows[differ], columns[differ]
