"""Lines that enclose each neuron's activation on its interval.

SLiR's rule: a line is given by its slope alone, and its offset is found by shifting the line until it touches the
function (Kern, Antal, Ábráham, Sinz, arXiv 2606.20292).  For a hinge on ``[l, u]`` the function minus a line is
piecewise linear, so it takes its extremes at ``l``, at ``u`` or at the kink; of its two lines only the one through the
kink has a free slope.  For a curve both slopes are free, and :mod:`slir_milp.activations.shift` finds the offsets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import shift
from slir_milp.bounding.rounding import UNDERFLOW, UNIT
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Layer

_OUTWARD = 1.0 + 8.0 * UNIT
_SHARES = 128.0


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes proposed for the lines of a layer, shape ``(layer.size,)`` each; any values are safe.

    For a hinge only that of the line through the kink counts: the lower one of a convex, the upper of a concave hinge.
    """

    lower: Vector
    upper: Vector

    @staticmethod
    def same(slope: Vector) -> Slopes:
        """The same slopes for both sides."""
        return Slopes(slope, slope)


@dataclass(frozen=True, eq=False)
class Lines:
    """Per neuron: ``lower_slope·x + lower_offset ≤ f(x) ≤ upper_slope·x + upper_offset`` on its interval.

    ``lower_touch`` and ``upper_touch`` tell about where the free lines touch the function: the negative derivatives of
    the offsets by the slopes.
    """

    lower_slope: Vector
    lower_offset: Vector
    upper_slope: Vector
    upper_offset: Vector
    lower_touch: Vector
    upper_touch: Vector


def unstable(layer: Layer, lower: Vector, upper: Vector) -> NDArray[np.bool_]:
    """Mask of the neurons whose activation is not one line on ``[lower, upper]``."""
    mask = np.asarray((lower < 0) & (upper > 0) & (layer.negative_slope != layer.positive_slope))
    for curve, here in layer.curves:
        low, high = lower[here], upper[here]
        mask[here] = (low < high) & ~shift.is_line(curve.table, low, high)
    return mask


def start_slopes(layer: Layer, lower: Vector, upper: Vector) -> Slopes:
    """Good slopes: the longer half-line of a hinge, and the lines of least area of a curve.

    A half-line that is as long as the other but for rounding does not count as longer, so that everybody who bounds a
    region chooses alike.
    """
    with np.errstate(over="ignore"):
        longer = np.where(upper > -lower * (1.0 + 2.0**-20), layer.positive_slope, layer.negative_slope)
    slopes = Slopes(longer, longer.copy())
    for curve, here in layer.curves:
        slopes.lower[here] = shift.below(curve.table, lower[here], upper[here]).slope
        slopes.upper[here] = shift.above(curve.table, lower[here], upper[here]).slope
    return slopes


def shared_slopes(layer: Layer, slope: Vector) -> Vector:
    """The nearest slopes that the ascent gives to hinges: multiples of 1/128 of the way from the left to the right."""
    left, right = layer.negative_slope, layer.positive_slope
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share = np.clip(np.floor(_SHARES * (slope - left) / (right - left) + 0.5), 0.0, _SHARES)
        between = left + (right - left) * (share / _SHARES)
    return np.where(share == 0.0, left, np.where(share == _SHARES, right, between))


def slope_range(layer: Layer, lower: Vector, upper: Vector) -> tuple[Vector, Vector]:
    """Least and greatest slope that a free line of each neuron may sensibly have."""
    least = np.minimum(layer.negative_slope, layer.positive_slope)
    greatest = np.maximum(layer.negative_slope, layer.positive_slope)
    for curve, here in layer.curves:
        least[here], greatest[here] = shift.slope_range(curve.table, lower[here], upper[here])
    return least, greatest


def chord_slope(layer: Layer, lower: Vector, upper: Vector) -> Vector:
    """Slope of the line through both end points of the graph of a hinge; meaningful for unstable ones only."""
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.where(upper > lower, upper - lower, 1.0)
        slope = (layer.positive_slope * upper - layer.negative_slope * lower) / width
    least = np.minimum(layer.negative_slope, layer.positive_slope)
    greatest = np.maximum(layer.negative_slope, layer.positive_slope)
    return np.clip(np.nan_to_num(slope, nan=0.0), least, greatest)


def shifted_offset(layer: Layer, slope: Vector, lower: Vector, upper: Vector) -> Vector:
    """Height above or below the kink at which a line of this slope encloses both ends of the hinge.

    For a slope between the two of the hinge, ``f(x) − slope·x`` has the sign of the hinge's curvature at both ends and
    is zero at the kink: the line through the farther end encloses the graph.  The result is rounded away from zero.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        right = np.abs(layer.positive_slope - slope) * upper
        left = np.abs(slope - layer.negative_slope) * -lower
        height = np.maximum(right, left) * _OUTWARD + UNDERFLOW
    convex = layer.positive_slope > layer.negative_slope
    return np.where(convex, height, -height)


def enclose(layer: Layer, lower: Vector, upper: Vector, slopes: Slopes | None = None) -> Lines:
    """Both lines of every neuron of a layer.

    Parameters
    ----------
    layer
        The layer.
    lower, upper
        Sound bounds of the pre-activations; shape ``(layer.size,)`` each, finite where a hinge is unstable.
    slopes
        Slopes of the free lines.  A hinge's is made valid by clipping it into the hinge's two slopes; a curve's line is
        valid with any slope, and one that is no finite number becomes zero.  ``None``: :func:`start_slopes`.
    """
    negative, positive = layer.negative_slope, layer.positive_slope
    if slopes is None:
        slopes = start_slopes(layer, lower, upper)
    open_neurons = (lower < 0) & (upper > 0) & (negative != positive) & ~layer.is_curved
    fixed = np.where(lower >= 0, positive, negative)
    least, greatest = np.minimum(negative, positive), np.maximum(negative, positive)
    convex = positive > negative
    # fmin and fmax pass over NaN, which may be proposed too.
    kink = np.fmin(np.fmax(np.where(convex, slopes.lower, slopes.upper), least), greatest)
    kink = np.where(open_neurons, kink, fixed)
    chord = np.where(open_neurons, chord_slope(layer, lower, upper), fixed)
    offset = np.where(open_neurons, shifted_offset(layer, chord, lower, upper), 0.0)
    zero = np.zeros_like(offset)
    lines = Lines(
        lower_slope=np.where(convex, kink, chord),
        lower_offset=np.where(convex, zero, offset),
        upper_slope=np.where(convex, chord, kink),
        upper_offset=np.where(convex, offset, zero),
        lower_touch=zero.copy(),
        upper_touch=zero.copy(),
    )
    for curve, here in layer.curves:
        below = shift.below(curve.table, lower[here], upper[here], _finite(slopes.lower[here]))
        above = shift.above(curve.table, lower[here], upper[here], _finite(slopes.upper[here]))
        lines.lower_slope[here], lines.lower_offset[here], lines.lower_touch[here] = below.slope, below.offset, below.at
        lines.upper_slope[here], lines.upper_offset[here], lines.upper_touch[here] = above.slope, above.offset, above.at
    return lines


def _finite(slope: Vector) -> Vector:
    return np.where(np.isfinite(slope), slope, 0.0)
