"""Reading the files a command names, with complaints that name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.errors import SlirError

if TYPE_CHECKING:
    from slir_milp.network import Network
    from slir_milp.query import Query


def read_network(path: Path, *, check: bool) -> Network:
    """Read a network; see :func:`slir_milp.network.load_network`.

    Raises
    ------
    SlirError
        The file is at fault.
    """
    from slir_milp.network import load_network

    with _naming(path):
        return load_network(path, check=check)


def read_query(path: Path, network: Network) -> Query:
    """Read a query for a network; see :func:`slir_milp.query.load_query`.

    Raises
    ------
    SlirError
        The file is at fault, or does not fit the network.
    """
    from slir_milp.query import load_query

    with _naming(path):
        query = load_query(path)
    query.check_fits(network.input_size, network.output_size)
    return query


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except SlirError as error:
        if path.name in str(error):
            raise
        raise SlirError(f"{path}: {error}") from error
