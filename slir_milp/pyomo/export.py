"""A query's model as a file that any solver reads, with a map from names to neurons."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slir_milp.errors import OptionError, SlirError
from slir_milp.pyomo.query_model import QueryModel

_WHAT = {
    "net.inputs": "input",
    "net.outputs": "output",
    "net.pre": "pre-activation",
    "net.value": "activation",
    "net.positive": "positive part of the pre-activation",
    "net.negative": "negative part of the pre-activation",
    "net.on": "whether the pre-activation is positive",
    "net.part": "whether the pre-activation is in this part of its interval",
    "net.part_pre": "pre-activation, if it is in this part of its interval",
    "net.part_value": "activation, if the pre-activation is in this part of its interval",
    "nothing": "always zero: the objective",
    "met": "whether this conjunction is the one that is met",
}
_FORMATS = {".mps": ("mps", "* "), ".lp": ("cpxlp", "\\ ")}


def write_model(found: QueryModel, path: Path, comments: Sequence[str]) -> Path:
    """Write a model as ``.mps`` or ``.lp``, and the map of its names beside it.

    Parameters
    ----------
    found
        The model.
    path
        The file; the map gets the same name with ``.json`` after it.
    comments
        Lines to begin with.

    Returns
    -------
    Path
        The map.

    Raises
    ------
    OptionError
        The file's name ends otherwise.
    SlirError
        A file cannot be written; then neither is left behind.
    """
    form, comment = _format_of(path)
    names_path = names_beside(path)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".slir-milp-") as folder:
            raw = Path(folder) / "raw"
            names = _write(found.model, raw, form)
            whole, listed = Path(folder) / "whole", Path(folder) / "names"
            with open(raw, encoding="utf-8") as source, open(whole, "w", encoding="utf-8") as target:
                target.writelines(f"{comment}{line}\n" for line in comments)
                target.writelines(source)
            content = {"comments": list(comments), "is_exact": found.is_exact, "variables": names}
            listed.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            os.replace(listed, names_path)
            os.replace(whole, path)
    except OSError as error:
        raise SlirError(f"{path} cannot be written: {error.strerror or error}.") from error
    return names_path


def names_beside(path: Path) -> Path:
    """Where the map of names of a model's file belongs.

    Raises
    ------
    OptionError
        The file's name ends neither in ``.mps`` nor in ``.lp``.
    """
    _format_of(path)
    return path.with_name(f"{path.name}.json")


def _format_of(path: Path) -> tuple[str, str]:
    if path.suffix not in _FORMATS:
        raise OptionError(f"{path} has a name that ends neither in .mps nor in .lp; the ending chooses the format.")
    return _FORMATS[path.suffix]


def _write(model: Any, path: Path, form: str) -> dict[str, dict[str, Any]]:
    """Let Pyomo write a model; what the variables in the file stand for."""
    import pyomo.environ as pyo

    _, number = model.write(str(path), format=form, io_options={"symbolic_solver_labels": True})
    symbols = model.solutions.symbol_map[number].bySymbol
    found = {}
    for name, component in sorted(symbols.items()):
        if component.ctype is pyo.Var:
            kind, index = _parted(component.name)
            what = {"what": _WHAT.get(kind, kind)}
            if kind in ("net.inputs", "net.outputs", "met"):
                found[name] = {**what, "number": index[0]}
            else:
                found[name] = {**what, **dict(zip(("layer", "neuron", "part"), index, strict=False))}
    return found


def _parted(name: str) -> tuple[str, list[int]]:
    """``net.pre[0,3]`` as its name and indices."""
    kind, _, index = name.partition("[")
    return kind, [int(number) for number in re.findall(r"\d+", index)]
