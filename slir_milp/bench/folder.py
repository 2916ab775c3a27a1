"""The folder of results: one campaign writes it at a time, and a kill at any moment leaves it whole.

    campaign.json          what was asked
    results.csv            a row an instance and tool
    documents/SET/NAME.*   what is known of each run
    witnesses/SET/NAME.txt the witness of each sat

A row is written last, when all that belongs to it is on the disk: what a kill leaves without a row is run again, and
what it leaves behind is then replaced.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from slir_milp.bench.task import Result
from slir_milp.errors import SlirError
from slir_milp.report.campaign import CAMPAIGN, Campaign, read_campaign
from slir_milp.report.files import write_whole
from slir_milp.report.results import RESULTS, ResultsFile, Row, file_stem, folder_name

_LOCK = ".lock"
_WAIT = 10.0
"""Seconds in which the processes of a campaign that was killed must be gone."""


class ResultsFolder:
    """A folder of results open for writing; a context manager.

    Parameters
    ----------
    path
        The folder, made if it is absent.
    campaign
        What is asked now; joined to what was asked before.

    Raises
    ------
    SlirError
        The folder cannot be written, or another campaign writes it, or it is the answer to something else.
    """

    def __init__(self, path: Path, campaign: Campaign) -> None:
        self.path = path
        self.lock = -1
        try:
            if path.is_dir() and not (path / CAMPAIGN).exists() and any(not _is_scrap(p) for p in path.iterdir()):
                raise SlirError(f"{path} has other files in it; name a new folder, or one that bench has made.")
            path.mkdir(parents=True, exist_ok=True)
            self.lock = _locked(path)
            _clear(path)
            before = read_campaign(path)
            joined = campaign if before is None else before.joined(campaign, path)
            if joined != before:
                joined.write(path)
            self.campaign = joined
            self._results = ResultsFile(path / RESULTS)
        except BaseException as error:
            self._unlock()
            if isinstance(error, OSError):
                raise SlirError(f"{path} cannot be written: {error.strerror or error}.") from error
            raise

    def __enter__(self) -> ResultsFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._results.__exit__(kind, error, trace)
        self._unlock()

    @property
    def kept(self) -> tuple[Row, ...]:
        """Rows of earlier commands."""
        return self._results.kept

    def keep(self, result: Result) -> Row:
        """Write what belongs to a result, then its row; the row, with the name of its document.

        Raises
        ------
        SlirError
            Something cannot be written.
        """
        row, answer = result.row, result.answer
        stem = file_stem(row.onnx, row.vnnlib, row.tool)
        if answer.point:
            self._write(Path("witnesses") / folder_name(row.set) / f"{stem}.txt", answer.point.encode("utf-8"))
        if answer.output:
            name = Path("documents") / folder_name(row.set) / f"{stem}{answer.suffix}"
            self._write(name, answer.output)
            row = replace(row, document=name.as_posix())
        self._results.append(row)
        return row

    def _write(self, name: Path, content: bytes) -> None:
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SlirError(f"{path.parent} cannot be made: {error.strerror or error}.") from error
        write_whole(path, content)

    def _unlock(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


class ResultsTable:
    """Results whose rows alone are kept, in a file or nowhere; a context manager like :class:`ResultsFolder`."""

    def __init__(self, path: Path | None) -> None:
        self._results = ResultsFile(path)

    def __enter__(self) -> ResultsTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._results.__exit__(kind, error, trace)

    @property
    def kept(self) -> tuple[Row, ...]:
        """Rows of earlier commands."""
        return self._results.kept

    def keep(self, result: Result) -> Row:
        """Write a row."""
        self._results.append(result.row)
        return result.row


def _is_scrap(path: Path) -> bool:
    """Whether a file may be what a killed campaign leaves: its lock, or a file that has not got its name yet."""
    return path.name == _LOCK or path.name.startswith(f".{CAMPAIGN}.")


def _clear(path: Path) -> None:
    """Remove files that a killed campaign left half written: they have names of their own, with a dot before."""
    for scrap in [*path.glob(f".{CAMPAIGN}.*"), *path.glob("documents/*/.*"), *path.glob("witnesses/*/.*")]:
        scrap.unlink(missing_ok=True)


def _locked(path: Path) -> int:
    """Lock a folder until this process and the guards of its commands have ended; the file that is locked.

    The guards of a campaign that was killed hold the lock until all that they watch is gone, so that nothing of it is
    left when the next one begins.
    """
    import fcntl

    lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    deadline = time.monotonic() + _WAIT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError:
            if time.monotonic() > deadline:
                os.close(lock)
                raise SlirError(f"another campaign writes {path} now; wait for it, or name another folder.") from None
            time.sleep(0.1)
