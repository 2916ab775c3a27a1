"""The neurons of a network while its graph is walked, and their arrangement into layers at the end.

All tensors of the graph are affine maps over one list of *columns*: first the elements of the inputs, then the outputs
of the neurons in the order of their creation.  A neuron's level is one more than the highest level it depends on
(inputs: zero).  Layer ``k`` of the normal form holds the neurons of level ``k`` that matter for the outputs, and one
identity neuron for every earlier column that a later layer still reads.  No two neurons apply the same function to the
same exact row: the second is the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import IDENTITY, RELU, Curve, Hinge
from slir_milp.activations.broken import canonical, is_piecewise_linear
from slir_milp.activations.formula import Formula
from slir_milp.errors import NetworkError
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix, Vector
from slir_milp.network.normal_form import Layer
from slir_milp.network.storage import Index

MAX_COLUMNS = 2**22
"""More inputs and neurons than this are refused."""


_LONGEST_NAMED = 40
"""No known activation has a formula of so many nodes."""

Function = Hinge | Curve


@dataclass(frozen=True, eq=False)
class _Block:
    """Neurons made together: their pre-activations and what each applies."""

    first: int
    pre: Affine
    functions: Sequence[Function]
    which: Index


class Neurons:
    """The growing list of columns.

    Parameters
    ----------
    inputs
        Number of elements of all input tensors together.
    hinges_only
        Whether all that is piecewise linear is to be made of hinges, even where one curve would do for several.
    own
        The user's own activations by their formulas.

    Attributes
    ----------
    own
        The same, and those that operators stood for.
    could_fuse
        Whether one curve could have been made in place of several hinges.
    """

    def __init__(self, inputs: int, *, hinges_only: bool = False, own: Mapping[Formula, Curve] | None = None) -> None:
        self.own: dict[Formula, Curve] = dict(own or {})
        self.hinges_only = hinges_only
        self.could_fuse = False
        self._made: dict[tuple[Function, bytes], int] = {}
        self._roots: list[Affine] = []
        self._blocks: list[_Block] = []
        self._levels: list[NDArray[np.int64]] = [np.zeros(inputs, dtype=np.int64)]
        self.inputs = inputs
        self.columns = inputs

    def function_of(self, formula: Formula) -> Function:
        """Activation for a formula: the user's own, a hinge if it plainly is one, or a curve."""
        from slir_milp.activations.catalogue import curve_of

        if formula in self.own:
            return self.own[formula]
        if is_piecewise_linear(formula):
            found = canonical(formula)
            if isinstance(found, Hinge):
                return found
            formula = found
        return curve_of(formula, formula.text if len(formula.nodes) > _LONGEST_NAMED else "")

    def has_name(self, formula: Formula) -> bool:
        """Whether people have a name for the function."""
        function = self.function_of(formula)
        return not isinstance(function, Curve) or function.name != formula.text

    def relu(self, pre: Affine) -> Affine:
        """``max(0, pre)``."""
        return self.hinge(pre, RELU)

    def hinge(self, pre: Affine, function: Hinge) -> Affine:
        """One activation applied to all rows."""
        return self.hinges(pre, np.full(pre.rows, function.negative_slope), np.full(pre.rows, function.positive_slope))

    def hinges(self, pre: Affine, negative: Vector, positive: Vector) -> Affine:
        """Make one neuron a row, with its own slopes left and right of zero; the result picks their outputs."""
        distinct, which = np.unique(np.column_stack([negative, positive]), axis=0, return_inverse=True)
        return self.apply(pre, [Hinge(float(left), float(right)) for left, right in distinct], which.ravel())

    def apply(self, pre: Affine, functions: Sequence[Function], which: Index) -> Affine:
        """Make one neuron a row, with the function that ``which`` names; the result picks their outputs."""
        return self.apply_to_rows(pre, np.arange(pre.rows), functions, which)

    def apply_to_rows(self, root: Affine, rows: Index, functions: Sequence[Function], which: Index) -> Affine:
        """Make one neuron for each of the chosen rows of a map, with the function that ``which`` names."""
        keys = _keys(root)
        if not root.is_exact:
            self._roots.append(root)  # kept alive, so that its identity is no other's
        places = np.zeros(rows.size, dtype=np.intp)
        fresh: list[int] = []
        for place, (row, number) in enumerate(zip(rows.tolist(), which.tolist(), strict=True)):
            new = self.columns + len(fresh)
            places[place] = self._made.setdefault((functions[number], keys[row]), new)
            if places[place] == new:
                fresh.append(place)
        if fresh:
            self._append(compose.take(root, rows[fresh]), functions, which[fresh])
        return compose.picking(places, self.columns)

    def _append(self, pre: Affine, functions: Sequence[Function], which: Index) -> None:
        first = self.columns
        if first + pre.rows > MAX_COLUMNS:
            raise NetworkError(f"it needs more than the {MAX_COLUMNS} neurons supported")
        levels = np.concatenate(self._levels)
        above = np.zeros(pre.rows, dtype=np.int64)
        for matrix in _matrices(pre):
            rows, columns, _ = storage.entries(matrix)
            np.maximum.at(above, rows, levels[columns])
        self._blocks.append(_Block(first, pre, functions, which))
        self._levels.append(above + 1)
        self.columns += pre.rows

    def arrange(self, output: Affine) -> tuple[tuple[Layer, ...], Affine]:
        """Layers and last affine map of the network whose outputs are the given rows."""
        levels = np.concatenate(self._levels)
        last_use, first_use = self._uses(levels, output)
        depth = int(levels[last_use > 0].max(initial=0))
        while self._delay(levels, last_use, np.minimum(first_use - 1, depth)):
            last_use, first_use = self._uses(levels, output)
        last_use[last_use > depth] = depth + 1
        known = np.arange(self.inputs)
        layers = []
        for level in range(1, depth + 1):
            layer, known = self._layer(level, levels, last_use, known)
            layers.append(layer)
        return tuple(layers), finish(_over(output, known, self.columns))

    def _uses(self, levels: Index, output: Affine) -> tuple[Index, Index]:
        """Highest and lowest level that reads each column, both zero where nothing that matters does."""
        last_use = np.zeros(self.columns, dtype=np.int64)
        first_use = np.full(self.columns, self.columns + 1)
        for matrix in _matrices(output):
            last_use[storage.entries(matrix)[1]] = self.columns + 1
        for block in reversed(self._blocks):
            own = slice(block.first, block.first + block.pre.rows)
            matters = last_use[own] > 0
            for matrix in _matrices(block.pre):
                rows, columns, _ = storage.entries(matrix)
                used = matters[rows]
                np.maximum.at(last_use, columns[used], levels[own][rows[used]])
                np.minimum.at(first_use, columns[used], levels[own][rows[used]])
        return last_use, np.where(last_use > 0, first_use, 0)

    def _delay(self, levels: Index, last_use: Index, deadline: Index) -> bool:
        """Move neurons, in place, to later levels that their inputs are carried to anyway; whether any was moved.

        What is made later need not be carried, and it is not before its deadline that anything reads it.
        """
        moved = False
        for block in self._blocks:
            own = np.arange(block.first, block.first + block.pre.rows)
            if not np.any(deadline[own] > levels[own]):
                continue
            room = deadline[own]
            for matrix in _matrices(block.pre):
                rows, columns, _ = storage.entries(matrix)
                np.minimum.at(room, rows, last_use[columns])
            later = np.flatnonzero(room > levels[own])
            levels[own[later]] = room[later]
            moved |= later.size > 0
        return moved

    def _layer(
        self, level: int, levels: NDArray[np.int64], last_use: NDArray[np.int64], known: Index
    ) -> tuple[Layer, Index]:
        """One layer over the columns ``known`` that the layer before delivers, and the columns it delivers itself."""
        carried = known[last_use[known] > level]
        parts, places, numbers = [], [], []
        functions: dict[Function, int] = {}
        for block in self._blocks:
            own = np.arange(block.first, block.first + block.pre.rows)
            rows = np.flatnonzero((levels[own] == level) & (last_use[own] > 0))
            if rows.size:
                parts.append(_over(compose.take(block.pre, rows), known, self.columns))
                places.append(own[rows])
                used, which = np.unique(block.which[rows], return_inverse=True)
                numbers.append(_numbers(functions, [block.functions[i] for i in used])[which])
        if carried.size:
            position = np.full(self.columns, -1)
            position[known] = np.arange(known.size)
            parts.append(compose.picking(position[carried], known.size))
            places.append(carried)
            numbers.append(np.full(carried.size, _numbers(functions, [IDENTITY])[0]))
        affine = finish(compose.stack(parts))
        return Layer(affine, tuple(functions), np.concatenate(numbers).astype(np.int32)), np.concatenate(places)


def _numbers(functions: dict[Function, int], wanted: Sequence[Function]) -> Index:
    """Numbers of the wanted functions among those of a layer, which grow as needed."""
    return np.array([functions.setdefault(function, len(functions)) for function in wanted], dtype=np.intp)


def _keys(pre: Affine) -> list[bytes]:
    """What tells each row from every other: its coefficients, or the map it is from where they are not exact."""
    if not pre.is_exact:
        return [f"{id(pre)} {row}".encode() for row in range(pre.rows)]
    rows, columns, values = storage.entries(pre.weight)
    if not isinstance(pre.weight, np.ndarray):
        order = np.lexsort((columns, rows))
        rows, columns, values = rows[order], columns[order], values[order]
    ends = np.searchsorted(rows, np.arange(pre.rows + 1))
    bias = pre.bias + 0.0
    return [
        columns[start:end].tobytes() + values[start:end].tobytes() + bias[row].tobytes()
        for row, (start, end) in enumerate(pairwise(ends.tolist()))
    ]


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
