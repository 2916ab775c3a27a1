"""Samples and the range of the second derivative."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from slir_milp.activations.offsets.samples import NOWHERE, Function, Samples, grid, sawtooth, take
from slir_milp.activations.outward import add_down, add_up, times_down, times_up
from slir_milp.activations.table import Table
from slir_milp.errors import OptionError


@dataclass(frozen=True, eq=False)
class Curvature:
    """A function known by samples and the range of its second derivative.

    **Theorem.**  Let ``f′`` be absolutely continuous and ``m ≤ f″ ≤ M`` almost everywhere.  Between neighbouring
    samples ``a < b``, ``h = b − a``, with the chord ``c`` and its slope ``σ``, ::

        c(x) − max(0, M)·h²/8  ≤  f(x)  ≤  c(x) + max(0, −m)·h²/8,
        σ + min(m, −M)·h/2  ≤  f′(x)  ≤  σ + max(M, −m)·h/2.

    *Proof.*  ``f − m·x²/2`` is convex, so it lies below its chord: ``f(x) ≤ c(x) − m·(x − a)(b − x)/2``, and the
    product is between 0 and ``h²/4``; below likewise.  For the slope, Taylor's formula about ``x`` gives ``f′(x) − σ =
    (1/h)·(∫_a^x (t − a)·f″(t) dt − ∫_x^b (b − t)·f″(t) dt)``; with ``u = (x − a)/h`` it is at most ``h·(M·u² − m·(1 −
    u)²)/2``, a convex function of ``u`` because ``M ≥ m``, and so at most its larger end value; below likewise.  Only
    the side that bends towards the line costs anything: a convex function's upper offsets are exact.

    **Error.**  An offset exceeds the least one by at most ``(max(0, −m) + max(0, M))·h²/8``, twice the error of the
    samples, and rounding; above by the first term alone where the interval ends at samples, below by the second.

    Parameters
    ----------
    function
        ``f``, of an array elementwise or of a number.
    second_low, second_high
        ``m`` and ``M``, finite.
    lower, upper, samples, error, values
        As for :class:`~slir_milp.activations.offsets.slope_range.SlopeRange`.
    slopes
        Range of the derivative, if it is known: the tails and the segments use it.

    Raises
    ------
    OptionError
        If an argument makes no sense.
    """

    name: ClassVar[str] = "curvature"
    function: Function
    second_low: float
    second_high: float
    lower: float = -16.0
    upper: float = 16.0
    samples: int = 1024
    error: float = 0.0
    values: tuple[float, float] = NOWHERE
    slopes: tuple[float, float] = NOWHERE

    def __post_init__(self) -> None:
        if not (np.isfinite(self.second_low) and np.isfinite(self.second_high) and self.second_low <= self.second_high):
            raise OptionError(f"[{self.second_low}, {self.second_high}] is no range of second derivatives.")

    @cached_property
    def sampled(self) -> Samples:
        """The samples."""
        return take(self.function, grid(self.lower, self.upper, self.samples), self.error)

    def table(self) -> Table:
        """Segments between samples with their chords, of no known curvature."""
        s = self.sampled
        width = np.diff(s.x)
        wide, narrow = np.nextafter(width, np.inf), np.nextafter(width, -np.inf)
        rise, fall = add_up(s.high[1:], -s.low[:-1]), add_down(s.low[1:], -s.high[:-1])
        # A quotient of bounds: the narrower width makes it larger in magnitude.
        steepest = np.nextafter(np.where(rise > 0, rise / narrow, rise / wide), np.inf)
        flattest = np.nextafter(np.where(fall < 0, fall / narrow, fall / wide), -np.inf)
        up = max(self.second_high, -self.second_low)
        high = add_up(steepest, times_up(up, 0.5 * (wide if up > 0 else narrow)))
        low = add_down(flattest, times_down(-up, 0.5 * (wide if up > 0 else narrow)))
        low, high = np.maximum(low, self.slopes[0]), np.minimum(high, self.slopes[1])
        bends = max(0.0, self.second_high), max(0.0, -self.second_low)
        errors = (bends[0] * (wide * wide) * 0.125, bends[1] * (wide * wide) * 0.125)
        return sawtooth(s, (np.asarray(low), np.asarray(high)), self.values, self.slopes, self.slopes, errors)
