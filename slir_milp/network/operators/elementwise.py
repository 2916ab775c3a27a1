"""Elementwise operators: formulas of a root wherever the operands share one, products by squares where they do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slir_milp.activations.formula import Formula, apply
from slir_milp.errors import NetworkError, OptionError
from slir_milp.network import compose
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.graph import FLOATS
from slir_milp.network.neurons import Neurons
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.products import product
from slir_milp.network.operators.tensor import Tensor, Value, View, ordered, shared_views


def function(call: Call, step: Callable[[Formula], Formula]) -> list[Tensor]:
    """One function of every element of the first operand."""
    return [applied(call, call.tensor(0), step)]


def applied(call: Call, tensor: Tensor, step: Callable[[Formula], Formula]) -> Tensor:
    """One function of every element of a tensor, in its own shape."""
    try:
        return applied_to(tensor, step, call.results[0][1], call.neurons)
    except OptionError as error:
        raise call.unsupported(f"with a number that no formula holds ({error})") from None


def applied_to(tensor: Tensor, step: Callable[[Formula], Formula], dtype: str, neurons: Neurons) -> Tensor:
    """One function of every element, over as many roots as the formulas stay handy for."""
    views = tuple(view for view in (view.then(step) for view in tensor.views) if view.is_handy)
    return Tensor.of_views(tensor.shape, dtype, views or (View.of(tensor.affine).then(step),), neurons)


def together(call: Call, operands: tuple[Value, ...], combine: Callable[..., Formula]) -> tuple[View, ...]:
    """Views of a function of several operands, none if they share no root."""
    try:
        return shared_views([_spread(call, operand) for operand in operands], combine)
    except OptionError as error:
        raise call.unsupported(f"with a number that no formula holds ({error})") from None


def _spread(call: Call, operand: Value) -> Vector | tuple[View, ...]:
    if not isinstance(operand, Tensor):
        return call.spread_constant(operand)
    if operand.shape == call.shape:
        return operand.views
    elements = np.broadcast_to(operand.indices, call.shape).ravel()
    return tuple(view.take(elements) for view in operand.views)


def linear(
    call: Call, operands: tuple[Value, ...], combine: Callable[..., Formula], lower: Callable[[], Affine]
) -> Tensor:
    """An elementwise operator that is affine in all its operands together.

    Parameters
    ----------
    operands
        Two values.
    combine
        The formula of the result from theirs.
    lower
        The result as an affine map, which makes the operands' neurons first.
    """
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    views = together(call, operands, combine)
    shape, dtype = call.results[0]
    if all(tensor.is_affine for tensor in tensors):
        affine = lower()
        return Tensor(shape, dtype, affine, ordered((View.of(affine), *views)))
    if not views:
        return Tensor(shape, dtype, lower())
    if len(tensors) == 1:
        return Tensor(shape, dtype, lambda: _renamed(call, tensors[0], views[0], lower), views)
    if call.neurons.hinges_only and all(tensor.is_piecewise_linear for tensor in tensors):
        call.neurons.could_fuse = True
        return Tensor(shape, dtype, lower, views)
    return Tensor.of_views(shape, dtype, views, call.neurons)


def _renamed(call: Call, tensor: Tensor, view: View, lower: Callable[[], Affine]) -> Affine:
    """What a constant was added to or multiplied with: its own neurons serve, unless now the function has a name."""
    before = tensor.known[0].formulas
    if (
        len(view.formulas) == len(before) == 1
        and call.neurons.has_name(view.formulas[0])
        and not call.neurons.has_name(before[0])
    ):
        return view.realised(call.neurons)
    return lower()


def add(call: Call) -> list[Tensor]:
    """Lower Add and Sum."""
    return [_sum(call)]


def _sum(call: Call) -> Tensor:
    operands = [operand for operand in call.operands if operand is not None]
    operands.sort(key=lambda operand: not isinstance(operand, Tensor))
    total = operands[0]
    for operand in operands[1:]:
        total = _plus(call, total, operand)
    if not isinstance(total, Tensor):
        raise NetworkError(f"operator {call.node.op_type} needs a computed input")
    return total if len(operands) > 1 else Tensor(call.shape, call.results[0][1], total.source, total.known)


def _plus(call: Call, left: Value, right: Value) -> Tensor:
    def lower() -> Affine:
        if isinstance(right, Tensor):
            return compose.add(call.spread(left), call.spread(right))
        return compose.shift(call.spread(left), call.spread_constant(right))

    return linear(call, (left, right), lambda a, b: a + b, lower)


def mean(call: Call) -> list[Tensor]:
    """Lower Mean, the elementwise mean of several tensors."""
    total = _sum(call).affine
    return call.result(compose.divide(total, np.full(total.rows, float(len(call.operands)))))


def subtract(call: Call) -> list[Tensor]:
    """Lower Sub."""
    left, right = call.two()

    def lower() -> Affine:
        if not isinstance(right, Tensor):
            return compose.shift(call.spread(left), -call.spread_constant(right))
        negated = _negative(call.spread(right))
        if not isinstance(left, Tensor):
            return compose.shift(negated, call.spread_constant(left))
        return compose.add(call.spread(left), negated)

    return [linear(call, (left, right), lambda a, b: a - b, lower)]


def negate(call: Call) -> list[Tensor]:
    """Lower Neg."""
    tensor = call.tensor(0)
    return [linear(call, (tensor,), lambda a: -a, lambda: _negative(tensor.affine))]


def multiply(call: Call) -> list[Tensor]:
    """Lower Mul."""
    left, right = call.two()
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        views = together(call, (left, right), lambda a, b: a**2 if a == b else a * b)
        if views:
            return call.function_of_root(views)
        return [_product(call, left, right)]
    tensor, factor = (left, right) if isinstance(left, Tensor) else (right, left)
    assert isinstance(factor, np.ndarray)  # a node without computed operands is not lowered
    return [
        linear(
            call,
            (left, right),
            lambda a, b: a * b,
            lambda: compose.scale(call.spread(tensor), call.spread_constant(factor)),
        )
    ]


def _product(call: Call, left: Tensor, right: Tensor) -> Tensor:
    """Product of tensors without a common root, made when it is needed: a sum of products may take fewer squares."""
    shape, dtype = call.results[0]
    factors = (call.spread(left), call.spread(right))
    made = Tensor(shape, dtype, lambda: product(call.neurons, *factors))
    return Tensor(shape, dtype, lambda: made.affine, (View.of(made),), factors)


def divide(call: Call) -> list[Tensor]:
    """Lower Div."""
    left, right = call.two()
    if not isinstance(right, Tensor):
        divisor = call.spread_constant(right)
        if np.any(divisor == 0):
            raise NetworkError("operator Div divides by zero")
        return [linear(call, (left, right), lambda a, b: a / b, lambda: compose.divide(call.spread(left), divisor))]
    if isinstance(left, Tensor) or np.unique(left).size == 1:
        views = together(call, (left, right), lambda a, b: a / b)
        if views:
            return call.function_of_root(views)
    inverse = applied(call, right, lambda a: 1 / a)
    if isinstance(left, Tensor):
        return call.result(product(call.neurons, call.spread(left), call.spread(inverse)))
    return call.result(compose.scale(call.spread(inverse), call.spread_constant(left)))


def power(call: Call) -> list[Tensor]:
    """Lower Pow: to a constant exponent, or else ``exp(exponent·log(base))``, which wants a positive base."""
    base, exponent = call.two()
    if call.results[0][1] not in FLOATS:
        raise call.unsupported("of integers")
    if isinstance(exponent, Tensor):
        return _exponential(call, base, exponent)
    assert isinstance(base, Tensor)  # a node without computed operands is not lowered

    def combine(a: Formula, b: Formula) -> Formula:
        return a**b if b.value else Formula.constant(1.0)

    for tensor in (base, Tensor(base.shape, base.dtype, base.affine)):
        views = together(call, (tensor, exponent), combine)
        if views:
            return call.function_of_root(views)
    raise call.unsupported("with so many different exponents")


def _exponential(call: Call, base: Value, exponent: Tensor) -> list[Tensor]:
    """A computed exponent; where a computed base is not positive, nothing is said of the power."""
    if not isinstance(base, Tensor) and np.any(call.finite(base) <= 0):
        raise call.unsupported("with a computed exponent of a base that is not positive")
    views = together(call, (base, exponent), lambda a, b: apply("exp", b * apply("log", a)))
    if views:
        return call.function_of_root(views)
    if not isinstance(base, Tensor):
        raise call.unsupported("with a computed exponent of so many different bases")
    logarithm = call.spread(applied(call, base, lambda a: apply("log", a)))
    scaled = Tensor(*call.results[0], product(call.neurons, call.spread(exponent), logarithm))
    return [applied(call, scaled, lambda a: apply("exp", a))]


def _negative(affine: Affine) -> Affine:
    return compose.scale(affine, np.full(affine.rows, -1.0))
