"""Operators that only move, repeat or drop elements: all of them are one mechanism.

The operator itself is run on the row numbers of the elements.  It is run twice, the second time with every number
raised by the same amount: a result that is raised with it names the row that went there, and one that stays is a
constant of the operator (padding, or an element of a constant operand).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.network import compose
from slir_milp.network.folding import NodeRunner
from slir_milp.network.graph import checked_size
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.tensor import Shape, Tensor
from slir_milp.network.storage import Index


def move(call: Call) -> list[Tensor]:
    """Lower any operator that moves elements."""
    given = dict(zip(call.node.input, call.operands, strict=True))
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    constants = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    wanted = {name: result for name, result in zip(call.node.output, call.results, strict=True) if name}
    runner = NodeRunner(
        call.node, constants, {name: (t.shape, t.dtype) for name, t in tensors.items()}, wanted, call.opset
    )
    total = checked_size((sum(tensor.size for tensor in tensors.values()),))
    plain, raised, start = {}, {}, 0
    for name, tensor in tensors.items():
        plain[name] = (tensor.indices + start).astype(tensor.dtype)
        raised[name] = (tensor.indices + start + total).astype(tensor.dtype)
        start += tensor.size
    moved = []
    for (name, (shape, dtype)), first, second in zip(wanted.items(), runner(plain), runner(raised), strict=True):
        if first.shape != shape:
            raise call.unsupported(f"giving shape {list(first.shape)} instead of {list(shape)} for '{name}'")
        rows = _rows(call, first.ravel(), second.ravel(), total)
        moved.append(_moved(call, shape, dtype, list(tensors.values()), rows, first.ravel()))
    iterator = iter(moved)
    return [next(iterator) if name else moved[0] for name in call.node.output]


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
    """Lower operators that change nothing: Identity, Dropout when not training, Cast between floating point types."""
    if call.node.op_type == "Dropout" and _trains(call):
        raise call.unsupported("in training mode (it is random)")
    shape, dtype = call.results[0]
    if dtype not in ("float32", "float64") and dtype != call.tensor(0).dtype:
        raise call.unsupported(f"of computed tensors to element type {dtype}")
    tensor = call.tensor(0)
    return [Tensor(shape, dtype, tensor.source, tensor.known)]


def _trains(call: Call) -> bool:
    mode = call.operand(2)
    if isinstance(mode, Tensor):
        return True
    return bool(np.any(mode)) if mode is not None else False
