"""The command line: arguments in, exit code out.

Each subcommand is a module of :mod:`slir_milp.commands`, imported when it is called, so that no command waits for
libraries it does not use.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from slir_milp.commands.exit_code import ExitCode
from slir_milp.errors import SlirError, SlirWarning

if TYPE_CHECKING:
    import argparse

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
    started = time.monotonic()
    _open_closed_streams()
    from slir_milp.commands.background import leave_if_work_goes_on, sigterm_interrupts

    with warnings.catch_warnings(), sigterm_interrupts():
        warnings.showwarning = _show_warning
        try:
            code = _run(argv, started)
        except SystemExit as stop:  # argparse, after --help or a complaint
            code = ExitCode(int(stop.code or 0))
        except SlirError as error:
            print(f"slir-milp: error: {error}", file=sys.stderr)
            code = ExitCode.BAD_INPUT
        except KeyboardInterrupt:
            print("slir-milp: interrupted", file=sys.stderr)
            code = ExitCode.INTERRUPTED
        except Exception as error:
            _report(error)
            code = ExitCode.INTERNAL_ERROR
    leave_if_work_goes_on(code)
    return int(code)


def _open_closed_streams() -> None:
    """Whoever closed stdout or stderr (as for a daemon) does not want to read it: write to nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (open till the end)


def _run(argv: Sequence[str] | None, started: float) -> ExitCode:
    from slir_milp.commands.arguments import build_parser, options

    arguments: argparse.Namespace = build_parser().parse_args(argv)
    if arguments.command == "verify":
        from slir_milp.commands import verify

        request = verify.Request(
            network=arguments.network,
            query=arguments.query,
            options=options(arguments),
            json=arguments.json,
            quiet=arguments.quiet,
            check_network=not arguments.no_network_check,
            started=started,
            activations=arguments.activations,
            proof=arguments.proof,
        )
        return verify.run(request)
    if arguments.command == "check":
        from slir_milp.commands import check

        return check.run(
            check.Request(
                proof=arguments.proof,
                network=arguments.network,
                query=arguments.query,
                exact=arguments.exact,
                jobs=arguments.jobs,
                activations=arguments.activations,
                json=arguments.json,
                quiet=arguments.quiet,
                repair=arguments.repair,
                timeout=arguments.timeout,
                plain=arguments.plain,
            )
        )
    if arguments.command == "show-proof":
        from slir_milp.commands import show_proof

        return show_proof.run(arguments.proof, arguments.out, only_summary=arguments.summary)
    if arguments.command == "bench":
        from slir_milp.bench import Settings
        from slir_milp.commands import bench

        settings = Settings(
            folder=arguments.folder,
            options=options(arguments),
            out=arguments.out,
            only=arguments.only,
            limit=arguments.limit,
        )
        return bench.run(settings, isolate=arguments.isolate, activations=arguments.activations)
    if arguments.command == "info":
        from slir_milp.commands import info

        return info.run(
            arguments.network,
            arguments.query,
            check_network=not arguments.no_network_check,
            activations=arguments.activations,
        )
    if arguments.command == "relax":
        from slir_milp.commands import relax

        return relax.run(
            relax.Request(
                function=arguments.function,
                lower=arguments.lower,
                upper=arguments.upper,
                parameters=tuple(arguments.parameter),
                towards=arguments.towards,
                slope=arguments.slope,
                out=arguments.out,
                json=arguments.json,
                activations=arguments.activations,
            )
        )
    if arguments.command == "solvers":
        from slir_milp.commands import solvers

        return solvers.run(json=arguments.json)
    if arguments.command == "activations":
        from slir_milp.commands import activations

        return activations.run(arguments.activations, json=arguments.json)

    from slir_milp.commands import problems

    if arguments.action == "list":
        return problems.list_all()
    if arguments.action == "show":
        return problems.show(arguments.name)
    return problems.fetch(arguments.origin, arguments.to)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Tell a warning of ours as a sentence, and any other only to who looks for faults."""
    if issubclass(category, SlirWarning):
        print(f"slir-milp: warning: {message}", file=sys.stderr)
    elif _DEBUG in os.environ:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _report(error: Exception) -> None:
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
        f"slir-milp: internal error: {type(error).__name__}: {error}\n"
        f"This is a fault of slir-milp, not of your files; please report it with {where}.",
        file=sys.stderr,
    )
