"""``slir-milp relax``: the lines around one function on one interval, in numbers and as a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import read_declarations
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError
from slir_milp.report.tables import aligned

if TYPE_CHECKING:
    from slir_milp.activations import Curve
    from slir_milp.report.document import Json
    from slir_milp.report.relaxation import Band, Line, Relaxation

ENDINGS = (".png", ".svg", ".pdf")
"""Endings of the pictures that can be written."""

_WORD = re.compile(r"[^\W\d][\w.-]*")
_ASSIGNMENT = re.compile(r"\s*([^\W\d]\w*)\s*=\s*(\S+)\s*")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``slir-milp relax`` is asked.

    Attributes
    ----------
    function
        A name, which may be followed by parameters (``swish:beta=1.702``), or a formula.
    lower, upper
        The interval.
    parameters
        Further parameters, ``name=value`` each.
    towards, slope
        See :func:`slir_milp.report.relaxation.relax`.
    out
        Where to draw a picture, if anywhere.
    json
        Whether to print JSON in place of a table.
    activations
        A file that declares activations of one's own.
    """

    function: str
    lower: float
    upper: float
    parameters: tuple[str, ...] = ()
    towards: float | None = None
    slope: float | None = None
    out: Path | None = None
    json: bool = False
    activations: Path | None = None


def run(request: Request) -> ExitCode:
    """Print the lines around a function and draw them.

    Raises
    ------
    SlirError
        Something of the request is at fault, or a picture is wanted and matplotlib is not installed; the numbers are
        printed even then.
    """
    if request.out is not None:
        _check_picture(request.out)
    curve = find_curve(request.function, request.parameters, request.activations)
    from slir_milp.report.relaxation import relax

    found = relax(curve, request.lower, request.upper, towards=request.towards, slope=request.slope)
    write_stdout(_as_json(found) if request.json else _as_text(found))
    if request.out is not None:
        _draw(found, request.out)
    return ExitCode.DECIDED


def find_curve(text: str, parameters: tuple[str, ...] = (), activations: Path | None = None) -> Curve:
    """The function that a text names or spells.

    Parameters
    ----------
    text
        A name, which may be followed by a colon and ``name=value`` pairs with commas between, or a formula of ``x``.
    parameters
        Further ``name=value`` pairs.
    activations
        A file that declares activations of one's own.

    Raises
    ------
    OptionError
        If there is no such function.
    """
    from slir_milp.activations.catalogue import CATALOGUE, HINGES, curve_of
    from slir_milp.activations.parse import parse
    from slir_milp.activations.registry import Registry
    from slir_milp.report.relaxation import as_curve

    declarations = {declaration.name: declaration for declaration in read_declarations(activations)}
    known = {*declarations, *CATALOGUE, *HINGES}
    name, colon, behind = (part.strip() for part in text.partition(":"))
    if colon and name not in known and not _WORD.fullmatch(name):
        raise OptionError(f"'{text}' is neither a name with parameters, as in swish:beta=1.702, nor a formula.")
    values = _numbers((*(behind.split(",") if colon else ()), *parameters))
    if name in declarations:
        return declarations[name].curve(values)
    if not colon and name not in known and (name in ("x", "pi") or not _WORD.fullmatch(name)):
        if values:
            raise OptionError(f"the formula '{text}' takes no parameters: write their values into it.")
        return curve_of(parse(text))
    registry = Registry().with_declarations(declarations.values())
    return as_curve(registry.activation(name, **values))


def _numbers(assignments: tuple[str, ...]) -> Mapping[str, float]:
    values: dict[str, float] = {}
    for assignment in assignments:
        match = _ASSIGNMENT.fullmatch(assignment)
        try:
            value = float(match[2]) if match else float("nan")
        except ValueError:
            value = float("nan")
        if match is None or not abs(value) < float("inf"):
            raise OptionError(f"'{assignment}' is no parameter; write a name and a finite number, as in beta=1.702.")
        values[match[1]] = value
    return values


def _check_picture(path: Path) -> None:
    if path.suffix.lower() not in ENDINGS:
        known = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        raise OptionError(f"--out {path}: no picture of this kind can be drawn; name a file that ends in {known}.")
    if path.is_dir():
        raise OptionError(f"--out {path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise OptionError(f"the folder of --out {path} does not exist; make it first.")


def _draw(found: Relaxation, path: Path) -> None:
    from slir_milp.report.files import write_whole

    try:
        from slir_milp.report.picture import draw

        content = draw(found, path.suffix.lower()[1:])
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise OptionError(
            f"{path} was not drawn: pictures need matplotlib; 'pip install slir-milp[plot]' or "
            "'pip install matplotlib' brings it."
        ) from error
    write_whole(path, content)


def _as_text(found: Relaxation) -> str:
    table = found.curve.table
    name, formula = found.curve.name, found.formula
    rows: list[tuple[str, ...]] = [("lines", "side", "slope", "offset", "touches at", "area")]
    for band in found.bands:
        rows += _rows(band)
    lines = [
        f"function   {name if formula in ('', name) else f'{name}: {formula}'}",
        f"interval   {found.lower!r} to {found.upper!r}",
        f"offsets    by {found.curve.offsets.name}: {table.segments:,} segments in {len(table.piece_curvature):,} "
        f"pieces, built in {found.seconds:.2g} s",
        f"split      at {found.split:.6g}",
        "",
        *aligned(rows),
    ]
    return "\n".join(lines) + "\n"


def _rows(band: Band) -> list[tuple[str, ...]]:
    rows = [_row(side, line) for side, line in (("above", band.above), ("below", band.below))]
    if band.above is not None and band.below is not None:
        rows.append(("both", "", "", "", f"{band.area:.6g}"))
    return [(band.rule if number == 0 else "", *row) for number, row in enumerate(rows)]


def _row(side: str, line: Line | None) -> tuple[str, ...]:
    if line is None:
        return side, "none is known", "", "", ""
    return side, repr(line.slope), repr(line.offset), f"{line.touch + 0.0:.6g}", f"{line.area:.6g}"


def _as_json(found: Relaxation) -> str:
    import json

    from slir_milp.report.document import json_number

    def line(side: Line | None) -> Json:
        names = ("slope", "offset", "touch", "area")
        return None if side is None else {name: json_number(getattr(side, name)) for name in names}

    table = found.curve.table
    content: Json = {
        "function": found.curve.name,
        "formula": found.formula or None,
        "lower": found.lower,
        "upper": found.upper,
        "offsets": {
            "by": found.curve.offsets.name,
            "segments": table.segments,
            "pieces": len(table.piece_curvature),
            "seconds": found.seconds,
        },
        "split": found.split,
        "lines": [
            {"rule": band.rule, "above": line(band.above), "below": line(band.below), "area": json_number(band.area)}
            for band in found.bands
        ],
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
