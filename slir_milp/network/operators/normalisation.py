"""Operators that combine the elements along an axis nonlinearly: softmax and its kin, norms, normalization."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slir_milp.activations.formula import Formula, X, apply
from slir_milp.errors import NetworkError
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.elementwise import applied
from slir_milp.network.operators.linear import averaged, reduced_groups
from slir_milp.network.operators.products import MAX_PRODUCTS, product, square, summed
from slir_milp.network.operators.tensor import Tensor, View
from slir_milp.network.storage import Index


def softmax(call: Call) -> list[Tensor]:
    """Lower Softmax: element ``i`` is ``1 / (1 + Σ exp(x_j - x_i))`` over the other elements, which takes no product.

    The sum is never negative; the formula says so, because lines around exponentials do not.  Of two elements, each is
    a sigmoid of the difference.
    """
    return _softmax(call, apply("sigmoid", -X), 1 / (1 + apply("relu", X)))


def log_softmax(call: Call) -> list[Tensor]:
    """Lower LogSoftmax: ``-log(1 + Σ exp(x_j - x_i))``."""
    return _softmax(call, -apply("softplus", X), -apply("log", 1 + apply("relu", X)))


def _softmax(call: Call, of_difference: Formula, of_sum: Formula) -> list[Tensor]:
    tensor = call.tensor(0)
    groups, order = _softmax_groups(call, tensor.indices)
    count = groups.shape[1]
    if count == 1:
        return call.result(compose.constant(np.full(tensor.size, float(of_sum(np.zeros(1))[0])), call.neurons.columns))
    if groups.size * (count - 1) > MAX_PRODUCTS:
        raise NetworkError(f"operator {call.node.op_type} is larger than supported")
    own = np.repeat(groups.ravel(), count - 1)
    others = np.stack([np.delete(groups, i, axis=1) for i in range(count)], axis=1)
    differences = _difference(tensor.affine, others.ravel(), own)
    if count == 2:
        values = _realised(call, differences, of_difference)
    else:
        powers = _realised(call, differences, apply("exp", X))
        values = _realised(call, summed(powers, np.arange(others.size).reshape(-1, count - 1)), of_sum)
    return call.result(compose.take(values, order))


def _softmax_groups(call: Call, indices: Index) -> tuple[Index, Index]:
    """Row numbers, one line for each sum, and where each element stands among them."""
    old = call.opset < 13
    axis = int(call.attributes.get("axis", 1 if old else -1)) % max(indices.ndim, 1)
    if old:
        groups = indices.reshape(int(np.prod(indices.shape[:axis], dtype=np.int64)), -1)
    else:
        groups = np.moveaxis(indices, axis, -1).reshape(-1, indices.shape[axis])
    return groups, np.argsort(groups.ravel())


def _difference(affine: Affine, first: Index, second: Index) -> Affine:
    taken = compose.take(affine, second)
    return compose.add(compose.take(affine, first), compose.scale(taken, -np.ones(taken.rows)))


def _realised(call: Call, affine: Affine, formula: Formula) -> Affine:
    return View.of(affine).then(lambda _: formula).realised(call.neurons)


def reduce_log_sum_exp(call: Call) -> list[Tensor]:
    """Lower ReduceLogSumExp: ``x_0 + log(1 + Σ exp(x_j - x_0))`` over the elements after the first."""
    affine, groups = call.tensor(0).affine, reduced_groups(call)
    first, others = groups[:, 0], groups[:, 1:]
    if others.size == 0:
        return call.result(compose.take(affine, first))
    differences = _difference(affine, others.ravel(), np.repeat(first, others.shape[1]))
    if others.shape[1] == 1:
        rest = _realised(call, differences, apply("softplus", X))
    else:
        total = summed(_realised(call, differences, apply("exp", X)), np.arange(others.size).reshape(others.shape))
        rest = _realised(call, total, apply("log", 1 + apply("relu", X)))
    return call.result(compose.add(compose.take(affine, first), rest))


def reduce_sum_square(call: Call) -> list[Tensor]:
    """Lower ReduceSumSquare."""
    return call.result(_sum_of(call, lambda a: a**2))


def reduce_l1(call: Call) -> list[Tensor]:
    """Lower ReduceL1."""
    return call.result(_sum_of(call, lambda a: apply("abs", a)))


def reduce_l2(call: Call) -> list[Tensor]:
    """Lower ReduceL2; the sum of squares is never negative."""
    return call.result(_realised(call, _sum_of(call, lambda a: a**2), apply("sqrt", apply("relu", X))))


def reduce_log_sum(call: Call) -> list[Tensor]:
    """Lower ReduceLogSum."""
    total = summed(call.tensor(0).affine, reduced_groups(call))
    return call.result(_realised(call, total, apply("log", X)))


def reduce_product(call: Call) -> list[Tensor]:
    """Lower ReduceProd, by products of halves."""
    groups = reduced_groups(call)
    affine = compose.take(call.tensor(0).affine, groups.ravel())
    results, count = groups.shape
    while count > 1:
        rows, half = np.arange(results * count).reshape(results, count), count // 2
        first, second, rest = rows[:, :half].ravel(), rows[:, half : 2 * half].ravel(), rows[:, 2 * half :]
        multiplied = product(call.neurons, compose.take(affine, first), compose.take(affine, second))
        pool = compose.stack([multiplied, compose.take(affine, rest.ravel())])
        order = [
            np.arange(multiplied.rows).reshape(results, half),
            multiplied.rows + np.arange(rest.size).reshape(rest.shape),
        ]
        affine, count = compose.take(pool, np.hstack(order).ravel()), count - half
    return call.result(affine)


def _sum_of(call: Call, step: Callable[[Formula], Formula]) -> Affine:
    tensor, groups = call.tensor(0), reduced_groups(call)
    return summed(applied(call, tensor, step).affine, groups)


def layer_normalization(call: Call) -> list[Tensor]:
    """Lower LayerNormalization: centred elements times ``1 / sqrt(variance + epsilon)``."""
    tensor = call.tensor(0)
    if any(shape for shape, _ in call.results[1:] if shape):
        raise call.unsupported("with its mean or deviation as outputs")
    axis = int(call.attributes.get("axis", -1)) % max(len(tensor.shape), 1)
    groups = tensor.indices.reshape(int(np.prod(tensor.shape[:axis], dtype=np.int64)), -1)
    epsilon = float(call.attributes.get("epsilon", np.float32(1e-5)))
    normal = normalised(call, tensor.affine, groups, epsilon)
    scaled = compose.scale(normal, call.spread_constant(call.required(1)))
    offset = call.constant(2)
    return call.result(scaled if offset is None else compose.shift(scaled, call.spread_constant(offset)))


def normalised(call: Call, affine: Affine, groups: Index, epsilon: float) -> Affine:
    """Elements less their group's mean, divided by the root of its variance plus ``epsilon``, in their own order."""
    group = np.empty(affine.rows, dtype=np.intp)
    group[groups.ravel()] = np.repeat(np.arange(groups.shape[0]), groups.shape[1])
    mean = averaged(affine, groups)
    centred = compose.add(affine, compose.scale(compose.take(mean, group), -np.ones(affine.rows)))
    variance = averaged(square(call.neurons, centred), groups)
    inverse = _realised(call, variance, (apply("relu", X) + epsilon) ** -0.5)
    return product(call.neurons, centred, compose.take(inverse, group))


def instance_normalization(call: Call) -> list[Tensor]:
    """Lower InstanceNormalization: each channel of each image by itself."""
    tensor = call.tensor(0)
    groups = tensor.indices.reshape(tensor.shape[0] * tensor.shape[1], -1)
    epsilon = float(call.attributes.get("epsilon", np.float32(1e-5)))
    normal = normalised(call, tensor.affine, groups, epsilon)
    return call.result(
        compose.shift(compose.scale(normal, _by_channel(call, 1)), _by_channel(call, 2)),
    )


def _by_channel(call: Call, position: int) -> Vector:
    values = call.required(position)
    return np.broadcast_to(values.reshape(-1, *[1] * (len(call.shape) - 2)), call.shape).ravel()
