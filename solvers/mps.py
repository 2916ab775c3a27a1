"""Programs as MPS files in free format, exact to the last bit.

Numbers are written with as many digits as tell them apart (up to 17), so that whoever reads decimals correctly gets
the same float64 numbers.  Columns are ``c0``, ``c1``, …, rows ``r0``, ``r1``, … and the objective is ``obj``; every
bound is written out, since readers differ in what they assume.

The reader takes back what the writer writes, to the bit, entries of zero included; it is no reader for any MPS file.

The format: section "MPS format" of the documentation of any solver; what differs between solvers (a negative upper
bound without a lower one, ranges of equations, the sign of the objective's constant) is not made use of, but for the
constant, which is the negative right-hand side of the objective, as in HiGHS, CPLEX and SCIP.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from slir_milp.errors import SlirError
from slir_milp.solvers.protocol import LinearProgram, SolverError, Vector

_SECTIONS = ("ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS", "ENDATA")


def write_mps(program: LinearProgram, path: Path, *, name: str = "program", comments: Iterable[str] = ()) -> None:
    """Write a program; the file appears complete or not at all.

    Parameters
    ----------
    program
        The program; the entries of a row may stand in any order, but no position twice.
    path
        The file.
    name
        A word for the file's first line.
    comments
        Lines to begin with.

    Raises
    ------
    SolverError
        A row between two sides that are no float64 sum of one and a range: the format has no room for it.
    OSError
        The file cannot be written.
    """
    scratch = path.with_name(f".{path.name}.part")
    try:
        with open(scratch, "w", encoding="ascii", errors="replace", newline="\n") as file:
            file.writelines(f"* {line}\n" for line in comments)
            file.write(f"NAME {name}\n")
            file.writelines(f"{line}\n" for line in _lines(program))
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def _lines(program: LinearProgram) -> Iterator[str]:
    """Everything after the name."""
    kinds, sides, ranges = _rows(program)
    yield "ROWS"
    yield " N obj"
    yield from (f" {kind} r{i}" for i, kind in enumerate(kinds))
    yield "COLUMNS"
    yield from _columns(program)
    yield "RHS"
    if program.offset:
        yield f" rhs obj {-program.offset!r}"
    yield from (f" rhs r{i} {side!r}" for i, side in enumerate(sides) if _is_written(side))
    if ranges:
        yield "RANGES"
        yield from (f" range r{i} {width!r}" for i, width in ranges)
    yield "BOUNDS"
    for j, (low, high) in enumerate(zip(program.column_lower.tolist(), program.column_upper.tolist(), strict=True)):
        if low == high and math.copysign(1.0, low) == math.copysign(1.0, high):
            yield f" FX bound c{j} {low!r}"
        elif low == -math.inf and high == math.inf:
            yield f" FR bound c{j}"
        else:
            yield f" MI bound c{j}" if low == -math.inf else f" LO bound c{j} {low!r}"
            yield f" PL bound c{j}" if high == math.inf else f" UP bound c{j} {high!r}"
    yield "ENDATA"


def _columns(program: LinearProgram) -> Iterator[str]:
    order = np.lexsort((program.row_of_entry, program.indices))
    rows, values = program.row_of_entry[order].tolist(), program.values[order].tolist()
    ends = np.searchsorted(program.indices[order], np.arange(program.columns + 1)).tolist()
    integral = np.zeros(program.columns, dtype=np.bool_) if program.integral is None else program.integral
    inside = False
    for j, (cost, whole) in enumerate(zip(program.costs.tolist(), integral.tolist(), strict=True)):
        if whole != inside:
            yield f" marker 'MARKER' '{'INTORG' if whole else 'INTEND'}'"
            inside = whole
        if _is_written(cost) or ends[j] == ends[j + 1]:
            yield f" c{j} obj {cost!r}"
        yield from (f" c{j} r{rows[k]} {values[k]!r}" for k in range(ends[j], ends[j + 1]))
    if inside:
        yield " marker 'MARKER' 'INTEND'"


def _rows(program: LinearProgram) -> tuple[list[str], list[float], list[tuple[int, float]]]:
    """Kinds and right-hand sides of all rows, and the ranges of those between two sides."""
    kinds, sides, ranges = [], [], []
    for i, (low, high) in enumerate(zip(program.row_lower.tolist(), program.row_upper.tolist(), strict=True)):
        if low == high:
            kind, side = "E", low
        elif low == -math.inf:
            kind, side = ("N", 0.0) if high == math.inf else ("L", high)
        elif high == math.inf:
            kind, side = "G", low
        else:
            kind, side = ("G", low) if abs(low) <= abs(high) else ("L", high)
            ranges.append((i, _range(i, low, high, kind)))
        kinds.append(kind)
        sides.append(side)
    return kinds, sides, ranges


def _range(row: int, low: float, high: float, kind: str) -> float:
    """The width of a row that, added to one side in float64, gives the other."""
    first = high - low
    for width in (first, math.nextafter(first, math.inf), math.nextafter(first, 0.0)):
        if math.isfinite(width) and (low + width == high if kind == "G" else high - width == low):
            return width
    raise SolverError(f"row {row} lies between {low!r} and {high!r}, which an MPS file cannot say exactly.")


def _is_written(number: float) -> bool:
    """Whether a number differs from what a reader takes an absent one for, the sign of zero included."""
    return number != 0 or math.copysign(1.0, number) < 0


def read_mps(path: Path) -> LinearProgram:
    """Read a file that :func:`write_mps` has written.

    Returns
    -------
    LinearProgram
        With the entries of each row in the order of their columns.

    Raises
    ------
    SlirError
        The file cannot be read, or is no such file.
    """
    try:
        with open(path, encoding="ascii") as file:
            return _Reader().program(file)
    except OSError as error:
        raise SlirError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, IndexError, KeyError) as error:
        raise SlirError(f"{path} is no MPS file as slir-milp writes it: {error}.") from error


class _Reader:
    """Collects what the lines of a file say."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.costs: dict[int, float] = {}
        self.entries: tuple[list[int], list[int], list[float]] = ([], [], [])
        self.sides: dict[int, float] = {}
        self.ranges: dict[int, float] = {}
        self.lower: dict[int, float] = {}
        self.upper: dict[int, float] = {}
        self.whole: dict[int, bool] = {}
        self.offset = 0.0
        self.is_whole = False

    def program(self, file: IO[str]) -> LinearProgram:
        section = ""
        for line in file:
            words = line.split()
            if not words or line[0] == "*" or words[0] == "NAME":
                continue
            if line[0] != " ":
                section = words[0]
                if section not in _SECTIONS:
                    raise ValueError(f"there is a section '{section}'")
                continue
            self._take(section, words)
        if section != "ENDATA":
            raise ValueError("it has no end")
        return self._finished()

    def _take(self, section: str, words: list[str]) -> None:
        match section:
            case "ROWS":
                if words[1] != "obj":
                    if words[1] != f"r{len(self.kinds)}":
                        raise ValueError(f"there is a row '{words[1]}'")
                    self.kinds.append(words[0])
            case "COLUMNS" if words[1] == "'MARKER'":
                self.is_whole = words[2] == "'INTORG'"
            case "COLUMNS":
                column = int(words[0].removeprefix("c"))
                self.whole[column] = self.is_whole
                if words[1] == "obj":
                    self.costs[column] = float(words[2])
                else:
                    row = int(words[1].removeprefix("r"))
                    rows, columns, values = self.entries
                    rows.append(row)
                    columns.append(column)
                    values.append(float(words[2]))
            case "RHS" if words[1] == "obj":
                self.offset = -float(words[2])
            case "RHS":
                self.sides[int(words[1].removeprefix("r"))] = float(words[2])
            case "RANGES":
                self.ranges[int(words[1].removeprefix("r"))] = float(words[2])
            case "BOUNDS":
                self._bound(words)
            case _:
                raise ValueError(f"a line begins with '{words[0]}'")

    def _bound(self, words: list[str]) -> None:
        column = int(words[2].removeprefix("c"))
        match words[0]:
            case "FX":
                self.lower[column] = self.upper[column] = float(words[3])
            case "FR":
                self.lower[column], self.upper[column] = -math.inf, math.inf
            case "MI":
                self.lower[column] = -math.inf
            case "PL":
                self.upper[column] = math.inf
            case "LO":
                self.lower[column] = float(words[3])
            case "UP":
                self.upper[column] = float(words[3])
            case kind:
                raise ValueError(f"there is a bound '{kind}'")

    def _finished(self) -> LinearProgram:
        columns, rows = len(self.whole), len(self.kinds)
        where, which, values = (np.array(part) for part in self.entries)
        where, which = where.astype(np.int64), which.astype(np.int64)
        order = np.lexsort((which, where))
        starts = np.zeros(rows + 1, dtype=np.int32)
        np.cumsum(np.bincount(where, minlength=rows), out=starts[1:])
        low, high = np.empty(rows), np.empty(rows)
        for i, kind in enumerate(self.kinds):
            side, width = self.sides.get(i, 0.0), self.ranges.get(i)
            low[i] = side if kind in "EG" else -math.inf if width is None or kind == "N" else side - width
            high[i] = side if kind in "EL" else math.inf if width is None or kind == "N" else side + width
        integral = np.array([self.whole[j] for j in range(columns)], dtype=np.bool_)

        def every(found: dict[int, float]) -> Vector:
            return np.array([found[j] for j in range(columns)], dtype=np.float64)

        return LinearProgram(
            costs=np.array([self.costs.get(j, 0.0) for j in range(columns)], dtype=np.float64),
            column_lower=every(self.lower),
            column_upper=every(self.upper),
            row_lower=low,
            row_upper=high,
            starts=starts,
            indices=which[order].astype(np.int32),
            values=values[order].astype(np.float64),
            integral=integral if integral.any() else None,
            offset=self.offset,
        )
