"""Constants of float64 arithmetic, and the few outward-rounded operations that bounds are made of.

Arithmetic rounds to nearest.  For one operation ``fl(a ∘ b) = (a ∘ b)(1 + δ) + η`` with ``|δ| ≤ u`` and
``|η| ≤ UNDERFLOW``; sums have ``η = 0``.  ``UNDERFLOW`` is the smallest *normal* number, far above what gradual
underflow can lose, so that nothing here depends on a library not having switched denormal numbers off.

Source: N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1 (``γ_n``).
"""

from __future__ import annotations

import numpy as np

from slir_milp.network.affine import Vector

UNIT = 2.0**-53
UNDERFLOW = float(np.finfo(np.float64).tiny)


def gamma(n: int) -> float:
    """An upper bound on ``n·u / (1 − n·u)``, the relative error of ``n`` roundings in a row.

    One part in 2²⁰ is added so that the value stays an upper bound after the few roundings of what is done with it.
    """
    if n >= 2**50:
        return float("inf")
    return n * UNIT / (1.0 - n * UNIT) * (1.0 + 2.0**-20)


def up(x: Vector) -> Vector:
    """The next float64 number above, elementwise."""
    return np.nextafter(x, np.inf)


def down(x: Vector) -> Vector:
    """The next float64 number below, elementwise."""
    return np.nextafter(x, -np.inf)
