"""Computed tensors: affine maps over the neurons made so far, or functions of such maps that are not yet neurons.

Exporters spread one activation over many operators: SiLU is a Sigmoid and a Mul, GELU five operators or more.  So an
elementwise operator does not make neurons at once.  Its result remembers, beside how to make them, what its elements
are as formulas of the elements of a *root* that it was computed from (a :class:`View`).  Elementwise operators compose
the formulas; neurons are made when an operator needs numbers, one for each element, whatever the number of operators in
between.  A root is an affine tensor, or, second choice, a tensor whose own neurons would have to be made first: a
formula of it is short where one of the affine tensor has grown too long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations.broken import is_piecewise_linear
from slir_milp.activations.formula import Formula, X
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix
from slir_milp.network.neurons import Neurons
from slir_milp.network.storage import Index

Shape: TypeAlias = tuple[int, ...]
Value: TypeAlias = "Tensor | NDArray[Any]"

MAX_NODES = 60
"""A formula that grows beyond this many distinct nodes becomes neurons first."""

MAX_LINEAR_NODES = 1000
"""The same for one that is piecewise linear, such as the sum of hinges that stands for a table."""

MAX_FORMULAS = 128
"""So many formulas may one tensor's elements have."""

MAX_VIEWS = 4
"""So many roots of either kind does a tensor remember, nearest first."""


@dataclass(frozen=True, eq=False)
class View:
    """Elements of a tensor as formulas of the rows of a root.

    Attributes
    ----------
    root
        The affine map, or the tensor whose neurons are made when they are needed.  Roots are told apart by identity:
        equal coefficients that were rounded on different ways may stand for different numbers.
    rows
        Shape ``(elements,)``: row of the root that each element is made from.
    formulas
        The distinct formulas.
    which
        Shape ``(elements,)``: the formula of each element.
    """

    root: Affine | Tensor
    rows: Index
    formulas: tuple[Formula, ...]
    which: Index

    @classmethod
    def of(cls, root: Affine | Tensor) -> View:
        """Every element as it is."""
        size = root.rows if isinstance(root, Affine) else root.size
        return cls(root, np.arange(size), (X,), np.zeros(size, dtype=np.intp))

    @property
    def map(self) -> Affine:
        """The root as an affine map."""
        return self.root if isinstance(self.root, Affine) else self.root.affine

    def take(self, elements: Index) -> View:
        """Chosen elements, each as often as it is named."""
        return replace(self, rows=self.rows[elements], which=self.which[elements])

    def then(self, step: Callable[[Formula], Formula]) -> View:
        """The same function of every element."""
        return replace(self, formulas=tuple(step(formula) for formula in self.formulas))

    def has_roots_of(self, other: View) -> bool:
        """Whether both views give every element from the same number."""
        return self.root is other.root and np.array_equal(self.rows, other.rows)

    @property
    def is_handy(self) -> bool:
        """Whether no formula has grown too large."""
        return all(
            len(formula.nodes) <= MAX_NODES or (len(formula.nodes) <= MAX_LINEAR_NODES and is_piecewise_linear(formula))
            for formula in self.formulas
        )

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether all formulas are piecewise linear without jumps."""
        return all(is_piecewise_linear(formula) for formula in self.formulas)

    def as_map(self) -> Affine | None:
        """The elements as an affine map, if their formulas are affine with exact coefficients."""
        maps = [formula.affine for formula in self.formulas]
        if any(pair is None for pair in maps):
            return None
        slopes, offsets = np.array(maps, dtype=np.float64).reshape(-1, 2).T
        return compose.shift(compose.scale(compose.take(self.map, self.rows), slopes[self.which]), offsets[self.which])

    def realised(self, neurons: Neurons) -> Affine:
        """Make the neurons."""
        used, which = np.unique(self.which, return_inverse=True)
        functions = [neurons.function_of(self.formulas[number]) for number in used]
        return neurons.apply_to_rows(self.map, self.rows, functions, which.ravel())


@dataclass(frozen=True, eq=False)
class Tensor:
    """A computed tensor.

    Attributes
    ----------
    shape
        Its shape.
    dtype
        Its element type, a NumPy name.
    source
        Its flattened elements as an affine map over the columns of :class:`~slir_milp.network.neurons.Neurons`, or how
        to make the neurons that it takes.
    known
        What its elements are over earlier tensors, nearest first; for a map that came from elsewhere, nothing.
    factors
        The two maps of which it is the product, element by element, if it is one.
    """

    shape: Shape
    dtype: str
    source: Affine | Callable[[], Affine]
    known: tuple[View, ...] = ()
    factors: tuple[Affine, Affine] | None = None

    @cached_property
    def affine(self) -> Affine:
        """Flattened elements; makes the neurons if there are none yet."""
        return self.source if isinstance(self.source, Affine) else self.source()

    @property
    def is_affine(self) -> bool:
        """Whether no neuron has to be made."""
        return isinstance(self.source, Affine)

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether hinges alone can make it, as far as that is known."""
        return self.is_affine or self.known[0].is_piecewise_linear

    @cached_property
    def views(self) -> tuple[View, ...]:
        """What its elements are over roots, affine ones first; never empty."""
        return self.known or (View.of(self.affine),)

    @classmethod
    def of_views(cls, shape: Shape, dtype: str, views: tuple[View, ...], neurons: Neurons) -> Tensor:
        """Tensor known by its views; from now on it is a root too."""
        exact = views[0].as_map() if isinstance(views[0].root, Affine) else None
        if exact is not None:
            return cls(shape, dtype, exact, ordered((View.of(exact), *views)))
        made = cls(shape, dtype, lambda: views[0].realised(neurons), views)
        return cls(shape, dtype, lambda: made.affine, ordered((*views, View.of(made))))

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def indices(self) -> Index:
        """Number of every element, in the tensor's shape."""
        return np.arange(self.size).reshape(self.shape)


