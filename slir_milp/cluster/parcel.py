"""Parcels: what every worker needs, sent to each once, and to one that joins later as it joins."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from slir_milp.cluster.connection import Connection
from slir_milp.errors import SlirError

_ATTEMPTS, _PAUSE = 8, 0.5

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
    _register(connection, ParcelPlugin(key, packed), key)
    try:
        yield key
    finally:
        with suppress(OSError):  # a worker has just died, and what it held is gone
            connection.client.unregister_worker_plugin(key)


def _register(connection: Connection, plugin: object, key: str) -> None:
    """Register a plugin, once more if a worker dies meanwhile."""
    for attempt in range(_ATTEMPTS):
        try:
            connection.client.register_plugin(plugin, name=key)
            return
        except OSError as error:  # Dask's errors of communication are such
            if attempt == _ATTEMPTS - 1:
                raise SlirError(f"the problem cannot be sent to the cluster: {error}.") from error
            time.sleep(_PAUSE)


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
