"""The bytes of a proof file, written and read; what they mean is told in ``docs/proof-format.md``.

A proof is one gzip stream: a line that names the format, one line of JSON (the header), and for a claim of ``unsat``
the entries, each a head of 16 bytes and a payload.  Everything here is about form alone: a file that is read without a
complaint may still prove nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import ProofError

Indices: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Numbers of neurons, rows or inputs; 2 or 4 bytes each in the file."""
Floats: TypeAlias = NDArray[np.float64]

NO_LAYER = 0xFFFF
"""In place of the number of a layer: none, or (where layers end) all."""
SHARES = 128
"""A hinge's slope by ``k`` is ``left + (right - left) * k / SHARES``."""

HEAD = struct.Struct("<BBHIQ")
_START, _COMBINATION = 1, 2
_COUNT, _LONG, _REAL, _SHORT = struct.Struct("<I"), struct.Struct("<Q"), struct.Struct("<d"), struct.Struct("<H")
_CUT = {2: struct.Struct("<HdQ"), 4: struct.Struct("<IdQ")}
_CASES = {2: struct.Struct("<HQ"), 4: struct.Struct("<IQ")}
_NEURON = {2: struct.Struct("<Hb"), 4: struct.Struct("<Ib")}
_INDEX: dict[int, np.dtype[Any]] = {2: np.dtype("<u2"), 4: np.dtype("<u4")}
_BYTE, _FLOAT = np.dtype("u1"), np.dtype("<f8")
_SIGNED, _UNSIGNED = np.dtype("<i8"), np.dtype("<u8")


class Kind(IntEnum):
    """What an entry does."""

    END = 0
    TIGHTEN = 1
    NEURON = 2
    SPLIT_INPUT = 3
    SPLIT_NEURON = 4
    CASES = 5
    REFUTED = 6
    EMPTY = 7
    REWRITE = 8


_NAMES = {kind.value: kind.name for kind in Kind}
_MAY_COMBINE = (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON, Kind.REFUTED)
_MAY_START = (Kind.TIGHTEN, Kind.SPLIT_INPUT, Kind.SPLIT_NEURON, Kind.REFUTED, Kind.EMPTY)


class Shares(NamedTuple):
    """Slopes of hinges, ``k`` from 0 to 128: ``left + (right - left) * k / 128``."""

    index: Indices  # type: ignore[assignment]  # (the tuple's own method is not missed)
    k: NDArray[np.uint8]


class Numbers(NamedTuple):
    """A float64 number for each of some neurons or atoms."""

    index: Indices  # type: ignore[assignment]
    value: Floats


class Ratios(NamedTuple):
    """An exact number ``p / q`` for each of some neurons or atoms."""

    index: Indices  # type: ignore[assignment]
    p: NDArray[np.int64]
    q: NDArray[np.uint64]


class Pairs(NamedTuple):
    """Slopes of the lines below and above each of some curves."""

    index: Indices  # type: ignore[assignment]
    lower: Floats
    upper: Floats


_NO_INDEX: Indices = np.zeros(0, dtype=np.uint16)
_NO_FLOAT = np.zeros(0)
NO_SHARES = Shares(_NO_INDEX, np.zeros(0, dtype=np.uint8))
NO_NUMBERS = Numbers(_NO_INDEX, _NO_FLOAT)
NO_RATIOS = Ratios(_NO_INDEX, np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64))
NO_PAIRS = Pairs(_NO_INDEX, _NO_FLOAT, _NO_FLOAT)


@dataclass(frozen=True, slots=True, eq=False)
class Lines:
    """Slopes of some neurons' lines, in the four ways they can be given; neurons are numbered over all layers."""

    shares: Shares = NO_SHARES
    slopes: Numbers = NO_NUMBERS
    fractions: Ratios = NO_RATIOS
    pairs: Pairs = NO_PAIRS


NO_LINES = Lines()


