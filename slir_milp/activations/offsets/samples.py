"""Samples of a function, and the table that samples and bounds on difference quotients make together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from slir_milp.activations.outward import add_down, add_up, rise_up
from slir_milp.activations.table import DEGREE, Table, Vector, evaluation_error
from slir_milp.errors import OptionError

Function = Callable[[Vector], Vector]

NOWHERE = (-np.inf, np.inf)
"""A range that claims nothing."""

ULPS = 4
"""Units in the last place by which a sampled value may miss the true one, beside what the caller states."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Enclosures ``low ≤ f ≤ high`` at increasing numbers ``x``, and the values that were computed; shape ``(n,)``."""

    x: Vector
    value: Vector
    low: Vector
    high: Vector


def evaluate(function: Function, x: Vector) -> Vector:
    """Values of a caller's function, for an array at once or else one by one.

    Raises
    ------
    OptionError
        If it raises, or a value is no real number; names the point.
    """
    try:
        with np.errstate(all="ignore"):
            value = np.asarray(function(x), dtype=np.float64)
        if value.shape != x.shape:
            raise ValueError("another shape")
    except (Exception, SystemExit):  # whatever a caller's function raises, it may do better with single numbers
        value = np.array([_evaluate_one(function, at) for at in x.ravel().tolist()]).reshape(x.shape)
    wrong = ~np.isfinite(value)
    if wrong.any():
        raise OptionError(
            f"the function has the value {value[wrong][0]} at {x[wrong][0]}; it must be finite where it is computed."
        )
    return value


def _evaluate_one(function: Callable[..., object], x: float) -> float:
    try:
        with np.errstate(all="ignore"):
            return float(np.asarray(function(x), dtype=np.float64).reshape(()))
    except (Exception, SystemExit) as error:  # whatever a caller's function may raise
        raise OptionError(f"the function cannot be computed at {x}: {type(error).__name__}: {error}.") from error


def take(function: Function, x: Vector, error: float) -> Samples:
    """Sample a function at increasing numbers; each value is believed within ``error`` and :data:`ULPS` ulp."""
    value = evaluate(function, x)
    radius = (error + np.abs(value) * (ULPS + 1) * 2.0**-52) * (1 + 2.0**-50) + 2.0**-1000
    return Samples(x, value, np.asarray(add_down(value, -radius)), np.asarray(add_up(value, radius)))


def grid(lower: float, upper: float, samples: int) -> Vector:
    """Evenly spread float64 numbers, both ends included.

    Raises
    ------
    OptionError
        If the interval or the number makes no sense.
    """
    if not (np.isfinite(lower) and np.isfinite(upper) and lower < upper):
        raise OptionError(f"a function is sampled on a finite interval; [{lower}, {upper}] is none.")
    if samples < 2:
        raise OptionError(f"{samples} sample(s) are too few; take at least 2.")
    share = np.linspace(0.0, 1.0, samples)
    return np.unique(np.clip(lower * (1.0 - share) + upper * share, lower, upper))


def sawtooth(
    samples: Samples,
    slopes: tuple[Vector, Vector],
    values: tuple[float, float],
    left_slopes: tuple[float, float],
    right_slopes: tuple[float, float],
    chord_errors: tuple[Vector, Vector] | None = None,
) -> Table:
    """Table of a function that is known at samples, and between them by the range of its difference quotients.

    Between ``a`` and ``b``, with quotients in ``[g, h]``, ``f`` is at most ``F(a) + h·(x − a)`` and ``F(b) − g·(b −
    x)``; so for any ``y`` of the segment it is at most the larger of ``F(a) + max(0, h)·(y − a)`` and ``F(b) + max(0,
    −g)·(b − y)``: the least of these, where both are equal, is the highest value it may take.

    Parameters
    ----------
    samples
        At ``n`` knots.
    slopes
        Least and greatest difference quotient on each segment, shape ``(n − 1,)`` each.
    values
        Range of all values, infinite where unknown.
    left_slopes, right_slopes
        Ranges of the difference quotients beyond the samples, infinite where unknown.
    chord_errors
        ``f`` is at least the segment's chord minus the first and at most the chord plus the second, in real arithmetic
        and for exact samples; shape ``(n − 1,)`` each.
    """
    low, high = (np.asarray(s, dtype=np.float64) for s in slopes)
    x, width = samples.x, np.diff(samples.x)
    top = _crest(samples.high, low, high, x)
    bottom = -_crest(-samples.low, -high, -low, x)
    m = len(x) + 1
    coefficients = np.zeros((m, DEGREE + 1))
    coefficients[1:-1, 0] = samples.value[:-1]
    with np.errstate(all="ignore"):
        chord = np.diff(samples.value) / width
    usable = np.isfinite(chord)
    coefficients[1:-1, 1] = np.where(usable, chord, 0.0)
    errors = np.full((3, m), np.inf)
    if chord_errors is not None:
        value_error, _ = evaluation_error(coefficients[1:-1], width)
        # The chord of the computed values is as far from that of the true ones as the values are, at an end.
        distance = np.maximum(samples.high - samples.value, samples.value - samples.low)
        distance = np.maximum(distance[:-1], distance[1:]) + 4 * 2.0**-52 * np.maximum(
            np.abs(samples.value[:-1]), np.abs(samples.value[1:])
        )
        beyond = np.maximum(high - chord, chord - low) * (1 + 2.0**-40) + np.abs(chord) * 2.0**-40
        for row, error in zip(errors, (*(e + value_error + distance for e in chord_errors), beyond), strict=True):
            row[1:-1] = np.where(usable, error * (1 + 2.0**-40), np.inf)
    return Table(
        knots=np.concatenate([[-np.inf], x, [np.inf]]),
        knot_low=np.concatenate([[-np.inf], samples.low, [-np.inf]]),
        knot_high=np.concatenate([[np.inf], samples.high, [np.inf]]),
        low=np.concatenate([[values[0]], np.maximum(bottom, values[0]), [values[0]]]),
        high=np.concatenate([[values[1]], np.minimum(top, values[1]), [values[1]]]),
        slope_low=np.concatenate([[left_slopes[0]], low, [right_slopes[0]]]),
        slope_high=np.concatenate([[left_slopes[1]], high, [right_slopes[1]]]),
        centre=np.concatenate([[0.0], x[:-1], [0.0]]),
        coefficients=coefficients,
        error_low=errors[0],
        error_high=errors[1],
        slope_error=errors[2],
        piece_first=np.array([0, m], dtype=np.int32),
        piece_curvature=np.array([0], dtype=np.int8),
    )


def _crest(top: Vector, low: Vector, high: Vector, x: Vector) -> Vector:
    """Highest value between neighbouring samples."""
    width, rising, falling = np.diff(x), np.maximum(0.0, high), np.maximum(0.0, -low)
    with np.errstate(all="ignore"):
        share = (np.diff(top) + falling * width) / (rising + falling)
        y = x[:-1] + np.clip(np.where(np.isnan(share), 0.0, share), 0.0, width)
    y = np.clip(y, x[:-1], x[1:])
    left = add_up(top[:-1], rise_up(rising, y - x[:-1]))
    right = add_up(top[1:], rise_up(falling, x[1:] - y))
    return np.asarray(np.maximum(left, right))
