"""The arguments of every subcommand, with their help."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from slir_milp._version import __version__
from slir_milp.commands.exit_code import ExitCode
from slir_milp.search.verdict import Engine, Options, SlopeRule, Splitting

if TYPE_CHECKING:
    Subparsers: TypeAlias = "argparse._SubParsersAction[Parser]"

_DESCRIPTION = "Complete verification of small neural networks: is there an input that meets the query?"
_EXIT_CODES = """\
exit codes:
  0    decided: the first line of stdout is sat or unsat
  1    bench: a verdict is wrong, or an instance could not be run; check: rejected
  2    an argument or a file is at fault; stderr says which
  3    undecided: the first line of stdout is unknown or timeout; check: memory ran out
  70   a fault of this program
  130  interrupted by Ctrl-C or SIGTERM; what was known by then is printed first
"""
_EXAMPLES = """\
examples:
  slir-milp verify network.onnx query.vnnlib --timeout 60
  slir-milp problems list
  slir-milp bench acasxu --timeout 60 --out results.csv

"""
_VERIFY = """\
examples:
  slir-milp verify network.onnx query.vnnlib
  slir-milp verify network.onnx query.vnnlib --timeout 60 --json result.json
  slir-milp verify network.onnx query.vnnlib --proof run.proof

the first line of stdout:
  sat      an input meets the query; it and its outputs follow in VNN-LIB form
  unsat    no input meets the query
  unknown  undecided, for the reason given on stderr
  timeout  undecided when the time was over

"""
_CHECK = """\
examples:
  slir-milp check run.proof network.onnx query.vnnlib
  slir-milp check run.proof network.onnx query.vnnlib --exact
  slir-milp check run.proof network.onnx query.vnnlib --plain
  slir-milp check run.proof network.onnx query.vnnlib --repair mended.proof

stdout has one line:
  accepted: unsat, 917 leaves, exact, 3.1 s
  repaired: unsat, 3 nodes searched again, 931 leaves, ball, 4.2 s
  rejected: node 12 cannot be confirmed: its combination is bounded by -0.25 only.

"""
_SHOW_PROOF = """\
examples:
  slir-milp show-proof run.proof --summary
  slir-milp show-proof run.proof --out run.jsonl

The first line is the header, and every other line an entry. Numbers are exact: 0x1.8p-1
or 3/4. Showing a proof checks nothing.

"""
_BENCH = """\
examples:
  slir-milp bench acasxu --timeout 60 --out results.csv
  slir-milp bench acasxu --only '*prop_3*' --isolate

The folder has an instances.csv (network, query, seconds allowed; no header) and may
have a truth.csv with published verdicts. An instance gets the lesser of --timeout and
its own limit. Run again with the same --out, the command goes on where it stopped.

"""
_PROBLEMS = """\
examples:
  slir-milp problems list
  slir-milp problems show NAME
  slir-milp problems fetch --to acasxu
  slir-milp problems fetch --from ~/downloads/vnncomp --to acasxu

