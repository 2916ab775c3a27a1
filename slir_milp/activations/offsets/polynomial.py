"""A polynomial of degree 7 that is as good as a function on a segment, with a proven error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flint import arb, ctx

from slir_milp.activations.interval import up
from slir_milp.activations.series import Expansion
from slir_milp.activations.table import DEGREE

_ORDER = 12
_LARGEST = 2.0**500


@dataclass(frozen=True, slots=True)
class Fit:
    """A polynomial about a centre.

    Attributes
    ----------
    centre, radius
        The segment lies within ``radius`` of ``centre``.
    coefficients
        Constant first.
    error, slope_error
        Bounds on ``|f(c + t) − p(t)|`` and ``|f′(c + t) − p′(t)|`` in real arithmetic.
    over
        Enclosures of the Taylor coefficients over the whole segment.
    tolerance
        The error that was asked for.
    """

    centre: float
    radius: float
    coefficients: tuple[float, ...]
    error: float
    slope_error: float
    over: list[arb]
    tolerance: float

    def first(self, x: float) -> float:
        """Derivative of the polynomial, plainly computed."""
        t = x - self.centre
        total = 0.0
        for k in range(DEGREE, 0, -1):
            total = total * t + k * self.coefficients[k]
        return total

    def second(self, x: float) -> float:
        """Second derivative of the polynomial, plainly computed."""
        t = x - self.centre
        total = 0.0
        for k in range(DEGREE, 1, -1):
            total = total * t + k * (k - 1) * self.coefficients[k]
        return total


def fit(expansion: Expansion, lower: float, upper: float) -> Fit | None:
    """A polynomial for the segment, or nothing if the segment is too wide for one.

    See :class:`~slir_milp.activations.offsets.critical_points.CriticalPoints` for the error.
    """
    centre = 0.5 * (lower + upper)
    radius = math.nextafter(max(upper - centre, centre - lower), math.inf)
    with ctx.workprec(64):
        over = expansion(arb(centre, radius), _ORDER + 1)
    if not all(c.is_finite() for c in over):
        return None
    largest = up(abs(over[0]))
    if not largest < _LARGEST:
        return None
    tolerance = max(largest, 2.0**-24) * _precision(max(abs(lower), abs(upper)))
    h = arb(radius)
    remainder = abs(over[_ORDER]).upper() * h**_ORDER
    if not remainder <= tolerance:
        return None
    taylor = expansion(arb(centre), _ORDER)
    if not all(c.is_finite() for c in taylor):
        return None
    eight, nine = taylor[8], taylor[9]
    powers = [h**k for k in range(_ORDER + 1)]
    error = remainder + abs(eight) * powers[8] / 128 + abs(nine) * powers[9] / 256
    for k in range(10, _ORDER):
        error += abs(taylor[k]) * powers[k]
    if not error <= tolerance:
        return None
    exact = taylor[: DEGREE + 1]
    if not (eight.is_zero() and nine.is_zero()):
        # t^8 = h^8 (T8/128 + 2 s^6 − 5/4 s^4 + 1/4 s^2 − 1/128), t^9 = h^9 (T9/256 + …) with s = t/h
        exact[0] -= eight * powers[8] / 128
        exact[2] += eight * powers[6] / 4
        exact[4] -= eight * powers[4] * 5 / 4
        exact[6] += eight * powers[2] * 2
        exact[1] -= nine * powers[8] * 9 / 256
        exact[3] += nine * powers[6] * 15 / 32
        exact[5] -= nine * powers[4] * 27 / 16
        exact[7] += nine * powers[2] * 9 / 4
    coefficients = tuple(float(c) for c in exact)
    if not all(math.isfinite(c) for c in coefficients):
        return None
    slope_error = _ORDER * abs(over[_ORDER]) * powers[_ORDER - 1]
    slope_error += abs(eight) * powers[7] / 2 + abs(nine) * powers[8] * 81 / 256
    for k in range(10, _ORDER):
        slope_error += k * abs(taylor[k]) * powers[k - 1]
    for k, (true, rounded) in enumerate(zip(exact, coefficients, strict=True)):
        lost = abs(true - rounded)
        error += lost * powers[k]
        if k:
            slope_error += k * lost * powers[k - 1]
    for k in range(2, DEGREE + 1):
        if not (over[k] >= 0 or over[k] <= 0):
            over[k] = _over(k, taylor, over[_ORDER], powers)
    return Fit(centre, radius, coefficients, up(error), up(slope_error), over, tolerance)


def _over(k: int, taylor: list[arb], remainder: arb, powers: list[arb]) -> arb:
    """The k-th Taylor coefficient over the segment, from the expansion at the centre: sharper where much cancels."""
    spread = math.comb(_ORDER, k) * abs(remainder) * powers[_ORDER - k]
    for j in range(k + 1, _ORDER):
        spread += math.comb(j, k) * abs(taylor[j]) * powers[j - k]
    return taylor[k] + arb(0, spread.upper())


def _precision(size: float) -> float:
    """Relative error asked for at a distance from zero: full where networks live, less far out and next to poles."""
    if 2.0**-8 <= size <= 8.0:
        return 2.0**-46
    return 2.0**-42 if 2.0**-16 <= size <= 2.0**16 else 2.0**-36
