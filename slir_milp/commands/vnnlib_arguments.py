"""The arguments of ``slir-milp-vnnlib``, the command line that the VNN-LIB 2 standard describes."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from slir_milp._version import __version__
from slir_milp.commands.arguments.common import EXIT_CODES, Parser, add_network_check, add_options, command
from slir_milp.commands.supports import CAPABILITIES

NAME = "slir_milp"

_DESCRIPTION = "Decide VNN-LIB 2 queries about any number of networks, by the standard's command line."
_VERIFY = """\
examples:
  slir-milp-vnnlib verify query.vnnlib --network f=network.onnx --timeout 60
  slir-milp-vnnlib verify query.vnnlib --network teacher=t.onnx --network student=s.onnx

the first line of stdout:
  sat        an assignment meets the query; it follows, unless it goes to a folder
  unsat      none does
  unknown    undecided, for the reason given on stderr
  timed-out  undecided when the time was over

Answers are about real arithmetic.  Element types other than real need your consent.

"""
_COMPOSE = """\
examples:
  slir-milp-vnnlib compose query.vnnlib --network f=network.onnx --out composed
  slir-milp verify composed/composed.onnx composed/composed.vnnlib --proof run.proof
  slir-milp check run.proof composed/composed.onnx composed/composed.vnnlib

"""
_SUPPORTS = """\
examples:
  slir-milp-vnnlib supports
  slir-milp-vnnlib supports --onnx-operators

Without an option, all is printed, for people to read.

"""


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="slir-milp-vnnlib", description=_DESCRIPTION, epilog=EXIT_CODES)
    parser.add_argument("--name", action="version", version=NAME, help="print the solver's name and exit")
    parser.add_argument("--version", action="version", version=__version__, help="print its version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    verify = command(commands, "verify", "decide one query", _VERIFY + EXIT_CODES)
    _add_files(verify)
    text = "write the assignment as NAME.pb files into DIR, in place of stdout"
    verify.add_argument("--serialise-assignments", type=Path, metavar="DIR", help=text)
    add_options(verify, "seconds for the whole run, reading the files included (default: no limit)")
    verify.add_argument("--json", type=Path, metavar="FILE", help="write all there is to know of the run to FILE")
    verify.add_argument("--quiet", action="store_true", help="on stderr, print errors and warnings only")
    add_network_check(verify)
    compose = command(commands, "compose", "write one network and one query that ask the same", _COMPOSE)
    _add_files(compose)
    compose.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for them; made if need be")
    add_network_check(compose)
    supports = command(commands, "supports", "print what this solver can do, in the standard's words", _SUPPORTS)
    asked = supports.add_mutually_exclusive_group()
    for capability in CAPABILITIES:
        asked.add_argument(
            f"--{capability.name}",
            dest="capability",
            action="store_const",
            const=capability.name,
            help=capability.meaning,
        )
    return parser


def networks(given: Sequence[tuple[str, Path]]) -> Mapping[str, Path]:
    """The model of every network that ``--network`` names.

    Raises
    ------
    OptionError
        One is named twice.
    """
    from slir_milp.errors import OptionError

    found: dict[str, Path] = {}
    for name, path in given:
        if name in found:
            raise OptionError(f"--network {name}=... is given twice.")
        found[name] = path
    return found


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", type=Path, metavar="QUERY", help="a VNN-LIB 2 file, or one packed as .gz")
    parser.add_argument(
        "--network",
        type=_network,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="the ONNX file of a network of the query; once for each that is not equal to another",
    )
    text = "read floating-point types as real numbers (as the environment variable SLIR_MILP_FLOATS=real does)"
    parser.add_argument("--floats-as-real", action="store_true", help=text)


def _network(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not name or not equals or not path:
        raise argparse.ArgumentTypeError(f"'{text}' has not the form NAME=FILE")
    return name, Path(path)
