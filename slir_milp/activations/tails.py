"""Enclosures over half-lines, where interval arithmetic meets infinity times zero.

**Theorem.**  Let ``g`` be differentiable without a zero on ``[T, ∞)`` and its logarithmic derivative ``g′/g`` at most 0
there.  Then ``g`` lies between 0 and ``g(T)``.  *Proof*: ``(log |g|)′ ≤ 0``.  On ``(−∞, −T]`` it must be at least 0.

So ``x·Φ(x)`` is bounded far to the left: its logarithmic derivative ``1/x + φ(x)/Φ(x)`` is enclosed by rules for sums,
products and functions, each of which holds wherever its arguments are not zero.
"""

from __future__ import annotations

from flint import arb

from slir_milp.activations.formula import Formula
from slir_milp.activations.interval import (
    FUNCTIONS,
    ONE,
    WHOLE,
    ZERO,
    Interval,
    enclose,
    hull,
    interval,
    step,
)
from slir_milp.activations.rewrite import stable


def _add(a: Interval, b: Interval) -> Interval:
    return FUNCTIONS["add"](a, b) or WHOLE


def _mul(a: Interval, b: Interval) -> Interval:
    return FUNCTIONS["mul"](a, b) or WHOLE


def _negative(a: Interval) -> Interval:
    return -a[1], -a[0]


def enclose_tail(formula: Formula, x: Interval) -> Interval:
    """Enclosure of an analytic formula's values over a half-line beyond zero."""
    known: dict[Formula, Interval | None] = {}
    stabilised = stable(formula)
    for node in stabilised.nodes:
        found = step(node, tuple(known[a] for a in node.arguments), x)
        if found is not None and node.operator == "mul" and not (found[0].is_finite() and found[1].is_finite()):
            sharper = _product(node, known, x)
            found = (max(found[0], sharper[0]), min(found[1], sharper[1]))
        known[node] = found
    return known[stabilised] or WHOLE


def _sigmoid(a: Interval) -> Interval:
    return FUNCTIONS["sigmoid"](a) or WHOLE


def _factors(node: Formula) -> list[Formula]:
    """Factors of a product."""
    if node.operator == "mul":
        return [f for a in node.arguments for f in _factors(a)]
    return [node]


def _product(node: Formula, known: dict[Formula, Interval | None], x: Interval) -> Interval:
    """Range of a product: the factors that are unbounded or decay by the theorem, the others by their ranges."""
    right = x[0] > ZERO
    falling, total, rest = Formula.constant(1), (ZERO, ZERO), (ONE, ONE)
    for factor in _factors(node):
        values, growth = known[factor] or WHOLE, _growth(factor, x)
        bounded = values[0].is_finite() and values[1].is_finite()
        if growth is not None and (not bounded or (growth[1] <= ZERO if right else growth[0] >= ZERO)):
            falling, total = falling * factor, _add(total, growth)
        else:
            rest = _mul(rest, values)
    if not (total[1] <= ZERO if right else total[0] >= ZERO):
        return WHOLE
    end = x[0] if right else x[1]
    return _mul(hull((ZERO, ZERO), enclose(falling, (end, end))), rest)


def _growth(node: Formula, x: Interval) -> Interval | None:
    """Enclosure of the logarithmic derivative, or nothing; only given where the node has no zero."""
    if not node.uses_x:
        return ZERO, ZERO
    values = enclose(node, x)
    if node.operator == "x":
        return FUNCTIONS["div"]((ONE, ONE), x)
    inner = [_growth(a, x) for a in node.arguments]
    match node.operator:
        case "mul" | "div" if inner[0] and inner[1]:
            return _add(inner[0], inner[1] if node.operator == "mul" else _negative(inner[1]))
        case "neg":
            return inner[0]
        case "pow" if inner[0]:
            power = arb(node.arguments[1].value)
            return _mul(inner[0], (power, power))
        case "add" | "sub" if inner[0] and inner[1]:
            a, b = (enclose(e, x) for e in node.arguments)
            if node.operator == "sub":
                b = _negative(b)
            if (a[0] > ZERO and b[0] > ZERO) or (a[1] < ZERO and b[1] < ZERO):
                return hull(inner[0], inner[1])  # (a weighted mean of both)
            return None
        case "exp" | "sigmoid" | "normal_cdf" | "softplus" | "tanh":
            return _of_function(node, inner[0], values, x)
    return None


def _of_function(node: Formula, inner: Interval | None, values: Interval, x: Interval) -> Interval | None:
    argument = node.arguments[0]
    u, rate = enclose(argument, x), enclose_tail(argument.derivative, x)
    match node.operator:
        case "exp":
            return rate
        case "sigmoid":  # σ′/σ = 1 − σ
            return _mul(rate, _sigmoid(_negative(u)))
        case "normal_cdf" if u[1] < ZERO:  # Mills: z < φ(z)/Φ(−z) < z + 1/z
            return _mul(rate, interval(-u[1], -u[0] - 1 / u[1]))
        case "softplus" if u[1] < ZERO:  # e^u/(1 + e^u) ≤ log(1 + e^u) ≤ e^u
            return _mul(rate, (_sigmoid(_negative(u))[0], ONE))
        case "tanh" if inner and u[0] >= ZERO and u[1].is_finite():  # (1 − tanh²)/tanh = 2/sinh(2u), 2u/sinh(2u) ≤ 1
            return _mul(inner, interval(2 * u[1] / (2 * u[1]).sinh(), ONE))
    return None
