"""Guesses of where a line touches a function.  Nothing in this file is claimed or relied on: guesses only save time."""

from __future__ import annotations

import math

from flint import arb

from slir_milp.activations.series import Expansion

Guess = tuple[float, ...]
"""Taylor coefficients of ``g'`` about the middle of an interval, highest first, for ``u = (x - middle)/radius``."""

_TERMS = 20


def guess(series: Expansion, a: float, b: float) -> Guess | None:
    """The coefficients for an interval; nothing if they are far off at its ends, none if slopes overflow float64."""
    radius = arb(0.5 * (b - a))
    terms = series(arb(0.5 * (a + b)), _TERMS)
    found = tuple(float((k * terms[k] * radius ** (k - 1)).mid()) for k in range(_TERMS - 1, 0, -1))
    slopes = [float(series(arb(x), 2)[1].mid()) for x in (a, b)]
    if not all(map(math.isfinite, slopes)):
        return ()
    room = 2.0**-30 * abs(slopes[1] - slopes[0]) + 2.0**-50 * abs(slopes[0])
    near = [abs(_horner(found, u)[0] - slope) <= room for u, slope in zip((-1.0, 1.0), slopes, strict=True)]
    return found if all(near) else None


def touch(found: Guess, middle: float, radius: float, a: float, b: float, slope: float) -> float:
    """About where ``g'`` is ``slope`` on ``[a, b]``, by Newton's method; the nearer end if it is nowhere."""
    t = 0.5 * (a + b)
    for _ in range(8):
        value, bend = _horner(found, (t - middle) / radius)
        before, t = t, t - radius * (value - slope) / bend if bend else t
        t = t if a <= t <= b else a if t < a else b
        if abs(t - before) <= 2.0**-40 * radius:
            break
    return t


def _horner(coefficients: Guess, u: float) -> tuple[float, float]:
    """Value and derivative of a polynomial."""
    value = slope = 0.0
    for c in coefficients:
        slope = slope * u + value
        value = value * u + c
    return value, slope
