"""Piecewise linear operators: each becomes neurons with two half-lines."""

from __future__ import annotations

import numpy as np

from slir_milp.activations import ABS
from slir_milp.errors import NetworkError
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.neurons import Neurons
from slir_milp.network.operators.call import Call, Tensor
from slir_milp.network.operators.linear import reduced_groups
from slir_milp.network.storage import Index


def relu(call: Call) -> list[Tensor]:
    """Lower Relu."""
    return call.result(call.neurons.relu(call.tensor(0).affine))


def absolute(call: Call) -> list[Tensor]:
    """Lower Abs."""
    return call.result(call.neurons.hinge(call.tensor(0).affine, ABS))


def leaky_relu(call: Call) -> list[Tensor]:
    """Lower LeakyRelu."""
    affine = call.tensor(0).affine
    slope = float(call.attributes.get("alpha", np.float32(0.01)))
    if not np.isfinite(slope):
        raise NetworkError("operator LeakyRelu has a slope that is not a finite number")
    return call.result(call.neurons.hinges(affine, np.full(affine.rows, slope), np.ones(affine.rows)))


def parametric_relu(call: Call) -> list[Tensor]:
    """Lower PRelu with constant slopes."""
    affine = call.tensor(0).affine
    slopes = np.broadcast_to(call.required(1), call.shape).ravel()
    return call.result(call.neurons.hinges(affine, slopes, np.ones(affine.rows)))


def clip(call: Call) -> list[Tensor]:
    """Lower Clip with constant ends, either of which may be missing or infinite."""
    low = _end(call, "min", 1, -np.inf)
    high = _end(call, "max", 2, np.inf)
    return call.result(_clipped(call.neurons, call.tensor(0).affine, low, high))


def hard_sigmoid(call: Call) -> list[Tensor]:
    """Lower HardSigmoid: ``max(0, min(1, alpha·x + beta))``."""
    affine = call.tensor(0).affine
    alpha = float(call.attributes.get("alpha", np.float32(0.2)))
    beta = float(call.attributes.get("beta", np.float32(0.5)))
    line = compose.shift(compose.scale(affine, np.full(affine.rows, alpha)), np.full(affine.rows, beta))
    return call.result(_clipped(call.neurons, line, 0.0, 1.0))


def _end(call: Call, attribute: str, position: int, otherwise: float) -> float:
    value = call.operand(position)
    if isinstance(value, Tensor):
        raise call.unsupported("with computed ends")
    end = float(call.attributes.get(attribute, otherwise)) if value is None else float(np.asarray(value).item())
    if np.isnan(end):
        raise NetworkError("operator Clip has an end that is not a number")
    # Without an end, exporters write the largest number of the type.
    limit = float(np.finfo(call.tensor(0).dtype).max)
    return otherwise if abs(end) == limit and np.sign(end) == np.sign(otherwise) else end


def _clipped(neurons: Neurons, x: Affine, low: float, high: float) -> Affine:
    """``min(max(x, low), high)``; ``low`` may be ``-inf`` and ``high`` ``inf``."""
    if low >= high:
        if not np.isfinite(high):
            raise NetworkError("operator Clip has infinite ends on the same side")
        return compose.constant(np.full(x.rows, high), neurons.columns)
    if low == np.inf or high == -np.inf:
        raise NetworkError("operator Clip has infinite ends on the same side")

    def offset(end: float) -> Vector:
        return np.full(x.rows, end)

    if low > -np.inf:
        raised = compose.shift(neurons.relu(compose.shift(x, offset(-low))), offset(low))
        if high == np.inf:
            return raised
        return compose.add(raised, _negative(neurons.relu(compose.shift(x, offset(-high)))))
    if high == np.inf:
        return x
    return compose.shift(_negative(neurons.relu(compose.shift(_negative(x), offset(high)))), offset(high))


def maximum(call: Call) -> list[Tensor]:
    """Lower Max of several tensors."""
    return call.result(_tree(call, lowest=False))


def minimum(call: Call) -> list[Tensor]:
    """Lower Min of several tensors."""
    return call.result(_tree(call, lowest=True))


def reduce_max(call: Call) -> list[Tensor]:
    """Lower ReduceMax and GlobalMaxPool."""
    return call.result(largest(call.neurons, call.tensor(0).affine, reduced_groups(call)))


def reduce_min(call: Call) -> list[Tensor]:
    """Lower ReduceMin."""
    negated = _negative(call.tensor(0).affine)
    return call.result(_negative(largest(call.neurons, negated, reduced_groups(call))))


def _tree(call: Call, *, lowest: bool) -> Affine:
    parts = [call.spread(value) for value in call.operands if value is not None]
    pool = compose.stack(parts)
    groups = np.arange(pool.rows).reshape(len(parts), -1).T
    if lowest:
        return _negative(largest(call.neurons, _negative(pool), groups))
    return largest(call.neurons, pool, groups)


def largest(neurons: Neurons, pool: Affine, groups: Index) -> Affine:
    """Largest element of each group, by a balanced tree of ``max(a, b) = b + relu(a - b)``.

    Parameters
    ----------
    neurons
        Where the neurons are made.
    pool
        The elements.
    groups
        Shape ``(results, group)``: their row numbers, ``-1`` where a group has fewer; none is empty.
    """
    if np.any(np.all(groups < 0, axis=1)):
        raise NetworkError("a maximum is taken over no elements")
    groups = np.take_along_axis(groups, np.argsort(groups < 0, axis=1, kind="stable"), axis=1)
    while groups.shape[1] > 1:
        half = (groups.shape[1] + 1) // 2
        first, second = groups[:, :half], np.full((groups.shape[0], half), -1)
        second[:, : groups.shape[1] - half] = groups[:, half:]
        both = second >= 0
        a, b = compose.take(pool, first[both]), compose.take(pool, second[both])
        larger = compose.add(b, neurons.relu(compose.add(a, _negative(b))))
        merged = first.copy()
        merged[both] = pool.rows + np.arange(larger.rows)
        pool, groups = compose.stack([pool, larger]), merged
    return compose.take(pool, groups[:, 0])


def _negative(affine: Affine) -> Affine:
    return compose.scale(affine, np.full(affine.rows, -1.0))
