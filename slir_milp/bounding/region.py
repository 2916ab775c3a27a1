"""A region: the part of the input space that one bound speaks of."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from slir_milp.network.affine import Vector


class Side(IntEnum):
    """On which side of the point where it was divided a neuron has been put: a hinge of its kink.

    A curve may be divided anywhere and more than once; its points are ends of the neuron's bounds, and ``BOTH`` tells
    that both ends are such points.
    """

    NEGATIVE = -1
    FREE = 0
    POSITIVE = 1
    BOTH = 2


@dataclass(frozen=True, eq=False)
class HalfSpaces:
    """Linear conditions that every counterexample of the region meets: ``normals @ x + offsets ≤ 0``.

    Attributes
    ----------
    normals
        Shape ``(count, inputs)``.
    offsets
        Shape ``(count,)``.
    """

    normals: NDArray[np.float64]
    offsets: Vector

    @staticmethod
    def none(inputs: int) -> HalfSpaces:
        """No condition at all."""
        return HalfSpaces(np.zeros((0, inputs)), np.zeros(0))

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True, eq=False)
class NeuronBounds:
    """An interval for every pre-activation, layer by layer; valid for every counterexample of a region."""

    lower: tuple[Vector, ...]
    upper: tuple[Vector, ...]


@dataclass(frozen=True, eq=False)
class Region:
    """A box of inputs, cut by half-spaces and by the sides that some neurons have been put on.

    Attributes
    ----------
    lower, upper
        The box, shape ``(inputs,)`` each.
    half_spaces
        Conditions on the inputs, inherited from the query or proven at an ancestor.
    sides
        For every layer the :class:`Side` of each neuron (int8); ``POSITIVE`` restricts the region to points where a
        hinge's pre-activation is at least zero, a curve's at least its lower bound.  ``None`` if no neuron is split.
    neurons
        Bounds inherited from an ancestor, to be intersected with; ``None`` at a root.
    """

    lower: Vector
    upper: Vector
    half_spaces: HalfSpaces
    sides: tuple[NDArray[np.int8], ...] | None = None
    neurons: NeuronBounds | None = field(default=None)

    @staticmethod
    def box(lower: Vector, upper: Vector) -> Region:
        """A box without further conditions."""
        low, high = (np.ascontiguousarray(end, dtype=np.float64) for end in (lower, upper))
        return Region(low, high, HalfSpaces.none(len(low)))

    @property
    def midpoint(self) -> Vector:
        """Centre of the box."""
        return 0.5 * self.lower + 0.5 * self.upper
