"""Activations declared in a TOML file, for the command line."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from slir_milp.activations.curve import Curve
from slir_milp.activations.declared import Facts, declared_curve
from slir_milp.activations.parse import parse
from slir_milp.activations.registry import Operator, operator_key, own_name
from slir_milp.errors import OptionError

_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_RESERVED = frozenset({"x", "pi", "where"})
_RANGES = ("slope_range", "curvature", "values", "domain", "interval")
_LISTS = ("inflections", "breakpoints")
_NUMBERS = ("lipschitz", "error")
_KEYS = {"name", "formula", "function", "operator", "parameters", "derivative", "samples", "critical_points"}
KEYS = (*sorted(_KEYS), *_RANGES, *_LISTS, *_NUMBERS)


@dataclass(frozen=True, eq=False)
class Declaration:
    """One ``[[activation]]`` of a file.

    Attributes
    ----------
    name
        What the activation is called.
    formula
        Its formula, in which parameters may occur; ``""`` if it is a function.
    function
        The function, if there is no formula.
    facts
        What is declared of it.
    operator
        The ONNX operator or local function that stands for it.
    parameters
        Names and default values; a node's attributes of the same names replace the values.
    where
        File and line, for messages.
    """

    name: str
    formula: str
    function: Callable[..., Any] | None
    facts: Facts
    operator: Operator | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    where: str = ""

    def curve(self, attributes: Mapping[str, float]) -> Curve:
        """The activation with these values for its parameters, the defaults for those not given.

        Raises
        ------
        OptionError
            If there is no such parameter, a value is not finite, or a declaration is refuted.
        """
        for word, value in attributes.items():
            if word not in self.parameters:
                takes = ", ".join(self.parameters) or "none"
                raise OptionError(f"{self.where}: activation {self.name} has no parameter '{word}'; it takes: {takes}.")
            if not math.isfinite(value):
                raise OptionError(f"{self.where}: parameter '{word}' of activation {self.name} is {value}.")
        return _made(self, tuple({**self.parameters, **attributes}.items()))

    def _make(self, values: Mapping[str, float]) -> Curve:
        shown = ", ".join(f"{word}={value:.9g}" for word, value in values.items())
        name = self.name if values == dict(self.parameters) else f"{self.name}({shown})"
        function = parse(_filled(self.formula, values)) if self.function is None else self.function
        derivative = self.facts.derivative
        filled = _filled(derivative, values) if isinstance(derivative, str) else derivative
        try:
            return declared_curve(name, function, replace(self.facts, derivative=filled))
        except OptionError as error:
            raise OptionError(f"{self.where}: {error}") from None


@lru_cache(maxsize=256)
def _made(declaration: Declaration, values: tuple[tuple[str, float], ...]) -> Curve:
    """Nodes with the same attributes get the same curve, which is checked once."""
    return declaration._make(dict(values))


def parse_declarations(path: str | Path) -> tuple[Declaration, ...]:
    """Read the activations that a file declares.

    A function ``module:name`` is imported, so its module's code runs; modules beside the file are found.

    Raises
    ------
    OptionError
        If the file cannot be read or declares something impossible; names the line.
    """
    import tomllib

    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        raise OptionError(f"{path}: the file cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise OptionError(f"{path}: the file is no UTF-8 text.") from None
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{path}: this is no TOML: {error}.") from None
    tables = document.get("activation")
    unknown = [key for key in document if key != "activation"]
    if unknown or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        wrong = f"'{unknown[0]}' means nothing here; " if unknown else ""
        raise OptionError(f"{path}: {wrong}declare each activation under a line [[activation]].")
    places = _Places(path, text)
    found: list[Declaration] = []
    for index, table in enumerate(tables):
        declaration = _Reader(places, index, table, path.parent).read()
        same = [d for d in found if d.name == declaration.name or (d.operator and d.operator == declaration.operator)]
        if same:
            raise OptionError(f"{declaration.where}: {same[0].where} declares the same name or operator.")
        found.append(declaration)
    return tuple(found)


def _filled(text: str, values: Mapping[str, float]) -> str:
    return _WORD.sub(lambda word: f"({values[word[0]]!r})" if word[0] in values else word[0], text)


class _Places:
    """The lines of a file on which tables and keys stand."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.starts = [i for i, line in enumerate(self.lines) if re.match(r"\s*\[\[\s*activation\s*\]\]", line)]

    def of(self, table: int, key: str = "") -> str:
        """File and line of a key of a table, or of the table's head."""
        if table >= len(self.starts):
            return str(self.path)
        start = self.starts[table]
        end = self.starts[table + 1] if table + 1 < len(self.starts) else len(self.lines)
        for i in range(start, end):
            if key and re.match(rf"""\s*(\[activation\.)?["']?{re.escape(key)}["']?\s*[=.\]]""", self.lines[i]):
                return f"{self.path}, line {i + 1}"
        return f"{self.path}, line {start + 1}"


