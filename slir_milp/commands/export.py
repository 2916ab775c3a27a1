"""``slir-milp export``: a query as a mixed-integer program for any solver."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import make_way, read_network, read_query
from slir_milp.commands.output import write_stdout

_EXACT = "feasible exactly where an input meets the query, up to strict inequalities and the solver's tolerances"
_RELAXED = "a RELAXATION: infeasible means that no input meets the query, feasible means nothing"


@dataclass(frozen=True)
class Request:
    """What ``slir-milp export`` is asked; see its help."""

    network: Path
    query: Path
    out: Path
    relaxed: bool
    clause: int | None
    lines: int
    pieces: int
    activations: Path | None
    check_network: bool


def run(request: Request) -> ExitCode:
    """Write the files, and say what they are.

    Raises
    ------
    SlirError
        A file or an option is at fault, or Pyomo is not installed.
    """
    from slir_milp.pyomo.export import names_beside, write_model
    from slir_milp.pyomo.formulation import Formulation
    from slir_milp.pyomo.query_model import query_model

    for path in (request.out, names_beside(request.out)):
        make_way(str(path), path, (request.network, request.query, request.activations))
    network = read_network(request.network, check=request.check_network, activations=request.activations)
    query = read_query(request.query, network)
    formulation = Formulation.RELAXED if request.relaxed else Formulation.ENVELOPES
    found = query_model(
        network, query, formulation=formulation, clause=request.clause, lines=request.lines, pieces=request.pieces
    )
    which = f"conjunction {request.clause} of " if request.clause is not None else ""
    meaning = _EXACT if found.is_exact else _RELAXED
    comments = (
        f"{which}{request.query.name} on {request.network.name}, written by slir-milp export",
        meaning,
        f"{found.clauses} conjunctions; the names of variables are explained in {request.out.name}.json",
    )
    names = write_model(found, request.out, comments)
    write_stdout(f"{request.out}: {meaning}\n{names}: the names of its variables\n")
    if not found.is_exact:
        print(f"slir-milp: {request.out} is a relaxation", file=sys.stderr)
    return ExitCode.DECIDED
