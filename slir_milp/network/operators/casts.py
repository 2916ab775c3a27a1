"""Changes of element type, and the arithmetic of integers: what they mean to real numbers.

A truth value is one or zero, an integer is the whole number that it is; neither has a largest one.  What becomes an
integer loses its fraction, towards zero.  Both are functions with jumps, as are those of :mod:`.logic`.
"""

from __future__ import annotations

from slir_milp.activations.formula import Formula, apply
from slir_milp.network.graph import FLOATS, INTEGERS
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.elementwise import applied, divide
from slir_milp.network.operators.logic import COMBINATIONS
from slir_milp.network.operators.movement import keep
from slir_milp.network.operators.tensor import Tensor


def truncated(number: Formula) -> Formula:
    """The number without its fraction."""
    return apply("where_less", number, 0.0, -apply("floor", -number), apply("floor", number))


def truth(number: Formula) -> Formula:
    """One unless the number is zero."""
    return COMBINATIONS["Not"](COMBINATIONS["Equal"](number, Formula.constant(0.0)))


def cast(call: Call) -> list[Tensor]:
    """Lower Cast and CastLike."""
    tensor, (shape, dtype) = call.tensor(0), call.results[0]
    if dtype == tensor.dtype or dtype in FLOATS:
        return [Tensor(shape, dtype, tensor.source, tensor.known)]
    if dtype == "bool":
        return [applied(call, tensor, truth)]
    if dtype in INTEGERS:
        return [applied(call, tensor, truncated)] if tensor.dtype in FLOATS else keep(call)
    raise call.unsupported(f"of computed tensors to element type {dtype}")


def quotient(call: Call) -> list[Tensor]:
    """Lower Div, which drops the fraction if its operands are integers."""
    result = divide(call)
    return [applied(call, result[0], truncated)] if call.results[0][1] in INTEGERS else result
