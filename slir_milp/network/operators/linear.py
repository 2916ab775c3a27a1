"""Products of matrices, batch normalization, sums and means."""

from __future__ import annotations

import numpy as np

from slir_milp.errors import NetworkError
from slir_milp.network import compose, storage
from slir_milp.network.affine import Affine, Matrix, Vector
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.products import summed, summed_products
from slir_milp.network.operators.tensor import Tensor, Value, combined_views
from slir_milp.network.storage import Index


def matmul(call: Call) -> list[Tensor]:
    """Lower MatMul."""
    return [_matmul(call, *call.two())]


def gemm(call: Call) -> list[Tensor]:
    """Lower Gemm: ``alpha · A' B' + beta · C``."""
    left, right = (
        _transposed(value) if call.attributes.get(flag, 0) else value
        for value, flag in zip(call.two(), ("transA", "transB"), strict=True)
    )
    result = _scaled(_matmul(call, left, right).affine, call.attributes.get("alpha", 1.0))
    offset = call.operand(2)
    if offset is None:
        return call.result(result)
    beta = call.attributes.get("beta", 1.0)
    if isinstance(offset, np.ndarray) and beta == 1.0:
        return call.result(compose.shift(result, call.spread_constant(offset)))
    return call.result(compose.add(result, _scaled(call.spread(offset), beta)))


def _scaled(affine: Affine, factor: float) -> Affine:
    return affine if factor == 1.0 else compose.scale(affine, np.full(affine.rows, factor))


def _transposed(value: Value) -> Value:
    if isinstance(value, Tensor):
        return Tensor(value.shape[::-1], value.dtype, compose.take(value.affine, value.indices.T.ravel()))
    return value.T


def _matmul(call: Call, left: Value, right: Value) -> Tensor:
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return call.result(_of_two(call, left, right))[0]
    if isinstance(left, Tensor) and isinstance(right, np.ndarray):
        return combination(call, _right_factor(left.indices, call.finite(right)), left)
    if isinstance(left, np.ndarray) and isinstance(right, Tensor):
        # (A B)ᵀ = Bᵀ Aᵀ turns the other case into this one; the rows come out transposed.
        indices = right.indices[:, None] if right.indices.ndim == 1 else right.indices
        factor = call.finite(left)
        factor = factor[None, :] if factor.ndim == 1 else factor
        matrix = _right_factor(np.swapaxes(indices, -1, -2), np.swapaxes(factor, -1, -2))
        batch = np.broadcast_shapes(indices.shape[:-2], factor.shape[:-2])
        order = np.arange(matrix.shape[0]).reshape(*batch, indices.shape[-1], factor.shape[-2])
        return combination(call, storage.take_rows(matrix, np.swapaxes(order, -1, -2).ravel()), right)
    raise call.unsupported("of constants")


def _of_two(call: Call, left: Tensor, right: Tensor) -> Affine:
    """Product of two computed matrices, or stacks of them."""
    first = left.indices[None, :] if left.indices.ndim == 1 else left.indices
    second = right.indices[:, None] if right.indices.ndim == 1 else right.indices
    first, second = np.broadcast_arrays(first[..., :, None, :], np.swapaxes(second, -1, -2)[..., None, :, :])
    size = first.shape[-1]
    return summed_products(call.neurons, left.affine, right.affine, (first.reshape(-1, size), second.reshape(-1, size)))


def combination(call: Call, matrix: Matrix, tensor: Tensor) -> Tensor:
    """Product of a constant matrix and a tensor, which is a function of a root again if each row takes one number."""
    shape, dtype = call.results[0]
    if tensor.is_affine:
        return Tensor(shape, dtype, compose.compose(matrix, tensor.affine))
    views = combined_views(matrix, tensor.views)
    if not views:
        return Tensor(shape, dtype, compose.compose(matrix, tensor.affine))
    if call.neurons.hinges_only and tensor.is_piecewise_linear:
        call.neurons.could_fuse = True
        return Tensor(shape, dtype, lambda: compose.compose(matrix, tensor.affine), views)
    return call.function_of_root(views)[0]


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
    return call.result(_summed(call, call.tensor(0), reduced_groups(call)))


def _summed(call: Call, tensor: Tensor, groups: Index) -> Affine:
    if tensor.factors is None:
        return summed(tensor.affine, groups)
    return summed_products(call.neurons, *tensor.factors, (groups, groups))


def reduce_mean(call: Call) -> list[Tensor]:
    """Lower ReduceMean and GlobalAveragePool."""
    groups = reduced_groups(call)
    total = _summed(call, call.tensor(0), groups)
    return call.result(compose.divide(total, np.full(total.rows, float(groups.shape[1]))))


def cumulative_sum(call: Call) -> list[Tensor]:
    """Lower CumSum along a constant axis."""
    tensor = call.tensor(0)
    axis = int(call.required(1).item())
    lines = np.moveaxis(tensor.indices, axis, -1).reshape(-1, tensor.shape[axis])
    count = lines.shape[1]
    if lines.size * (count + 1) > 2 * storage.MAX_ENTRIES:
        raise NetworkError("operator CumSum is larger than supported")
    summands = np.tri(count, k=-1 if call.attributes.get("exclusive", 0) else 0)
    result, element = np.nonzero(summands.T if call.attributes.get("reverse", 0) else summands)
    rows, columns = lines[:, result].ravel(), lines[:, element].ravel()
    matrix = storage.from_entries((tensor.size, tensor.size), rows, columns, np.ones(rows.size))
    return call.result(compose.compose(matrix, tensor.affine))


def averaged(affine: Affine, groups: Index) -> Affine:
    """Mean of the rows that each row of ``groups`` names."""
    total = summed(affine, groups)
    return compose.divide(total, np.full(total.rows, float(groups.shape[1])))


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
