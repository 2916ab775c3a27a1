"""Affine maps whose coefficients are float64 numbers, each with a bound on how far it is from the true one.

A weight read from a file is exact: its radius is zero and is not stored.  A coefficient that arises by division, by a
square root or by composing two maps may not be a float64 number; then the stored value is a rounding of the true one
and the radius bounds the difference.  Every bound computed with the map counts the radius in, so that no verdict
hangs on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Vector: TypeAlias = NDArray[np.float64]
Matrix: TypeAlias = "NDArray[np.float64] | csr_array"


def is_sparse(matrix: Matrix) -> bool:
    """Whether a matrix is stored by its non-zeros."""
    return not isinstance(matrix, np.ndarray)


@dataclass(frozen=True, eq=False)
class Affine:
    """The map ``z ↦ W z + b`` for some ``W`` within ``weight ± weight_radius`` and ``b`` within ``bias ± bias_radius``.

    Attributes
    ----------
    weight
        Shape ``(rows, columns)``; a C-contiguous float64 array, or a ``scipy.sparse.csr_array`` where few are non-zero.
    bias
        Shape ``(rows,)``.
    weight_radius
        Same shape and storage as ``weight`` (a sparse one may have entries elsewhere); ``None`` where the weights are
        exact.
    bias_radius
        Shape ``(rows,)``; ``None`` where the bias is exact.
    """

    weight: Matrix
    bias: Vector
    weight_radius: Matrix | None = None
    bias_radius: Vector | None = None

    @property
    def rows(self) -> int:
        """Number of values produced."""
        return int(self.weight.shape[0])

    @property
    def columns(self) -> int:
        """Number of values taken."""
        return int(self.weight.shape[1])

    @property
    def is_exact(self) -> bool:
        """Whether every coefficient is the true one."""
        return self.weight_radius is None and self.bias_radius is None

    def __call__(self, z: Vector) -> Vector:
        """Value at ``z`` (shape ``(columns,)`` or ``(points, columns)``) in plain float64: not a bound."""
        return np.asarray((self.weight @ z.T).T + self.bias)
