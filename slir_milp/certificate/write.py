"""Writing a proof while the search runs: entries from any thread, and a file that is there as a whole or not at all."""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from typing import IO, Protocol

from slir_milp.certificate.file import BURDEN, LARGEST_FILE, LARGEST_HEADER, MAGIC, Header
from slir_milp.certificate.format import HEAD, pack_end
from slir_milp.errors import ProofError

_LEVEL = 1
_GZIP = 16 + zlib.MAX_WBITS
"""Asks zlib for a gzip stream; its header then has no name and no time, so that equal runs give equal bytes."""
_BUFFER = 1 << 18
_ROOM = LARGEST_HEADER + 4096
"""For what is in a proof besides its entries."""


_WRITERS: weakref.WeakSet[ProofWriter] = weakref.WeakSet()


def abandon() -> None:
    """Leave no unfinished proof behind, before the process ends without a chance for anything else."""
    for writer in list(_WRITERS):
        writer._cleaning()


class Sink(Protocol):
    """Something that takes entries."""

    def append(self, data: bytes, entries: int | None = None) -> None:
        """Take whole entries, ``entries`` of them if that is known."""

    def reserve(self, count: int) -> int:
        """The first of so many node numbers that nobody else gets."""


class ProofWriter:
    """A proof in the making; any number of threads may write.

    The file appears under its name when :meth:`commit` is called, and not before.  What is left of an earlier proof of
    that name is removed at once, so that it cannot be taken for this one's.

    Parameters
    ----------
    path
        Where the proof is to be.  A pipe or a device is written to directly.
    header
        What it is about.

    Raises
    ------
    ProofError
        The file cannot be written, here or in any of the methods; nothing is left behind then.
    """

    def __init__(self, path: str | PathLike[str], header: Header) -> None:
        self.path = fspath(path)
        self._lock = threading.Lock()
        self._next_node, self._entries, self._size = 1, 0, 0
        self._has_entries = header.claim == "unsat"
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._buffer = bytearray(MAGIC + header.to_line())
        self._file: IO[bytes] | None = None
        self._temporary: str | None = None
        with self._mending():
            place = Path(os.path.realpath(self.path))
            if place.exists() and not place.is_file():
                self._file = open(place, "wb")  # noqa: SIM115 (closed by commit or discard)
            else:
                handle, self._temporary = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
                self._file = os.fdopen(handle, "wb")
                place.unlink(missing_ok=True)
        # Also where the program ends without having called either.
        self._cleaning = weakref.finalize(self, _clean, self._file, self._temporary)
        _WRITERS.add(self)

    def append(self, data: bytes, entries: int | None = None) -> None:
        """Write whole entries.

        Parameters
        ----------
        data
            The entries' bytes.
        entries
            How many they are, if that is known.
        """
        if not data:
            return
        count = count_entries(data) if entries is None else entries
        with self._lock, self._mending():
            self._entries += count
            self._size += len(data) + BURDEN * count
            self._buffer += data
            if self._size > LARGEST_FILE - _ROOM and self._file is not None:
                self._file = None  # nobody could read it: the run goes on without
                self._cleaning()
            if len(self._buffer) >= _BUFFER:
                self._flush()

    def reserve(self, count: int) -> int:
        """The first of so many node numbers that nobody else gets; 0 is the root's."""
        with self._lock:
            first, self._next_node = self._next_node, self._next_node + count
            return first

    def commit(self) -> None:
        """End the proof and give it its name."""
        with self._lock, self._mending():
            if self._size > LARGEST_FILE - _ROOM:
                raise ProofError(f"the proof {self.path} would be larger than {LARGEST_FILE} bytes when unpacked.")
            if self._file is None:
                raise ProofError(f"the proof {self.path} has been ended before.")
            if self._has_entries:
                self._buffer += pack_end(self._entries)
            self._finish(self._file)

    def discard(self) -> None:
        """Leave no proof; nothing happens if it has been ended."""
        with self._lock:
            self._file = None
            self._buffer.clear()
            self._cleaning()

    def _finish(self, file: IO[bytes]) -> None:
        self._flush()
        file.write(self._packer.flush())
        file.flush()
        if self._temporary is not None:
            os.fsync(file.fileno())
        file.close()
        if self._temporary is not None:
            # A temporary file is its owner's alone; a result is as public as the umask says.
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(self._temporary, 0o666 & ~mask)
            os.replace(self._temporary, os.path.realpath(self.path))
        self._file = None
        self._cleaning.detach()

    def _flush(self) -> None:
        if self._file is not None:
            self._file.write(self._packer.compress(bytes(self._buffer)))
        self._buffer.clear()

    @contextmanager
    def _mending(self) -> Iterator[None]:
        """Make a sentence of what the system says, and leave nothing behind."""
        try:
            yield
        except OSError as error:
            _clean(self._file, self._temporary)
            self._file = None
            raise ProofError(f"the proof cannot be written to {self.path}: {error.strerror or error}.") from error


class Branch:
    """Entries that may yet be dropped; they reach the proof when :meth:`keep` is called."""

    def __init__(self, sink: Sink) -> None:
        self._sink, self._parts, self._entries = sink, list[bytes](), 0

    def append(self, data: bytes, entries: int | None = None) -> None:
        """Hold whole entries."""
        if data:
            self._parts.append(data)
            self._entries += count_entries(data) if entries is None else entries

    def reserve(self, count: int) -> int:
        """Node numbers; those of a branch that is dropped are never used."""
        return self._sink.reserve(count)

    def keep(self) -> None:
        """Hand over what is held."""
        self._sink.append(b"".join(self._parts), self._entries)
        self._parts, self._entries = [], 0


def count_entries(data: bytes) -> int:
    """Number of entries that follow one another in some bytes."""
    count = at = 0
    while at < len(data):
        at += HEAD.size + HEAD.unpack_from(data, at)[3]
        count += 1
    return count


def _clean(file: IO[bytes] | None, temporary: str | None) -> None:
    if file is not None:
        with suppress(OSError):  # a full disk: the file goes away in any case
            file.close()
    if temporary is not None:
        Path(temporary).unlink(missing_ok=True)
