"""Queries from files."""

from __future__ import annotations

from os import PathLike, fspath

from slir_milp.errors import QueryError
from slir_milp.query.query import Query
from slir_milp.query.specification import Specification
from slir_milp.query.vnnlib import parse_query
from slir_milp.query.vnnlib2 import is_version_2, parse_specification

_GZIP_START = b"\x1f\x8b"


def load_query(path: str | PathLike[str]) -> Query:
    """Read a query from a VNN-LIB file, plain or compressed by gzip.

    Parameters
    ----------
    path
        The file, of version 1.0, or of 2.x if it says no more than that can: one network with one input and one output,
        linear conditions, element type ``real``.  Whether it is compressed is told from its first bytes.

    Returns
    -------
    Query
        With ``source`` the path, and ``sha256`` the digest of the file as stored.

    Raises
    ------
    QueryError
        The file cannot be read, or is no such query; see :func:`slir_milp.query.parse_query`.
    """
    text, source, sha256 = _read(path)
    return parse_query(text, source=source, sha256=sha256)


def load_specification(path: str | PathLike[str]) -> Specification:
    """Read a VNN-LIB 2.x file, plain or compressed by gzip.

    Raises
    ------
    QueryError
        The file cannot be read, or is none; see :func:`slir_milp.query.parse_specification`.
    """
    text, source, sha256 = _read(path)
    if not is_version_2(text):
        raise QueryError(
            f"the query {source} is no VNN-LIB 2 file, which begins with (vnnlib-version <2.0>); slir-milp verify "
            "reads files of version 1.0."
        )
    return parse_specification(text, source=source, sha256=sha256)


def _read(path: str | PathLike[str]) -> tuple[str, str, str]:
    """Text of a query file, its path, and the digest of the file as stored."""
    from hashlib import sha256

    source = fspath(path)
    try:
        with open(source, "rb") as file:
            stored = file.read()
    except OSError as error:
        raise QueryError(f"the query {source} cannot be read: {error.strerror or error}.") from error
    content = _decompress(stored, source) if stored.startswith(_GZIP_START) else stored
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QueryError(
            f"the query {source} is no text in UTF-8 (byte {error.start}); is it a VNN-LIB file?"
        ) from None
    return text, source, sha256(stored).hexdigest()


def _decompress(stored: bytes, source: str) -> bytes:
    import gzip
    import zlib

    try:
        return gzip.decompress(stored)
    except (OSError, EOFError, zlib.error) as error:
        raise QueryError(f"the query {source} is a damaged gzip file: {error}.") from error
