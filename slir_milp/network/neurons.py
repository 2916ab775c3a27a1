"""The neurons of a network while its graph is walked, and their arrangement into layers at the end.

All tensors of the graph are affine maps over one list of *columns*: first the elements of the inputs, then the outputs
of the neurons in the order of their creation.  A neuron's level is one more than the highest level it depends on
(inputs: zero).  Layer ``k`` of the normal form holds the neurons of level ``k`` that matter for the outputs, and one
identity neuron for every earlier column that a later layer still reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import IDENTITY, RELU, Hinge
from slir_milp.errors import NetworkError
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix, Vector
from slir_milp.network.normal_form import Layer
from slir_milp.network.storage import Index

MAX_COLUMNS = 2**22
"""More inputs and neurons than this are refused."""


@dataclass(frozen=True, eq=False)
class _Block:
    """Neurons made together: their pre-activations and the slopes left and right of zero."""

    first: int
    pre: Affine
    negative: Vector
    positive: Vector


class Neurons:
    """The growing list of columns.

    Parameters
    ----------
    inputs
        Number of elements of all input tensors together.
    """

    def __init__(self, inputs: int) -> None:
        self._blocks: list[_Block] = []
        self._levels: list[NDArray[np.int64]] = [np.zeros(inputs, dtype=np.int64)]
        self.inputs = inputs
        self.columns = inputs

    def relu(self, pre: Affine) -> Affine:
        """``max(0, pre)``."""
        return self.hinge(pre, RELU)

    def hinge(self, pre: Affine, function: Hinge) -> Affine:
        """One activation applied to all rows."""
        return self.hinges(pre, np.full(pre.rows, function.negative_slope), np.full(pre.rows, function.positive_slope))

    def hinges(self, pre: Affine, negative: Vector, positive: Vector) -> Affine:
        """Make one neuron a row, with its own slopes left and right of zero; the result picks their outputs."""
        first = self.columns
        if first + pre.rows > MAX_COLUMNS:
            raise NetworkError(f"it needs more than the {MAX_COLUMNS} neurons supported")
        levels = np.concatenate(self._levels)
        above = np.zeros(pre.rows, dtype=np.int64)
        for matrix in _matrices(pre):
            rows, columns, _ = storage.entries(matrix)
            np.maximum.at(above, rows, levels[columns])
        self._blocks.append(_Block(first, pre, negative, positive))
        self._levels.append(above + 1)
        self.columns += pre.rows
        return compose.picking(np.arange(first, self.columns), self.columns)

    def arrange(self, output: Affine) -> tuple[tuple[Layer, ...], Affine]:
        """Layers and last affine map of the network whose outputs are the given rows."""
        levels = np.concatenate(self._levels)
        last_use = self._last_use(levels, output)
        depth = int(levels[last_use > 0].max(initial=0))
        last_use[last_use > depth] = depth + 1
        known = np.arange(self.inputs)
        layers = []
        for level in range(1, depth + 1):
            layer, known = self._layer(level, levels, last_use, known)
            layers.append(layer)
        return tuple(layers), finish(_over(output, known, self.columns))

    def _last_use(self, levels: NDArray[np.int64], output: Affine) -> NDArray[np.int64]:
        """Highest level that reads each column, zero where nothing that matters does."""
        last_use = np.zeros(self.columns, dtype=np.int64)
        for matrix in _matrices(output):
            last_use[storage.entries(matrix)[1]] = self.columns + 1
        for block in reversed(self._blocks):
            own = slice(block.first, block.first + block.pre.rows)
            matters = last_use[own] > 0
            for matrix in _matrices(block.pre):
                rows, columns, _ = storage.entries(matrix)
                used = matters[rows]
                np.maximum.at(last_use, columns[used], levels[own][rows[used]])
        return last_use

    def _layer(
        self, level: int, levels: NDArray[np.int64], last_use: NDArray[np.int64], known: Index
    ) -> tuple[Layer, Index]:
        """One layer over the columns ``known`` that the layer before delivers, and the columns it delivers itself."""
        carried = known[last_use[known] > level]
        parts, places, negative, positive = [], [], [], []
        for block in self._blocks:
            own = np.arange(block.first, block.first + block.pre.rows)
            rows = np.flatnonzero((levels[own] == level) & (last_use[own] > 0))
            if rows.size:
                parts.append(_over(compose.take(block.pre, rows), known, self.columns))
                places.append(own[rows])
                negative.append(block.negative[rows])
                positive.append(block.positive[rows])
        if carried.size:
            position = np.full(self.columns, -1)
            position[known] = np.arange(known.size)
            parts.append(compose.picking(position[carried], known.size))
            places.append(carried)
            negative.append(np.full(carried.size, IDENTITY.negative_slope))
            positive.append(np.full(carried.size, IDENTITY.positive_slope))
        slopes = np.column_stack([np.concatenate(negative), np.concatenate(positive)])
        distinct, index = np.unique(slopes, axis=0, return_inverse=True)
        functions = tuple(Hinge(float(left), float(right)) for left, right in distinct)
        affine = finish(compose.stack(parts))
        return Layer(affine, functions, index.astype(np.int32).ravel()), np.concatenate(places)


def finish(affine: Affine) -> Affine:
    """Put a map into the storage that the rest of the program relies on, its radius into that of its weights."""
    radius = affine.weight_radius
    dense = storage.prefers_dense(affine.weight)
    return replace(
        affine,
        weight=storage.finished(affine.weight, dense=dense),
        weight_radius=None if radius is None else storage.finished(radius, dense=dense),
    )


def _matrices(affine: Affine) -> list[Matrix]:
    """Matrices of which any non-zero entry means that a row depends on a column."""
    return [affine.weight] if affine.weight_radius is None else [affine.weight, affine.weight_radius]


def _over(affine: Affine, known: Index, columns: int) -> Affine:
    """Map over the known columns alone, which are all it reads."""
    radius = affine.weight_radius
    return replace(
        affine,
        weight=storage.take_columns(affine.weight, known, columns),
        weight_radius=None if radius is None else storage.take_columns(radius, known, columns),
    )
