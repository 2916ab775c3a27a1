"""``slir-milp tree``: the tree of splits of a proof, as a picture."""

from __future__ import annotations

from pathlib import Path

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import make_way, require_file
from slir_milp.commands.output import write_stdout
from slir_milp.report.text import plural


def run(proof: Path, out: Path, title: str) -> ExitCode:
    """Draw the tree, and say how large it is.

    Raises
    ------
    SlirError
        The proof is none, or is damaged, or has no tree, or the picture cannot be written.
    """
    from slir_milp.report.drawing.files import check_ending, write_picture
    from slir_milp.report.drawing.proof_tree import TreePicture
    from slir_milp.report.proof_tree import proof_tree

    check_ending(out)
    require_file(proof)
    tree = proof_tree(proof)
    make_way(f"--out {out}", out, (proof,))
    write_picture(out, TreePicture.of(tree, title or f"Splits of {proof.name}"))
    write_stdout(
        f"{out}: {plural(tree.total, 'node')}, {plural(tree.leaves, 'leaf', 'leaves')}, depth {tree.depth:,}\n"
    )
    return ExitCode.DECIDED
