"""A proof file as a whole: its header, and its entries one after another as they stand there."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from fractions import Fraction
from gzip import BadGzipFile, GzipFile
from os import PathLike, fspath
from typing import Any

from slir_milp.certificate.format import HEAD, Kind, RawEntry
from slir_milp.errors import ProofError

MAGIC = b"slir-milp proof 1\n"
SEMANTICS = "real"
LARGEST_HEADER = 1 << 20
LARGEST_ENTRY = 1 << 26
LARGEST_FILE = 2 << 30
"""Greatest sizes in bytes, unpacked; a longer one is refused, not read."""

_CHUNK = 1 << 18
BURDEN = 200
"""Bytes of memory that an entry takes besides its own, counted towards the file's."""
_MOST_LAYERS = 0xFFFE
_MOST_NEURONS = 0xFFFF_FFFF
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RATIO = re.compile(r"-?[0-9]+(/0*[1-9][0-9]*)?")
_HEXADECIMAL = re.compile(r"-?0x[01]\.[0-9a-f]+p[+-][0-9]{1,4}")


@dataclass(frozen=True)
class Header:
    """What a proof is about.

    Attributes
    ----------
    claim
        ``unsat`` or ``sat``.
    network, query, activations
        SHA-256 of the files as stored, in hexadecimal; of the last ``""`` if there is none.
    inputs, outputs
        Sizes of the network.
    layers
        Number of neurons of each hidden layer.
    index
        Bytes of a neuron's, atom's or input's number in the entries: 2 or 4.
    writer
        Program and version that wrote the file.
    witness
        For ``sat`` one number per input, ``p/q``, an integer, or a float in hexadecimal; else ``None``.
    semantics
        ``real``: real arithmetic over the stored weights.

    Raises
    ------
    ProofError
        A field is not what it should be.
    """

    claim: str
    network: str
    query: str
    activations: str
    inputs: int
    outputs: int
    layers: tuple[int, ...]
    index: int
    writer: str
    witness: tuple[str, ...] | None = None
    semantics: str = SEMANTICS

    def __post_init__(self) -> None:
        _require(self.claim in ("sat", "unsat"), "the claim is neither sat nor unsat")
        _require(self.semantics == SEMANTICS, "the semantics are not those of real arithmetic")
        for name, digest in (("network", self.network), ("query", self.query)):
            _require(_is_digest(digest), f"the {name}'s SHA-256 is no such digest")
        _require(self.activations == "" or _is_digest(self.activations), "the activations' SHA-256 is no such digest")
        sizes = (self.inputs, self.outputs, *self.layers)
        _require(all(type(size) is int and 0 < size <= _MOST_NEURONS for size in sizes), "a size is no positive number")
        _require(len(self.layers) <= _MOST_LAYERS, "there are too many layers")
        _require(sum(self.layers) <= _MOST_NEURONS, "there are too many neurons")
        _require(self.index in (2, 4), "a number takes neither 2 nor 4 bytes")
        _require(isinstance(self.writer, str), "the writer is no text")
        _require((self.witness is not None) == (self.claim == "sat"), "a witness goes with sat, and with sat alone")
        if self.witness is not None:
            _require(len(self.witness) == self.inputs, "the witness has not one number for every input")
            _require(all(map(_is_number, self.witness)), "the witness has something that is no number")

    @property
    def point(self) -> tuple[Fraction, ...]:
        """The witness as exact numbers; empty without one.

        Raises
        ------
        ProofError
            A number has more digits than Python is ready to read.
        """
        try:
            return tuple(
                Fraction(float.fromhex(text)) if "x" in text else Fraction(text) for text in self.witness or ()
            )
        except (ValueError, OverflowError):
            raise ProofError("the proof's header is wrong: a number of the witness is too long or too large.") from None

    def to_line(self) -> bytes:
        """The header as it stands in the file.

        Raises
        ------
        ProofError
            It is longer than a header may be.
        """
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.witness is None:
            del content["witness"]
        line = json.dumps(content, separators=(",", ":")).encode() + b"\n"
        if len(line) > LARGEST_HEADER:
            raise ProofError(f"the header of the proof would be longer than {LARGEST_HEADER} bytes.")
        return line

    @staticmethod
    def from_line(line: bytes) -> Header:
        """Read a header.

        Raises
        ------
        ProofError
            It is no JSON object with exactly the fields that a header has, or one of them is wrong.
        """
        try:
            content = json.loads(line.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ProofError(f"the proof's header is no JSON that can be read: {error}.") from None
        names = {field.name for field in fields(Header)}
        _require(isinstance(content, dict), "it is no JSON object")
        missing, unknown = sorted(names - {"witness"} - content.keys()), sorted(content.keys() - names)
        _require(not missing, f"the field {', '.join(missing)} is missing")
        _require(not unknown, f"the field {', '.join(unknown)[:80]} is not known")
        for name in {"layers", "witness"} & content.keys():
            _require(isinstance(content[name], list), f"the field {name} is no list")
            content[name] = tuple(content[name])
        return Header(**content)


@contextmanager
def open_proof(path: str | PathLike[str]) -> Iterator[tuple[Header, Iterator[RawEntry]]]:
    """Open a proof: its header, and an iterator over the entries before ``END``, in the order of the file.

    The iterator ends without an error only if the file is whole: ``END`` is there, counts what was before it, and
    nothing follows.  For a claim of ``sat`` it is empty.

    Raises
    ------
    ProofError
        The file cannot be read, is no proof, is damaged, or is larger than a proof may be; the iterator raises it too.
    """
    source = fspath(path)
    try:
        opened = GzipFile(source, "rb")
    except OSError as error:
        raise ProofError(f"the proof {source} cannot be read: {error.strerror or error}.") from error
    with opened as stream:
        reader = _Reader(stream, source)
        if reader.line(len(MAGIC), "the line that names its format") != MAGIC:
            raise ProofError(f"{source} is no proof of version 1; its first line should be '{MAGIC.decode()[:-1]}'.")
        header = Header.from_line(reader.line(LARGEST_HEADER, "its header"))
        yield header, _entries(reader, header)


def _entries(reader: _Reader, header: Header) -> Iterator[RawEntry]:
    count = 0
    while header.claim == "unsat":
        kind, flags, first_layer, size, node = HEAD.unpack(reader.take(HEAD.size))
        if size > LARGEST_ENTRY:
            raise ProofError(f"the proof {reader.source} has an entry of {size} bytes; the largest may have 2^26.")
        payload = reader.take(size)
        if kind == Kind.END:
            if (flags, node, size) != (0, 0, 8) or int.from_bytes(payload, "little") != count:
                raise ProofError(f"the proof {reader.source} does not count its entries right; it is damaged.")
            break
        count += 1
        reader.burden(BURDEN)
        yield RawEntry(kind, flags, first_layer, node, payload)
    if not reader.is_at_end():
        raise ProofError(f"the proof {reader.source} goes on after its end; it is damaged.")


class _Reader:
    """Bytes of the unpacked stream, no more of them than a proof may have."""

    def __init__(self, stream: GzipFile, source: str) -> None:
        self.source = source
        self._stream, self._buffer, self._at, self._total = stream, b"", 0, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        while len(self._buffer) - self._at < size:
            if not self._more():
                raise ProofError(f"the proof {self.source} ends in the middle; it was not written to its end.")
        start, self._at = self._at, self._at + size
        return self._buffer[start : self._at]

    def line(self, longest: int, name: str) -> bytes:
        """The next line, its end included."""
        while (end := self._buffer.find(b"\n", self._at)) < 0:
            if len(self._buffer) - self._at > longest or not self._more():
                break
        if end < 0 or end + 1 - self._at > longest:
            raise ProofError(f"{self.source} is no proof: {name} is not there, or longer than {longest} bytes.")
        return self.take(end + 1 - self._at)

    def is_at_end(self) -> bool:
        """Whether nothing is left; then the stream's own check sum was right, too."""
        return self._at == len(self._buffer) and not self._more()

    def _more(self) -> bool:
        try:
            chunk = self._stream.read(_CHUNK)
        except EOFError:
            raise ProofError(f"the proof {self.source} ends in the middle; it was not written to its end.") from None
        except (OSError, zlib.error) as error:
            if isinstance(error, BadGzipFile) and not self._total:
                raise ProofError(
                    f"{self.source} is no proof: it is no gzip file; name one that "
                    "'slir-milp verify --proof' has written."
                ) from error
            raise ProofError(f"the proof {self.source} is a damaged gzip file: {error}.") from error
        self._buffer, self._at = self._buffer[self._at :] + chunk, 0
        self.burden(len(chunk))
        return bool(chunk)

    def burden(self, size: int) -> None:
        """Count bytes that are to be kept; refuse what is too large."""
        self._total += size
        if self._total > LARGEST_FILE:
            raise ProofError(f"the proof {self.source} is larger than {LARGEST_FILE} bytes when unpacked.")


def _is_digest(text: Any) -> bool:
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def _is_number(text: Any) -> bool:
    return isinstance(text, str) and bool(_RATIO.fullmatch(text) or _HEXADECIMAL.fullmatch(text))


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise ProofError(f"the proof's header is wrong: {text}.")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a field occurs twice")
    return content


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is no JSON number")
