"""Taylor series of formulas, with proven coefficients: at a point, or over an interval for remainders and signs.

Over an interval ``[a, b]`` the k-th coefficient encloses ``f^(k)(x)/k!`` for every ``x`` of it, so that (Taylor, with
Lagrange's remainder) ``f(c + t)`` lies in the first ``n`` terms at ``c`` plus the n-th coefficient over the interval
times ``t^n``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from flint import arb, arb_series, ctx

from slir_milp.activations.formula import Formula
from slir_milp.activations.interval import ball

Series: TypeAlias = arb | arb_series


class Expansion:
    """Taylor expansion of an analytic formula, prepared once for many points.

    Parameters
    ----------
    formula
        A formula without branches.
    """

    def __init__(self, formula: Formula) -> None:
        places = {node: i for i, node in enumerate(formula.nodes)}
        self._steps = [
            (node, _RULES.get(node.operator), tuple(places[a] for a in node.arguments)) for node in formula.nodes
        ]
        self._constants: dict[int, list[arb | None]] = {}

    def __call__(self, x: arb, length: int) -> list[arb]:
        """The first ``length`` coefficients, constant first, at the working precision.

        Where the formula may be undefined, or not analytic, they are not finite.
        """
        cap, ctx.cap = ctx.cap, length
        try:
            variable, unknown = arb_series([x, 1], length), arb_series([arb.nan()] * length, length)
            constants = self._constants.get(ctx.prec)
            if constants is None:
                constants = self._constants[ctx.prec] = self._fold()
            values: list[Series] = []
            for (node, rule, places), constant in zip(self._steps, constants, strict=True):
                if constant is not None:
                    values.append(constant)
                elif rule is None:
                    values.append(variable if node.operator == "x" else unknown)
                elif node.operator == "pow":
                    values.append(_power(values[places[0]], node.arguments[1].value))
                else:
                    values.append(rule(*(values[i] for i in places)))
            result = values[-1]
            if isinstance(result, arb):
                return [result] + [arb(0)] * (length - 1)
            if result.prec < length:  # (cut short: the cap on lengths is shared by all threads)
                return [arb.nan()] * length
            coefficients: list[arb] = result.coeffs()
            return coefficients + [arb(0)] * (length - len(coefficients))
        except (ValueError, ZeroDivisionError):  # a quotient by a series that may start with zero
            return [arb.nan()] * length
        finally:
            ctx.cap = cap

    def _fold(self) -> list[arb | None]:
        """Values of the sub-formulas without ``x``."""
        values: list[arb] = []
        for node, rule, places in self._steps:
            if node.uses_x:
                values.append(arb(0))
            elif node.operator == "constant":
                values.append(arb(node.value))
            elif rule is None:  # π, or an operator that chooses a branch: of a number, so that it needs no series
                values.append(ball(node, arb(0)))
            else:
                arguments = [arb_series([values[i]], 1) for i in places]
                if node.operator == "pow":
                    values.append(_constant(_power(arguments[0], node.arguments[1].value)))
                else:
                    values.append(_constant(rule(*arguments)))
        return [None if step[0].uses_x else value for step, value in zip(self._steps, values, strict=True)]


def _constant(value: Series) -> arb:
    if isinstance(value, arb):
        return value
    coefficients = value.coeffs()
    return coefficients[0] if coefficients else arb(0)


def _head(u: arb_series) -> arb:
    """Constant coefficient."""
    head: arb = u[0]
    return head


def _with_head(u: arb_series, head: arb) -> arb_series:
    """The series with another constant coefficient."""
    coefficients = u.coeffs() or [arb(0)]
    coefficients[0] = head
    return arb_series(coefficients, u.prec)


def _power(u: Series, exponent: float) -> Series:
    if exponent == int(exponent):
        n = int(abs(exponent))
        if n == 0:
            return arb(1) if isinstance(u, arb) else arb_series([1], u.prec)
        result = u
        for bit in bin(n)[3:]:
            result = result * result * u if bit == "1" else result * result
        return 1 / result if exponent < 0 else result
    if exponent == 0.5:
        return u.sqrt()
    if exponent == -0.5:
        return u.rsqrt()
    return (u.log() * arb(exponent)).exp()


def _sigmoid(u: arb_series) -> arb_series:
    if _head(u).mid() > 0:
        return 1 / (1 + (-u).exp())
    small = u.exp()
    return small / (1 + small)


def _tanh(u: arb_series) -> arb_series:
    return _with_head(2 * _sigmoid(2 * u), _head(u).tanh())


def _softplus(u: arb_series) -> arb_series:
    """Its derivative is the sigmoid; its value is computed apart, so that nothing cancels."""
    x = _head(u)
    value = x + (-x).exp().log1p() if x.mid() > 0 else x.exp().log1p()
    if u.prec == 1:
        return arb_series([value], 1)
    slope = _sigmoid(u) * u.derivative()
    return _with_head(slope.integral(), value)


def _normal_cdf(u: arb_series) -> arb_series:
    return (-u * (1 / arb(2).sqrt())).erfc() / 2


_RULES: dict[str, Callable[..., Series]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": _power,
    "neg": lambda a: -a,
    "exp": lambda u: u.exp(),
    "log": lambda u: u.log(),
    "sqrt": lambda u: u.sqrt(),
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "erf": lambda u: u.erf(),
    "sin": lambda u: u.sin(),
    "cos": lambda u: u.cos(),
    "tan": lambda u: u.tan(),
    "atan": lambda u: u.atan(),
    "softplus": _softplus,
    "normal_cdf": _normal_cdf,
}
