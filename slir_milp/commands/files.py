"""Reading the files a command names, with complaints that name the file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.errors import OptionError, SlirError

if TYPE_CHECKING:
    from slir_milp.activations.declarations import Declaration
    from slir_milp.activations.registry import Registry
    from slir_milp.network import Network
    from slir_milp.query import Query


def read_declarations(path: Path | None) -> tuple[Declaration, ...]:
    """The activations that a file declares, none without a file.

    Raises
    ------
    OptionError
        The file is at fault.
    """
    if path is None:
        return ()
    from slir_milp.activations.declarations import parse_declarations

    return parse_declarations(path)


def read_activations(path: Path | None) -> Registry | None:
    """The activations that a file declares, made and checked, for networks that use them.

    Raises
    ------
    OptionError
        The file is at fault, or a declaration is refuted.
    """
    if path is None:
        return None
    from slir_milp.activations.registry import Registry

    return Registry().with_declarations(read_declarations(path))


def digest(path: Path | None) -> tuple[str, str] | None:
    """Path and SHA-256 of a file, ``""`` for the digest of one that cannot be read; ``None`` without a file."""
    if path is None:
        return None
    import hashlib

    try:
        return str(path), hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return str(path), ""


def read_network(path: Path, *, check: bool, activations: Path | None = None) -> Network:
    """Read a network, with the activations that a file declares; see :func:`slir_milp.network.load_network`.

    Raises
    ------
    SlirError
        A file is at fault.
    """
    from slir_milp.network import load_network

    known = read_activations(activations)
    with naming(path):
        return load_network(path, check=check, activations=known)


def read_query(path: Path, network: Network) -> Query:
    """Read a query for a network; see :func:`slir_milp.query.load_query`.

    Raises
    ------
    SlirError
        The file is at fault, or does not fit the network.
    """
    from slir_milp.query import load_query

    with naming(path):
        query = load_query(path)
    query.check_fits(network.input_size, network.output_size)
    return query


def make_way(name: str, path: Path, inputs: tuple[Path | None, ...]) -> None:
    """See that a file can be written before hours are spent, and drop what an earlier run has left there.

    Parameters
    ----------
    name
        How messages speak of it, such as ``--json FILE``.
    path
        The file.
    inputs
        Files that must not be overwritten.

    Raises
    ------
    SlirError
        It cannot be written.
    """
    if any(path.exists() and other and other.exists() and path.samefile(other) for other in inputs):
        raise OptionError(f"{name} would overwrite an input file; name another file.")
    if path.is_dir():
        raise OptionError(f"{name} is a folder; name a file.")
    if not path.parent.is_dir():
        raise OptionError(f"the folder of {name} does not exist; make it first.")
    if path.exists() and not path.is_file():
        return  # a pipe or a device
    place = Path(os.path.realpath(path))
    try:
        with tempfile.TemporaryFile(dir=place.parent):
            pass
    except OSError as error:
        raise SlirError(f"{name} cannot be written: {error.strerror or error}.") from error
    try:
        place.unlink(missing_ok=True)
    except OSError as error:
        raise SlirError(f"{name} cannot be replaced: {error.strerror or error}.") from error


def require_file(path: Path) -> None:
    """See that there is a file that can be read.

    Raises
    ------
    SlirError
        There is none.
    """
    if not path.exists():
        raise SlirError(f"there is no file {path}.")
    if path.is_dir():
        raise SlirError(f"{path} is a folder; name a file.")
    if not os.access(path, os.R_OK):
        raise SlirError(f"the file {path} cannot be read: permission denied.")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let complaints that do not name a file name this one."""
    try:
        yield
    except SlirError as error:
        if path.name in str(error):
            raise
        raise SlirError(f"{path}: {error}") from error
