"""Boxes of inputs with exact ends, and the floating-point boxes around and inside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import QueryError
from slir_milp.query.formula import Atom
from slir_milp.query.numbers import round_down, round_up, to_fraction

Vector: TypeAlias = NDArray[np.float64]
Grid: TypeAlias = NDArray[np.floating[Any]]
End: TypeAlias = tuple[Fraction, bool]
"""An end of an interval, and whether it is strict (itself excluded)."""

_PASSES = 3
_LEAST_GAIN = Fraction(1, 1024)
"""Share of an interval that a cut must take off to be worth its place in a proof."""


@dataclass(frozen=True)
class Box:
    """A product of non-empty bounded intervals, one for every input.

    Attributes
    ----------
    lower_ends, upper_ends
        The two ends of every input's interval, exact.
    """

    lower_ends: tuple[End, ...]
    upper_ends: tuple[End, ...]

    @cached_property
    def lower(self) -> Vector:
        """Shape ``(inputs,)``: the largest float64 numbers below (or at) the lower ends; read-only."""
        return _frozen([round_down(value) for value, _ in self.lower_ends])

    @cached_property
    def upper(self) -> Vector:
        """Shape ``(inputs,)``: the smallest float64 numbers above (or at) the upper ends; read-only."""
        return _frozen([round_up(value) for value, _ in self.upper_ends])

    def contains(self, x: Sequence[Fraction | float]) -> bool:
        """Whether a point lies in the box, exactly; strict ends are excluded.

        Raises
        ------
        QueryError
            ``x`` has the wrong length.
        """
        if len(x) != len(self.lower_ends):
            raise QueryError(f"a point has {len(x)} inputs, but the box has {len(self.lower_ends)}.")
        for number, (lower, above), (upper, below) in zip(x, self.lower_ends, self.upper_ends, strict=True):
            value = to_fraction(number)
            if value < lower or value > upper or (above and value == lower) or (below and value == upper):
                return False
        return True

    def inside(self, dtype: type[np.floating[Any]]) -> GridBox:
        """Numbers of a floating-point type within the box."""
        with np.errstate(over="ignore", under="ignore"):
            lower = [_first_at_least(value, strict, dtype) for value, strict in self.lower_ends]
            upper = [-_first_at_least(-value, strict, dtype) for value, strict in self.upper_ends]
        low, high = np.array(lower, dtype=dtype) + 0, np.array(upper, dtype=dtype) + 0  # (0 makes -0 positive)
        return GridBox(low, high, low <= high)


@dataclass(frozen=True, eq=False)
class GridBox:
    """Least and greatest floating-point number within every input's exact interval.

    Attributes
    ----------
    lower, upper
        Shape ``(inputs,)``, float32 or float64; where ``exists`` is false, ``lower > upper`` and both lie outside.
    exists
        Shape ``(inputs,)``: whether any such number lies in the interval.
    """

    lower: Grid
    upper: Grid
    exists: NDArray[np.bool_]


@dataclass(frozen=True)
class Cut:
    """A part of a box that a single inequality on the inputs excludes.

    Attributes
    ----------
    input, value
        Where the box is cut in two.
    above
        Whether the part above ``value`` is the one that is excluded.
    row
        Number of the inequality: it is positive on all of that part, both ends included.
    """

    input: int
    value: float
    above: bool
    row: int


@dataclass(frozen=True)
class Remainder:
    """What cuts leave of a box.

    Attributes
    ----------
    box
        The rest.
    cuts
        How it came about, in this order.
    excluded_by
        Number of an inequality that excludes the rest, too: it is positive there, or zero at least where it or the end
        of an input's interval is strict; ``None`` if none does.
    strict_input
        The input with the strict end, where that is needed.
    """

    box: Box
    cuts: tuple[Cut, ...]
    excluded_by: int | None = None
    strict_input: int | None = None


def is_empty(lower: End, upper: End) -> bool:
    """Whether no number lies between two ends."""
    return lower[0] > upper[0] or (lower[0] == upper[0] and (lower[1] or upper[1]))


def tighten(box: Box, rows: Sequence[Atom]) -> Box | None:
    """Shrink a box by what linear inequalities on the inputs imply for each input alone; exact.

    Parameters
    ----------
    box
        The box to start from.
    rows
        Inequalities on inputs only.  They are not made superfluous by the new box.

    Returns
    -------
    Box or None
        A box that contains every point of the given one that meets the rows; ``None`` if there is none.
    """
    lower, upper = list(box.lower_ends), list(box.upper_ends)
    changed = bool(rows)
    for _ in range(_PASSES):
        if not changed:
            break
        changed = False
        for row in rows:
            least, stricts, ends = _least(row, lower, upper)
            if least > 0 or (least == 0 and stricts):
                return None
            for (i, a), (end, strict) in zip(row.terms, ends, strict=True):
                bound = (end - least / a, stricts > strict)
                if a > 0 and is_tighter_upper(bound, upper[i]):
                    upper[i] = bound
                elif a < 0 and is_tighter_lower(bound, lower[i]):
                    lower[i] = bound
                else:
                    continue
                changed = True
                if is_empty(lower[i], upper[i]):
                    return None
    tightened = Box(tuple(lower), tuple(upper))
    return box if tightened == box else tightened


def cut(box: Box, rows: Sequence[Atom]) -> Remainder:
    """Like :func:`tighten`, but by cuts at float64 numbers, each of which a single inequality proves by itself.

    They are rounded so that a little less is cut off than could be, and left out where they gain next to nothing.  The
    inequalities are numbered as they are given.
    """
    lower, upper = list(box.lower_ends), list(box.upper_ends)
    cuts: list[Cut] = []
    changed = bool(rows)
    for _ in range(_PASSES):
        if not changed:
            break
        changed = False
        for r, row in enumerate(rows):
            least, stricts, ends = _least(row, lower, upper)
            if least > 0 or (least == 0 and stricts):
                needed = [i for (i, _), (_, strict) in zip(row.terms, ends, strict=True) if strict]
                needs_end = least == 0 and not row.strict
                return Remainder(_remaining(box, lower, upper), tuple(cuts), r, needed[0] if needs_end else None)
            for (i, a), (end, _) in zip(row.terms, ends, strict=True):
                value = _beyond(end - least / a, above=a > 0)
                if not math.isfinite(value):
                    continue
                new, gain = Fraction(value), (upper[i][0] - lower[i][0]) * _LEAST_GAIN
                if a > 0 and new < upper[i][0] - gain:
                    upper[i] = (new, False)
                elif a < 0 and new > lower[i][0] + gain:
                    lower[i] = (new, False)
                else:
                    continue
                changed = True
                cuts.append(Cut(i, value, a > 0, r))
    return Remainder(_remaining(box, lower, upper), tuple(cuts))


def _remaining(box: Box, lower: list[End], upper: list[End]) -> Box:
    remaining = Box(tuple(lower), tuple(upper))
    return box if remaining == box else remaining


def _least(row: Atom, lower: Sequence[End], upper: Sequence[End]) -> tuple[Fraction, int, list[End]]:
    """Least value of a row's left side over a box, how many strict ends (or rows) it takes, and these ends.

    For each input, the row is hardest to meet where all others are at the end that makes it smallest.
    """
    ends = [lower[i] if a > 0 else upper[i] for i, a in row.terms]
    least = row.constant + sum(a * end for (_, a), (end, _) in zip(row.terms, ends, strict=True))
    return least, sum(strict for _, strict in ends) + row.strict, ends


def _beyond(value: Fraction, *, above: bool) -> float:
    """The first float64 number truly above (or below) a value."""
    number = round_up(value) if above else round_down(value)
    if math.isfinite(number) and Fraction(number) == value:
        number = math.nextafter(number, math.inf if above else -math.inf)
    return number


def is_tighter_upper(new: End, old: End) -> bool:
    """Whether a new upper end excludes something that the old one does not."""
    return new[0] < old[0] or (new[0] == old[0] and new[1] and not old[1])


def is_tighter_lower(new: End, old: End) -> bool:
    """Whether a new lower end excludes something that the old one does not."""
    return new[0] > old[0] or (new[0] == old[0] and new[1] and not old[1])


def _first_at_least(value: Fraction, strict: bool, dtype: type[np.floating[Any]]) -> np.floating[Any]:
    """Smallest number of a type that is at least a value (greater than it, if strict); may be infinite."""
    number = dtype(round_up(value))  # to nearest: at most one step off, on either side
    while not _admits(float(number), value, strict):
        number = np.nextafter(number, dtype(np.inf))
    while _admits(float(before := np.nextafter(number, dtype(-np.inf))), value, strict):
        number = before
    return number


def _admits(number: float, value: Fraction, strict: bool) -> bool:
    if math.isinf(number):
        return number > 0
    exact = Fraction(number)
    return exact > value or (exact == value and not strict)


def _frozen(values: list[float]) -> Vector:
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array
