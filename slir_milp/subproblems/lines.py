"""CSV files whose lines are dataclasses, appended one by one and read back."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from slir_milp.errors import SlirError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text == "True",
    "float | None": lambda text: float(text) if text else None,
}


def repair(kind: type[DataclassInstance], path: Path) -> None:
    """Cut off a last line that a killed run left half written; other files are left alone.

    Raises
    ------
    OSError
        The file cannot be read or written.
    """
    if not path.exists():
        return
    header = ",".join(columns(kind)).encode()
    with open(path, "r+b") as file:
        content = file.read()
        is_ours = content.startswith(header) or header.startswith(content)
        if is_ours and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def columns(kind: type[DataclassInstance]) -> list[str]:
    """The header of a file of such lines."""
    return [field.name for field in fields(kind)]


def read_lines(kind: type[T], path: Path, *enums: type[StrEnum]) -> tuple[T, ...]:
    """Lines of a file; none if it is absent or empty.

    Parameters
    ----------
    kind
        A dataclass whose fields are text, numbers, truth values, optional floats, or of the ``enums``.
    path
        The file.

    Raises
    ------
    ValueError
        The file has other lines.
    OSError
        It cannot be read.
    """
    if not path.exists() or path.stat().st_size == 0:
        return ()
    readers: dict[str, Callable[[str], Any]] = {**_READERS, **{enum.__name__: enum for enum in enums}}
    names = columns(kind)
    with open(path, encoding="utf-8", newline="") as file:
        try:
            header, *rows = csv.reader(file)
        except csv.Error as error:
            raise ValueError(str(error)) from error
    if header != names or any(len(row) != len(names) for row in rows):
        raise ValueError("the columns are others")
    take = [readers[str(field.type)] for field in fields(kind)]
    return tuple(kind(**{n: t(v) for n, t, v in zip(names, take, row, strict=True)}) for row in rows)


class Appender(Generic[T]):
    """A file of such lines, open for appending.

    What is appended is handed to the operating system at once.  To be opened after :func:`repair`.

    Raises
    ------
    OSError
        It cannot be opened.
    """

    def __init__(self, kind: type[T], path: Path) -> None:
        self._path = path
        self._file: IO[str] = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115 (see close)
        if self._file.tell() == 0:
            self._file.write(",".join(columns(kind)) + "\n")
            self._file.flush()

    def append(self, line: T) -> None:
        """Add a line; line breaks in text become spaces.

        Raises
        ------
        SlirError
            It cannot be written.
        """
        values = (" ".join(v.split()) if isinstance(v, str) else v for v in asdict(line).values())
        try:
            csv.writer(self._file, lineterminator="\n").writerow("" if v is None else v for v in values)
            self._file.flush()
        except OSError as error:
            raise SlirError(f"a line cannot be added to {self._path}: {error.strerror or error}.") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()
