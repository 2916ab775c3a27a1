"""The arguments of what decides a query, checks a proof, or tells of a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.arguments.common import (
    EXIT_CODES,
    NETWORK_HELP,
    QUERY_HELP,
    add_cluster,
    add_network_check,
    add_options,
    add_own_activations,
    bytes_of,
    command,
    natural,
    options,
    positive,
    share,
    vector,
)

if TYPE_CHECKING:
    import argparse

    from slir_milp.commands.arguments.common import Subparsers
    from slir_milp.commands.exit_code import ExitCode

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
_BOUNDS = """\
examples:
  slir-milp bounds network.onnx --box query.vnnlib
  slir-milp bounds network.onnx --lower=-1,0 --upper=1,0.5 --timeout 10
  slir-milp bounds network.onnx --box query.vnnlib --functional=1,-1,0

No value lies outside of the proven ends, and the range reaches from one attained end to
the other. The table may be had at any time: by --timeout, or by Ctrl-C. The exit code is
0 when every gap is within the tolerance.

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


def add_verify(commands: Subparsers) -> None:
    """Add ``verify``."""
    verify = command(commands, "verify", "decide one query about one network", _VERIFY + EXIT_CODES)
    verify.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    verify.add_argument("query", type=Path, metavar="QUERY", help=QUERY_HELP)
    add_options(verify, "seconds for the whole run, reading the files included (default: no limit)")
    add_own_activations(verify)
    verify.add_argument("--json", type=Path, metavar="FILE", help="write all there is to know of the run to FILE")
    verify.add_argument("--proof", type=Path, metavar="FILE", help="write a proof of the answer to FILE")
    add_cluster(verify)
    verify.add_argument("--quiet", action="store_true", help="on stderr, print errors and warnings only")
    add_network_check(verify)
    verify.set_defaults(run=_verify)


def _verify(arguments: argparse.Namespace, started: float) -> ExitCode:
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


def add_bounds(commands: Subparsers) -> None:
    """Add ``bounds``."""
    bounds = command(commands, "bounds", "enclose the ranges of a network's outputs", _BOUNDS + EXIT_CODES)
    bounds.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    group = bounds.add_argument_group("the set of inputs")
    box = "a VNN-LIB file, whose conditions on the inputs are meant and no others"
    group.add_argument("--box", type=Path, metavar="QUERY", help=box)
    group.add_argument("--lower", type=vector, metavar="NUMBERS", help="in its place the lower ends, joined by commas")
    group.add_argument("--upper", type=vector, metavar="NUMBERS", help="and the upper ends")
    functional = "coefficients of a linear functional of the outputs; may be given several times (default: each output)"
    bounds.add_argument("--functional", type=vector, action="append", default=[], metavar="NUMBERS", help=functional)
    tolerance = "end when every gap is at most this share of the range (default: %(default)s)"
    bounds.add_argument("--tolerance", type=share, default=1e-3, metavar="T", help=tolerance)
    bounds.add_argument("--timeout", type=positive, metavar="S", help="seconds for the whole run (default: no limit)")
    bounds.add_argument("--memory-limit", type=positive, metavar="MB", help="most resident memory, in 10^6 bytes")
    bounds.add_argument("--jobs", type=natural, default=0, metavar="N", help="threads (default: one a core)")
    bounds.add_argument("--seed", type=natural, default=0, metavar="N", help="seed of everything random (default: 0)")
    add_own_activations(bounds)
    bounds.add_argument("--json", type=Path, metavar="FILE", help="write all there is to know of the run to FILE")
    bounds.add_argument("--quiet", action="store_true", help="on stderr, print errors and warnings only")
    add_network_check(bounds)
    bounds.set_defaults(run=_bounds)


def _bounds(arguments: argparse.Namespace, started: float) -> ExitCode:
    from slir_milp.commands import bounds

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


def add_check(commands: Subparsers) -> None:
    """Add ``check``."""
    text = "check a proof that verify has written, by a small program of its own"
    check = command(commands, "check", text, _CHECK + EXIT_CODES)
    check.add_argument("proof", type=Path, metavar="PROOF", help="a proof, as verify --proof writes it")
    check.add_argument("network", type=Path, metavar="NETWORK", help="the network that it is about")
    check.add_argument("query", type=Path, metavar="QUERY", help="the query that it is about")
    exact = "use rational arithmetic throughout, not only where rounded arithmetic leaves a node open"
    arithmetic = check.add_mutually_exclusive_group()
    arithmetic.add_argument("--exact", action="store_true", help=exact)
    plain = "have another checker do it, short enough to be read: for unsat and piecewise linear networks"
    arithmetic.add_argument("--plain", action="store_true", help=plain)
    check.add_argument("--jobs", type=natural, default=0, metavar="N", help="processes (default: one a core)")
    repair = "search again what cannot be confirmed, and write the mended proof to OUT"
    check.add_argument("--repair", type=Path, metavar="OUT", help=repair)
    check.add_argument("--timeout", type=positive, metavar="S", help="most seconds for --repair (default: no limit)")
    add_own_activations(check)
    check.add_argument("--json", type=Path, metavar="FILE", help="write all there is to know of the check to FILE")
    check.add_argument("--quiet", action="store_true", help="on stderr, print errors and warnings only")
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace, _: float) -> ExitCode:
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


def add_show_proof(commands: Subparsers) -> None:
    """Add ``show-proof``."""
    text = "show a proof as JSON, one line an entry"
    show = command(commands, "show-proof", text, _SHOW_PROOF + EXIT_CODES)
    show.add_argument("proof", type=Path, metavar="PROOF", help="a proof, as verify --proof writes it")
    show.add_argument("--out", type=Path, metavar="FILE", help="write to FILE in place of stdout")
    show.add_argument("--summary", action="store_true", help="show figures only: entries, bytes a leaf, depth")
    show.set_defaults(run=_show_proof)


def _show_proof(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import show_proof

    return show_proof.run(arguments.proof, arguments.out, only_summary=arguments.summary)


def add_info(commands: Subparsers) -> None:
    """Add ``info``."""
    info = command(commands, "info", "show what is understood of a network and a query", EXIT_CODES)
    info.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    info.add_argument("query", type=Path, nargs="?", metavar="QUERY", help=QUERY_HELP)
    add_own_activations(info)
    add_network_check(info)
    info.set_defaults(run=_info)


def _info(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import info

    return info.run(
        arguments.network,
        arguments.query,
        check_network=not arguments.no_network_check,
        activations=arguments.activations,
    )