@dataclass(frozen=True, slots=True, eq=False)
class Combination:
    """A sum of things that every counterexample makes non-positive, and the lines to evaluate it with.

    Attributes
    ----------
    weights, weight_fractions
        Of atoms, none negative.
    inherited
        Multiplier of the half-space that the node inherits, not negative.
    lines
        Lines that replace those of the entry's start.
    conditions, condition_fractions
        Multipliers of neurons' bounds: of the upper where positive, of the lower where negative.
    """

    weights: Numbers = NO_NUMBERS
    weight_fractions: Ratios = NO_RATIOS
    inherited: float = 0.0
    lines: Lines = NO_LINES
    conditions: Numbers = NO_NUMBERS
    condition_fractions: Ratios = NO_RATIOS


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One step of a node, or its end.

    Attributes
    ----------
    kind, node
        What is done, and to which node.
    first_layer
        The first hidden layer whose neurons are bounded afresh beforehand; :data:`NO_LAYER` for none.
    start
        The lines used meanwhile (and by later entries of the node); ``None`` for those used before.
    until
        Of ``TIGHTEN``: the layer before which bounding ends; :data:`NO_LAYER` for after the last.
    index
        The neuron (``NEURON``, ``SPLIT_NEURON``), input (``SPLIT_INPUT``) or alternative (``CASES``).
    value
        Where a split cuts.
    first
        The first child; the others follow it.
    side
        Of ``NEURON``: 1 for its lower bound, -1 for its upper, 0 for both.
    lines
        Of ``NEURON``: the lines below it.
    combination
        Of ``REFUTED`` and, where children inherit it, of splits; else ``None``.
    """

    kind: Kind
    node: int
    first_layer: int = NO_LAYER
    start: Lines | None = None
    until: int = NO_LAYER
    index: int = 0
    value: float = 0.0
    first: int = 0
    side: int = 0
    lines: Lines | None = None
    combination: Combination | None = None


class RawEntry(NamedTuple):
    """An entry as it stands in the file; see :func:`unpack`."""

    kind: int
    flags: int
    first_layer: int
    node: int
    payload: bytes

    @property
    def name(self) -> str:
        """How messages speak of it."""
        return f"the entry {_NAMES.get(self.kind, self.kind)} of node {self.node}"


# --- writing ---------------------------------------------------------------------------------------------------------


def index_bytes(neurons: int, atoms: int, inputs: int) -> int:
    """How many bytes the number of a neuron, an atom or an input takes."""
    return 2 if max(neurons, atoms, inputs) <= 0xFFFF else 4


def ratios(values: Mapping[int, Fraction]) -> Ratios | None:
    """Exact numbers as an entry has them; ``None`` if one of them has more digits than there is room for."""
    if any(abs(value.numerator) >= 2**63 or value.denominator >= 2**64 for value in values.values()):
        return None
    return Ratios(
        np.array(list(values), dtype=np.uint32),
        np.array([value.numerator for value in values.values()], dtype=np.int64),
        np.array([value.denominator for value in values.values()], dtype=np.uint64),
    )


def pack(entry: Entry, width: int) -> bytes:
    """An entry as bytes, ``width`` being the header's ``index``."""
    parts: list[bytes] = []
    flags = 0
    if entry.start is not None:
        flags |= _START
        _put_lines(parts, entry.start, width)
    if entry.kind is Kind.TIGHTEN:
        parts.append(_SHORT.pack(entry.until))
    elif entry.kind is Kind.NEURON:
        parts.append(_NEURON[width].pack(entry.index, entry.side))
        _put_lines(parts, entry.lines or NO_LINES, width)
    elif entry.kind in (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON):
        parts.append(_CUT[width].pack(entry.index, entry.value, entry.first))
    elif entry.kind is Kind.CASES:
        parts.append(_CASES[width].pack(entry.index, entry.first))
    if entry.combination is not None:
        flags |= _COMBINATION
        _put_combination(parts, entry.combination, width)
    payload = b"".join(parts)
    return HEAD.pack(entry.kind, flags, entry.first_layer, len(payload), entry.node) + payload


def pack_end(entries: int) -> bytes:
    """The last entry of a file, which counts those before it."""
    return HEAD.pack(Kind.END, 0, NO_LAYER, _LONG.size, 0) + _LONG.pack(entries)


def _put_list(parts: list[bytes], index: Indices, width: int, *columns: tuple[NDArray[Any], np.dtype[Any]]) -> None:
    parts.append(_COUNT.pack(len(index)))
    if len(index):
        parts.append(index.astype(_INDEX[width], copy=False).tobytes())
        parts.extend(values.astype(kind, copy=False).tobytes() for values, kind in columns)


def _put_ratios(parts: list[bytes], ratios: Ratios, width: int) -> None:
    _put_list(parts, ratios.index, width, (ratios.p, _SIGNED), (ratios.q, _UNSIGNED))


def _put_lines(parts: list[bytes], lines: Lines, width: int) -> None:
    _put_list(parts, lines.shares.index, width, (lines.shares.k, _BYTE))
    _put_list(parts, lines.slopes.index, width, (lines.slopes.value, _FLOAT))
    _put_ratios(parts, lines.fractions, width)
    _put_list(parts, lines.pairs.index, width, (lines.pairs.lower, _FLOAT), (lines.pairs.upper, _FLOAT))


def _put_combination(parts: list[bytes], combination: Combination, width: int) -> None:
    _put_list(parts, combination.weights.index, width, (combination.weights.value, _FLOAT))
    _put_ratios(parts, combination.weight_fractions, width)
    parts.append(_REAL.pack(combination.inherited))
    _put_lines(parts, combination.lines, width)
    _put_list(parts, combination.conditions.index, width, (combination.conditions.value, _FLOAT))
    _put_ratios(parts, combination.condition_fractions, width)


# --- reading ---------------------------------------------------------------------------------------------------------


