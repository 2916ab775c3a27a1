"""Linear and elementwise affine operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix, Vector
from slir_milp.network.operators.call import Call, Tensor
from slir_milp.network.storage import Index


def add(call: Call) -> list[Tensor]:
    """Lower Add and Sum."""
    return call.result(_sum(call))


def mean(call: Call) -> list[Tensor]:
    """Lower Mean, the elementwise mean of several tensors."""
    total = _sum(call)
    return call.result(compose.divide(total, np.full(total.rows, float(len(call.operands)))))


def _sum(call: Call) -> Affine:
    tensors = [value for value in call.operands if isinstance(value, Tensor)]
    total = call.spread(tensors[0])
    for tensor in tensors[1:]:
        total = compose.add(total, call.spread(tensor))
    for value in call.operands:
        if isinstance(value, np.ndarray):
            total = compose.shift(total, call.spread_constant(value))
    return total


def subtract(call: Call) -> list[Tensor]:
    """Lower Sub."""
    left, right = call.operands
    if isinstance(right, np.ndarray):
        return call.result(compose.shift(call.spread(call.tensor(0)), -call.spread_constant(right)))
    negated = compose.scale(call.spread(call.tensor(1)), np.full(int(np.prod(call.shape)), -1.0))
    if isinstance(left, np.ndarray):
        return call.result(compose.shift(negated, call.spread_constant(left)))
    return call.result(compose.add(call.spread(call.tensor(0)), negated))


def negate(call: Call) -> list[Tensor]:
    """Lower Neg."""
    affine = call.tensor(0).affine
    return call.result(compose.scale(affine, np.full(affine.rows, -1.0)))


def multiply(call: Call) -> list[Tensor]:
    """Lower Mul of a computed tensor and a constant."""
    left, right = call.operands
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        raise call.unsupported("of two computed tensors")
    tensor, factor = (left, right) if isinstance(left, Tensor) else (right, left)
    if not isinstance(tensor, Tensor) or not isinstance(factor, np.ndarray):
        raise NetworkError("operator Mul needs two inputs")
    return call.result(compose.scale(call.spread(tensor), call.spread_constant(factor)))


def divide(call: Call) -> list[Tensor]:
    """Lower Div of a computed tensor by a constant."""
    divisor = call.operand(1)
    if not isinstance(divisor, np.ndarray):
        raise call.unsupported("by a computed tensor")
    spread = call.spread_constant(divisor)
    if np.any(spread == 0):
        raise NetworkError("operator Div divides by zero")
    return call.result(compose.divide(call.spread(call.tensor(0)), spread))


def matmul(call: Call) -> list[Tensor]:
    """Lower MatMul with one constant factor."""
    return call.result(_matmul(call, call.operands[0], call.operands[1]))


def gemm(call: Call) -> list[Tensor]:
    """Lower Gemm with one constant factor: ``alpha · A' B' + beta · C``."""
    left, right = (
        _transposed(value) if call.attributes.get(flag, 0) else value
        for value, flag in zip(call.operands[:2], ("transA", "transB"), strict=True)
    )
    result = _scaled(_matmul(call, left, right), call.attributes.get("alpha", 1.0))
    offset = call.operand(2)
    if offset is None:
        return call.result(result)
    beta = call.attributes.get("beta", 1.0)
    if isinstance(offset, np.ndarray) and beta == 1.0:
        return call.result(compose.shift(result, call.spread_constant(offset)))
    return call.result(compose.add(result, _scaled(call.spread(offset), beta)))


def _scaled(affine: Affine, factor: float) -> Affine:
    return affine if factor == 1.0 else compose.scale(affine, np.full(affine.rows, factor))


def _transposed(value: Tensor | NDArray[Any] | None) -> Tensor | NDArray[Any] | None:
    if isinstance(value, Tensor):
        return Tensor(value.shape[::-1], value.dtype, compose.take(value.affine, value.indices.T.ravel()))
    return None if value is None else value.T


def _matmul(call: Call, left: Tensor | NDArray[Any] | None, right: Tensor | NDArray[Any] | None) -> Affine:
    if isinstance(left, Tensor) and isinstance(right, np.ndarray):
        matrix = _right_factor(left.indices, call.finite(right))
        return compose.compose(matrix, left.affine)
    if isinstance(left, np.ndarray) and isinstance(right, Tensor):
        # (A B)ᵀ = Bᵀ Aᵀ turns the other case into this one; the rows come out transposed.
        indices = right.indices[:, None] if right.indices.ndim == 1 else right.indices
        factor = call.finite(left)
        factor = factor[None, :] if factor.ndim == 1 else factor
        matrix = _right_factor(np.swapaxes(indices, -1, -2), np.swapaxes(factor, -1, -2))
        batch = np.broadcast_shapes(indices.shape[:-2], factor.shape[:-2])
        order = np.arange(matrix.shape[0]).reshape(*batch, indices.shape[-1], factor.shape[-2])
        return compose.take(compose.compose(matrix, right.affine), np.swapaxes(order, -1, -2).ravel())
    raise call.unsupported("of two computed tensors")


def _right_factor(indices: Index, factor: Vector) -> Matrix:
    """Matrix that multiplies a tensor, given by its row numbers, by a constant from the right."""
    count = indices.size
    indices = indices[None, :] if indices.ndim == 1 else indices
    factor = factor[:, None] if factor.ndim == 1 else factor
    if factor.ndim == 2 and indices.size == indices.shape[-1]:
        return np.ascontiguousarray(factor.T) if np.all(np.diff(indices.ravel()) == 1) else _permuted(indices, factor)
    batch = np.broadcast_shapes(indices.shape[:-2], factor.shape[:-2])
    shape = (*batch, indices.shape[-2], factor.shape[-1], factor.shape[-2])
    if int(np.prod(shape, dtype=object)) > storage.MAX_ENTRIES:
        raise NetworkError("operator MatMul is larger than supported")
    columns = np.broadcast_to(indices[..., :, None, :], shape)
    values = np.broadcast_to(np.swapaxes(factor, -1, -2)[..., None, :, :], shape)
    results = int(np.prod(shape[:-1]))
    rows = np.repeat(np.arange(results), shape[-1])
    return storage.from_entries((results, count), rows, columns.ravel(), values.ravel())


def _permuted(indices: Index, factor: Vector) -> Matrix:
    matrix = np.empty((factor.shape[1], indices.size))
    matrix[:, indices.ravel()] = factor.T
    return matrix


def batch_normalization(call: Call) -> list[Tensor]:
    """Lower BatchNormalization with stored statistics: ``(x - mean) / sqrt(var + epsilon) · scale + bias``."""
    if call.attributes.get("training_mode", 0):
        raise call.unsupported("in training mode")
    tensor = call.tensor(0)
    factor, offset, average, variance = (call.required(position) for position in range(1, 5))
    epsilon = call.attributes.get("epsilon", float(np.float32(1e-5)))
    if np.any(variance + epsilon <= 0):
        raise NetworkError("operator BatchNormalization has a variance that is not positive")
    slope = factor / np.sqrt(variance + epsilon)
    # Half an ulp each for sum, root and quotient, the first halved by the root; sixteen half ulps leave no doubt.
    slope_radius = np.abs(slope) * 2.0**-49 + 2.0**-1060
    channel = np.arange(tensor.shape[1]).reshape(-1, *[1] * (len(tensor.shape) - 2))
    channel = np.broadcast_to(channel, tensor.shape).ravel()
    centred = compose.shift(tensor.affine, -average[channel])
    scaled = compose.scale(centred, slope[channel], slope_radius[channel])
    return call.result(compose.shift(scaled, offset[channel]))


def reduce_sum(call: Call) -> list[Tensor]:
    """Lower ReduceSum."""
    return call.result(_grouped_sum(call.tensor(0).affine, reduced_groups(call)))


def reduce_mean(call: Call) -> list[Tensor]:
    """Lower ReduceMean and GlobalAveragePool."""
    groups = reduced_groups(call)
    total = _grouped_sum(call.tensor(0).affine, groups)
    return call.result(compose.divide(total, np.full(total.rows, float(groups.shape[1]))))


def reduced_groups(call: Call) -> Index:
    """Row numbers, shape ``(results, group)``, that a Reduce… or Global…Pool operator puts together."""
    indices = call.tensor(0).indices
    if call.node.op_type.startswith("Global"):
        axes = tuple(range(2, indices.ndim))
    else:
        given = call.constant(1)
        chosen = call.attributes.get("axes") if given is None else [int(axis) for axis in given.ravel()]
        if not chosen and call.attributes.get("noop_with_empty_axes", 0):
            return indices.reshape(-1, 1)
        axes = tuple(axis % indices.ndim for axis in chosen) if chosen else tuple(range(indices.ndim))
    kept = [axis for axis in range(indices.ndim) if axis not in axes]
    results = int(np.prod([indices.shape[axis] for axis in kept], dtype=np.int64))
    return indices.transpose(*kept, *sorted(set(axes))).reshape(results, -1)


def _grouped_sum(affine: Affine, groups: Index) -> Affine:
    rows = np.repeat(np.arange(groups.shape[0]), groups.shape[1])
    ones = storage.from_entries((groups.shape[0], affine.rows), rows, groups.ravel(), np.ones(groups.size))
    return compose.compose(ones, affine)
