"""Bring the public ACAS Xu networks and properties into a folder, each file checked by its SHA-256.

A file appears under its name only once its content is right: it is written beside it and renamed.  So a run that ends
early leaves files that are right and nothing else, and the next run goes on from there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from slir_milp.errors import FetchError

if TYPE_CHECKING:
    from http.client import HTTPResponse

Progress: TypeAlias = Callable[[int, int, str], None]

# The competition's benchmark repositories; commits are named so that what is there cannot change.
PUBLIC = (
    "https://raw.githubusercontent.com/ChristopherBrix/vnncomp2023_benchmarks/98cfd3b9407f11373fd8227bef4c350e333c0578/benchmarks/acasxu",
    "https://raw.githubusercontent.com/ChristopherBrix/vnncomp2022_benchmarks/c96a9c0fc7745e901f5f267a5e327c5d44d4e87d/benchmarks/acasxu",
)
LARGEST = 1 << 22  # bytes; the files have at most 60 kB
COMPETITION_TIMEOUT = 116  # seconds
_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_READERS_PLEA = "check the address, or give a mirror or a folder that has the files"


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes
    ----------
    timeout
        Seconds without an answer.
    attempts
        How often a file is asked for before the server is given up.
    pause
        Seconds before the second attempt; doubled before each further one.
    """

    timeout: float = 30.0
    attempts: int = 3
    pause: float = 0.5


class _Source(Protocol):
    """Where files come from."""

    def candidates(self, name: str) -> Iterator[bytes]:
        """Every content found for ``onnx/...`` or ``vnnlib/...``, plain; a ``FetchError`` if it is out of reach."""


def fetch_acasxu(
    target: str | os.PathLike[str],
    origin: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
    patience: Patience | None = None,
) -> Path:
    """Bring the 45 networks and 10 properties of ACAS Xu into a folder, with ``instances.csv`` of all 186 questions.

    Parameters
    ----------
    target
        The folder, made if there is none.  Files in it that are right already are kept; wrong ones are replaced.
    origin
        Base URL of a mirror (with or without the subfolders ``onnx/`` and ``vnnlib/``), or a folder that is searched
        with all its subfolders; files may be compressed by gzip.  ``None`` for the public repositories.
    progress
        Called with the number of files that are there, of all files, and the name of the last one.
    patience
        How long servers are waited for.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FetchError
        A file cannot be had, has a wrong digest everywhere, or cannot be written.
    """
    folder = Path(target)
    digests = _digests()
    sources = _sources(origin, patience or Patience())
    made: list[Path] = []
    try:
        for part in (folder, folder / "onnx", folder / "vnnlib"):
            _make(part, made)
        for done, (name, digest) in enumerate(digests.items(), start=1):
            if not _is_right(folder / name, digest):
                _store(folder / name, _obtain(name, digest, sources))
            if progress is not None:
                progress(done, len(digests), name)
        if not (folder / "instances.csv").exists():
            _store(folder / "instances.csv", _instances().encode())
    finally:
        for part in reversed(made):
            with suppress(OSError):  # not empty: there are files worth keeping
                part.rmdir()
    return folder


def _digests() -> dict[str, str]:
    """SHA-256 of every file, by its path."""
    text = (files("slir_milp.problems") / "acasxu_sha256.csv").read_text(encoding="utf-8")
    return dict(line.split(",") for line in text.split()[1:])


def _instances() -> str:
    """The questions of the competition: properties 1 to 4 on all networks, each other one on a single network."""
    pairs = [(i, j, k) for k in range(1, 5) for i in range(1, 6) for j in range(1, 10)]
    pairs += [(1, 1, 5), (1, 1, 6), (1, 9, 7), (2, 9, 8), (3, 3, 9), (4, 5, 10)]
    return "".join(
        f"onnx/ACASXU_run2a_{i}_{j}_batch_2000.onnx,vnnlib/prop_{k}.vnnlib,{COMPETITION_TIMEOUT}\n" for i, j, k in pairs
    )


def _sources(origin: str | os.PathLike[str] | None, patience: Patience) -> list[_Source]:
    if origin is None:
        return [_Server(base, patience) for base in PUBLIC]
    text = os.fspath(origin)
    if text.lower().startswith(("http://", "https://")):
        return [_Server(text.rstrip("/"), patience)]
    if "://" in text:
        raise FetchError(f"'{text}' is no address that can be fetched from; give one that starts with https://.")
    if not Path(text).is_dir():
        raise FetchError(f"there is no folder '{text}'; give a folder that has the files, or an address with https://.")
    return [_Folder(Path(text))]


