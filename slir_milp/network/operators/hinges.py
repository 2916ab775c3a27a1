"""Piecewise linear operators: each becomes neurons with two half-lines."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np

from slir_milp.activations import ABS
from slir_milp.activations.formula import Formula, apply
from slir_milp.errors import NetworkError
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.graph import INTEGERS
from slir_milp.network.neurons import Neurons
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.elementwise import together
from slir_milp.network.operators.linear import reduced_groups
from slir_milp.network.operators.tensor import Tensor, Value
from slir_milp.network.storage import Index


def relu(call: Call) -> list[Tensor]:
    """Lower Relu."""
    tensor = call.tensor(0)
    return _piecewise(call, (tensor,), lambda a: apply("relu", a), lambda: call.neurons.relu(tensor.affine))


def absolute(call: Call) -> list[Tensor]:
    """Lower Abs."""
    tensor = call.tensor(0)
    return _piecewise(call, (tensor,), lambda a: apply("abs", a), lambda: call.neurons.hinge(tensor.affine, ABS))


def leaky_relu(call: Call) -> list[Tensor]:
    """Lower LeakyRelu."""
    slope = float(call.attributes.get("alpha", np.float32(0.01)))
    if not np.isfinite(slope):
        raise NetworkError("operator LeakyRelu has a slope that is not a finite number")
    return _leaky(call, np.array(slope))


def parametric_relu(call: Call) -> list[Tensor]:
    """Lower PRelu with constant slopes."""
    return _leaky(call, call.required(1))


def _leaky(call: Call, slope: Vector) -> list[Tensor]:
    tensor = call.tensor(0)

    def lower() -> Affine:
        return call.neurons.hinges(tensor.affine, call.spread_constant(slope), np.ones(tensor.size))

    def combine(a: Formula, s: Formula) -> Formula:
        return apply("max" if s.value <= 1 else "min", a, s * a)

    return _piecewise(call, (tensor, slope), combine, lower)


def _piecewise(
    call: Call,
    operands: tuple[Value, ...],
    combine: Callable[..., Formula],
    lower: Callable[[], Affine],
    hinges: int = 1,
) -> list[Tensor]:
    """Result of a piecewise linear operator: hinges, or one curve for several of them.

    Hinges are worth more than curves where the whole network is piecewise linear: rational arithmetic and mixed-integer
    programs follow them.  Elsewhere one curve has tighter lines than several hinges.

    Parameters
    ----------
    operands, combine
        What the operator computes, as a formula.
    lower
        The result by hinges.
    hinges
        How many an element takes.
    """
    views = together(call, operands, combine)
    if not views:
        return call.result(lower())
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    whole = all(tensor.is_affine for tensor in tensors)
    single = whole and hinges == 1
    if not single and call.neurons.hinges_only and all(tensor.is_piecewise_linear for tensor in tensors):
        call.neurons.could_fuse = single = True
    if single:
        return [Tensor(*call.results[0], lower, views)]
    return call.function_of_root(views)


def clip(call: Call) -> list[Tensor]:
    """Lower Clip; either end may be missing or infinite."""
    if any(isinstance(call.operand(position), Tensor) for position in (1, 2)):
        return _between(call)
    low = _end(call, "min", 1, -np.inf)
    high = _end(call, "max", 2, np.inf)
    tensor = call.tensor(0)
    if low == -np.inf and high == np.inf:
        return [Tensor(*call.results[0], tensor.source, tensor.known)]
    if low >= high or low == np.inf or high == -np.inf:
        return call.result(_clipped(call.neurons, tensor.affine, low, high))

    def combine(a: Formula) -> Formula:
        raised = apply("max", a, low) if low > -np.inf else a
        return apply("min", raised, high) if high < np.inf else raised

    ends = int(low > -np.inf) + int(high < np.inf)
    return _piecewise(call, (tensor,), combine, lambda: _clipped(call.neurons, tensor.affine, low, high), ends)


def _between(call: Call) -> list[Tensor]:
    """Clip with an end that is computed: the lesser of the upper end and of the greater of the lower end and ``x``."""
    tensor = call.tensor(0)
    low, high = _given_end(call, 1, -np.inf), _given_end(call, 2, np.inf)
    ends = tuple(end for end in (low, high) if end is not None)

    def combine(a: Formula, *ends: Formula) -> Formula:
        raised = a if low is None else apply("max", a, ends[0])
        return raised if high is None else apply("min", raised, ends[-1])

    def lower() -> Affine:
        x = call.spread(tensor)
        for end, sign in ((low, 1.0), (high, -1.0)):
            if end is not None:
                pool = compose.scale(compose.stack([x, call.spread(end)]), np.full(2 * tensor.size, sign))
                pairs = np.arange(2 * tensor.size).reshape(2, -1).T
                x = compose.scale(largest(call.neurons, pool, pairs), np.full(tensor.size, sign))
        return x

    return _piecewise(call, (tensor, *ends), combine, lower, len(ends))


def _given_end(call: Call, position: int, otherwise: float) -> Value | None:
    """An end of Clip that is computed, constant, or not there."""
    value = call.operand(position)
    if isinstance(value, Tensor):
        return value
    end = _end(call, "", position, otherwise)
    if end == -otherwise:
        raise NetworkError("operator Clip has infinite ends on the same side")
    return None if end == otherwise else np.array(end)


def hard_sigmoid(call: Call) -> list[Tensor]:
    """Lower HardSigmoid: ``max(0, min(1, alpha·x + beta))``."""
    tensor = call.tensor(0)
    alpha = float(call.attributes.get("alpha", np.float32(0.2)))
    beta = float(call.attributes.get("beta", np.float32(0.5)))

    def lower() -> Affine:
        scaled = compose.scale(tensor.affine, np.full(tensor.size, alpha))
        return _clipped(call.neurons, compose.shift(scaled, np.full(tensor.size, beta)), 0.0, 1.0)

    return _piecewise(call, (tensor,), lambda a: apply("min", apply("max", alpha * a + beta, 0.0), 1.0), lower, 2)


def _end(call: Call, attribute: str, position: int, otherwise: float) -> float:
    value = call.operand(position)
    end = float(call.attributes.get(attribute, otherwise)) if value is None else float(np.asarray(value).item())
    if np.isnan(end):
        raise NetworkError("operator Clip has an end that is not a number")
    # Without an end, exporters write the largest number of the type.
    kind = call.tensor(0).dtype
    limits = np.iinfo(kind) if kind in INTEGERS else np.finfo(kind)
    extreme = end == float(limits.max) if otherwise > 0 else end == float(limits.min)
    return otherwise if extreme else end


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
    return _extreme(call, "max")


def minimum(call: Call) -> list[Tensor]:
    """Lower Min of several tensors."""
    return _extreme(call, "min")


def _extreme(call: Call, name: str) -> list[Tensor]:
    operands = tuple(operand for operand in call.operands if operand is not None)

    def combine(*formulas: Formula) -> Formula:
        return reduce(lambda a, b: apply(name, a, b), formulas)

    return _piecewise(call, operands, combine, lambda: _tree(call, lowest=name == "min"), len(operands) - 1)


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
