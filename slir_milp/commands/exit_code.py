"""What the program's exit code says."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of every subcommand."""

    DECIDED = 0
    """The question is answered; or, for commands that ask none, all went well."""

    BENCH_FAILED = 1
    """``bench``: some verdict is wrong, or some instance could not be run."""

    REJECTED = 1
    """``check``: the proof does not prove its claim of these files."""

    BAD_INPUT = 2
    """An argument or a file is at fault; the sentence on stderr says which."""

    UNDECIDED = 3
    """The run ended without an answer."""

    INTERNAL_ERROR = 70
    """The program itself is at fault."""

    INTERRUPTED = 130
    """Ctrl-C or SIGTERM ended the run."""
