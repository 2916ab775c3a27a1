"""The CSV file of results: a row as each instance ends, and none twice."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import IO

from slir_milp.bench.instances import Instance
from slir_milp.errors import SlirError


class Outcome(StrEnum):
    """How a verdict compares with the published one."""

    RIGHT = "right"
    WRONG = "wrong"
    UNDECIDED = "undecided"
    UNCHECKED = "unchecked"
    ERROR = "error"


@dataclass(frozen=True)
class Row:
    """One row of the file; the fields are its columns.

    Attributes
    ----------
    onnx, vnnlib
        The two files, as ``instances.csv`` names them.
    verdict
        ``sat``, ``unsat``, ``unknown``, ``timeout``, or ``error``.
    truth
        The published verdict, ``""`` if there is none.
    outcome
        How the two compare.
    seconds
        Wall time, reading the files included.
    timeout
        Seconds that were allowed; ``None`` for no limit.
    regions
        Regions bounded.
    reason
        Why the run ended, or what went wrong, as a sentence.
    engine, splitting, jobs
        The options of that name.
    closed_fraction
        Fraction of the input set that is closed.
    witness
        Where a witness holds: ``both``, ``exact`` (arithmetic only), ``runtime`` (ONNX Runtime only), ``""`` for none.
    peak_mb
        Largest resident memory of the process so far, in 10⁶ bytes; ``None`` if it is not known.
    """

    onnx: str
    vnnlib: str
    verdict: str
    truth: str
    outcome: Outcome
    seconds: float
    timeout: float | None
    regions: int
    reason: str
    engine: str
    splitting: str
    jobs: int
    closed_fraction: float
    witness: str
    peak_mb: float | None


def compare(verdict: str, truth: str) -> Outcome:
    """Compare a verdict with the published one; only ``sat`` and ``unsat`` count as published."""
    if verdict == "error":
        return Outcome.ERROR
    if verdict not in ("sat", "unsat"):
        return Outcome.UNDECIDED
    if truth not in ("sat", "unsat"):
        return Outcome.UNCHECKED
    return Outcome.RIGHT if verdict == truth else Outcome.WRONG


class ResultsFile:
    """A results file open for appending; a context manager.

    Parameters
    ----------
    path
        The file, made if it is absent; ``None`` to keep nothing.
    engine
        The engine of this run: a file made with another is refused, since the two must not be mixed.

    Raises
    ------
    SlirError
        The file cannot be opened, or is no results file, or was made with another engine.
    """

    def __init__(self, path: Path | None, engine: str) -> None:
        self.kept: tuple[Row, ...] = ()
        self._file: IO[str] | None = None
        if path is None:
            return
        try:
            _repair(path)
            self.kept = _read(path)
            if any(row.engine != engine for row in self.kept):
                raise SlirError(f"{path} has results of another engine than '{engine}'; name another file.")
            self._file = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115 (closed by __exit__)
            if self._file.tell() == 0:
                csv.writer(self._file, lineterminator="\n").writerow(_COLUMNS)
                self._file.flush()
        except OSError as error:
            raise SlirError(f"{path} cannot be opened: {error.strerror or error}.") from error

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def remaining(self, instances: tuple[Instance, ...]) -> tuple[Instance, ...]:
        """Instances without a row; one that is listed twice has two rows in the end."""
        done = Counter((row.onnx, row.vnnlib) for row in self.kept)
        left = []
        for instance in instances:
            key = (instance.onnx, instance.vnnlib)
            if done[key]:
                done[key] -= 1
            else:
                left.append(instance)
        return tuple(left)

    def append(self, row: Row) -> None:
        """Write a row and hand it to the operating system at once.

        Raises
        ------
        SlirError
            The row cannot be written.
        """
        if self._file is None:
            return
        values = (" ".join(value.split()) if isinstance(value, str) else value for value in asdict(row).values())
        try:
            csv.writer(self._file, lineterminator="\n").writerow("" if value is None else value for value in values)
            self._file.flush()
        except OSError as error:
            raise SlirError(f"a row of results cannot be written: {error.strerror or error}.") from error


_COLUMNS = [field.name for field in fields(Row)]


def _repair(path: Path) -> None:
    """Cut off a last line that a killed run left half written."""
    if not path.exists():
        return
    with open(path, "r+b") as file:
        content, header = file.read(), ",".join(_COLUMNS).encode()
        is_ours = content.startswith(header) or header.startswith(content)
        if is_ours and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def _read(path: Path) -> tuple[Row, ...]:
    if not path.exists() or path.stat().st_size == 0:
        return ()
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *lines = csv.reader(file)
        if header == _COLUMNS:
            return tuple(_parse(dict(zip(_COLUMNS, line, strict=True))) for line in lines)
    except (ValueError, csv.Error):
        pass
    raise SlirError(f"{path} is there and is no results file of this version; name another file.")


def _parse(text: dict[str, str]) -> Row:
    return Row(
        onnx=text["onnx"],
        vnnlib=text["vnnlib"],
        verdict=text["verdict"],
        truth=text["truth"],
        outcome=Outcome(text["outcome"]),
        seconds=float(text["seconds"]),
        timeout=float(text["timeout"]) if text["timeout"] else None,
        regions=int(text["regions"]),
        reason=text["reason"],
        engine=text["engine"],
        splitting=text["splitting"],
        jobs=int(text["jobs"]),
        closed_fraction=float(text["closed_fraction"]),
        witness=text["witness"],
        peak_mb=float(text["peak_mb"]) if text["peak_mb"] else None,
    )