def _obtain(name: str, digest: str, sources: list[_Source]) -> bytes:
    """Content of a file from the first source that has it right; sources that are out of reach are struck out."""
    trouble = f"{name} was not found; {_READERS_PLEA}."
    for source in tuple(sources):
        try:
            for content in source.candidates(name):
                if _sha256(content) == digest:
                    return content
                trouble = f"{name} was found, but its SHA-256 is not the expected one: it is damaged or another file."
        except FetchError as error:
            sources.remove(source)
            trouble = str(error)
    raise FetchError(trouble)


@dataclass(frozen=True)
class _Folder:
    """A local folder, searched with all its subfolders."""

    root: Path

    def candidates(self, name: str) -> Iterator[bytes]:
        plain = name.rsplit("/", 1)[-1]
        for found in sorted((*self.root.rglob(plain), *self.root.rglob(f"{plain}.gz"))):
            if not found.is_file():
                continue
            try:
                with open(found, "rb") as file:
                    content = _plain(file.read(LARGEST + 1))
            except OSError as error:
                raise FetchError(f"{found} cannot be read: {error.strerror or error}.") from error
            yield content


@dataclass
class _Server:
    """A base URL; which of the usual layouts it has is remembered from the first file found."""

    base: str
    patience: Patience
    layout: str | None = field(default=None, init=False)

    def candidates(self, name: str) -> Iterator[bytes]:
        layouts = ["{folder}/{file}.gz", "{folder}/{file}", "{file}.gz", "{file}"]
        if self.layout is not None:
            layouts.remove(self.layout)
            layouts.insert(0, self.layout)
        folder, file = name.split("/")
        for layout in layouts:
            content = self._get(f"{self.base}/{layout.format(folder=folder, file=file)}")
            if content is not None:
                self.layout = layout
                yield _plain(content)

    def _get(self, address: str) -> bytes | None:
        """Content at an address; ``None`` if there is nothing."""
        from http.client import HTTPException
        from urllib.error import HTTPError, URLError
        from urllib.request import Request, urlopen

        trouble = ""
        for attempt in range(self.patience.attempts):
            if attempt:
                time.sleep(self.patience.pause * 2 ** (attempt - 1))
            try:
                request = Request(address, headers={"User-Agent": "slir-milp"})
                with urlopen(request, timeout=self.patience.timeout) as response:
                    return _read_whole(response)
            except HTTPError as error:
                error.close()
                if error.code in (404, 410):
                    return None
                trouble = f"the server answers {error.code} {error.reason}"
                if error.code not in _AGAIN:
                    break
            except URLError as error:
                trouble = f"{error.reason}"
            except (OSError, HTTPException, ValueError) as error:
                trouble = f"{error}" or type(error).__name__
        raise FetchError(f"{address} cannot be fetched: {trouble}; {_READERS_PLEA}.")


def _read_whole(response: HTTPResponse) -> bytes:
    """Read a response, which must have the length that it promises."""
    content = response.read(LARGEST + 1)
    promised = response.headers.get("Content-Length")
    if promised is not None and promised.isdigit() and len(content) < min(int(promised), LARGEST):
        raise OSError(f"the connection ended after {len(content)} of {promised} bytes")
    return content


def _plain(content: bytes) -> bytes:
    """Decompress gzip, never beyond the size that the largest file could have; damaged data stays as it is."""
    import zlib

    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return zlib.decompressobj(wbits=31).decompress(content, LARGEST)
    except zlib.error:
        return content


def _sha256(content: bytes) -> str:
    from hashlib import sha256

    return sha256(content).hexdigest()


def _is_right(path: Path, digest: str) -> bool:
    try:
        return _sha256(path.read_bytes()) == digest
    except OSError:
        return False


def _make(folder: Path, made: list[Path]) -> None:
    """Make a folder and those above it, and note each new one."""
    if not os.path.exists(folder):  # Path.exists raises where access is denied
        _make(folder.parent, made)
        try:
            folder.mkdir()
        except OSError as error:
            raise FetchError(f"the folder {folder} cannot be made: {error.strerror or error}.") from error
        made.append(folder)
    elif not folder.is_dir():
        raise FetchError(f"{folder} is no folder; name another one to fetch into.")


def _store(path: Path, content: bytes) -> None:
    """Write a file beside its place, and move it there when it is complete."""
    from tempfile import NamedTemporaryFile

    temporary = None
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=".fetch-", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise FetchError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
