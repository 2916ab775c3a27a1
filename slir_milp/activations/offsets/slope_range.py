"""Samples and the range of the derivative."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from slir_milp.activations.offsets.samples import NOWHERE, Function, Samples, grid, sawtooth, take
from slir_milp.activations.table import Table
from slir_milp.errors import OptionError


@dataclass(frozen=True, eq=False)
class SlopeRange:
    """A function known by samples and by the range of its difference quotients.

    **Theorem.**  Let ``g ≤ (f(y) − f(x))/(y − x) ≤ h`` for all ``x ≠ y``; for a differentiable ``f`` this says
    ``g ≤ f′ ≤ h``.  Between neighbouring samples ``a < b``, ``w = b − a``, ::

        f(x) ≤ min(f(a) + h·(x − a),  f(b) − g·(b − x)),

    a roof whose vertex is at ``x̂ = a + (f(b) − f(a) − g·w)/(h − g)``.  So for every slope ``s`` the greatest value of
    ``f(x) − s·x`` on the segment is at most the greatest of this roof minus ``s·x``, which is at ``a``, ``x̂`` or
    ``b``. *Proof:* both lines are the definition of ``g`` and ``h`` with one point fixed; a concave function made of
    two affine ones, minus a line, is greatest at a vertex or an end.  Lines below: the same of ``−f``.

    **Error.**  The roof is above the samples' chord by at most ``(h − g)·w/4``, and ``f`` is nowhere below the mirrored
    roof; so an offset exceeds the least one by at most ``(h − g)·w/2`` and twice the error of the samples, and by half
    of that where the interval ends at samples.

    Parameters
    ----------
    function
        ``f``, of an array elementwise or of a number.
    slope_low, slope_high
        ``g`` and ``h``, finite.
    lower, upper
        Where samples are taken; beyond, the function is known by its value there and its slopes.
    samples
        How many, evenly spread.
    error
        How far a computed value may be from the true one, beside 4 units in its last place.
    values
        Range of all values of the function, if it is known: it is all that bounds the tails of a steep one.

    Raises
    ------
    OptionError
        If an argument makes no sense.
    """

    name: ClassVar[str] = "slope range"
    function: Function
    slope_low: float
    slope_high: float
    lower: float = -16.0
    upper: float = 16.0
    samples: int = 1024
    error: float = 0.0
    values: tuple[float, float] = NOWHERE

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope_low) and np.isfinite(self.slope_high) and self.slope_low <= self.slope_high):
            raise OptionError(f"[{self.slope_low}, {self.slope_high}] is no range of slopes.")

    @cached_property
    def sampled(self) -> Samples:
        """The samples."""
        return take(self.function, grid(self.lower, self.upper, self.samples), self.error)

    def table(self) -> Table:
        """Segments between samples, of no known curvature."""
        ones = np.ones(len(self.sampled.x) - 1)
        slopes = (self.slope_low, self.slope_high)
        return sawtooth(self.sampled, (slopes[0] * ones, slopes[1] * ones), self.values, slopes, slopes)
