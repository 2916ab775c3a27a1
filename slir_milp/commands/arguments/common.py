"""What the arguments of several subcommands have in common."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from slir_milp.commands.exit_code import ExitCode
from slir_milp.search.verdict import Engine, Options, SlopeRule, Splitting

if TYPE_CHECKING:
    Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"

EXIT_CODES = """\
exit codes:
  0    decided: the first line of stdout is sat or unsat
  1    bench: a verdict is wrong, or an instance could not be run; check: rejected
  2    an argument or a file is at fault; stderr says which
  3    undecided: the first line of stdout is unknown or timeout; check: memory ran out
  70   a fault of this program
  130  interrupted by Ctrl-C or SIGTERM; what was known by then is printed first
"""
NETWORK_HELP = "an ONNX or .nnet file, or either packed as .gz"
QUERY_HELP = "a VNN-LIB file, or one packed as .gz"
_BYTES_PER_MB = 1_000_000


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints look like all others, and whose help keeps its lines."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end the program."""
        print(f"{self.prog.split()[0]}: error: {message}; see '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(int(ExitCode.BAD_INPUT))


def command(commands: Subparsers, name: str, text: str, epilog: str) -> Parser:
    """Add a subcommand."""
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog)


def bytes_of(megabytes: float | None) -> int | None:
    """A limit of memory as the search takes it."""
    return None if megabytes is None else int(megabytes * _BYTES_PER_MB)


def options(arguments: argparse.Namespace) -> Options:
    """The options of ``verify`` and ``bench``.

    Raises
    ------
    OptionError
        A value makes no sense.
    """
    return Options(
        timeout=arguments.timeout,
        memory_limit=bytes_of(arguments.memory_limit),
        engine=Engine(arguments.engine),
        splitting=Splitting(arguments.split),
        slopes=SlopeRule(arguments.slopes),
        delta=arguments.delta,
        jobs=arguments.jobs,
        seed=arguments.seed,
    )


def add_options(parser: argparse.ArgumentParser, timeout: str) -> None:
    """Add what :func:`options` reads."""
    group = parser.add_argument_group("how to decide")
    group.add_argument("--timeout", type=positive, metavar="S", help=timeout)
    group.add_argument("--memory-limit", type=positive, metavar="MB", help="most resident memory, in 10^6 bytes")
    group.add_argument(
        "--engine",
        choices=[engine.value for engine in Engine],
        default=Engine.AUTO.value,
        help="what may close a region: bounds, linear programs, one MILP; auto: what does best (default)",
    )
    group.add_argument(
        "--split",
        choices=[splitting.value for splitting in Splitting],
        default=Splitting.AUTO.value,
        help="what branching divides: the inputs' ranges or the activations' sides; auto: by score (default)",
    )
    group.add_argument(
        "--slopes",
        choices=[rule.value for rule in SlopeRule],
        default=SlopeRule.OPTIMISED.value,
        help="slopes of the lines: of least area, then optimised (default); these alone; the usual tangents and chords",
    )
    group.add_argument(
        "--delta",
        type=share,
        default=Options.delta,
        metavar="D",
        help="with curved activations: split no region shorter than D times the input set (default: %(default)s)",
    )
    group.add_argument("--jobs", type=natural, default=0, metavar="N", help="threads (default: one a core)")
    group.add_argument("--seed", type=natural, default=0, metavar="N", help="seed of everything random (default: 0)")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Add ``--cluster``."""
    text = "work on a Dask cluster: tcp://HOST:PORT of its scheduler, or local[:N] for N processes of this machine"
    parser.add_argument("--cluster", metavar="ADDRESS", help=text)


def add_network_check(parser: argparse.ArgumentParser) -> None:
    """Add ``--no-network-check``."""
    parser.add_argument(
        "--no-network-check",
        action="store_true",
        help="do not compare the network, as read, with ONNX Runtime at random points",
    )


def add_own_activations(parser: argparse.ArgumentParser) -> None:
    """Add ``--activations``."""
    text = "a TOML file that declares activations of your own; functions that it names are imported and run"
    parser.add_argument("--activations", type=Path, metavar="FILE", help=text)


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is no finite number")
    return value


def positive(text: str) -> float:
    """A positive number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no positive number")
    return value


def vector(text: str) -> tuple[float, ...]:
    """Numbers, joined by commas."""
    return tuple(number(part) for part in text.split(","))


def share(text: str) -> float:
    """A number from 0 to below 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to below 1")
    return value


def natural(text: str) -> int:
    """A whole number from 0 up."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 up")
    return int(text)


def count(text: str) -> int:
    """A whole number from 1 up."""
    value = natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 would leave nothing to do")
    return value
