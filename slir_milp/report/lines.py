"""CSV files whose lines are dataclasses, appended one by one and read back.

A line counts once it is whole: the last line of a file that a kill left half written is left out when the file is read,
and cut off when it is opened to be appended to.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable
from dataclasses import asdict, fields
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeVar

from slir_milp.errors import SlirError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def _counts(text: str) -> dict[str, int]:
    return {str(name): int(count) for name, count in json.loads(text).items()}


_READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text == "True",
    "float | None": lambda text: float(text) if text else None,
    "dict[str, int]": _counts,
}


def columns(kind: type[DataclassInstance]) -> list[str]:
    """The header of a file of such lines."""
    return [field.name for field in fields(kind)]


def read_lines(kind: type[T], path: Path, *enums: type[StrEnum]) -> tuple[T, ...]:
    """Lines of a file; none if it is absent or empty.

    Parameters
    ----------
    kind
        A dataclass whose fields are text, numbers, truth values, optional floats, counts by name, or of the ``enums``.
    path
        The file.

    Raises
    ------
    ValueError
        The file has other lines.
    OSError
        It cannot be read.
    """
    content = path.read_bytes() if path.exists() else b""
    header = _line(columns(kind))
    if content.startswith(header) or header.startswith(content):
        content = content[: content.rfind(b"\n") + 1]
    if not content:
        return ()
    readers: dict[str, Callable[[str], Any]] = {**_READERS, **{enum.__name__: enum for enum in enums}}
    names = columns(kind)
    try:
        found, *rows = csv.reader(StringIO(content.decode("utf-8"), newline=""))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if found != names or any(len(row) != len(names) for row in rows):
        raise ValueError("the columns are others")
    take = [readers[str(field.type)] for field in fields(kind)]
    try:
        return tuple(kind(**{n: t(v) for n, t, v in zip(names, take, row, strict=True)}) for row in rows)
    except (AttributeError, TypeError) as error:  # JSON of another shape
        raise ValueError(str(error)) from error


class Appender(Generic[T]):
    """A file of such lines, open for appending; what it has is to be read before.

    Raises
    ------
    OSError
        It cannot be opened.
    """

    def __init__(self, kind: type[T], path: Path) -> None:
        self._path = path
        self._file: IO[bytes] = open(path, "ab")  # noqa: SIM115 (see close)
        try:
            if path.is_file():
                self._file.truncate(path.read_bytes().rfind(b"\n") + 1)
            if self._file.seek(0, os.SEEK_END) == 0:
                self._write(columns(kind))
        except OSError:
            self._file.close()
            raise

    def append(self, line: T) -> None:
        """Add a line, and return when it is on the disk; line breaks in text become spaces.

        Raises
        ------
        SlirError
            It cannot be written.
        """
        try:
            self._write([_text(value) for value in asdict(line).values()])
        except OSError as error:
            raise SlirError(f"a line cannot be added to {self._path}: {error.strerror or error}.") from error

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, values: list[str]) -> None:
        self._file.write(_line(values))
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError:
            if self._path.is_file():  # (a pipe or a device cannot be told to)
                raise


def _line(values: list[str]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else re.sub(r"\s*[\r\n]+\s*", " ", str(value)).strip()
