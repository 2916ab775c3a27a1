"""``slir-milp show-proof``: a proof as JSON, or its figures."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from slir_milp.certificate.show import Summary, objects, summary
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import make_way, require_file
from slir_milp.commands.output import write_stdout
from slir_milp.errors import SlirError
from slir_milp.report.files import whole_file
from slir_milp.report.tables import aligned
from slir_milp.report.text import plural

_AT_ONCE = 1 << 16
"""Characters written together."""


def run(proof: Path, out: Path | None, *, only_summary: bool) -> ExitCode:
    """Write a proof as JSON Lines, or its figures, to a file or to stdout.

    Raises
    ------
    SlirError
        The proof is none, or is damaged, or the result cannot be written.
    """
    require_file(proof)
    lines = iter(_figures(summary(proof))) if only_summary else _json_lines(proof)
    if out is None:
        for text in _joined(lines):
            write_stdout(text)
        return ExitCode.DECIDED
    make_way(f"--out {out}", out, (proof,))
    with whole_file(out) as file:
        for text in _joined(lines):
            file.write(text.encode())
    return ExitCode.DECIDED


def _json_lines(proof: Path) -> Iterator[str]:
    return (json.dumps(content, separators=(",", ":")) for content in objects(proof))


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Lines in pieces large enough to be written at once; what came before an error is not held back."""
    piece: list[str] = []
    size = 0
    try:
        for line in lines:
            piece.append(line + "\n")
            size += len(line)
            if size > _AT_ONCE:
                yield "".join(piece)
                piece, size = [], 0
    except SlirError:
        yield "".join(piece)
        raise
    yield "".join(piece)


def _figures(found: Summary) -> list[str]:
    header = found.header
    rows: list[tuple[str, ...]] = [
        ("claim", header.claim),
        ("writer", header.writer),
        ("network", header.network),
        ("query", header.query),
    ]
    if header.activations:
        rows.append(("activations", header.activations))
    layers = plural(len(header.layers), "layer")
    rows.append(
        ("sizes", f"{header.inputs:,} inputs, {sum(header.layers):,} neurons in {layers}, {header.outputs:,} outputs")
    )
    rows.append(("bytes", f"{found.stored:,}, unpacked {found.unpacked:,}"))
    if header.claim == "unsat":
        rows.append(("entries", f"{sum(found.kinds.values()):,}"))
        rows += [("", f"{count:,} {kind}") for kind, count in found.kinds.items()]
        each = max(found.leaves, 1)
        rows.append(
            (
                "leaves",
                f"{found.leaves:,}, each {found.stored / each:,.1f} bytes, unpacked {found.unpacked / each:,.1f}",
            )
        )
        rows.append(("depth", "the nodes form no tree" if found.depth is None else f"{found.depth:,}"))
    return aligned(rows)
