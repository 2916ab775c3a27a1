"""Reaching a Dask cluster: a scheduler that runs somewhere, or workers of this machine while they are needed."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from slir_milp.errors import OptionError, SlirError

_LOCAL = re.compile(r"local(?::([1-9]\d*))?")
PATIENCE = 30.0
"""Seconds that :func:`connect` waits unless told otherwise."""


@dataclass(frozen=True)
class Connection:
    """A cluster that can be given work.

    Attributes
    ----------
    client
        Dask's client.
    address
        What the user called it.
    """

    client: Any
    address: str

    def slots(self) -> int:
        """How many pieces of work the cluster can do at a time now."""
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return sum(int(worker["nthreads"]) for worker in workers.values())


@contextmanager
def connect(address: str, wait: float = PATIENCE) -> Iterator[Connection]:
    """Connect to a cluster, and leave it (or end it, if it was started here) afterwards.

    Parameters
    ----------
    address
        ``tcp://host:port`` of a scheduler, or ``local:N`` for N workers of one thread on this machine; ``local`` for
        one a core.
    wait
        Seconds within which a scheduler must answer, and its first worker be there.

    Raises
    ------
    SlirError
        Dask is not installed, or the address is none, or nobody answers there.
    """
    try:
        import distributed
    except ImportError:
        raise SlirError("--cluster needs Dask: pip install 'slir-milp[cluster]'.") from None
    local = _LOCAL.fullmatch(address)
    if local is None and "://" not in address:
        raise OptionError(f"'{address}' is no cluster: give local, local:N, or a scheduler's address, tcp://HOST:PORT.")
    if local is None:
        try:
            client = distributed.Client(address, timeout=wait, set_as_default=False)
        except (OSError, TimeoutError, ValueError, ImportError) as error:
            raise SlirError(f"no Dask scheduler answers at {address}: {error}.") from error
        with client:
            yield _with_workers(client, address, wait)
        return
    workers = int(local[1]) if local[1] else _cores()
    settings = {
        "n_workers": workers,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": ":0",
        "memory_limit": 0,  # the program watches its memory itself, and a paused worker would look like a slow one
        "silence_logs": 50,
    }
    with _spared_by_ctrl_c():
        cluster = distributed.LocalCluster(**settings)
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        yield _with_workers(client, address, wait)


@contextmanager
def _spared_by_ctrl_c() -> Iterator[None]:
    """Start processes that a Ctrl-C on the terminal does not reach: this one is to end them, when it is ready.

    Threads and processes inherit from the thread that starts them which signals are blocked.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _with_workers(client: Any, address: str, wait: float) -> Connection:
    import distributed

    try:
        client.wait_for_workers(1, timeout=wait)
    except (TimeoutError, distributed.TimeoutError):
        raise SlirError(f"the cluster {address} has no worker; start some: dask worker ADDRESS.") from None
    return Connection(client, address)


def _cores() -> int:
    from slir_milp.search.run import available_cores

    return available_cores()
