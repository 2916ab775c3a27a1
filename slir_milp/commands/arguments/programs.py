"""The arguments of what concerns linear and mixed-integer programs, and their solvers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.arguments.common import (
    EXIT_CODES,
    NETWORK_HELP,
    QUERY_HELP,
    add_network_check,
    add_own_activations,
    command,
    count,
    positive,
)

if TYPE_CHECKING:
    import argparse

    from slir_milp.commands.arguments.common import Subparsers
    from slir_milp.commands.exit_code import ExitCode

_SUBPROBLEMS = """\
examples:
  slir-milp subproblems network.onnx query.vnnlib --out programs --limit 200 --every 5
  slir-milp subproblems network.onnx query.vnnlib --out programs --kind milp --timeout 60

The folder gets MPS files, an index.csv with exact optima where rational arithmetic
can tell them, and what is needed to certify other solvers' duals. A folder that has
programs gets more.

"""
_BENCH_SOLVERS = """\
examples:
  slir-milp bench-solvers programs
  slir-milp bench-solvers programs --solver highs --repeat 5 --out results.csv

Run again with the same --out, the command goes on where it stopped.

"""
_EXPORT = """\
examples:
  slir-milp export network.onnx query.vnnlib query.mps
  slir-milp export network.onnx query.vnnlib query.lp --clause 1
  slir-milp export network.onnx query.vnnlib query.lp --relaxation

The program is feasible exactly where the query is sat, if every activation is piecewise
linear; curves are enclosed by lines, and then only infeasible tells anything. The names
of its variables are explained in OUT.json. Needs the package pyomo.

"""


def add_subproblems(commands: Subparsers) -> None:
    """Add ``subproblems``."""
    text = "record the linear and mixed-integer programs that a verification meets"
    record = command(commands, "subproblems", text, _SUBPROBLEMS + EXIT_CODES)
    record.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    record.add_argument("query", type=Path, metavar="QUERY", help=QUERY_HELP)
    record.add_argument("--out", type=Path, metavar="DIR", required=True, help="the folder to record into")
    record.add_argument("--kind", choices=["lp", "milp", "both"], default="lp", help="which programs (default: lp)")
    record.add_argument("--limit", type=count, metavar="N", help="most programs of each kind")
    record.add_argument("--every", type=count, default=1, metavar="K", help="record one in K programs (default: 1)")
    record.add_argument("--timeout", type=positive, metavar="S", help="most seconds for each kind (default: no limit)")
    record.add_argument("--no-exact", action="store_true", help="do not look for exact optima")
    add_own_activations(record)
    add_network_check(record)
    record.set_defaults(run=_subproblems)


def _subproblems(arguments: argparse.Namespace, _: float) -> ExitCode:
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


def add_bench_solvers(commands: Subparsers) -> None:
    """Add ``bench-solvers``."""
    text = "replay recorded programs on several solvers, and compare them with exact optima"
    replay = command(commands, "bench-solvers", text, _BENCH_SOLVERS + EXIT_CODES)
    replay.add_argument("folder", type=Path, metavar="DIR", help="a folder that 'slir-milp subproblems' has filled")
    chosen = "a back end; may be given several times (default: all that are installed)"
    replay.add_argument("--solver", action="append", default=[], metavar="NAME", help=chosen)
    replay.add_argument("--repeat", type=count, default=1, metavar="N", help="solve each program N times (default: 1)")
    replay.add_argument("--timeout", type=positive, default=10.0, metavar="S", help="seconds a solve (default: 10)")
    replay.add_argument("--out", type=Path, metavar="CSV", help="write a row as each solve ends; rows there are kept")
    replay.set_defaults(run=_bench_solvers)


def _bench_solvers(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import bench_solvers

    return bench_solvers.run(
        arguments.folder,
        solvers=tuple(arguments.solver),
        repeat=arguments.repeat,
        timeout=arguments.timeout,
        out=arguments.out,
    )


def add_export(commands: Subparsers) -> None:
    """Add ``export``."""
    text = "write a query about a network as a mixed-integer program, for any solver"
    export = command(commands, "export", text, _EXPORT + EXIT_CODES)
    export.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    export.add_argument("query", type=Path, metavar="QUERY", help=QUERY_HELP)
    export.add_argument("out", type=Path, metavar="OUT", help="the file: .mps or .lp")
    how = export.add_mutually_exclusive_group()
    how.add_argument("--exact", action="store_true", help="one binary for each unstable hinge (default)")
    how.add_argument("--relaxation", action="store_true", help="no binaries for the network: hinges by lines, too")
    export.add_argument("--clause", type=count, metavar="N", help="only the Nth conjunction of the query")
    lines = "lines on each side of an activation that is no hinge (default: 3)"
    export.add_argument("--lines", type=count, default=3, metavar="N", help=lines)
    pieces = "parts into which such an activation's interval is divided, with a binary each (default: 1)"
    export.add_argument("--pieces", type=count, default=1, metavar="N", help=pieces)
    add_own_activations(export)
    add_network_check(export)
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace, _: float) -> ExitCode:
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
