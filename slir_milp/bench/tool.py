"""What a verifier is to a campaign: a command, and a way to read what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from slir_milp.bench.process import Ended
from slir_milp.bench.task import Answer

RESULT = "result"
"""Name of the file in a run's folder that ``{result}`` stands for."""

_LAST_WORDS = 300


@dataclass(frozen=True)
class Job:
    """What the places of a command are filled with.

    Attributes
    ----------
    network, query
        The two files.
    folder
        Where the command works and leaves its result.
    timeout
        Seconds, ``None`` for no limit.
    memory
        Bytes, ``None`` for no limit.
    jobs
        Threads.
    """

    network: Path
    query: Path
    folder: Path
    timeout: float | None
    memory: int | None
    jobs: int

    @property
    def result(self) -> Path:
        """Where the command is to write its result."""
        return self.folder / RESULT


class Tool(Protocol):
    """A verifier."""

    @property
    def name(self) -> str:
        """By which its rows are known."""

    @property
    def version(self) -> str:
        """Its version."""

    @property
    def template(self) -> tuple[str, ...]:
        """Its command with ``{network}`` and the like left open."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that it needs."""

    def command(self, job: Job) -> list[str]:
        """Its command for a job.

        Raises
        ------
        SlirError
            The job cannot be put in such a way.
        """

    def read(self, job: Job, ended: Ended, stdout: Path, stderr: Path) -> Answer:
        """What it said, having ended in whatever way.

        Raises
        ------
        SlirError
            It said nothing that can be understood; what, or that it ended badly.
        """


def last_words(messages: Path, code: int) -> str:
    """The end of what a process had to say, or at least how it ended."""
    text = " ".join(messages.read_text(encoding="utf-8", errors="replace").split()) if messages.exists() else ""
    if not text:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"the process {how} and said nothing."
    return text if len(text) <= _LAST_WORDS else f"…{text[-_LAST_WORDS:]}"
