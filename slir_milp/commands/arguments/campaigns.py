"""The arguments of campaigns, and of what shows their results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.arguments.common import (
    EXIT_CODES,
    NETWORK_HELP,
    add_cluster,
    add_options,
    add_own_activations,
    command,
    count,
    natural,
    options,
    positive,
)

if TYPE_CHECKING:
    import argparse

    from slir_milp.commands.arguments.common import Subparsers
    from slir_milp.commands.exit_code import ExitCode

_BENCH = """\
examples:
  slir-milp bench acasxu --timeout 60
  slir-milp bench acasxu --only '*prop_3*' --out results.csv
  slir-milp bench benchmarks --timeout 20 --memory-limit 4000 --results results

A set is a folder with an instances.csv (network, query, seconds allowed; no header); it may
have a truth.csv with published verdicts. An instance gets the lesser of --timeout and its
own limit. Without --results, all are decided in this process. Run again with the same
--results or --out, the command goes on where it stopped, or was killed.

"""
_REPORT = """\
examples:
  slir-milp report results --out report.html
  slir-milp report results --out report.html --title 'ACAS Xu, November'

The page needs no network and nothing else: style, script and data are in it. Its links lead
to the folder's documents and witnesses, so keep it where it is written.

"""
_MAP = """\
examples:
  slir-milp map network.onnx --x X_0=-0.5:0 --y X_1=-0.5:0.5 --fix X_2=0.1 --out map.svg
  slir-milp map network.onnx --x X_0=-0.5:0 --y X_1=-0.5:0.5 --fix X_2=0:0.1 --out map.svg \\
      --label 'X_0=distance (m)' --shown X_0=0:5000 --label 'Y_0=clear of conflict'

Colour tells which output is least (or greatest, with --classes max). It is solid where that
is proven for the whole cell and every value of the other inputs in their ranges, and hatched
elsewhere. Ctrl-C, or --timeout, gives the picture so far. A .json file has the data, for
report.

"""
_TREE = """\
examples:
  slir-milp tree run.proof --out tree.svg
  slir-milp tree run.proof --out results/pictures/tree.json

The root is on top, and a node is as wide as it has leaves below it. Point at a node to read
what is split there, and where. A .json file has the data, for report. Drawing a proof checks
nothing.

"""


def add_bench(commands: Subparsers) -> None:
    """Add ``bench``."""
    bench = command(commands, "bench", "decide every instance of some benchmark sets", _BENCH + EXIT_CODES)
    folder = "a folder with an instances.csv, or a folder of such folders"
    bench.add_argument("folder", type=Path, nargs="+", metavar="FOLDER", help=folder)
    add_own_activations(bench)
    add_options(bench, "most seconds for any one instance (default: the instance's own limit)")
    kept = bench.add_mutually_exclusive_group()
    results = "a campaign: each instance in a process of its own; all that is known of it is kept in DIR"
    kept.add_argument("--results", type=Path, metavar="DIR", help=results)
    out = "write a row as each instance ends, all in this process; rows there are kept"
    kept.add_argument("--out", type=Path, metavar="CSV", help=out)
    parallel = "instances of a campaign at a time; they share the cores (default: 1)"
    bench.add_argument("--parallel", type=count, default=1, metavar="N", help=parallel)
    tool = "a verifier by its name, or by the file that declares it; may be given several times (default: slir-milp)"
    bench.add_argument("--tool", action="append", metavar="NAME", help=tool)
    add_cluster(bench)
    bench.add_argument("--only", default="", metavar="GLOB", help="only instances with a file whose name matches")
    bench.add_argument("--limit", type=count, metavar="N", help="only the first N of these, in each set")
    bench.set_defaults(run=_bench)


def _bench(arguments: argparse.Namespace, _: float) -> ExitCode:
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


def add_report(commands: Subparsers) -> None:
    """Add ``report``."""
    report = command(commands, "report", "show a folder of results as one page", _REPORT + EXIT_CODES)
    report.add_argument(
        "folder", type=Path, metavar="RESULTS", help="a folder of results, as bench --results writes it"
    )
    report.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page, FILE.html")
    report.add_argument("--title", default="", metavar="TEXT", help="its heading (default: of the folder's name)")
    picture = (
        "a picture as JSON, from map or tree; all of RESULTS/pictures are shown anyway; may be given several times"
    )
    report.add_argument("--picture", type=Path, action="append", default=[], metavar="FILE", help=picture)
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import report

    return report.run(
        report.Request(
            folder=arguments.folder,
            out=arguments.out,
            title=arguments.title,
            pictures=tuple(arguments.picture),
        )
    )


def add_map(commands: Subparsers) -> None:
    """Add ``map``."""
    text = "draw which output a network prefers over two inputs, and where that is proven"
    drawn = command(commands, "map", text, _MAP + EXIT_CODES)
    drawn.add_argument("network", type=Path, metavar="NETWORK", help=NETWORK_HELP)
    drawn.add_argument("--x", required=True, metavar="X_0=LOW:HIGH", help="the input along the horizontal axis")
    drawn.add_argument("--y", required=True, metavar="X_1=LOW:HIGH", help="the input along the vertical axis")
    fix = "the value or the range of every other input; may be given several times"
    drawn.add_argument("--fix", action="append", default=[], metavar="X_2=VALUE|LOW:HIGH", help=fix)
    drawn.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the picture: .svg, or .json for its data"
    )
    preferred = "which output is preferred: the least (default) or the greatest"
    drawn.add_argument("--classes", choices=["min", "max"], default="min", help=preferred)
    label = "what is written for an input (X_0=TEXT) or an output (Y_0=TEXT); may be given several times"
    drawn.add_argument("--label", action="append", default=[], metavar="NAME=TEXT", help=label)
    shown = "numbers shown at the ends of an input's range, such as those in its unit; may be given several times"
    drawn.add_argument("--shown", action="append", default=[], metavar="X_0=LOW:HIGH", help=shown)
    drawn.add_argument("--title", default="", metavar="TEXT", help="the heading (default: of the network's name)")
    depth = "halve cells so often along both axes at most (default: %(default)s)"
    drawn.add_argument("--depth", type=count, default=7, metavar="N", help=depth)
    effort = "regions that a comparison of two outputs over a cell may take (default: %(default)s)"
    drawn.add_argument("--effort", type=count, default=200, metavar="N", help=effort)
    drawn.add_argument("--jobs", type=natural, default=0, metavar="N", help="threads (default: one a core)")
    drawn.add_argument("--timeout", type=positive, metavar="S", help="draw what is known after S seconds")
    add_own_activations(drawn)
    drawn.set_defaults(run=_map)


def _map(arguments: argparse.Namespace, _: float) -> ExitCode:
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


def add_tree(commands: Subparsers) -> None:
    """Add ``tree``."""
    tree = command(commands, "tree", "draw the tree of splits of a proof", _TREE + EXIT_CODES)
    tree.add_argument("proof", type=Path, metavar="PROOF", help="a proof of unsat, as verify --proof writes it")
    tree.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the picture: .svg, or .json for its data"
    )
    tree.add_argument("--title", default="", metavar="TEXT", help="the heading (default: of the proof's name)")
    tree.set_defaults(run=_tree)


def _tree(arguments: argparse.Namespace, _: float) -> ExitCode:
    from slir_milp.commands import tree

    return tree.run(arguments.proof, arguments.out, arguments.title)
