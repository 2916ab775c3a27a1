"""Lines that enclose each neuron's activation on its interval.

SLiR's rule: a line is given by its slope alone, and its offset is found by shifting the line until it touches the
function (Kern, Antal, Ábráham, Sinz, arXiv 2606.20292).  For a hinge on ``[l, u]`` the function minus a line is
piecewise linear, so it takes its extremes at ``l``, at ``u`` or at the kink.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from slir_milp.bounds.rounding import UNDERFLOW, UNIT
from slir_milp.network.affine import Vector
from slir_milp.network.normal_form import Layer

_OUTWARD = 1.0 + 8.0 * UNIT


@dataclass(frozen=True, eq=False)
class Lines:
    """Per neuron: ``lower_slope·x + lower_offset ≤ f(x) ≤ upper_slope·x + upper_offset`` on its interval."""

    lower_slope: Vector
    lower_offset: Vector
    upper_slope: Vector
    upper_offset: Vector


def unstable(layer: Layer, lower: Vector, upper: Vector) -> NDArray[np.bool_]:
    """Mask of the neurons whose activation is not one line on ``[lower, upper]``."""
    return np.asarray((lower < 0) & (upper > 0) & (layer.negative_slope != layer.positive_slope))


def chord_slope(layer: Layer, lower: Vector, upper: Vector) -> Vector:
    """Slope of the line through both end points of the graph; meaningful for unstable neurons only."""
    with np.errstate(over="ignore", invalid="ignore"):
        width = np.where(upper > lower, upper - lower, 1.0)
        slope = (layer.positive_slope * upper - layer.negative_slope * lower) / width
    least = np.minimum(layer.negative_slope, layer.positive_slope)
    greatest = np.maximum(layer.negative_slope, layer.positive_slope)
    return np.clip(np.nan_to_num(slope, nan=0.0), least, greatest)


def start_slope(layer: Layer, lower: Vector, upper: Vector) -> Vector:
    """A good slope for the line on the kink's side: that of the longer of the two half-lines."""
    return np.where(upper > -lower, layer.positive_slope, layer.negative_slope)


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


def enclose(layer: Layer, lower: Vector, upper: Vector, kink_slope: Vector | None = None) -> Lines:
    """Both lines of every neuron of a layer.

    Parameters
    ----------
    layer
        The layer.
    lower, upper
        Sound bounds of the pre-activations; shape ``(layer.size,)`` each, finite where the neuron is unstable.
    kink_slope
        Slopes of the lines through the kink (lower lines of convex hinges, upper ones of concave hinges); any value is
        made valid by clipping it into the hinge's two slopes.  ``None``: :func:`start_slope`.
    """
    negative, positive = layer.negative_slope, layer.positive_slope
    open_neurons = unstable(layer, lower, upper)
    fixed = np.where(lower >= 0, positive, negative)
    if kink_slope is None:
        kink_slope = start_slope(layer, lower, upper)
    least, greatest = np.minimum(negative, positive), np.maximum(negative, positive)
    # fmin and fmax pass over NaN, which may be proposed too.
    kink = np.where(open_neurons, np.fmin(np.fmax(kink_slope, least), greatest), fixed)
    chord = np.where(open_neurons, chord_slope(layer, lower, upper), fixed)
    offset = np.where(open_neurons, shifted_offset(layer, chord, lower, upper), 0.0)
    convex = positive > negative
    zero = np.zeros_like(offset)
    return Lines(
        lower_slope=np.where(convex, kink, chord),
        lower_offset=np.where(convex, zero, offset),
        upper_slope=np.where(convex, chord, kink),
        upper_offset=np.where(convex, offset, zero),
    )
