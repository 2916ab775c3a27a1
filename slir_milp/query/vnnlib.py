"""Reader of VNN-LIB 1.0, the language of the verification competition: S-expressions over ``X_i`` and ``Y_j``."""

from __future__ import annotations

import re
import warnings

from slir_milp.errors import QueryError, SlirWarning
from slir_milp.query.condition import ConditionReader
from slir_milp.query.formula import Formula, missing_bounds
from slir_milp.query.numbers import shorten
from slir_milp.query.query import Query
from slir_milp.query.scan import Scanner
from slir_milp.query.single import single_query
from slir_milp.query.vnnlib2 import is_version_2, parse_specification

_VARIABLE = re.compile(r"[XY]_(0|[1-9]\d{0,8})", re.ASCII)

_IGNORED = frozenset({"set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "exit"})
_VERSION_2 = frozenset({"vnnlib-version", "declare-network"})


def parse_query(text: str, *, source: str = "", sha256: str = "") -> Query:
    """Read a query from VNN-LIB text: of version 1.0, or of 2.x if it says no more than that can.

    Parameters
    ----------
    text
        The whole file.
    source, sha256
        Passed on to the query.

    Returns
    -------
    Query
        With its formula in negation normal form, every number exact (``0.1`` is one tenth).

    Raises
    ------
    QueryError
        The text is no VNN-LIB, is not linear, uses what was not declared, or leaves an input unbounded; with line
        and column.
    """
    if is_version_2(text):
        return single_query(parse_specification(text, source=source, sha256=sha256))
    return _Reader(text).query(source, sha256)


class _Reader:
    """State of one reading: what is declared and asserted so far."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.conditions = ConditionReader(self.scanner)
        self.declared: dict[str, int] = {}  # name -> offset of its declaration
        self.inputs = 0
        self.outputs = 0

    def query(self, source: str, sha256: str) -> Query:
        for match in self.scanner.tokens:
            kind = match.lastgroup
            if kind == "open":
                self.command(match.start("open"))
            elif kind == "close":
                raise self.scanner.error(
                    "this closing parenthesis has no opening one; remove it.", match.start("close")
                )
            elif kind not in {"comment", "end"}:
                start = match.start(kind or 0)
                raise self.scanner.error(
                    f"{shorten(match.group().strip())} stands outside of a command; write (assert ...) around it.",
                    start,
                )
        if not self.declared:
            raise QueryError("the query declares nothing; it needs lines such as (declare-const X_0 Real).")
        self.number_variables()
        if not self.inputs:
            raise QueryError("the query declares no input; inputs are named X_0, X_1 and so on.")
        if not self.outputs:
            raise QueryError("the query declares no output; outputs are named Y_0, Y_1 and so on.")
        if not self.conditions.count:
            raise QueryError("the query asserts nothing; it needs lines such as (assert (<= X_0 1.0)).")
        formula = self.conditions.formula()
        self.check_bounded(formula)
        if not self.conditions.output_used:
            warnings.warn(
                SlirWarning("the query says nothing of the outputs: every input of its set meets it."), stacklevel=4
            )
        return Query(self.inputs, self.outputs, formula, sha256, source)

    def command(self, start: int) -> None:
        name = self.scanner.head(start)
        if name == "assert":
            if not self.conditions.index:
                self.number_variables()
            self.conditions.read(start)
        elif name in {"declare-const", "declare-fun"}:
            self.declaration(name, start)
        elif name in _IGNORED:
            self.scanner.contents(start)
        elif name in _VERSION_2:
            raise self.scanner.error("a VNN-LIB 2 file begins with (vnnlib-version <2.0>).", start)
        else:
            raise self.scanner.error(f"the command '{shorten(name)}' is not known.", start)

    def declaration(self, command: str, start: int) -> None:
        contents = self.scanner.contents(start)
        arguments = contents[1:3] if command == "declare-fun" else []
        if len(contents) != 2 + len(arguments) or arguments not in ([], ["(", ")"]):
            brackets = "() " if command == "declare-fun" else ""
            raise self.scanner.error(f"a declaration has the form ({command} X_0 {brackets}Real).", start)
        name, sort = contents[0], contents[-1]
        if sort != "Real":
            raise self.scanner.error(f"{shorten(name)} has the sort {shorten(sort)}; only Real is supported.", start)
        if not _VARIABLE.fullmatch(name):
            raise self.scanner.error(
                f"the name {shorten(name)} is neither an input (X_0, X_1, ...) nor an output (Y_0, Y_1, ...).", start
            )
        if name in self.declared:
            raise self.scanner.error(
                f"{name} is declared twice, first at {self.scanner.position(self.declared[name])}.", start
            )
        if name[0] == "X" and self.conditions.output_used:
            raise self.scanner.error(
                f"{name} is declared after an assertion on outputs; declare all inputs first.", start
            )
        self.declared[name] = start
        self.conditions.index = {}

    def number_variables(self) -> None:
        """Give every declared variable its number; those of the outputs are final once an assertion uses one."""
        counts = {"X": 0, "Y": 0}
        for name in self.declared:
            counts[name[0]] += 1
        for letter, count in counts.items():
            for i in range(count):
                if f"{letter}_{i}" not in self.declared:
                    last, offset = max((int(n[2:]), at) for n, at in self.declared.items() if n[0] == letter)
                    raise self.scanner.error(f"{letter}_{last} is declared, but {letter}_{i} is not.", offset)
        self.inputs, self.outputs = counts["X"], counts["Y"]
        self.conditions.index = {name: int(name[2:]) + (self.inputs if name[0] == "Y" else 0) for name in self.declared}

    def check_bounded(self, formula: Formula) -> None:
        missing = missing_bounds(formula, frozenset((i, side) for i in range(self.inputs) for side in (False, True)))
        if missing:
            variable, upper = min(missing)
            name = f"X_{variable}"
            raise self.scanner.error(
                f"{name} has no {'upper' if upper else 'lower'} bound; assert one, such as "
                f"({'<=' if upper else '>='} {name} {'1.0' if upper else '-1.0'}), in every alternative.",
                self.declared[name],
            )
