"""Formulas over intervals whose ends are numbers of python-flint: enclosures that hold to the last bit.

Every operation rounds outward at the working precision.  Where something may be undefined, or both ends are infinite in
the wrong way, the result is the whole line: nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from flint import arb

from slir_milp.activations.formula import Formula

Interval = tuple[arb, arb]
"""Lower and upper end, each exact (radius zero); infinite ends are allowed."""

INFINITY = arb.pos_inf()
WHOLE: Interval = (-INFINITY, INFINITY)
ZERO, ONE = arb(0), arb(1)
_FAR = arb(2) ** 60
_TINY = arb(2) ** -100


def interval(lower: float | arb, upper: float | arb) -> Interval:
    """The interval between two numbers; a ball counts with all it holds."""
    return _tidy(arb(lower).lower(), arb(upper).upper())


def down(value: arb) -> float:
    """Largest float64 known to be at most the ball's lower end; minus infinity for no number."""
    lower = value.lower()
    number = float(lower)
    if math.isnan(number):
        return -math.inf
    return math.nextafter(number, -math.inf) if arb(number) > lower else number


def up(value: arb) -> float:
    """Smallest float64 known to be at least the ball's upper end; infinity for no number."""
    return -down(-value)


def hull(a: Interval, b: Interval) -> Interval:
    """Smallest interval that holds both."""
    return (a[0] if a[0] <= b[0] else b[0], a[1] if a[1] >= b[1] else b[1])


def ball(formula: Formula, x: arb) -> arb:
    """Enclosure of a formula's values over a ball, as a ball."""
    low, high = enclose(formula, interval(x, x)) if x.is_finite() else enclose(formula, WHOLE)
    if low.is_finite() and high.is_finite():
        return low.union(high)
    return arb(0, INFINITY)


def enclose(formula: Formula, x: Interval) -> Interval:
    """Enclosure of a formula's values over an interval (of real numbers: an infinite end stands for a limit).

    The whole line if the formula may be undefined somewhere there.
    """
    return formula.fold(lambda node, arguments: step(node, arguments, x)) or WHOLE


def step(node: Formula, arguments: tuple[Interval | None, ...], x: Interval) -> Interval | None:
    """Enclosure of a node from those of its arguments; nothing where it may be undefined."""
    match node.operator:
        case "x":
            return x
        case "constant":
            return arb(node.value), arb(node.value)
        case "pi":
            return interval(arb.pi(), arb.pi())
        case "where_less":
            return _where_less(*arguments)
    if any(a is None for a in arguments):
        return None
    match node.operator:
        case "pow":
            return _power(arguments[0], node.arguments[1].value)  # type: ignore[arg-type]
        case "mul" if node.arguments[0] == node.arguments[1]:
            return _power(arguments[0], 2.0)  # type: ignore[arg-type]
    return FUNCTIONS[node.operator](*arguments)


def _tidy(lower: arb, upper: arb) -> Interval:
    """Outer ends of two balls, or the whole line if either is no number."""
    low, high = lower.lower(), upper.upper()
    return (low, high) if low <= high else WHOLE


def _add(a: Interval, b: Interval) -> Interval:
    return _tidy(a[0] + b[0], a[1] + b[1])


def _sub(a: Interval, b: Interval) -> Interval:
    return _tidy(a[0] - b[1], a[1] - b[0])


def _mul(a: Interval, b: Interval) -> Interval:
    products = [ZERO if p.is_zero() or q.is_zero() else p * q for p in a for q in b]
    lows, highs = [p.lower() for p in products], [p.upper() for p in products]
    low, high = lows[0], highs[0]
    for p, q in zip(lows[1:], highs[1:], strict=True):
        low, high = (p if p < low else low), (q if q > high else high)
    return _tidy(low, high)


def _inverse(a: Interval) -> Interval | None:
    if a[0] > ZERO or a[1] < ZERO:
        ends = [ZERO if not e.is_finite() else 1 / e for e in (a[1], a[0])]
        return _tidy(ends[0], ends[1])
    return None


def _divide(a: Interval, b: Interval) -> Interval | None:
    if a[0].is_finite() and a[1].is_finite() and b[0] == b[1] and not b[0].is_zero():
        ends = (a[0] / b[0], a[1] / b[0])  # (exact where the quotient is)
        return _tidy(*ends) if b[0] > ZERO else _tidy(ends[1], ends[0])
    inverse = _inverse(b)
    return None if inverse is None else _mul(a, inverse)


def _power(a: Interval, exponent: float) -> Interval | None:
    if exponent == int(exponent):
        n = int(abs(exponent))
        if n == 0:
            return ONE, ONE
        odd = n % 2 == 1
        low, high = (_integer_power(e, n) for e in a)
        if odd or a[0] >= ZERO:
            result = _tidy(low, high)
        elif a[1] <= ZERO:
            result = _tidy(high, low)
        else:
            result = _max(_tidy(ZERO, low), _tidy(ZERO, high))
        return result if exponent > 0 else _inverse(result)
    if exponent < 0:
        positive = _power(a, -exponent)
        return None if positive is None else _inverse(positive)
    if not a[0] >= ZERO:
        return None
    low, high = ((ZERO if e.is_zero() else e if not e.is_finite() else (e.log() * exponent).exp()) for e in a)
    return _tidy(low, high)


