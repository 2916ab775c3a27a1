"""``slir-milp info``: what the program has understood of a network and a query."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.activations import ABS, IDENTITY, RELU, Curve, Hinge
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import read_network, read_query
from slir_milp.commands.output import write_stdout
from slir_milp.query import grouped_clauses
from slir_milp.report.tables import aligned
from slir_milp.report.text import plural

if TYPE_CHECKING:
    from slir_milp.network.affine import Affine
    from slir_milp.network.normal_form import Layer, Network, TensorSpec
    from slir_milp.query import Box, Query

_NAMES = {IDENTITY: "identity", RELU: "relu", ABS: "abs"}
_COUNTING_SECONDS = 5.0
_SHOWN_INPUTS = 20
_LONGEST_NAME = 60


def run(network: Path, query: Path | None, *, check_network: bool, activations: Path | None = None) -> ExitCode:
    """Describe a network in normal form and, if one is given, a query for it.

    Raises
    ------
    SlirError
        A file is at fault, or the two do not fit each other.
    """
    loaded = read_network(network, check=check_network, activations=activations)
    lines = _describe_network(loaded)
    if query is not None:
        lines += ["", *_describe_query(read_query(query, loaded))]
    write_stdout("\n".join(lines) + "\n")
    return ExitCode.DECIDED


def _describe_network(network: Network) -> list[str]:
    rows: list[tuple[str, ...]] = [("layer", "neurons", "activations", "weights", "coefficients")]
    rows += [
        (str(number), f"{layer.size:,}", _activations(layer), _weights(layer.affine), _exactness(layer.affine))
        for number, layer in enumerate(network.layers, start=1)
    ]
    output = network.output
    rows.append(("output", f"{network.output_size:,}", "", _weights(output), _exactness(output)))
    return [
        f"network  {network.source}",
        f"sha256   {network.sha256}",
        f"inputs   {_tensors(network.inputs)}",
        f"outputs  {_tensors(network.outputs)}",
        "",
        *aligned(rows),
    ]


def _tensors(specs: Iterable[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {list(spec.shape)} {spec.dtype}" for spec in specs)


def _activations(layer: Layer) -> str:
    counts = np.bincount(layer.function_index, minlength=len(layer.functions))
    shown = Counter[str]()
    for function, count in zip(layer.functions, counts, strict=True):
        shown[_function_name(function)] += int(count)
    return ", ".join(f"{count:,} {name}" for name, count in shown.most_common() if count)


def _function_name(function: Hinge | Curve) -> str:
    if isinstance(function, Curve):
        return function.name if len(function.name) <= _LONGEST_NAME else function.name[:_LONGEST_NAME] + "…"
    return _NAMES.get(function, "linear" if function.is_linear else "leaky")


def _weights(affine: Affine) -> str:
    total = affine.rows * affine.columns
    if isinstance(affine.weight, np.ndarray):
        return f"{affine.rows} x {affine.columns} dense"
    share = affine.weight.nnz / total if total else 0.0
    return f"{affine.rows} x {affine.columns} sparse, {100 * share:.2g} % stored"


def _exactness(affine: Affine) -> str:
    return "exact" if affine.is_exact else "rounded, with bounds"


def _describe_query(query: Query) -> list[str]:
    lines = [f"query    {query.source}", f"sha256   {query.sha256}"]
    count, boxes, rows, first, complete = _count(query)
    about = "" if complete else "at least "
    if first is None:
        return [*lines, "The query is empty by itself: no input meets it."]
    lines.append(f"clauses  {about}{plural(count, 'conjunction')} over {about}{plural(boxes, 'box', 'boxes')}")
    lines.append(f"rows     {about}{rows:,} inequalities besides the bounds on single inputs")
    lines.append("first box:")
    shown = list(zip(first.lower.tolist(), first.upper.tolist(), strict=True))[:_SHOWN_INPUTS]
    lines += [f"  {lower!r} <= X_{i} <= {upper!r}" for i, (lower, upper) in enumerate(shown)]
    if first.lower.size > _SHOWN_INPUTS:
        lines.append(f"  (and {plural(first.lower.size - _SHOWN_INPUTS, 'more input')})")
    return lines


def _count(query: Query) -> tuple[int, int, int, Box | None, bool]:
    """Clauses, boxes, rows, the first box, and whether the count came to its end in time."""
    count, boxes, rows = 0, 0, 0
    first: Box | None = None
    started = time.monotonic()
    for box, group in grouped_clauses(query):
        first = first or box
        boxes += 1
        count += len(group)
        rows += sum(len(clause.rows) for clause in group)
        if time.monotonic() - started > _COUNTING_SECONDS:
            return count, boxes, rows, first, False
    return count, boxes, rows, first, True
