"""Lines that touch the convex hull of a curve where a solution leaves it."""

from __future__ import annotations

import numpy as np

from slir_milp.activations import shift
from slir_milp.activations.table import Table
from slir_milp.lp.curves import Bands, Indices, Mask, in_band
from slir_milp.network.affine import Vector

_TURNS = 10
"""Most turns of a line until it touches; each about quarters its distance."""
_TOUCHING = 1e-7
"""Distance, relative to the hull's height between the contacts, from which a line counts as touching."""


def violated(
    bands: Bands, e: Vector, chi: Vector, below: Mask, above: Mask, tolerance: float
) -> tuple[Indices, Mask, Vector]:
    """Lines that touch the hulls at a solution, where it is outside of them.

    Parameters
    ----------
    bands
        The bands.
    e, chi
        The solution, one number for each band.
    below, above
        Which bands' lower and upper hulls to look at.
    tolerance
        Least violation, in units of ``e``.

    Returns
    -------
    tuple
        Bands, sides and slopes, for :func:`slir_milp.lp.curves.rows_of`.
    """
    at = np.clip(bands.middle + bands.radius * chi, bands.lower, bands.upper)
    found: list[tuple[Indices, Mask, Vector]] = []
    for side, chosen in ((True, below), (False, above)):
        of = np.flatnonzero(chosen & bands.thick)
        slope, offset = np.zeros(len(of)), np.full(len(of), np.nan)
        for table, members in bands.tables:
            mine = np.flatnonzero(np.isin(of, members))
            here = of[mine]
            slope[mine], offset[mine] = supporting(table, side, bands.lower[here], bands.upper[here], at[here])
        tilt, height = in_band(bands, of, slope, offset)
        with np.errstate(invalid="ignore"):
            excess = tilt * chi[of] + height - e[of]
            outside = (excess if side else -excess) > tolerance
        found.append((of[outside], np.full(int(outside.sum()), side), slope[outside]))
    (a, b, c), (p, q, r) = found
    return np.concatenate([a, p]), np.concatenate([b, q]), np.concatenate([c, r])


def supporting(table: Table, below: bool, lower: Vector, upper: Vector, at: Vector) -> tuple[Vector, Vector]:
    """Slopes and offsets of lines that touch the convex hull of a function's graph at given places.

    As for the least area, which is the place in the middle: a line that touches the function left (right) of the place
    becomes the left (right) contact, and the next slope is that of the chord of both contacts.
    """
    shifted, sign = (shift.below, -1.0) if below else (shift.above, 1.0)
    left, right = lower, upper
    with np.errstate(all="ignore"):
        left_value, right_value = shift.values(table, left)[0], shift.values(table, right)[0]
        best = shift.values(table, at)[1]
        best = np.where(np.isfinite(best), best, 0.0)
        line = shifted(table, lower, upper, best)
        best_offset, slope = line.offset, best
        for _ in range(_TURNS):
            # A point of the hull's other side: how far the best line may be from touching.
            touch, value = line.at, line.offset + slope * line.at
            is_left = touch < at
            left, left_value = np.where(is_left, touch, left), np.where(is_left, value, left_value)
            right, right_value = np.where(is_left, right, touch), np.where(is_left, right_value, value)
            chord = (right_value - left_value) / (right - left)
            gap = sign * (best_offset + best * at - (left_value + chord * (at - left)))
            size = np.abs(right_value - left_value) + np.abs(chord) * (right - left)
            if not (gap > _TOUCHING * size).any():
                break
            slope = np.where(np.isfinite(chord), chord, best)
            line = shifted(table, lower, upper, slope)
            better = sign * (line.offset + slope * at - best_offset - best * at) < 0
            best, best_offset = np.where(better, slope, best), np.where(better, line.offset, best_offset)
    return best, best_offset
