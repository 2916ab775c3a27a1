"""A small store of what has been loaded, so that one process reads each file once as far as memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

T = TypeVar("T")


class BoundedCache(Generic[T]):
    """Loads files and keeps the most recently used, up to a total size.

    Parameters
    ----------
    load
        Reads a file; what it raises is passed on and not remembered.
    budget
        Bytes of files kept; the most recent one is kept whatever its size.
    """

    def __init__(self, load: Callable[[Path], T], budget: int) -> None:
        self._load = load
        self._budget = budget
        self._kept: OrderedDict[Path, tuple[T, int]] = OrderedDict()

    def get(self, path: Path) -> T:
        """Contents of a file."""
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path][0]
        value = self._load(path)
        self._kept[path] = (value, path.stat().st_size)
        while len(self._kept) > 1 and sum(size for _, size in self._kept.values()) > self._budget:
            self._kept.popitem(last=False)
        return value
