"""Comparisons and choices: a truth value is a formula that is one or zero."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from slir_milp.activations.formula import Formula, apply
from slir_milp.network import compose
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.elementwise import applied, together
from slir_milp.network.operators.movement import move
from slir_milp.network.operators.products import product
from slir_milp.network.operators.tensor import Shape, Tensor

_ONE, _ZERO = Formula.constant(1.0), Formula.constant(0.0)


def _less(a: Formula, b: Formula) -> Formula:
    return apply("where_less", a, b, _ONE, _ZERO)


def _negated(condition: Formula) -> Formula:
    return chosen(condition, _ZERO, _ONE)


def chosen(condition: Formula, yes: Formula, no: Formula) -> Formula:
    """One formula where the condition is one, the other where it is zero."""
    if condition.operator == "constant":
        return yes if condition.value else no
    if condition.operator == "where_less":
        a, b, first, second = condition.arguments
        return apply("where_less", a, b, chosen(first, yes, no), chosen(second, yes, no))
    return apply("where_less", 0.5, condition, yes, no)


COMBINATIONS: dict[str, Callable[..., Formula]] = {
    "Less": _less,
    "LessOrEqual": lambda a, b: _negated(_less(b, a)),
    "Greater": lambda a, b: _less(b, a),
    "GreaterOrEqual": lambda a, b: _negated(_less(a, b)),
    "Equal": lambda a, b: chosen(_less(a, b), _ZERO, _negated(_less(b, a))),
    "Not": _negated,
    "And": lambda a, b: chosen(a, b, _ZERO),
    "Or": lambda a, b: chosen(a, _ONE, b),
    "Xor": lambda a, b: chosen(a, _negated(b), b),
}
_COMPARISONS = ("Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal")


def condition(call: Call) -> list[Tensor]:
    """Lower comparisons and what combines them, of numbers from one root; comparisons also of any two."""
    operands = tuple(operand for operand in call.operands if operand is not None)
    combine = COMBINATIONS[call.node.op_type]
    views = together(call, operands, combine)
    if views:
        return call.function_of_root(views)
    if call.node.op_type not in _COMPARISONS:
        raise call.unsupported("on conditions about different numbers")
    left, right = call.two()
    difference = compose.add(call.spread(left), compose.scale(call.spread(right), np.full(_size(call), -1.0)))
    compared = Tensor(call.shape, "float64", difference)
    return [applied(call, compared, lambda a: combine(a, _ZERO))]


def where(call: Call) -> list[Tensor]:
    """Lower Where; a condition on other numbers than those it chooses from becomes a factor of one or zero."""
    decided = call.operand(0)
    if not isinstance(decided, Tensor):
        return move(call)
    yes, no = call.operands[1], call.operands[2]
    if yes is None or no is None:
        raise call.unsupported("without two operands to choose from")
    views = together(call, (decided, yes, no), chosen)
    if views:
        return call.function_of_root(views)
    otherwise = call.spread(no)
    rise = compose.add(call.spread(yes), compose.scale(otherwise, np.full(_size(call), -1.0)))
    return call.result(compose.add(otherwise, product(call.neurons, call.spread(decided), rise)))


def _size(call: Call) -> int:
    shape: Shape = call.shape
    return int(np.prod(shape, dtype=np.int64))