class _Reader:
    """Reads one table."""

    def __init__(self, places: _Places, index: int, table: dict[str, Any], folder: Path) -> None:
        self.places, self.index, self.table, self.folder = places, index, table, folder

    def fail(self, key: str, message: str) -> OptionError:
        return OptionError(f"{self.places.of(self.index, key)}: {message}")

    def read(self) -> Declaration:
        for key in self.table:
            if key not in KEYS:
                raise self.fail(key, f"'{key}' means nothing here; known: {', '.join(KEYS)}.")
        name, formula, function = self.text("name"), self.text("formula"), self.text("function")
        if not name:
            raise self.fail("", "this activation needs a name.")
        if bool(formula) == bool(function):
            raise self.fail("formula", f"activation {name} needs either a formula or a function, module:name.")
        operator, parameters = self.text("operator"), self.parameters(bool(formula))
        try:
            key = "name"
            own_name(name)
            key = "operator"
            stands_for = operator_key(operator) if operator else None
            key = "formula"
            if formula:
                parse(_filled(formula, parameters))
            key = ""
            facts = self.facts()
        except OptionError as error:
            raise error if str(error).startswith(str(self.places.path)) else self.fail(key, str(error)) from None
        where = self.places.of(self.index)
        called = self.imported("function", function) if function else None
        return Declaration(name, formula, called, facts, stands_for, parameters, where)

    def facts(self) -> Facts:
        given: dict[str, Any] = {key: self.pair(key) for key in _RANGES if key in self.table}
        given |= {key: self.numbers(key) for key in _LISTS if key in self.table}
        given |= {key: self.number(key) for key in _NUMBERS if key in self.table}
        if "samples" in self.table:
            if type(self.table["samples"]) is not int:
                raise self.fail("samples", "samples must be a whole number.")
            given["samples"] = self.table["samples"]
        for key in ("derivative", "critical_points"):
            value = self.text(key)
            if value:
                given[key] = self.imported(key, value) if ":" in value or key == "critical_points" else value
        return Facts(**given)

    def text(self, key: str) -> str:
        value = self.table.get(key, "")
        if not isinstance(value, str) or (key in self.table and not value.strip()):
            raise self.fail(key, f"{key} must be a text in quotes.")
        return value

    def number(self, key: str, value: Any = None) -> float:
        value = self.table[key] if value is None else value
        if type(value) not in (int, float) or math.isnan(value):
            raise self.fail(key, f"{key}: {value!r} is no number.")
        return float(value)

    def numbers(self, key: str) -> tuple[float, ...]:
        value = self.table[key]
        if not isinstance(value, list):
            raise self.fail(key, f"{key} must be a list of numbers.")
        return tuple(self.number(key, item) for item in value)

    def pair(self, key: str) -> tuple[float, float]:
        value = self.numbers(key)
        if len(value) != 2:
            raise self.fail(key, f"{key} must be two numbers, [lower, upper].")
        return value[0], value[1]

    def parameters(self, allowed: bool) -> dict[str, float]:
        value = self.table.get("parameters", {})
        if not isinstance(value, dict):
            raise self.fail("parameters", "parameters must be a table of names and numbers: { alpha = 0.5 }.")
        if value and not allowed:
            raise self.fail("parameters", "only a formula can have parameters.")
        from slir_milp.activations.formula import FUNCTIONS

        for word in value:
            if not word.isidentifier() or word in _RESERVED or word in FUNCTIONS:
                raise self.fail("parameters", f"'{word}' cannot be the name of a parameter.")
        found = {word: self.number("parameters", number) for word, number in value.items()}
        for word, number in found.items():
            if not math.isfinite(number):
                raise self.fail("parameters", f"parameter '{word}' must be finite.")
        return found

    def imported(self, key: str, text: str) -> Callable[..., Any]:
        module, separator, name = text.partition(":")
        if not separator or not name.isidentifier():
            raise self.fail(key, f"{key}: '{text}' is no function; write module:name.")
        sys.path.insert(0, str(self.folder.resolve()))
        try:
            value = getattr(import_module(module), name)
        except AttributeError:
            raise self.fail(key, f"{key}: module {module} has no '{name}'.") from None
        except (Exception, SystemExit) as error:  # whatever somebody's module raises
            raise self.fail(key, f"{key}: {module} cannot be imported: {type(error).__name__}: {error}.") from error
        finally:
            sys.path.remove(str(self.folder.resolve()))
        if not callable(value):
            raise self.fail(key, f"{key}: {text} is no function.")
        return value  # type: ignore[no-any-return]
