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
from slir_milp.network.affine import Affine
from slir_milp.network.folding import NodeRunner
from slir_milp.network.graph import checked_size
from slir_milp.network.operators.call import Call, Tensor


def move(call: Call) -> list[Tensor]:
    """Lower any operator that moves elements."""
    given = dict(zip(call.node.input, call.operands, strict=True))
    tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    constants = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    wanted = {name: result for name, result in zip(call.node.output, call.results, strict=True) if name}
    runner = NodeRunner(
        call.node, constants, {name: (t.shape, t.dtype) for name, t in tensors.items()}, wanted, call.opset
    )
    pool = compose.stack([tensor.affine for tensor in tensors.values()])
    total = checked_size((pool.rows,))
    plain, raised, start = {}, {}, 0
    for name, tensor in tensors.items():
        plain[name] = (tensor.indices + start).astype(tensor.dtype)
        raised[name] = (tensor.indices + start + total).astype(tensor.dtype)
        start += tensor.affine.rows
    moved = []
    for (name, (shape, dtype)), first, second in zip(wanted.items(), runner(plain), runner(raised), strict=True):
        if first.shape != shape:
            raise call.unsupported(f"giving shape {list(first.shape)} instead of {list(shape)} for '{name}'")
        moved.append(Tensor(shape, dtype, _resolved(call, first.ravel(), second.ravel(), pool)))
    iterator = iter(moved)
    return [next(iterator) if name else moved[0] for name in call.node.output]


def _resolved(call: Call, first: NDArray[Any], second: NDArray[Any], pool: Affine) -> Affine:
    step = second.astype(np.float64) - first
    is_row = step == pool.rows
    fixed = first == second
    rows = np.where(is_row, first, 0)
    if not np.all(is_row | fixed) or np.any((rows < 0) | (rows >= pool.rows) | (rows != np.floor(rows))):
        raise call.unsupported("in a way that does more than move elements")
    taken = compose.take(pool, rows.astype(np.intp))
    if is_row.all():
        return taken
    constants = compose.constant(call.finite(np.where(is_row, 0, first)), pool.columns)
    chosen = np.where(is_row, np.arange(rows.size), rows.size + np.arange(rows.size))
    return compose.take(compose.stack([taken, constants]), chosen)


def keep(call: Call) -> list[Tensor]:
    """Lower operators that change nothing: Identity, Dropout when not training, Cast between floating point types."""
    if call.node.op_type == "Dropout" and _trains(call):
        raise call.unsupported("in training mode (it is random)")
    if call.results[0][1] not in ("float32", "float64"):
        raise call.unsupported(f"of computed tensors to element type {call.results[0][1]}")
    return call.result(call.tensor(0).affine)


def _trains(call: Call) -> bool:
    mode = call.operand(2)
    if isinstance(mode, Tensor):
        return True
    return bool(np.any(mode)) if mode is not None else False
