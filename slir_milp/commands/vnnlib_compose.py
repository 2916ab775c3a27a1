"""``slir-milp-vnnlib compose``: a query over several models as one network and one VNN-LIB 1.0 query."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.output import write_stdout
from slir_milp.commands.vnnlib_verify import composition
from slir_milp.errors import OptionError, QueryError
from slir_milp.report.files import write_whole


def run(query: Path, networks: Mapping[str, Path], out: Path, *, floats_as_real: bool, check_network: bool) -> ExitCode:
    """Write ``composed.onnx``, ``composed.vnnlib`` and ``variables.txt`` into a folder.

    Raises
    ------
    SlirError
        A file or an option is at fault.
    """
    from slir_milp.compose import variables
    from slir_milp.query import write_query

    composed = composition(query, networks, floats_as_real=floats_as_real, check_network=check_network)
    if composed.assumed:
        raise QueryError(
            f"{composed.assumed[0]} has no bounds, which VNN-LIB 1.0 queries have of every input; assert some."
        )
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise OptionError(f"--out {out} cannot be made: {error.strerror or error}.") from error
    table = "".join(f"{own} {declared}\n" for own, declared in variables(composed))
    write_whole(out / "composed.onnx", composed.content)
    write_whole(out / "composed.vnnlib", write_query(composed.query).encode())
    write_whole(out / "variables.txt", table.encode())
    write_stdout(f"{out / 'composed.onnx'}\n{out / 'composed.vnnlib'}\n{out / 'variables.txt'}\n")
    return ExitCode.DECIDED
