"""Operators that only move, repeat or drop elements: all of them are one mechanism.

The operator itself is run on the row numbers of the elements.  It is run twice, the second time with every number
raised by the same amount: a result that is raised with it names the row that went there, and one that stays is a
constant of the operator (padding, or an element of a constant operand).  So only what is moved may be computed, never
what says where to: an index that is computed would read as a constant of a table whose entries happen to be equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.network import compose
from slir_milp.network.folding import NodeRunner
from slir_milp.network.graph import checked_size
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.tensor import Shape, Tensor
from slir_milp.network.storage import Index

_MOVED: Mapping[str, frozenset[int]] = {
    "Pad": frozenset({0, 2}),
    "ScatterElements": frozenset({0, 2}),
    "ScatterND": frozenset({0, 2}),
    "Where": frozenset({1, 2}),
}
"""Positions of the operands that are moved, where it is not the first alone; of Concat, all are."""

_STAND_IN = "int64"
"""Truth values have no room for row numbers: the operator moves integers in their place."""


def move(call: Call) -> list[Tensor]:
    """Lower any operator that moves elements."""
    tensors, constants = _parts(call)
    wanted = {name: result for name, result in zip(call.node.output, call.results, strict=True) if name}
    runner = NodeRunner(
        call.node,
        constants,
        {name: (tensor.shape, _stand_in(tensor.dtype)) for name, tensor in tensors.items()},
        {name: (shape, _stand_in(dtype)) for name, (shape, dtype) in wanted.items()},
        call.opset,
    )
    total = checked_size((sum(tensor.size for tensor in tensors.values()),))
    plain, raised, start = {}, {}, 0
    for name, tensor in tensors.items():
        plain[name] = np.asarray(tensor.indices + start, dtype=_stand_in(tensor.dtype))
        raised[name] = np.asarray(tensor.indices + start + total, dtype=_stand_in(tensor.dtype))
        start += tensor.size
    moved = []
    for (name, (shape, dtype)), first, second in zip(wanted.items(), runner(plain), runner(raised), strict=True):
        if first.shape != shape:
            raise call.unsupported(f"giving shape {list(first.shape)} instead of {list(shape)} for '{name}'")
        rows = _rows(call, first.ravel(), second.ravel(), total)
        moved.append(_moved(call, shape, dtype, list(tensors.values()), rows, first.ravel()))
    iterator = iter(moved)
    return [next(iterator) if name else moved[0] for name in call.node.output]


def _parts(call: Call) -> tuple[dict[str, Tensor], dict[str, NDArray[Any]]]:
    """What is moved and computed, and what is constant."""
    op = call.node.op_type
    tensors, constants = {}, {}
    for position, (name, value) in enumerate(zip(call.node.input, call.operands, strict=True)):
        is_moved = op == "Concat" or position in _MOVED.get(op, {0})
        if isinstance(value, Tensor):
            if not is_moved:
                raise call.unsupported(f"with a computed tensor as input {position + 1}")
            tensors[name] = value
        elif value is not None:
            constants[name] = value.astype(_stand_in(value.dtype.name)) if is_moved else value
    return tensors, constants


def _stand_in(dtype: str) -> str:
    return _STAND_IN if dtype == "bool" else dtype


def _rows(call: Call, first: NDArray[Any], second: NDArray[Any], total: int) -> Index:
    """Which element went to each place, ``-1`` where a constant is."""
    is_row = second.astype(np.float64) - first == total
    rows = np.where(is_row, first, -1)
    wrong = is_row & ((rows < 0) | (rows >= total) | (rows != np.floor(rows)))
    if not np.all(is_row | (first == second)) or wrong.any():
        raise call.unsupported("in a way that does more than move elements")
    return rows.astype(np.intp)


def _moved(call: Call, shape: Shape, dtype: str, tensors: list[Tensor], rows: Index, values: NDArray[Any]) -> Tensor:
    """Tensor of the chosen elements; those of a single tensor remain functions of its roots."""
    if len(tensors) == 1 and np.all(rows >= 0):
        tensor, views = tensors[0], tuple(view.take(rows) for view in tensors[0].views)
        if tensor.is_affine:
            return Tensor(shape, dtype, compose.take(tensor.affine, rows), views)
        return Tensor(shape, dtype, lambda: compose.take(tensor.affine, rows), views)
    pool = compose.stack([tensor.affine for tensor in tensors])
    taken = compose.take(pool, np.maximum(rows, 0))
    fixed = np.flatnonzero(rows < 0)
    if not fixed.size:
        return Tensor(shape, dtype, taken)
    constants = compose.constant(call.finite(np.where(rows < 0, values, 0)), pool.columns)
    chosen = np.where(rows < 0, rows.size + np.arange(rows.size), np.arange(rows.size))
    return Tensor(shape, dtype, compose.take(compose.stack([taken, constants]), chosen))


def keep(call: Call) -> list[Tensor]:
    """Lower operators that change no element: Identity, Dropout when not training."""
    if call.node.op_type == "Dropout" and _trains(call):
        raise call.unsupported("in training mode (it is random)")
    tensor = call.tensor(0)
    return [Tensor(*call.results[0], tensor.source, tensor.known)]


def _trains(call: Call) -> bool:
    mode = call.operand(2)
    if isinstance(mode, Tensor):
        return True
    return bool(np.any(mode)) if mode is not None else False
