"""Lines shifted until they touch, many intervals at once: the compiled twin of :mod:`slir_milp.activations.touch`."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import _shift  # type: ignore[attr-defined]
from slir_milp.activations.table import Table, Vector

_COMPILED: weakref.WeakKeyDictionary[Table, _shift.Compiled] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Shifted:
    """Lines ``slope·x + offset`` on one side of a function, and about where they touch it; shape ``(n,)`` each."""

    slope: Vector
    offset: Vector
    at: Vector


def compiled(table: Table) -> _shift.Compiled:
    """Table as the compiled code reads it; made once."""
    found = _COMPILED.get(table)
    if found is None:
        segments = np.column_stack(
            [
                table.centre,
                table.coefficients,
                table.error_low,
                table.error_high,
                table.slope_error,
                table.slope_low,
                table.slope_high,
                table.low,
                table.high,
            ]
        )
        piece = np.repeat(np.arange(len(table.piece_curvature)), np.diff(table.piece_first))
        found = _shift.Compiled(
            *(
                np.ascontiguousarray(v, dtype=np.float64)
                for v in (table.knots, table.knot_low, table.knot_high, segments)
            ),
            np.ascontiguousarray(table.piece_first, dtype=np.int32),
            np.ascontiguousarray(table.piece_curvature, dtype=np.int8),
            piece.astype(np.int32),
        )
        _COMPILED[table] = found
    return found


def above(table: Table, lower: Vector, upper: Vector, slope: Vector | None = None) -> Shifted:
    """Lines above a function on intervals.

    Parameters
    ----------
    table
        The function.
    lower, upper
        Ends of the intervals, shape ``(n,)``, ``lower ≤ upper``; infinite ones are allowed.
    slope
        Slopes; ``None`` for those that leave the least area between line and function.

    Returns
    -------
    Shifted
        ``f(x) ≤ slope·x + offset`` for every real ``x`` of each interval; the offset is infinite if nothing is known.
    """
    return _shifted(1.0, table, lower, upper, slope)


def below(table: Table, lower: Vector, upper: Vector, slope: Vector | None = None) -> Shifted:
    """Lines below a function on intervals; see :func:`above`."""
    mirrored = _shifted(-1.0, table, lower, upper, None if slope is None else -np.asarray(slope))
    return Shifted(-mirrored.slope, -mirrored.offset, mirrored.at)


def _shifted(sign: float, table: Table, lower: Vector, upper: Vector, slope: Vector | None) -> Shifted:
    code = compiled(table)
    low, high = _vector(lower), _vector(upper)
    if slope is None:
        return Shifted(*code.least_area(sign, low, high))
    slopes = _vector(slope)
    return Shifted(slopes, *code.offsets(sign, slopes, low, high))


def slope_range(table: Table, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Least and greatest slope that a line on each interval may sensibly have."""
    least, greatest = compiled(table).slopes(_vector(lower), _vector(upper))
    return least, greatest


def is_line(table: Table, lower: Vector, upper: Vector) -> NDArray[np.bool_]:
    """Whether the function is proven to be one line on each interval."""
    return np.asarray(compiled(table).is_line(_vector(lower), _vector(upper)))


def values(table: Table, x: Vector) -> tuple[Vector, Vector]:
    """Values and slopes at points in plain float64: no bounds."""
    flat = _vector(np.ravel(x))
    value, slope = compiled(table).values(flat)
    return value.reshape(np.shape(x)), slope.reshape(np.shape(x))


def _vector(x: Vector) -> Vector:
    return np.ascontiguousarray(x, dtype=np.float64)
