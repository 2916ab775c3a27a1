"""The arguments of what shows functions and problems."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.arguments.common import EXIT_CODES, add_own_activations, command, number

if TYPE_CHECKING:
    import argparse

    from slir_milp.commands.arguments.common import Subparsers
    from slir_milp.commands.exit_code import ExitCode

_RELAX = """\
examples:
  slir-milp relax gelu -3 2 --out gelu.png
  slir-milp relax swish:beta=1.702 -3 2 --towards 1
  slir-milp relax 'x * tanh(x)' -2 1 --slope 0.5 --json

A line is given by its slope alone: it is shifted until it touches, and is valid whatever
the slope. A search starts from the lines of least area and then optimises both slopes
for its network and query: it pays to be near to the function where the network's worst
input lies. --towards X shows what that can do: the lines that are nearest at X. Lines by
two usual rules are shown for comparison: the hand-crafted tangents and chords, and the
slope of the chord on both sides.

"""
_PROBLEMS = """\
examples:
  slir-milp problems list
  slir-milp problems show NAME
  slir-milp problems fetch --to acasxu
  slir-milp problems fetch --from ~/downloads/vnncomp --to acasxu

"""


def add_relax(commands: Subparsers) -> None:
    """Add ``relax``."""
    relax = command(commands, "relax", "show and draw the lines around a function on an interval", _RELAX + EXIT_CODES)
    relax._negative_number_matcher = re.compile(r"-(?!-).*[\d(x]|-inf")  # -1e-3 and -x**2 are no options either
    function = "a name ('slir-milp activations' lists them), also with parameters (swish:beta=1.702), or a formula of x"
    relax.add_argument("function", metavar="FUNCTION", help=function)
    relax.add_argument("lower", type=number, metavar="LOWER", help="lower end of the interval")
    relax.add_argument("upper", type=number, metavar="UPPER", help="upper end")
    relax.add_argument("--out", type=Path, metavar="FILE", help="draw a picture: .png, .svg or .pdf (needs matplotlib)")
    relax.add_argument("--towards", type=number, metavar="X", help="show the lines nearest to the function at X, too")
    relax.add_argument("--slope", type=number, metavar="S", help="show lines of slope S on both sides, too")
    relax.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be given several times"
    )
    relax.add_argument("--json", action="store_true", help="print JSON in place of a table")
    add_own_activations(relax)
    relax.set_defaults(run=_relax)


def _relax(arguments: argparse.Namespace, _: float) -> ExitCode:
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


def add_activations(commands: Subparsers) -> None:
    """Add ``activations``."""
    text = "list the functions that are known by name"
    activations = command(commands, "activations", text, EXIT_CODES)
    activations.add_argument("--json", action="store_true", help="print JSON in place of a table")
    add_own_activations(activations)
    activations.set_defaults(run=_activations)


def _activations(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import activations

    return activations.run(arguments.activations, json=arguments.json)


def add_problems(commands: Subparsers) -> None:
    """Add ``problems``."""
    problems = command(commands, "problems", "list, show and fetch problems to try", _PROBLEMS + EXIT_CODES)
    actions = problems.add_subparsers(dest="action", metavar="ACTION", required=True)
    command(actions, "list", "list the problems that come with the program", "")
    show = command(actions, "show", "show one problem, its queries and where its files are", "")
    show.add_argument("name", metavar="NAME", help="a name from the list")
    fetch = command(actions, "fetch", "bring the public ACAS Xu networks and properties, with SHA-256 checks", "")
    origin = "a mirror, or a folder with the files in it (default: their public repository)"
    fetch.add_argument("--from", dest="origin", metavar="URL_OR_FOLDER", help=origin)
    fetch.add_argument("--to", type=Path, default=Path("acasxu"), metavar="FOLDER", help="(default: acasxu)")
    problems.set_defaults(run=_problems)


def _problems(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import problems

    if arguments.action == "list":
        return problems.list_all()
    if arguments.action == "show":
        return problems.show(arguments.name)
    return problems.fetch(arguments.origin, arguments.to)