"""
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
_NETWORK_HELP = "an ONNX or .nnet file, or either packed as .gz"
_QUERY_HELP = "a VNN-LIB file, or one packed as .gz"
_BYTES_PER_MB = 1_000_000


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints look like all others, and whose help keeps its lines."""

    def __init__(self, **settings: object) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end the program."""
        print(f"slir-milp: error: {message}; see '{self.prog} --help'", file=sys.stderr)
        raise SystemExit(int(ExitCode.BAD_INPUT))


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="slir-milp", description=_DESCRIPTION, epilog=_EXAMPLES + _EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"slir-milp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_verify(commands)
    _add_check(commands)
    _add_show_proof(commands)
    _add_bench(commands)
    _add_info(commands)
    _add_relax(commands)
    _add_activations(commands)
    _add_solvers(commands)
    _add_problems(commands)
    return parser


def options(arguments: argparse.Namespace) -> Options:
    """The options of ``verify`` and ``bench``.

    Raises
    ------
    OptionError
        A value makes no sense.
    """
    memory: float | None = arguments.memory_limit
    return Options(
        timeout=arguments.timeout,
        memory_limit=None if memory is None else int(memory * _BYTES_PER_MB),
        engine=Engine(arguments.engine),
        splitting=Splitting(arguments.split),
        slopes=SlopeRule(arguments.slopes),
        delta=arguments.delta,
        solver=arguments.solver,
        jobs=arguments.jobs,
        seed=arguments.seed,
    )


def _add_verify(commands: Subparsers) -> None:
    verify = _command(commands, "verify", "decide one query about one network", _VERIFY + _EXIT_CODES)
    verify.add_argument("network", type=Path, metavar="NETWORK", help=_NETWORK_HELP)
    verify.add_argument("query", type=Path, metavar="QUERY", help=_QUERY_HELP)
    _add_options(verify, "seconds for the whole run, reading the files included (default: no limit)")
    _add_own_activations(verify)
    verify.add_argument("--json", type=Path, metavar="FILE", help="write all there is to know of the run to FILE")
    verify.add_argument("--proof", type=Path, metavar="FILE", help="write a proof of the answer to FILE")
    verify.add_argument("--quiet", action="store_true", help="on stderr, print errors and warnings only")
    _add_network_check(verify)


def _add_check(commands: Subparsers) -> None:
    text = "check a proof that verify has written, by a small program of its own"
    check = _command(commands, "check", text, _CHECK + _EXIT_CODES)
    check.add_argument("proof", type=Path, metavar="PROOF", help="a proof, as verify --proof writes it")
    check.add_argument("network", type=Path, metavar="NETWORK", help="the network that it is about")
    check.add_argument("query", type=Path, metavar="QUERY", help="the query that it is about")
    exact = "use rational arithmetic throughout, not only where rounded arithmetic leaves a node open"
    arithmetic = check.add_mutually_exclusive_group()
    arithmetic.add_argument("--exact", action="store_true", help=exact)
    plain = "have another checker do it, short enough to be read: for unsat and piecewise linear networks"
    arithmetic.add_argument("--plain", action="store_true", help=plain)
    check.add_argument("--jobs", type=_natural, default=0, metavar="N", help="processes (default: one a core)")
    repair = "search again what cannot be confirmed, and write the mended proof to OUT"
    check.add_argument("--repair", type=Path, metavar="OUT", help=repair)
    check.add_argument("--timeout", type=_positive, metavar="S", help="most seconds for --repair (default: no limit)")
    _add_own_activations(check)
    check.add_argument("--json", type=Path, metavar="FILE", help="write all there is to know of the check to FILE")
    check.add_argument("--quiet", action="store_true", help="on stderr, print errors and warnings only")


def _add_show_proof(commands: Subparsers) -> None:
    text = "show a proof as JSON, one line an entry"
    show = _command(commands, "show-proof", text, _SHOW_PROOF + _EXIT_CODES)
    show.add_argument("proof", type=Path, metavar="PROOF", help="a proof, as verify --proof writes it")
    show.add_argument("--out", type=Path, metavar="FILE", help="write to FILE in place of stdout")
    show.add_argument("--summary", action="store_true", help="show figures only: entries, bytes a leaf, depth")


def _add_bench(commands: Subparsers) -> None:
    bench = _command(commands, "bench", "decide every instance of a benchmark folder", _BENCH + _EXIT_CODES)
    bench.add_argument("folder", type=Path, metavar="FOLDER", help="a folder with an instances.csv")
    _add_own_activations(bench)
    _add_options(bench, "most seconds for any one instance (default: the instance's own limit)")
    bench.add_argument("--out", type=Path, metavar="CSV", help="write a row as each instance ends; rows there are kept")
    bench.add_argument("--isolate", action="store_true", help="run each instance in a process of its own")
    bench.add_argument("--only", default="", metavar="GLOB", help="only instances with a file whose name matches")
    bench.add_argument("--limit", type=_count, metavar="N", help="only the first N of these")


def _add_info(commands: Subparsers) -> None:
    info = _command(commands, "info", "show what is understood of a network and a query", _EXIT_CODES)
    info.add_argument("network", type=Path, metavar="NETWORK", help=_NETWORK_HELP)
    info.add_argument("query", type=Path, nargs="?", metavar="QUERY", help=_QUERY_HELP)
    _add_own_activations(info)
    _add_network_check(info)


def _add_relax(commands: Subparsers) -> None:
    relax = _command(
        commands, "relax", "show and draw the lines around a function on an interval", _RELAX + _EXIT_CODES
    )
    relax._negative_number_matcher = re.compile(r"-(?!-).*[\d(x]|-inf")  # -1e-3 and -x**2 are no options either
    function = "a name ('slir-milp activations' lists them), also with parameters (swish:beta=1.702), or a formula of x"
    relax.add_argument("function", metavar="FUNCTION", help=function)
    relax.add_argument("lower", type=_number, metavar="LOWER", help="lower end of the interval")
    relax.add_argument("upper", type=_number, metavar="UPPER", help="upper end")
    relax.add_argument("--out", type=Path, metavar="FILE", help="draw a picture: .png, .svg or .pdf (needs matplotlib)")
    relax.add_argument("--towards", type=_number, metavar="X", help="show the lines nearest to the function at X, too")
    relax.add_argument("--slope", type=_number, metavar="S", help="show lines of slope S on both sides, too")
    relax.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="a parameter; may be given several times"
    )
    relax.add_argument("--json", action="store_true", help="print JSON in place of a table")
    _add_own_activations(relax)


def _add_solvers(commands: Subparsers) -> None:
    text = "list the solvers of linear and mixed-integer programs, and what each can do"
    solvers = _command(commands, "solvers", text, _EXIT_CODES)
    solvers.add_argument("--json", action="store_true", help="print JSON in place of a table")


def _add_activations(commands: Subparsers) -> None:
    text = "list the functions that are known by name"
    activations = _command(commands, "activations", text, _EXIT_CODES)
    activations.add_argument("--json", action="store_true", help="print JSON in place of a table")
    _add_own_activations(activations)


def _add_problems(commands: Subparsers) -> None:
    problems = _command(commands, "problems", "list, show and fetch problems to try", _PROBLEMS + _EXIT_CODES)
    actions = problems.add_subparsers(dest="action", metavar="ACTION", required=True)
    _command(actions, "list", "list the problems that come with the program", "")
    show = _command(actions, "show", "show one problem, its queries and where its files are", "")
    show.add_argument("name", metavar="NAME", help="a name from the list")
    fetch = _command(actions, "fetch", "bring the public ACAS Xu networks and properties, with SHA-256 checks", "")
    origin = "a mirror, or a folder with the files in it (default: their public repository)"
    fetch.add_argument("--from", dest="origin", metavar="URL_OR_FOLDER", help=origin)
    fetch.add_argument("--to", type=Path, default=Path("acasxu"), metavar="FOLDER", help="(default: acasxu)")


def _command(commands: Subparsers, name: str, text: str, epilog: str) -> Parser:
    return commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog)


def _add_options(parser: argparse.ArgumentParser, timeout: str) -> None:
    group = parser.add_argument_group("how to decide")
    group.add_argument("--timeout", type=_positive, metavar="S", help=timeout)
    group.add_argument("--memory-limit", type=_positive, metavar="MB", help="most resident memory, in 10^6 bytes")
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
        type=_share,
        default=Options.delta,
        metavar="D",
        help="with curved activations: split no region shorter than D times the input set (default: %(default)s)",
    )
    text = "what solves linear and mixed-integer programs: see 'slir-milp solvers' (default: %(default)s)"
    group.add_argument("--solver", default=Options.solver, metavar="NAME", help=text)
    group.add_argument("--jobs", type=_natural, default=0, metavar="N", help="threads (default: one a core)")
    group.add_argument("--seed", type=_natural, default=0, metavar="N", help="seed of everything random (default: 0)")


def _add_network_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-network-check",
        action="store_true",
        help="do not compare the network, as read, with ONNX Runtime at random points",
    )


def _add_own_activations(parser: argparse.ArgumentParser) -> None:
    text = "a TOML file that declares activations of your own; functions that it names are imported and run"
    parser.add_argument("--activations", type=Path, metavar="FILE", help=text)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"'{text}' is no finite number")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no positive number")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no number from 0 to below 1")
    return value


def _natural(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 up")
    return int(text)


def _count(text: str) -> int:
    value = _natural(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 would leave nothing to do")
    return value
