"""Samples and the range of the derivative on each segment between them."""

from __future__ import annotations

from dataclasses import dataclass

from slir_milp.activations.offsets.samples import NOWHERE, Samples, sawtooth
from slir_milp.activations.table import Table, Vector


@dataclass(frozen=True, eq=False)
class SegmentSlopes:
    """A function known by samples and, on each segment between them, the range of its difference quotients.

    **Theorem.**  As for :class:`~slir_milp.activations.offsets.slope_range.SlopeRange`, on each segment with bounds
    ``g ≤ h`` of its own.  They come from

    - a derivative that is monotone between declared inflections, which are among the samples: its extremes are at the
      ends of a segment;
    - a formula of the derivative, enclosed on each segment by interval arithmetic;
    - critical points, all ``x`` with ``f′(x) = s``, for many slopes ``s₁ < s₂ < …``: where neighbouring samples have no
      such point between them, the continuous ``f′`` stays between two neighbouring slopes of the list, namely those
      around the samples' secant, which ``f′`` takes somewhere by the mean value theorem.

    **Error.**  At most ``(h − g)·w/2`` on a segment of width ``w``, and twice the error of the samples; as ``h − g`` is
    about ``f″·w``, a small multiple of ``f″·w²``.

    Attributes
    ----------
    name
        For people.
    sampled
        The samples, ``n`` of them.
    slopes
        ``g`` and ``h``, shape ``(n − 1,)`` each.
    values
        Range of all values, infinite where unknown.
    left_slopes, right_slopes
        Ranges of the difference quotients beyond the samples, infinite where unknown.
    """

    name: str
    sampled: Samples
    slopes: tuple[Vector, Vector]
    values: tuple[float, float] = NOWHERE
    left_slopes: tuple[float, float] = NOWHERE
    right_slopes: tuple[float, float] = NOWHERE

    def table(self) -> Table:
        """Segments between samples, of no known curvature."""
        return sawtooth(self.sampled, self.slopes, self.values, self.left_slopes, self.right_slopes)