def unpack(raw: RawEntry, width: int) -> Entry:
    """Read an entry.

    Parameters
    ----------
    raw
        The entry as it stands in the file.
    width
        The header's ``index``.

    Raises
    ------
    ProofError
        The bytes are no such entry: an unknown kind or flag, too few or too many of them, a number that is not finite,
        a negative weight, a share above 128, a denominator of zero.
    """
    kind = _kind_of(raw)
    cursor = _Cursor(raw, width)
    try:
        start = cursor.lines() if raw.flags & _START else None
        until, index, value, first, side, lines = NO_LAYER, 0, 0.0, 0, 0, None
        if kind is Kind.TIGHTEN:
            (until,) = cursor.take(_SHORT)
        elif kind is Kind.NEURON:
            index, side = cursor.take(_NEURON[width])
            if side not in (-1, 0, 1):
                raise cursor.error(f"the side of a neuron is -1, 0 or 1, not {side}")
            lines = cursor.lines()
        elif kind in (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON):
            index, value, first = cursor.take(_CUT[width])
            if value - value != 0.0:
                raise cursor.error("it splits at a number that is not finite")
        elif kind is Kind.CASES:
            index, first = cursor.take(_CASES[width])
        combination = cursor.combination() if raw.flags & _COMBINATION else None
    except struct.error:
        raise cursor.error("its payload is too short") from None
    if cursor.at != len(raw.payload):
        raise cursor.error(f"{len(raw.payload) - cursor.at} bytes of its payload are left over")
    return Entry(kind, raw.node, raw.first_layer, start, until, index, value, first, side, lines, combination)


def _kind_of(raw: RawEntry) -> Kind:
    """The kind, if it and its flags go together."""
    if raw.kind not in _NAMES or raw.kind in (Kind.END, Kind.REWRITE):
        raise ProofError(f"{raw.name} is of a kind that is not known here.")
    kind = Kind(raw.kind)
    allowed = (_START if kind in _MAY_START else 0) | (_COMBINATION if kind in _MAY_COMBINE else 0)
    if raw.flags & ~allowed or (kind is Kind.REFUTED and not raw.flags & _COMBINATION):
        raise ProofError(f"{raw.name} has the flags {raw.flags}, which do not go with its kind.")
    return kind


class _Cursor:
    """A place in a payload that moves on as parts are read."""

    __slots__ = ("_dtype", "_payload", "_raw", "at")

    def __init__(self, raw: RawEntry, width: int) -> None:
        self._raw, self._payload, self._dtype, self.at = raw, raw.payload, _INDEX[width], 0

    def error(self, text: str) -> ProofError:
        return ProofError(f"{self._raw.name} is not well formed: {text}.")

    def take(self, form: struct.Struct) -> tuple[Any, ...]:
        values = form.unpack_from(self._payload, self.at)
        self.at += form.size
        return values

    def lines(self) -> Lines:
        if self._payload[self.at : self.at + 16] == bytes(16):
            self.at += 16
            return NO_LINES
        return Lines(self._shares(), self._numbers(), self._ratios(), self._pairs())

    def combination(self) -> Combination:
        weights, weight_fractions = self._numbers(least=0.0), self._ratios(least=0)
        (inherited,) = self.take(_REAL)
        if not 0.0 <= inherited < np.inf:
            raise self.error("the multiplier of the inherited half-space is negative or not finite")
        return Combination(weights, weight_fractions, inherited, self.lines(), self._numbers(), self._ratios())

    def _shares(self) -> Shares:
        count = self._count(_BYTE.itemsize)
        if not count:
            return NO_SHARES
        index, k = self._array(self._dtype, count), self._array(_BYTE, count)
        if k.max() > SHARES:
            raise self.error(f"a share is {k.max()} of {SHARES}")
        return Shares(index, k)

    def _numbers(self, least: float = -np.inf) -> Numbers:
        count = self._count(_FLOAT.itemsize)
        if not count:
            return NO_NUMBERS
        index, value = self._array(self._dtype, count), self._finite(count)
        if value.min() < least:
            raise self.error("a weight is negative")
        return Numbers(index, value)

    def _ratios(self, least: int | None = None) -> Ratios:
        count = self._count(_SIGNED.itemsize + _UNSIGNED.itemsize)
        if not count:
            return NO_RATIOS
        index = self._array(self._dtype, count)
        p, q = self._array(_SIGNED, count), self._array(_UNSIGNED, count)
        if not q.all():
            raise self.error("a denominator is zero")
        if least is not None and p.min() < least:
            raise self.error("a weight is negative")
        return Ratios(index, p, q)

    def _pairs(self) -> Pairs:
        count = self._count(2 * _FLOAT.itemsize)
        if not count:
            return NO_PAIRS
        return Pairs(self._array(self._dtype, count), self._finite(count), self._finite(count))

    def _count(self, size: int) -> int:
        (count,) = self.take(_COUNT)
        if count * (size + self._dtype.itemsize) > len(self._payload) - self.at:
            raise self.error(f"it announces a list of {count} parts, which is longer than its payload")
        return int(count)

    def _array(self, dtype: np.dtype[Any], count: int) -> Any:
        values = np.frombuffer(self._payload, dtype, count, self.at)
        self.at += count * dtype.itemsize
        return values

    def _finite(self, count: int) -> Floats:
        values: Floats = self._array(_FLOAT, count)
        if not np.isfinite(values).all():
            raise self.error("a number is not finite")
        return values
