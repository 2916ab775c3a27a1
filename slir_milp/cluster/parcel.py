"""Parcels: what every worker needs, sent to each once, and to one that joins later as it joins."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from slir_milp.cluster.connect import Connection
from slir_milp.errors import SlirError

_contents: dict[str, bytes] = {}
_opened: dict[str, Any] = {}
_lock = threading.Lock()


@contextmanager
def sent(connection: Connection, content: object) -> Iterator[str]:
    """Send an object to every worker, and have it dropped there afterwards; the key by which :func:`opened` finds it.

    Raises
    ------
    SlirError
        It cannot be sent: something in it exists in this process only.
    """
    import cloudpickle

    from slir_milp.cluster.plugin import ParcelPlugin

    key = f"slir-milp-{uuid4().hex}"
    try:
        packed = cloudpickle.dumps(content)
    except Exception as error:  # whatever the objects' own methods raise
        raise SlirError(f"the problem cannot be sent to a cluster: {error}.") from error
    connection.client.register_plugin(ParcelPlugin(key, packed), name=key)
    try:
        yield key
    finally:
        connection.client.unregister_worker_plugin(key)


def opened(key: str) -> Any:
    """The object that a parcel holds, in the worker; the same one for whoever asks in this process."""
    with _lock:
        if key not in _opened:
            import cloudpickle

            _opened[key] = cloudpickle.loads(_contents[key])
        return _opened[key]


def keep(key: str, packed: bytes) -> None:
    """Keep a parcel that has arrived."""
    with _lock:
        _contents[key] = packed


def drop(key: str) -> None:
    """Forget a parcel."""
    with _lock:
        _contents.pop(key, None)
        _opened.pop(key, None)
