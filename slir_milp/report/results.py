"""The table of results, ``results.csv``: a row an instance and tool, written as each ends, and none twice.

A row is the moment at which an instance counts as run: what belongs to it is written before.  A last line that a kill
left half written is cut off when the file is opened again.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import IO, TypeAlias

from slir_milp.errors import SlirError

RESULTS = "results.csv"
"""Name of the table in a folder of results."""

OWN = "slir-milp"
"""Name of this program's rows, unless options change what it does."""

Key: TypeAlias = tuple[str, str, str, str]
_LONGEST_STEM = 40


class Outcome(StrEnum):
    """How a verdict compares with the published one."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"
    UNCHECKED = "unchecked"
    ERROR = "error"


@dataclass(frozen=True)
class Row:
    """One row of the table; the fields are its columns.

    Attributes
    ----------
    set
        Name of the benchmark set.
    onnx, vnnlib
        The two files, as ``instances.csv`` names them.
    tool
        Name of the verifier.
    verdict
        ``sat``, ``unsat``, ``unknown``, ``timeout``, or ``error``.
    truth
        The published verdict, ``""`` if there is none.
    outcome
        How the two compare.
    seconds
        Wall time, reading the files (and, for a process of its own, its start) included.
    timeout
        Seconds that were allowed; ``None`` for no limit.
    peak_mb
        Largest resident memory seen, of the process and all that it started, in 10⁶ bytes; ``None`` if it is not known.
    regions
        Regions bounded.
    closed_by
        How many each stage closed; empty if that is not known.
    closed_fraction
        Fraction of the input set that is closed.
    reason
        Why the run ended, or what went wrong, as a sentence.
    witness
        Where a witness was seen to hold: ``both``, ``exact`` (arithmetic only), ``runtime`` (ONNX Runtime only),
        ``none`` (it does not hold), ``""`` where there is none.
    document
        Path, relative to the table, of all that is known of the run; ``""`` for none.
    started
        When the run began: ISO 8601 in UTC.
    """

    set: str
    onnx: str
    vnnlib: str
    tool: str
    verdict: str
    truth: str
    outcome: Outcome
    seconds: float
    timeout: float | None
    peak_mb: float | None = None
    regions: int = 0
    closed_by: dict[str, int] = field(default_factory=dict)
    closed_fraction: float = 0.0
    reason: str = ""
    witness: str = ""
    document: str = ""
    started: str = ""

    @property
    def key(self) -> Key:
        """What there is one row of: set, network, query and tool."""
        return self.set, self.onnx, self.vnnlib, self.tool


def compare(verdict: str, truth: str) -> Outcome:
    """Compare a verdict with the published one; only ``sat`` and ``unsat`` count as published."""
    if verdict == "error":
        return Outcome.ERROR
    if verdict not in ("sat", "unsat"):
        return Outcome.UNDECIDED
    if truth not in ("sat", "unsat"):
        return Outcome.UNCHECKED
    return Outcome.RIGHT if verdict == truth else Outcome.WRONG


def file_stem(onnx: str, vnnlib: str, tool: str = OWN) -> str:
    """A name for an instance's files: short, safe in any file system, and of this instance and tool only."""
    digest = hashlib.sha256(f"{onnx}\n{vnnlib}\n{tool}".encode()).hexdigest()[:8]
    names = [Path(name.removesuffix(".gz")).stem for name in (onnx, vnnlib)] + ([] if tool == OWN else [tool])
    return "-".join([*(re.sub(r"\W+", "_", name, flags=re.ASCII)[:_LONGEST_STEM] for name in names), digest])


def folder_name(name: str) -> str:
    """A set's name as that of a folder, safe in any file system."""
    safe = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)
    return safe if safe.strip("._") == name else f"{safe.strip('._')}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def read_results(path: Path) -> tuple[Row, ...]:
    """The rows of a table, a half-written last one left out; none if there is no such file.

    Raises
    ------
    SlirError
        The file cannot be read, or is no table of results of this version.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise SlirError(f"{path} cannot be read: {error.strerror or error}.") from error
    whole = content[: content.rfind(b"\n") + 1] if _is_ours(content) else content
    if not whole:
        return ()
    try:
        header, *lines = csv.reader(StringIO(whole.decode("utf-8"), newline=""))
        if header == COLUMNS:
            return tuple(_parse(dict(zip(COLUMNS, line, strict=True))) for line in lines)
    except (ValueError, csv.Error):
        pass
    raise SlirError(f"{path} is there and is no table of results of this version; name another one.")


class ResultsFile:
    """A table open for appending; a context manager.

    Parameters
    ----------
    path
        The file, made if it is absent; ``None`` to keep nothing.

    Raises
    ------
    SlirError
        The file cannot be opened, or is no table of results.
    """

    def __init__(self, path: Path | None) -> None:
        self.kept: tuple[Row, ...] = ()
        self._file: IO[bytes] | None = None
        if path is None:
            return
        try:
            self.kept = read_results(path)
            self._file = open(path, "ab")  # noqa: SIM115 (closed by __exit__)
            if path.is_file():
                content = path.read_bytes()
                self._file.truncate(content.rfind(b"\n") + 1)
            if self._file.seek(0, os.SEEK_END) == 0:
                self._write(COLUMNS)
        except OSError as error:
            self.__exit__(None, None, None)
            raise SlirError(f"{path} cannot be opened: {error.strerror or error}.") from error

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, row: Row) -> None:
        """Write a row, and return when it is on the disk.

        Raises
        ------
        SlirError
            The row cannot be written.
        """
        if self._file is None:
            return
        try:
            self._write([_text(value) for value in asdict(row).values()])
        except OSError as error:
            raise SlirError(f"a row of results cannot be written: {error.strerror or error}.") from error

    def _write(self, values: list[str]) -> None:
        assert self._file is not None
        self._file.write(_line(values))
        self._file.flush()
        try:
            os.fsync(self._file.fileno())
        except OSError:
            if Path(self._file.name).is_file():  # (a pipe or a device cannot be told to)
                raise


COLUMNS = [column.name for column in fields(Row)]


def _is_ours(content: bytes) -> bool:
    """Whether a file begins as a table does, or is the beginning of one."""
    header = _line(COLUMNS)
    return content.startswith(header) or header.startswith(content)


def _line(values: list[str]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def _text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    return "" if value is None else re.sub(r"\s*[\r\n]+\s*", " ", str(value)).strip()


def _parse(text: dict[str, str]) -> Row:
    closed_by = json.loads(text["closed_by"])
    return Row(
        set=text["set"],
        onnx=text["onnx"],
        vnnlib=text["vnnlib"],
        tool=text["tool"],
        verdict=text["verdict"],
        truth=text["truth"],
        outcome=Outcome(text["outcome"]),
        seconds=float(text["seconds"]),
        timeout=float(text["timeout"]) if text["timeout"] else None,
        peak_mb=float(text["peak_mb"]) if text["peak_mb"] else None,
        regions=int(text["regions"]),
        closed_by={str(stage): int(count) for stage, count in closed_by.items()},
        closed_fraction=float(text["closed_fraction"]),
        reason=text["reason"],
        witness=text["witness"],
        document=text["document"],
        started=text["started"],
    )
