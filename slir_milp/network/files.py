"""Reading the bytes of network files, packed or not."""

from __future__ import annotations

import os

from slir_milp.errors import NetworkError

MAX_BYTES = 2**31
"""No larger file is read, and no packed file is unpacked further: protocol buffers end there as well."""


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Bytes of the file as it lies there.

    Raises
    ------
    NetworkError
        If the file cannot be read or is too large.
    """
    try:
        if os.path.getsize(path) > MAX_BYTES:
            raise NetworkError(f"{os.fspath(path)} is larger than the two gigabytes supported")
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise NetworkError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from None


def read_content(path: str | os.PathLike[str]) -> bytes:
    """Bytes of the file, unpacked if its name ends in ``.gz``."""
    return unpacked(read_bytes(path), path)


def unpacked(stored: bytes, path: str | os.PathLike[str]) -> bytes:
    """Undo gzip if the name ends in ``.gz``."""
    if not os.fspath(path).endswith(".gz"):
        return stored
    import gzip
    import zlib
    from io import BytesIO

    try:
        with gzip.open(BytesIO(stored)) as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise NetworkError(f"{os.fspath(path)} is not a sound gzip file: {error}") from None
    if len(content) > MAX_BYTES:
        raise NetworkError(f"{os.fspath(path)} unpacks to more than the two gigabytes supported")
    return content


def is_nnet(path: str | os.PathLike[str]) -> bool:
    """Whether the name says ``.nnet`` (or ``.nnet.gz``)."""
    return os.fspath(path).removesuffix(".gz").endswith(".nnet")
