"""Entries that exchange squares: the bytes of a rewritten part of a network, written and read.

Such an entry stands at node 0, before all entries of other kinds.  Its payload is nothing but records of 16 bytes, each
a number of an affine map: row, column, value.  Rows are the neurons, numbered over all layers, then the outputs;
columns are the places in what the row's map is given; the column ``BIAS`` means the row's constant.  The first record
names the layer whose squares are exchanged: rows of that layer are given as a whole, and coefficients that are not
named are zero.  Of later rows only what changes is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.certificate.format import HEAD, NO_LAYER, Kind, RawEntry
from slir_milp.errors import ProofError

RECORD = np.dtype([("row", "<u4"), ("column", "<u4"), ("value", "<f8")])
BIAS = 0xFFFFFFFF
"""In place of the number of a column: the row's constant."""

Records = NDArray[Any]
"""Records of one rewritten layer, of type :data:`RECORD`."""


def pack_rewriting(records: Records) -> bytes:
    """Write the records of one layer as an entry."""
    payload = records.astype(RECORD, copy=False).tobytes()
    return HEAD.pack(Kind.REWRITE, 0, NO_LAYER, len(payload), 0) + payload


def unpack_rewriting(raw: RawEntry) -> Records:
    """Read the records of one layer.

    Raises
    ------
    ProofError
        It is no such entry, a number is not finite, or a place is named twice.
    """
    if (raw.kind, raw.flags, raw.first_layer, raw.node) != (Kind.REWRITE, 0, NO_LAYER, 0):
        raise ProofError(f"{raw.name} rewrites nothing: such an entry is node 0's, without flags and without a layer.")
    if not raw.payload or len(raw.payload) % RECORD.itemsize:
        raise ProofError(f"{raw.name} is not well formed: its payload is no sequence of records.")
    records: Records = np.frombuffer(raw.payload, RECORD)
    if not np.isfinite(records["value"]).all():
        raise ProofError(f"{raw.name} is not well formed: a number is not finite.")
    if len(np.unique(records[["row", "column"]])) < len(records):
        raise ProofError(f"{raw.name} is not well formed: it gives a coefficient twice.")
    return records
