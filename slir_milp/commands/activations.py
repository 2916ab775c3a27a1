"""``slir-milp activations``: which functions are known by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import read_declarations
from slir_milp.commands.output import write_stdout
from slir_milp.report.tables import aligned

if TYPE_CHECKING:
    from slir_milp.activations.declarations import Declaration
    from slir_milp.report.document import Json

OPERATORS = {
    "identity": ("Identity",),
    "relu": ("Relu",),
    "abs": ("Abs",),
    "leaky_relu": ("LeakyRelu",),
    "prelu": ("PRelu",),
    "clip": ("Clip",),
    "hard_sigmoid": ("HardSigmoid",),
    "hard_tanh": ("Clip",),
    "hard_swish": ("HardSwish",),
    "sign": ("Sign",),
    "floor": ("Floor",),
    "sigmoid": ("Sigmoid",),
    "tanh": ("Tanh",),
    "atan": ("Atan",),
    "softsign": ("Softsign",),
    "softplus": ("Softplus",),
    "elu": ("Elu",),
    "selu": ("Selu",),
    "celu": ("Celu",),
    "gelu": ("Gelu",),
    "gelu_tanh": ("Gelu",),
    "quick_gelu": ("Swish",),
    "silu": ("Swish",),
    "swish": ("Swish",),
    "mish": ("Mish",),
    "erf": ("Erf",),
    "exp": ("Exp",),
    "log": ("Log",),
    "sqrt": ("Sqrt",),
    "reciprocal": ("Reciprocal", "Div"),
    "square": ("Pow", "Mul"),
    "power": ("Pow",),
    "sin": ("Sin",),
    "cos": ("Cos",),
    "tan": ("Tan",),
}
"""ONNX operators that are a known activation by themselves; the others are recognised where operators compose them."""

_FOOT = (
    "Functions that a network composes of elementwise operators are recognised too, by\n"
    "their formula, whether they have a name here or not."
)


@dataclass(frozen=True)
class Known:
    """A function that is known by name; ``own`` if a file declares it."""

    name: str
    formula: str
    parameters: tuple[tuple[str, float], ...]
    offsets: str
    operators: tuple[str, ...]
    own: bool = False


def run(activations: Path | None, *, json: bool) -> ExitCode:
    """List the functions known by name, those of a file last.

    Raises
    ------
    SlirError
        The file is at fault.
    """
    own = [_declared(declaration) for declaration in read_declarations(activations)]
    found = (*_hinges(), *_built_in(), *own)
    if json:
        write_stdout(_as_json(found))
        return ExitCode.DECIDED
    rows = [_row(known) for known in found]
    if sys.stdout.isatty():
        _show(rows)
    else:
        write_stdout("\n".join([*aligned([_HEAD, *rows]), "", _FOOT]) + "\n")
    return ExitCode.DECIDED


_HEAD = ("name", "formula", "parameters", "offsets by", "ONNX operators")


def _hinges() -> Iterator[Known]:
    from slir_milp.activations.catalogue import HINGES

    formulas = {"identity": "x", "relu": "relu(x)", "abs": "abs(x)"}
    for name, words in HINGES.items():
        formula = formulas.get(name, "where(x < 0, slope * x, x)")
        yield Known(name, formula, tuple((word, 0.01) for word in words), "hinge", OPERATORS[name])


def _built_in() -> Iterator[Known]:
    from slir_milp.activations.catalogue import CATALOGUE, curve_of

    for name, entry in CATALOGUE.items():
        curve = curve_of(entry.formula(), name)
        yield Known(name, entry.text, entry.parameters, curve.offsets.name, OPERATORS.get(name, ()))


def _declared(declaration: Declaration) -> Known:
    curve = declaration.curve({})
    operators = ("::".join(declaration.operator),) if declaration.operator else ()
    parameters = tuple(declaration.parameters.items())
    return Known(declaration.name, declaration.formula, parameters, curve.offsets.name, operators, own=True)


def _row(known: Known) -> tuple[str, ...]:
    parameters = ", ".join(f"{word}={value:.9g}" for word, value in known.parameters)
    return known.name, known.formula or "(a function)", parameters, known.offsets, ", ".join(known.operators)


def _show(rows: list[tuple[str, ...]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(_HEAD):
        table.add_column(head, style="bold" if number == 0 else "", no_wrap=number == 0)
    for row in rows:
        table.add_row(*map(Text, row))  # (as it is: brackets of formulas are no markup)
    console = Console(highlight=False)
    with console.capture() as shown:
        console.print(table)
        console.print(Text(_FOOT.replace("\n", " ")))
    write_stdout(shown.get())


def _as_json(found: tuple[Known, ...]) -> str:
    import json

    content: Json = [
        {
            "name": known.name,
            "formula": known.formula or None,
            "parameters": dict(known.parameters),
            "offsets": known.offsets,
            "operators": list(known.operators),
            "own": known.own,
        }
        for known in found
    ]
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
