"""Running a command within limits, with a guard (:mod:`slir_milp.bench.guard`) that outlives this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from slir_milp.bench import guard
from slir_milp.errors import SlirError

_POLL = 0.1
_PATIENCE = 3.0


@dataclass(frozen=True)
class Limited:
    """A command and what it may use.

    Attributes
    ----------
    command
        The program and its arguments.
    folder
        Where it works: a folder of its own, which is removed should this process be killed.
    seconds
        After which it is ended, with all that it started; ``None`` for no limit.
    memory
        Most bytes of resident memory of all its processes together (shared pages count in each); ``None`` for no limit.
    environment
        Variables in addition to those of this process.
    held
        A file that stays open until everything that the command started has ended, such as a lock.
    """

    command: Sequence[str]
    folder: Path
    seconds: float | None = None
    memory: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    held: int | None = None

    @property
    def stdout(self) -> Path:
        """Where its output is kept."""
        return self.folder / "stdout.txt"

    @property
    def stderr(self) -> Path:
        """Where its complaints are kept."""
        return self.folder / "stderr.txt"

    def run(self, cancel: threading.Event) -> Ended:
        """Run it to its end, or until it is ended.

        Raises
        ------
        SlirError
            It cannot be run.
        """
        asked = {
            "command": list(self.command),
            "folder": str(self.folder),
            "seconds": self.seconds,
            "memory": self.memory,
            "patience": _PATIENCE,
            "stdout": str(self.stdout),
            "stderr": str(self.stderr),
        }
        ours, theirs = os.pipe()
        try:
            with subprocess.Popen(
                # -S: no site packages, so that it starts at once.
                [sys.executable, "-I", "-S", guard.__file__, json.dumps(asked)],
                stdin=ours,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # In a session of its own, a Ctrl-C on the terminal reaches this process only, which passes it on.
                start_new_session=True,
                env={**os.environ, **self.environment},
                pass_fds=() if self.held is None else (self.held,),
            ) as watching:
                os.close(ours)
                ours = -1
                answer, complaint = _attend(watching, theirs, cancel)
        finally:
            for end in (ours, theirs):
                if end >= 0:
                    os.close(end)
        try:
            ended = Ended(**json.loads(answer))
        except (ValueError, TypeError):
            last = " ".join(complaint.decode(errors="replace").split())[-200:]
            text = f"the process that watched it was ended from outside (code {watching.returncode}). {last}"
            raise SlirError(text.strip()) from None
        if ended.ended == "never":
            raise SlirError(ended.sentence)
        return ended


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    ended
        ``itself``, or for what it was ended: ``time``, ``memory`` or ``told``.
    code
        Its exit code; negative for a signal.
    seconds
        Wall time.
    peak_bytes
        Largest resident memory seen, of it and all that it started.
    sentence
        What is to be said of it, if anything.
    """

    ended: str
    code: int
    seconds: float
    peak_bytes: int | None
    sentence: str = ""


def _attend(watching: subprocess.Popen[bytes], theirs: int, cancel: threading.Event) -> tuple[bytes, bytes]:
    """Wait for a guard, and pass on the wish to stop; what it says and what it complains of."""
    told = False
    while True:
        try:
            return watching.communicate(timeout=_POLL)
        except subprocess.TimeoutExpired:
            if cancel.is_set() and not told:
                told = True
                with suppress(OSError):  # it may have just ended
                    os.write(theirs, b"\n")
