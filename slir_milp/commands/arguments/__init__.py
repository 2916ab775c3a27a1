"""The arguments of every subcommand, with their help.

Each subcommand's parser names what runs it (``run``, called with the arguments and the moment at which the program
began), and that imports the command itself: no command waits for libraries that it does not use.
"""

from __future__ import annotations

from slir_milp._version import __version__
from slir_milp.commands.arguments.campaigns import add_bench, add_map, add_report, add_tree
from slir_milp.commands.arguments.common import EXIT_CODES, Parser, options
from slir_milp.commands.arguments.deciding import add_bounds, add_check, add_info, add_show_proof, add_verify
from slir_milp.commands.arguments.functions import add_activations, add_problems, add_relax
from slir_milp.commands.arguments.programs import add_bench_solvers, add_export, add_subproblems

__all__ = ["build_parser", "options"]

_DESCRIPTION = "Complete verification of small neural networks: is there an input that meets the query?"
_EXAMPLES = """\
examples:
  slir-milp verify network.onnx query.vnnlib --timeout 60
  slir-milp problems list
  slir-milp bench acasxu --timeout 60 --results results

"""


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(prog="slir-milp", description=_DESCRIPTION, epilog=_EXAMPLES + EXIT_CODES)
    parser.add_argument("--version", action="version", version=f"slir-milp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_verify(commands)
    add_check(commands)
    add_show_proof(commands)
    add_bounds(commands)
    add_bench(commands)
    add_report(commands)
    add_map(commands)
    add_tree(commands)
    add_subproblems(commands)
    add_bench_solvers(commands)
    add_export(commands)
    add_info(commands)
    add_relax(commands)
    add_activations(commands)
    add_problems(commands)
    return parser
