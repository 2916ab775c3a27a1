"""The arguments of the subcommands that draw: report, map and tree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.arguments import (
    _EXIT_CODES,
    _NETWORK_HELP,
    _add_own_activations,
    _command,
    _count,
    _natural,
    _positive,
)

if TYPE_CHECKING:
    from slir_milp.commands.arguments import Subparsers

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


def add_report(commands: Subparsers) -> None:
    """Describe the arguments of ``slir-milp report``."""
    report = _command(commands, "report", "show a folder of results as one page", _REPORT + _EXIT_CODES)
    report.add_argument(
        "folder", type=Path, metavar="RESULTS", help="a folder of results, as bench --results writes it"
    )
    report.add_argument("--out", type=Path, required=True, metavar="FILE", help="the page, FILE.html")
    report.add_argument("--title", default="", metavar="TEXT", help="its heading (default: of the folder's name)")
    picture = (
        "a picture as JSON, from map or tree; all of RESULTS/pictures are shown anyway; may be given several times"
    )
    report.add_argument("--picture", type=Path, action="append", default=[], metavar="FILE", help=picture)


def add_map(commands: Subparsers) -> None:
    """Describe the arguments of ``slir-milp map``."""
    text = "draw which output a network prefers over two inputs, and where that is proven"
    drawn = _command(commands, "map", text, _MAP + _EXIT_CODES)
    drawn.add_argument("network", type=Path, metavar="NETWORK", help=_NETWORK_HELP)
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
    drawn.add_argument("--depth", type=_count, default=7, metavar="N", help=depth)
    effort = "regions that a comparison of two outputs over a cell may take (default: %(default)s)"
    drawn.add_argument("--effort", type=_count, default=200, metavar="N", help=effort)
    drawn.add_argument("--jobs", type=_natural, default=0, metavar="N", help="threads (default: one a core)")
    drawn.add_argument("--timeout", type=_positive, metavar="S", help="draw what is known after S seconds")
    _add_own_activations(drawn)


def add_tree(commands: Subparsers) -> None:
    """Describe the arguments of ``slir-milp tree``."""
    tree = _command(commands, "tree", "draw the tree of splits of a proof", _TREE + _EXIT_CODES)
    tree.add_argument("proof", type=Path, metavar="PROOF", help="a proof of unsat, as verify --proof writes it")
    tree.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the picture: .svg, or .json for its data"
    )
    tree.add_argument("--title", default="", metavar="TEXT", help="the heading (default: of the proof's name)")
