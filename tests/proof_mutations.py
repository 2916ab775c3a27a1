"""Ways to spoil a proof: at random and on purpose, by bytes and by entries."""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from proof_cases import Case, combination, stored_as

from slir_milp.certificate.file import MAGIC
from slir_milp.certificate.format import HEAD, NO_LAYER, NO_LINES, Entry, Kind, RawEntry, pack, unpack

Random: TypeAlias = np.random.Generator
_SPLITS = (Kind.SPLIT_INPUT, Kind.SPLIT_NEURON)
_EXTREME = (0.0, -0.0, 1e308, -1e308, 5e-324, -5e-324, 2.0**-1022, 1e16, -1e16, math.inf, math.nan)


@dataclass(frozen=True)
class Draft:
    """A proof that is being changed.

    Attributes
    ----------
    header
        Its line of JSON.
    entries
        Entries, or such as stand in the file where they are not to be looked into.
    count
        What the last entry says; ``None``: the truth.
    """

    header: dict[str, Any]
    entries: tuple[Entry | RawEntry, ...]
    count: int | None = None

    @property
    def width(self) -> int:
        """Bytes of an index, as the entries are written."""
        width: int = self.header["index"]
        return width if width in (2, 4) else 2

    def content(self, width: int | None = None) -> bytes:
        """The file, unpacked."""
        line = json.dumps(self.header).encode() + b"\n"
        count = len(self.entries) if self.count is None else self.count
        end = HEAD.pack(0, 0, NO_LAYER, 8, 0) + count.to_bytes(8, "little")
        return b"".join([MAGIC, line, *(packed(entry, width or self.width) for entry in self.entries), end])


def packed(entry: Entry | RawEntry, width: int) -> bytes:
    """An entry's bytes."""
    if isinstance(entry, Entry):
        return pack(entry, width)
    return HEAD.pack(entry.kind, entry.flags, entry.first_layer, len(entry.payload), entry.node) + entry.payload


def draft(case: Case) -> Draft:
    """A valid proof, to be changed."""
    entries = (raw if raw.kind == Kind.REWRITE else unpack(raw, case.width) for raw in case.entries)
    return Draft(json.loads(case.header.to_line()), tuple(entries))


def mutants(case: Case, rng: Random) -> Iterator[tuple[str, bytes]]:
    """Spoilt proofs without end, each with its kind of damage: all that can be done, in any order, again and again."""
    original = draft(case)
    while True:
        for name in rng.permutation([*CONTENT, *ENTRIES]).tolist():
            if name in CONTENT:
                yield name, CONTENT[name](rng, gzip.decompress(case.stored))
            elif (changed := ENTRIES[name](rng, original)) is not None:
                yield name, stored_as(changed if isinstance(changed, bytes) else changed.content(case.width))


def readdressed(stored: bytes, case: Case) -> bytes | None:
    """The same file with the twin's digest in its header; nothing if there is no header to be found."""
    try:
        content = gzip.decompress(stored)
    except (OSError, EOFError, zlib.error):
        return None
    ours, theirs = case.header.query.encode(), case.twin.header().query.encode()
    return stored_as(content.replace(ours, theirs)) if ours in content else None


# --- bytes -----------------------------------------------------------------------------------------------------------


def _pick(rng: Random, choices: Sequence[Any]) -> Any:
    return choices[int(rng.integers(0, len(choices)))]


def _places(rng: Random, size: int) -> tuple[int, int]:
    a, b = sorted(rng.integers(0, size + 1, 2).tolist())
    return a, b


