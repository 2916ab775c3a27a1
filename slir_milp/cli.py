"""The command line: arguments in, exit code out.

Each subcommand is a module of :mod:`slir_milp.commands`, imported when it is called, so that no command waits for
libraries it does not use.
"""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TextIO

from slir_milp.commands.exit_code import ExitCode
from slir_milp.errors import SlirError, SlirWarning

_DEBUG = "SLIR_MILP_DEBUG"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Parameters
    ----------
    argv
        The arguments, those of the process by default.

    Returns
    -------
    int
        The exit code; see :class:`slir_milp.commands.exit_code.ExitCode`.
    """
    return guarded("slir-milp", _run, argv)


def guarded(program: str, run: Callable[[Sequence[str] | None, float], ExitCode], argv: Sequence[str] | None) -> int:
    """Run a program so that whatever goes wrong ends in a sentence and an exit code.

    Parameters
    ----------
    program
        What messages call it.
    run
        Takes the arguments and the value of ``time.monotonic()`` when the program began.
    argv
        The arguments.

    Returns
    -------
    int
        The exit code.
    """
    started = time.monotonic()
    _open_closed_streams()
    from slir_milp.commands.background import leave_if_work_goes_on, sigterm_interrupts

    with warnings.catch_warnings(), sigterm_interrupts():
        warnings.showwarning = partial(_show_warning, program)
        try:
            code = run(argv, started)
        except SystemExit as stop:  # argparse, after --help or a complaint
            code = ExitCode(int(stop.code or 0))
        except SlirError as error:
            print(f"{program}: error: {error}", file=sys.stderr)
            code = ExitCode.BAD_INPUT
        except KeyboardInterrupt:
            print(f"{program}: interrupted", file=sys.stderr)
            code = ExitCode.INTERRUPTED
        except Exception as error:
            _report(program, error)
            code = ExitCode.INTERNAL_ERROR
    leave_if_work_goes_on(code)
    return int(code)


def _open_closed_streams() -> None:
    """Whoever closed stdout or stderr (as for a daemon) does not want to read it: write to nowhere.

    A reader of stderr that goes away while the program runs is no reason to end it either.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open till the end)
    if type(sys.stderr) is io.TextIOWrapper:
        raw = io.FileIO(sys.stderr.fileno(), "w", closefd=False)
        sys.stderr = _Unheard(raw, encoding=sys.stderr.encoding, errors=sys.stderr.errors, write_through=True)


class _Unheard(io.TextIOWrapper):
    """A stream that goes on when its reader has gone away (``2>&1 | head -1``)."""

    def write(self, text: str) -> int:
        """Write as far as anybody listens."""
        try:
            return super().write(text)
        except BrokenPipeError:
            return len(text)

    def flush(self) -> None:
        """Flush as far as anybody listens."""
        with suppress(BrokenPipeError):
            super().flush()


def _run(argv: Sequence[str] | None, started: float) -> ExitCode:
    from slir_milp.commands.arguments import build_parser

    arguments = build_parser().parse_args(argv)
    code: ExitCode = arguments.run(arguments, started)
    return code


def _show_warning(
    program: str,
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Tell a warning of ours as a sentence, and any other only to who looks for faults."""
    if issubclass(category, SlirWarning):
        print(f"{program}: warning: {message}", file=sys.stderr)
    elif _DEBUG in os.environ:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _report(program: str, error: Exception) -> None:
    """Tell a fault of this program without burying the user in it, and keep what is needed to mend it."""
    import tempfile
    import traceback

    trace = "".join(traceback.format_exception(error))
    if _DEBUG in os.environ:
        sys.stderr.write(trace)
        where = "the lines above"
    else:
        try:
            with tempfile.NamedTemporaryFile(
                "w", prefix="slir-milp-fault-", suffix=".txt", delete=False, encoding="utf-8"
            ) as file:
                file.write(trace)
            where = file.name
        except OSError:
            where = f"what it prints when run with {_DEBUG}=1"
    print(
        f"{program}: internal error: {type(error).__name__}: {error}\n"
        f"This is a fault of slir-milp, not of your files; please report it with {where}.",
        file=sys.stderr,
    )
