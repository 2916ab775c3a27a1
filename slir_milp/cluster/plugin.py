"""The plugin of Dask's workers that holds a parcel."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin

from slir_milp.cluster import parcel


class ParcelPlugin(WorkerPlugin):
    """Keeps a parcel in a worker as long as the plugin is registered, also in workers that join later."""

    def __init__(self, key: str, packed: bytes) -> None:
        self.key, self.packed = key, packed

    def setup(self, worker: Any) -> None:
        """The parcel has arrived."""
        parcel.keep(self.key, self.packed)

    def teardown(self, worker: Any) -> None:
        """It is not needed any more."""
        parcel.drop(self.key)