def ordered(views: Sequence[View]) -> tuple[View, ...]:
    """Views over affine roots, nearest first, then the farthest and the nearest of those over others.

    The farthest makes the fewest neurons; the nearest are what other operands are likely to share.
    """
    affine = [view for view in views if isinstance(view.root, Affine)]
    others = [view for view in views if not isinstance(view.root, Affine)]
    return (*affine[:MAX_VIEWS], *others[:1], *others[1:][-MAX_VIEWS + 1 :])


def shared_views(
    parts: Sequence[Sequence[View] | NDArray[np.float64]], combine: Callable[..., Formula]
) -> tuple[View, ...]:
    """Views of an elementwise function of several operands, over the roots that all of them share.

    Parameters
    ----------
    parts
        For each operand its views, or its values if it is constant, all spread to the result's elements.
    combine
        Makes the result's formula from one formula for each operand.
    """
    constants: list[tuple[tuple[Formula, ...], Index] | None] = []
    for part in parts:
        described = _constants(part) if isinstance(part, np.ndarray) else None
        if described is None and isinstance(part, np.ndarray):
            return ()
        constants.append(described)
    tensors = [part for part in parts if not isinstance(part, np.ndarray)]
    found = []
    for first in tensors[0]:
        shared = [next((view for view in views if view.has_roots_of(first)), None) for views in tensors]
        if None in shared:
            continue
        over = iter(shared)
        operands = [constant or _elements(next(over)) for constant in constants]
        distinct, which = np.unique(np.stack([codes for _, codes in operands]), axis=1, return_inverse=True)
        if distinct.shape[1] > MAX_FORMULAS:
            continue
        formulas = tuple(
            combine(*(choices[code] for (choices, _), code in zip(operands, column, strict=True)))
            for column in distinct.T
        )
        view = View(first.root, first.rows, formulas, which.ravel())
        if view.is_handy:
            found.append(view)
    return tuple(found)


def _elements(view: View | None) -> tuple[tuple[Formula, ...], Index]:
    return ((), np.zeros(0, dtype=np.intp)) if view is None else (view.formulas, view.which)


def combined_views(matrix: Matrix, views: Sequence[View]) -> tuple[View, ...]:
    """Views of a matrix times a tensor, over those roots of which each row of the matrix takes one number only."""
    rows, columns, values = storage.entries(matrix)
    order = np.argsort(rows, kind="stable")
    rows, columns, values = rows[order], columns[order], values[order]
    ends = np.searchsorted(rows, np.arange(matrix.shape[0] + 1))
    found = []
    for view in views:
        places = view.rows[columns]
        taken = np.zeros(matrix.shape[0], dtype=np.intp)
        taken[rows] = places
        if not np.array_equal(taken[rows], places):
            continue
        numbers: dict[bytes, int] = {}
        formulas: list[Formula] = []
        which = np.zeros(matrix.shape[0], dtype=np.intp)
        for row, (start, end) in enumerate(pairwise(ends.tolist())):
            codes = view.which[columns[start:end]]
            which[row] = numbers.setdefault(codes.tobytes() + values[start:end].tobytes(), len(numbers))
            if which[row] == len(formulas) and len(formulas) <= MAX_FORMULAS:
                terms = zip(codes.tolist(), values[start:end].tolist(), strict=True)
                formulas.append(_sum([value * view.formulas[code] for code, value in terms]))
        result = View(view.root, taken, tuple(formulas), which)
        if len(numbers) <= MAX_FORMULAS and result.is_handy:
            found.append(result)
    return tuple(found)


def _sum(terms: Sequence[Formula]) -> Formula:
    return reduce(lambda a, b: a + b, terms, Formula.constant(0.0))


def _constants(values: NDArray[np.float64]) -> tuple[tuple[Formula, ...], Index] | None:
    distinct, which = np.unique(values, return_inverse=True)
    if distinct.size > MAX_FORMULAS:
        return None
    return tuple(Formula.constant(value) for value in distinct.tolist()), which.ravel()
