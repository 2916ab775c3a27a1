"""Samples and a Lipschitz constant: the least that a function can be known by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from slir_milp.activations.offsets.samples import NOWHERE, Function, Samples, grid, sawtooth, take
from slir_milp.activations.table import Table
from slir_milp.errors import OptionError


@dataclass(frozen=True, eq=False)
class Lipschitz:
    """A function known by samples and a Lipschitz constant.

    **Theorem.**  Let ``|f(y) − f(x)| ≤ L·|y − x|``.  Between neighbouring samples ``x_i < x_{i+1}``, ``h`` apart, ``f``
    lies below the two lines of slope ``L`` and ``−L`` through them, which meet in the vertex ::

        x̂ = (x_i + x_{i+1})/2 + (f_{i+1} − f_i)/(2L),    ŷ = (f_i + f_{i+1})/2 + L·h/2.

    So ``f(x) − s·x`` is at most the greatest of ``ŷ − s·x̂`` and of the samples' ``f_i − s·x_i``, whatever the slope
    ``s``: the sawtooth is built once.  *Proof:* ``f(x) ≤ f_i + L·(x − x_i)`` and ``f(x) ≤ f_{i+1} + L·(x_{i+1} − x)``
    by assumption; equating both gives the vertex, which lies in the segment because ``|f_{i+1} − f_i| ≤ L·h``; the
    lesser of two affine functions minus a line is concave and greatest at its vertex or at an end.  Lines below: the
    same of ``−f``.

    **Error.**  An offset exceeds the least one by at most ``L·h`` and twice the error of the samples.

    Parameters
    ----------
    function
        ``f``, of an array elementwise or of a number.
    constant
        ``L``, finite.
    lower, upper, samples, error, values
        As for :class:`~slir_milp.activations.offsets.slope_range.SlopeRange`.

    Raises
    ------
    OptionError
        If an argument makes no sense.
    """

    name: ClassVar[str] = "Lipschitz constant"
    function: Function
    constant: float
    lower: float = -16.0
    upper: float = 16.0
    samples: int = 1024
    error: float = 0.0
    values: tuple[float, float] = NOWHERE

    def __post_init__(self) -> None:
        if not (np.isfinite(self.constant) and self.constant >= 0.0):
            raise OptionError(f"{self.constant} is no Lipschitz constant; it must be finite and not negative.")

    @cached_property
    def sampled(self) -> Samples:
        """The samples."""
        return take(self.function, grid(self.lower, self.upper, self.samples), self.error)

    def table(self) -> Table:
        """Segments between samples, of no known curvature."""
        steepest = np.full(len(self.sampled.x) - 1, float(self.constant))
        tails = (-self.constant, self.constant)
        return sawtooth(self.sampled, (-steepest, steepest), self.values, tails, tails)