def _bit(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(1 + int(rng.integers(0, 2))):
        changed[int(rng.integers(0, len(data)))] ^= 1 << int(rng.integers(0, 8))
    return bytes(changed)


def _cut_short(rng: Random, data: bytes) -> bytes:
    return data[: int(rng.integers(0, len(data)))]


def _spliced(rng: Random, data: bytes) -> bytes:
    a, b = _places(rng, len(data))
    c, d = _places(rng, len(data))
    return data[:a] + data[c:d] + data[b:]


def _overwritten(rng: Random, data: bytes) -> bytes:
    size = _pick(rng, [1, 2, 4, 8])
    start = content_start(data)
    at = int(rng.integers(start, max(start + 1, len(data) - size)))
    infinity = (bytes(size) + b"\xf0\x7f")[-size:]
    filler = (bytes(size), b"\xff" * size, rng.bytes(size), infinity)[int(rng.integers(0, 4))]
    return data[:at] + filler + data[at + size :]


def _body_bit(rng: Random, data: bytes) -> bytes:
    start = content_start(data)
    return data[:start] + _bit(rng, data[start:])


def _gap(rng: Random, data: bytes) -> bytes:
    start = content_start(data)
    at, size = int(rng.integers(start, len(data))), _pick(rng, [1, 2, 8, 16, 40])
    return data[:at] + (data[at + size :] if rng.random() < 0.5 else rng.bytes(size) + data[at:])


def content_start(data: bytes) -> int:
    """Where the entries begin."""
    return data.index(b"\n", len(MAGIC)) + 1


CONTENT: dict[str, Callable[[Random, bytes], bytes]] = {
    "file: bits": lambda rng, data: _bit(rng, stored_as(data)),
    "file: cut short": lambda rng, data: _cut_short(rng, stored_as(data)),
    "file: spliced": lambda rng, data: _spliced(rng, stored_as(data)),
    "content: bits": lambda rng, data: stored_as(_bit(rng, data)),
    "content: bits of entries": lambda rng, data: stored_as(_body_bit(rng, data)),
    "content: numbers overwritten": lambda rng, data: stored_as(_overwritten(rng, data)),
    "content: cut short": lambda rng, data: stored_as(_cut_short(rng, data)),
    "content: spliced": lambda rng, data: stored_as(_spliced(rng, data)),
    "content: bytes more or less": lambda rng, data: stored_as(_gap(rng, data)),
}

# --- numbers in entries ----------------------------------------------------------------------------------------------


def _number(rng: Random, value: float) -> float:
    chosen = int(rng.integers(0, 8))
    if chosen == 0:
        return float(_pick(rng, _EXTREME))
    return [
        -value,
        value + rng.normal(),
        value * (1 + rng.normal() * 2.0 ** -float(rng.integers(1, 50))),
        float(np.nextafter(value, _pick(rng, (-math.inf, math.inf)))),
        2 * value,
        value / 2,
        float(np.exp(5 * rng.normal())),
    ][chosen - 1]


def _arrays(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every array of an entry that holds something, and how to reach it."""
    if isinstance(part, np.ndarray):
        if len(part):
            yield path, part
        return
    names = [f.name for f in fields(part)] if is_dataclass(part) else getattr(part, "_fields", ())
    for name in names:
        yield from _arrays(getattr(part, name), (*path, name))


def _put(part: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy with another value at the end of a path."""
    if not path:
        return value
    inner = _put(getattr(part, path[0]), path[1:], value)
    return replace(part, **{path[0]: inner}) if is_dataclass(part) else part._replace(**{path[0]: inner})


_LISTS = {
    "slope": ("shares", "slopes", "fractions", "pairs"),
    "weight": ("weights", "weight_fractions"),
    "condition": ("conditions", "condition_fractions"),
}


def _array_changer(what: str, column: str) -> Callable[[Random, Draft], Draft | None]:
    """Change an element of a list: of its ``values``, its ``index``, or drop it."""

    def change(rng: Random, given: Draft) -> Draft | None:
        found = [
            (i, path, array)
            for i, entry in enumerate(given.entries)
            if isinstance(entry, Entry)
            for path, array in _arrays(entry)
            if path[-2] in _LISTS[what] and (path[-1] == "index") == (column != "values")
        ]
        if not found:
            return None
        at, path, array = found[int(rng.integers(0, len(found)))]
        entry: Any = given.entries[at]
        i, array = int(rng.integers(0, len(array))), array.copy()
        if column == "dropped":
            part = entry
            for name in path[:-1]:
                part = getattr(part, name)
            return _with(given, at, _put(entry, path[:-1], part._make(np.delete(values, i) for values in part)))
        if array.dtype == np.float64:
            scale = rng.random() < 0.2
            array[...] = array * abs(_number(rng, 1.0)) if scale else array
            array[i] = array[i] if scale else _number(rng, float(array[i]))
        elif column == "index":
            array[i] = _pick(rng, [0, 1, array.max() + 1, 60_000, int(rng.integers(0, array.max() + 9))])
        else:
            ends = np.iinfo(array.dtype)
            array[i] = _pick(rng, [0, 1, ends.max, ends.min, 128, 64, rng.integers(0, 255)])
            if array.dtype.itemsize == 8 and rng.random() < 0.5:
                array[i] = abs(int(array[i])) // 2 + 1
        return _with(given, at, _put(entry, path, array))

    return change


def _with(given: Draft, at: int, *entries: Entry | RawEntry) -> Draft:
    return replace(given, entries=(*given.entries[:at], *entries, *given.entries[at + 1 :]))


def _some(rng: Random, given: Draft, *kinds: Kind) -> tuple[int, Any] | None:
    found = [i for i, e in enumerate(given.entries) if isinstance(e, Entry) and (not kinds or e.kind in kinds)]
    if not found:
        return None
    at = int(_pick(rng, found))
    return at, given.entries[at]


def _changer(
    change: Callable[[Random, Any, Draft], Entry | RawEntry | tuple[Entry | RawEntry, ...] | None], *kinds: Kind
) -> Callable[[Random, Draft], Draft | None]:
    """Replace one entry of some kinds by one or several others."""

    def changed(rng: Random, given: Draft) -> Draft | None:
        found = _some(rng, given, *kinds)
        if found is None:
            return None
        other = change(rng, found[1], given)
        if other is None:
            return None
        return _with(given, found[0], *(other if type(other) is tuple else (other,)))  # type: ignore[arg-type]

    return changed


def _place(rng: Random, entry: Any, given: Draft) -> Entry:
    sizes = given.header["inputs"] if entry.kind is Kind.SPLIT_INPUT else sum(given.header["layers"])
    return replace(entry, index=int(rng.integers(0, sizes + 1)))


def _other_kind(rng: Random, entry: Any, given: Draft) -> Entry:
    other = Kind.SPLIT_NEURON if entry.kind is Kind.SPLIT_INPUT else Kind.SPLIT_INPUT
    return replace(entry, kind=other)


def _children(rng: Random, entry: Any, given: Draft) -> Entry:
    nodes = [e.node for e in given.entries]
    choices = [entry.first + 1, max(0, entry.first - 1), 0, 2**64 - 1, int(_pick(rng, nodes)), int(rng.integers(0, 99))]
    return replace(entry, first=choices[int(rng.integers(0, len(choices)))])


def _cycle(rng: Random, entry: Any, given: Draft) -> Entry:
    """A node whose child it is itself, or one of those above it."""
    ancestors = [entry.node]
    for other in reversed(given.entries):
        if other.kind in (*_SPLITS, Kind.CASES) and isinstance(other, Entry) and 0 <= ancestors[-1] - other.first < 2:
            ancestors.append(other.node)
    return replace(entry, first=max(0, int(_pick(rng, ancestors)) - int(rng.integers(0, 2))))


def _inherited(rng: Random, entry: Any, given: Draft) -> Entry | None:
    if entry.combination is None:
        return None
    value = abs(_number(rng, entry.combination.inherited or 1.0))
    return replace(entry, combination=replace(entry.combination, inherited=value))


def _borrowed(rng: Random, entry: Any, given: Draft) -> Entry | None:
    others = [e.combination for e in given.entries if isinstance(e, Entry) and e.combination is not None]
    return replace(entry, combination=others[int(rng.integers(0, len(others)))]) if others else None


def _no_combination(rng: Random, entry: Any, given: Draft) -> Entry | None:
    return replace(entry, combination=None) if entry.combination is not None else None


def _layers(rng: Random, entry: Any, given: Draft) -> Entry:
    depth = len(given.header["layers"])
    first, until = (_pick(rng, [0, 1, depth - 1, depth, depth + 1, NO_LAYER]) for _ in range(2))
    return replace(entry, first_layer=first, until=until if entry.kind is Kind.TIGHTEN else entry.until)


def _start(rng: Random, entry: Any, given: Draft) -> Entry | None:
    others = [e.start for e in given.entries if isinstance(e, Entry) and e.start is not None]
    other = [None, NO_LINES, *others][int(rng.integers(0, len(others) + 2))]
    return None if other is entry.start else replace(entry, start=other)


def _as_refuted(rng: Random, entry: Any, given: Draft) -> Entry:
    weights = {int(rng.integers(0, 12)): 1.0 for _ in range(int(rng.integers(0, 4)))}
    return replace(entry, kind=Kind.REFUTED, first=0, index=0, value=0.0, combination=combination(weights))


def _as_empty(rng: Random, entry: Any, given: Draft) -> Entry:
    return replace(entry, kind=Kind.EMPTY, first=0, index=0, value=0.0, combination=None)


def _moved(rng: Random, entry: Any, given: Draft) -> Entry:
    return replace(entry, node=int(_pick(rng, [e.node for e in given.entries] + [0, 2**64 - 1])))


def _named(entry: Entry | RawEntry, node: int) -> Entry | RawEntry:
    return replace(entry, node=node) if isinstance(entry, Entry) else entry._replace(node=node)


def _swapped(rng: Random, given: Draft) -> Draft | None:
    """Two nodes exchange their entries."""
    one, other = (_pick(rng, [e.node for e in given.entries]) for _ in range(2))
    names = {one: other, other: one}
    entries = [_named(entry, names.get(entry.node, entry.node)) for entry in given.entries]
    return replace(given, entries=tuple(entries)) if one != other else None


def _shuffled(rng: Random, given: Draft) -> Draft:
    return replace(given, entries=tuple(given.entries[i] for i in rng.permutation(len(given.entries))))


def _raw(rng: Random, entry: Any, given: Draft) -> RawEntry:
    raw = RawEntry(*HEAD.unpack_from(data := pack(entry, given.width))[:3], entry.node, data[HEAD.size :])
    if rng.random() < 0.5:
        return raw._replace(kind=_pick(rng, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255]))
    return raw._replace(flags=_pick(rng, [0, 1, 2, 3, 4, 255]))


def _count(rng: Random, entry: Any, given: Draft) -> RawEntry:
    """Four bytes of the payload become a number that is far too large for the count of a list."""
    data = bytearray(pack(entry, given.width))
    at = HEAD.size + int(rng.integers(0, max(1, len(data) - HEAD.size - 3)))
    data[at : at + 4] = _pick(rng, [2**32 - 1, 2**31, 2**24, 1000]).to_bytes(4, "little")
    return RawEntry(*HEAD.unpack_from(data)[:3], entry.node, bytes(data[HEAD.size :]))


def _size(rng: Random, given: Draft) -> bytes:
    """An entry announces another length than it has."""
    content = bytearray(given.content())
    at = content_start(bytes(content))
    for _ in range(int(rng.integers(0, len(given.entries) + 1))):
        at += HEAD.size + HEAD.unpack_from(content, at)[3]
    content[at + 4 : at + 8] = _pick(rng, [0, 1, 2**16, 2**26, 2**32 - 1]).to_bytes(4, "little")
    return bytes(content)


def _header(rng: Random, given: Draft) -> Draft:
    header = dict(given.header)
    sizes, witness = [*header["layers"]], ["0"] * header["inputs"]
    name, value = [
        ("network", header["query"]),
        ("query", header["network"]),
        ("query", "0" * 64),
        ("activations", "1" * 64),
        ("inputs", header["inputs"] + 1),
        ("outputs", header["outputs"] - 1),
        ("layers", sizes[:-1]),
        ("layers", [*sizes[1:], sizes[0]]),
        ("layers", [2**31] * 9),
        ("index", 6 - header["index"]),
        ("index", 3),
        ("claim", "sat"),
        ("claim", "unknown"),
        ("witness", witness),
        ("semantics", "float32"),
        ("inputs", 10**400),
        ("writer", 7),
        ("new", 1),
    ][int(rng.integers(0, 18))]
    header[name] = value
    if value == "sat" and rng.random() < 0.5:
        header["witness"] = [str(number) for number in rng.integers(-2, 3, header["inputs"])]
        return Draft(header, ()) if rng.random() < 0.5 else replace(given, header=header)
    return replace(given, header=header)


def _end(rng: Random, given: Draft) -> Draft:
    return replace(given, count=_pick(rng, [0, len(given.entries) + 1, len(given.entries) - 1, 2**63]))


ENTRIES: dict[str, Callable[[Random, Draft], Draft | bytes | None]] = {
    "slope": _array_changer("slope", "values"),
    "slope: of another neuron": _array_changer("slope", "index"),
    "slope: left out": _array_changer("slope", "dropped"),
    "slopes: others, or none": _changer(_start, Kind.TIGHTEN, *_SPLITS, Kind.REFUTED, Kind.EMPTY),
    "weight": _array_changer("weight", "values"),
    "weight: of another row": _array_changer("weight", "index"),
    "weight: left out": _array_changer("weight", "dropped"),
    "condition: sign and size": _array_changer("condition", "values"),
    "condition: of another neuron": _array_changer("condition", "index"),
    "multiplier of the half-space": _changer(_inherited, Kind.REFUTED, *_SPLITS),
    "combination of another node": _changer(_borrowed, Kind.REFUTED, *_SPLITS),
    "combination left out": _changer(_no_combination, *_SPLITS),
    "split: value": _changer(lambda rng, e, _: replace(e, value=_number(rng, e.value)), *_SPLITS),
    "split: of another input or neuron": _changer(_place, *_SPLITS),
    "split: neuron for input": _changer(_other_kind, *_SPLITS),
    "split: children": _changer(_children, *_SPLITS),
    "cases: parts": _changer(_children, Kind.CASES),
    "cases: alternative": _changer(lambda rng, e, _: replace(e, index=int(rng.integers(0, 5))), Kind.CASES),
    "split: cycle": _changer(_cycle, *_SPLITS, Kind.CASES),
    "leaf left out": _changer(lambda *_: (), Kind.REFUTED, Kind.EMPTY),
    "entry left out": _changer(lambda *_: ()),
    "entry twice": _changer(lambda rng, e, _: (e, e)),
    "entry moved": _changer(_moved),
    "nodes swapped": _swapped,
    "order": _shuffled,
    "split made a leaf": _changer(_as_refuted, *_SPLITS, Kind.CASES),
    "leaf said to be empty": _changer(_as_empty, Kind.REFUTED),
    "leaf refuted otherwise": _changer(_as_refuted, Kind.EMPTY, Kind.REFUTED),
    "side of a neuron": _changer(lambda rng, e, _: replace(e, side=_pick(rng, [-1, 0, 1, 5])), Kind.NEURON),
    "layers bounded": _changer(_layers, Kind.TIGHTEN, *_SPLITS, Kind.REFUTED, Kind.EMPTY),
    "kind or flags": _changer(_raw),
    "count of a list": _changer(_count),
    "size of an entry": _size,
    "count of entries": _end,
    "header": _header,
}
