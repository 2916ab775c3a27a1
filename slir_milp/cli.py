"""The command line: arguments in, exit code out.

Each subcommand is a module of :mod:`slir_milp.commands`, imported when it is called, so that no command waits for
libraries it does not use.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
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
            cluster=arguments.cluster,
        )
        return verify.run(request)
    if arguments.command == "bounds":
        from slir_milp.commands import bounds
        from slir_milp.commands.arguments import bytes_of

        return bounds.run(
            bounds.Request(
                network=arguments.network,
                box=arguments.box,
                lower=arguments.lower,
                upper=arguments.upper,
                functionals=tuple(arguments.functional),
                tolerance=arguments.tolerance,
                timeout=arguments.timeout,
                memory_limit=bytes_of(arguments.memory_limit),
                jobs=arguments.jobs,
                seed=arguments.seed,
                json=arguments.json,
                quiet=arguments.quiet,
                check_network=not arguments.no_network_check,
                started=started,
                activations=arguments.activations,
            )
        )
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
        from slir_milp.bench import Selection
        from slir_milp.commands import bench
        from slir_milp.report.results import OWN

        return bench.run(
            bench.Request(
                selection=Selection(tuple(arguments.folder), arguments.only, arguments.limit),
                options=options(arguments),
                out=arguments.out,
                results=arguments.results,
                parallel=arguments.parallel,
                tools=tuple(arguments.tool or [OWN]),
                cluster=arguments.cluster,
                activations=arguments.activations,
            )
        )
    if arguments.command == "subproblems":
        from slir_milp.commands import subproblems

        return subproblems.run(
            subproblems.Request(
                network=arguments.network,
                query=arguments.query,
                out=arguments.out,
                kind=arguments.kind,
                limit=arguments.limit,
                every=arguments.every,
                timeout=arguments.timeout,
                exact=not arguments.no_exact,
                activations=arguments.activations,
                check_network=not arguments.no_network_check,
            )
        )
    if arguments.command == "bench-solvers":
        from slir_milp.commands import bench_solvers

        return bench_solvers.run(
            arguments.folder,
            solvers=tuple(arguments.solver),
            repeat=arguments.repeat,
            timeout=arguments.timeout,
            out=arguments.out,
        )
    if arguments.command == "export":
        from slir_milp.commands import export

        return export.run(
            export.Request(
                network=arguments.network,
                query=arguments.query,
                out=arguments.out,
                relaxed=arguments.relaxation,
                clause=arguments.clause,
                lines=arguments.lines,
                pieces=arguments.pieces,
                activations=arguments.activations,
                check_network=not arguments.no_network_check,
            )
        )
    if arguments.command == "info":
        from slir_milp.commands import info

        return info.run(
            arguments.network,
            arguments.query,
            check_network=not arguments.no_network_check,
            activations=arguments.activations,
        )
    if arguments.command == "report":
        from slir_milp.commands import report

        return report.run(
            report.Request(
                folder=arguments.folder,
                out=arguments.out,
                title=arguments.title,
                pictures=tuple(arguments.picture),
            )
        )
    if arguments.command == "map":
        from slir_milp.commands import map as decision_map

        return decision_map.run(
            decision_map.Request(
                network=arguments.network,
                out=arguments.out,
                x=arguments.x,
                y=arguments.y,
                fixed=tuple(arguments.fix),
                least=arguments.classes == "min",
                labels=tuple(arguments.label),
                shown=tuple(arguments.shown),
                title=arguments.title,
                depth=arguments.depth,
                effort=arguments.effort,
                jobs=arguments.jobs,
                timeout=arguments.timeout,
                activations=arguments.activations,
            )
        )
    if arguments.command == "tree":
        from slir_milp.commands import tree

        return tree.run(arguments.proof, arguments.out, arguments.title)
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
