"""The table of results, ``results.csv``: a row an instance and tool, written as each ends, and none twice.

A row is the moment at which an instance counts as run: what belongs to it is written before.  A last line that a kill
left half written is cut off when the file is opened again.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from slir_milp.errors import SlirError
from slir_milp.report.lines import Appender, columns, read_lines

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
        return read_lines(Row, path, Outcome)
    except OSError as error:
        raise SlirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError:
        raise SlirError(f"{path} is there and is no table of results of this version; name another one.") from None


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
        self._file: Appender[Row] | None = None
        if path is None:
            return
        self.kept = read_results(path)
        try:
            self._file = Appender(Row, path)
        except OSError as error:
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
        if self._file is not None:
            self._file.append(row)


COLUMNS = columns(Row)