def _integer_power(e: arb, n: int) -> arb:
    if e.is_finite():
        return e**n
    return e if n % 2 == 1 else INFINITY


def _increasing(at: Callable[[arb], arb], left: arb, right: arb) -> Callable[[Interval], Interval]:
    """An increasing function with these limits, which bound it beyond ``±2^60``."""

    def apply(a: Interval) -> Interval:
        low = left if a[0] < -_FAR else at(a[0] if a[0] < _FAR else _FAR)
        high = right if a[1] > _FAR else at(a[1] if a[1] > -_FAR else -_FAR)
        low, high = _tidy(low, high)
        return (low if low > left else left), (high if high < right else right)

    return apply


def _sigmoid(x: arb) -> arb:
    if x > ZERO:
        return 1 / (1 + (-x).exp())
    e = x.exp()
    return e / (1 + e)


def _softplus(x: arb) -> arb:
    if x > _FAR:
        return INFINITY if not x.is_finite() else x.union(x + _TINY)
    return x + (-x).exp().log1p() if x > ZERO else x.exp().log1p()


def _normal_cdf(x: arb) -> arb:
    return (-x / arb(2).sqrt()).erfc() / 2


def _log(a: Interval) -> Interval | None:
    """The logarithm; an end at zero stands for the limit there."""
    if not a[0] >= ZERO or not a[1] > ZERO:
        return None
    low, high = (-INFINITY if e.is_zero() else e if not e.is_finite() else e.log() for e in a)
    return _tidy(low, high)


def _sqrt(a: Interval) -> Interval | None:
    if not a[0] >= ZERO:
        return None
    low, high = (e.sqrt() if e.is_finite() else e for e in a)
    return _tidy(low, high)


def _sine(a: Interval, shift: int) -> Interval:
    """``sin(x + shift·π/2)``, with shift 0 or 1, by the ends and the extremes between them."""
    width = a[1] - a[0]
    if not (width < 7 and abs(a[0]) < _FAR):
        return -ONE, ONE
    values = [e.cos() if shift else e.sin() for e in a]
    low, high = hull(_tidy(values[0], values[0]), _tidy(values[1], values[1]))
    # sin is extreme at π/2 + kπ: +1 for even k, −1 for odd k
    ends = [(e / arb.pi() + (arb(shift) - 1) / 2) for e in a]
    first, last = math.floor(float(ends[0].lower())), math.ceil(float(ends[1].upper()))
    for k in range(first, last + 1):
        if not (ends[0] > k or ends[1] < k):
            low, high = (low, ONE) if k % 2 == 0 else (-ONE, high)
    low = -ONE if low < -ONE else low
    high = ONE if high > ONE else high
    return low, high


def _tan(a: Interval) -> Interval | None:
    cosine = _sine(a, 1)
    return _tidy(a[0].tan(), a[1].tan()) if cosine[0] > ZERO or cosine[1] < ZERO else None


def _abs(a: Interval) -> Interval:
    if a[0] >= ZERO:
        return a
    return (-a[1], -a[0]) if a[1] <= ZERO else (ZERO, a[1] if a[1] >= -a[0] else -a[0])


def _max(a: Interval, b: Interval) -> Interval:
    return (a[0] if a[0] >= b[0] else b[0], a[1] if a[1] >= b[1] else b[1])


def _min(a: Interval, b: Interval) -> Interval:
    return (a[0] if a[0] <= b[0] else b[0], a[1] if a[1] <= b[1] else b[1])


def _floor(a: Interval) -> Interval:
    low, high = (e.floor() if e.is_finite() else e for e in a)
    return _tidy(low, high)


def _sign(a: Interval) -> Interval:
    return tuple(ONE if e > ZERO else -ONE if e < ZERO else ZERO for e in a)  # type: ignore[return-value]


def _where_less(*arguments: Interval | None) -> Interval | None:
    a, b, c, d = arguments
    if a is None or b is None:
        return None
    if a[1] < b[0]:
        return c
    if a[0] >= b[1]:
        return d
    return None if c is None or d is None else hull(c, d)


FUNCTIONS: dict[str, Callable[..., Interval | None]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _divide,
    "neg": lambda a: (-a[1], -a[0]),
    "exp": _increasing(lambda x: x.exp(), ZERO, INFINITY),
    "log": _log,
    "sqrt": _sqrt,
    "tanh": _increasing(lambda x: x.tanh(), -ONE, ONE),
    "sigmoid": _increasing(_sigmoid, ZERO, ONE),
    "erf": _increasing(lambda x: x.erf(), -ONE, ONE),
    "normal_cdf": _increasing(_normal_cdf, ZERO, ONE),
    "atan": lambda a: _tidy(a[0].atan(), a[1].atan()),
    "softplus": lambda a: _tidy(_softplus(a[0]) if a[0] > -_FAR else ZERO, _softplus(a[1]) if a[1] > -_FAR else _TINY),
    "sin": lambda a: _sine(a, 0),
    "cos": lambda a: _sine(a, 1),
    "tan": _tan,
    "abs": _abs,
    "relu": lambda a: _max(a, (ZERO, ZERO)),
    "max": _max,
    "min": _min,
    "floor": _floor,
    "sign": _sign,
}
