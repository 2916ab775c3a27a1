"""Two half-lines joined at the origin: identity, ReLU, leaky and parametric ReLU, absolute value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Hinge:
    """The function ``x ↦ negative_slope·min(x, 0) + positive_slope·max(x, 0)``.

    Both slopes are exact: they are the float64 values stored here.
    """

    negative_slope: float
    positive_slope: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.negative_slope) and np.isfinite(self.positive_slope)):
            raise ValueError("the slopes of a hinge must be finite")

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value at ``x``, elementwise."""
        return np.where(x < 0, self.negative_slope * x, self.positive_slope * x)

    @property
    def is_linear(self) -> bool:
        """Whether there is no kink at all."""
        return self.negative_slope == self.positive_slope


IDENTITY = Hinge(1.0, 1.0)
RELU = Hinge(0.0, 1.0)
ABS = Hinge(-1.0, 1.0)
