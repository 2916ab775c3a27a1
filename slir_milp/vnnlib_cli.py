"""The command line of the VNN-LIB 2 standard: ``slir-milp-vnnlib``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slir_milp.cli import guarded
from slir_milp.commands.exit_code import ExitCode

if TYPE_CHECKING:
    import argparse


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
    return guarded("slir-milp-vnnlib", _run, argv)


def _run(argv: Sequence[str] | None, started: float) -> ExitCode:
    from slir_milp.commands.arguments import options
    from slir_milp.commands.vnnlib_arguments import build_parser, networks

    arguments: argparse.Namespace = build_parser().parse_args(argv)
    if arguments.command == "compose":
        from slir_milp.commands import vnnlib_compose

        return vnnlib_compose.run(
            arguments.query,
            networks(arguments.network),
            arguments.out,
            floats_as_real=arguments.floats_as_real,
            check_network=not arguments.no_network_check,
        )
    if arguments.command == "supports":
        from slir_milp.commands import supports

        return supports.run(arguments.capability)
    from slir_milp.commands import vnnlib_verify

    return vnnlib_verify.run(
        vnnlib_verify.Request(
            query=arguments.query,
            networks=networks(arguments.network),
            options=options(arguments),
            serialise=arguments.serialise_assignments,
            json=arguments.json,
            quiet=arguments.quiet,
            floats_as_real=arguments.floats_as_real,
            check_network=not arguments.no_network_check,
            started=started,
        )
    )
