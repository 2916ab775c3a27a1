"""Which branch a formula takes on an interval, and where that changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from flint import arb

from slir_milp.activations.formula import Formula, apply, rebuild
from slir_milp.activations.interval import WHOLE, ZERO, Interval, enclose, interval
from slir_milp.activations.tails import enclose_tail


class Undefined(Exception):
    """The formula is undefined on the whole interval, but for an end at most."""


@dataclass
class Undecided(Exception):
    """A branch changes within the interval, or may.

    Attributes
    ----------
    switch
        An analytic formula; the branch can only change where it is zero.
    jump
        Whether the function may jump there, or have a pole.
    """

    switch: Formula
    jump: bool


def resolve(formula: Formula, lower: float, upper: float) -> Formula:
    """The analytic formula that a formula equals on the closed interval.

    "Analytic" inside: at an end, an argument may touch zero (``sqrt``, ``1/x``), where series have no finite
    coefficients.

    Raises
    ------
    Undefined
        If it has no value inside.
    Undecided
        If no one analytic formula is proven to hold on the whole interval.
    """
    return _Resolver(lower, upper).resolve(formula)


class _Resolver:
    def __init__(self, lower: float, upper: float) -> None:
        self.lower, self.upper = lower, upper
        self.x = interval(lower, upper)
        self.known: dict[Formula, Formula] = {}

    def resolve(self, node: Formula) -> Formula:
        found = self.known.get(node)
        if found is None:
            found = self.known[node] = self._resolve(node)
        return found

    def _resolve(self, node: Formula) -> Formula:
        if not node.arguments or not node.uses_x:
            return node
        if node.operator == "where_less":
            return self._where(node)
        arguments = tuple(self.resolve(a) for a in node.arguments)
        if not any(a.uses_x for a in arguments):
            return rebuild(node, arguments)  # a number here, such as sqrt(relu(x)) below zero
        first, last = arguments[0], arguments[-1]
        match node.operator:
            case "abs":
                return first if self._side(first) > 0 else -first
            case "relu":
                return first if self._side(first) > 0 else Formula.constant(0)
            case "max":
                return first if self._side(first - last) > 0 else last
            case "min":
                return last if self._side(first - last) > 0 else first
            case "sign":
                low, high = self.range(first)
                if low.is_zero() and high.is_zero():
                    return Formula.constant(0)
                if not (low > ZERO or high < ZERO):
                    raise Undecided(first, True)
                return Formula.constant(1 if low > ZERO else -1)
            case "floor":
                return self._floor(first)
            case "div":
                self._side(last, jump=True)
            case "log":
                self._positive(first, jump=True)
            case "sqrt":
                self._positive(first, jump=False)
            case "pow" if last.value < 0 or last.value != int(last.value):
                if last.value == int(last.value):
                    self._side(first, jump=True)
                else:
                    self._positive(first, jump=last.value < 0)
            case "tan":
                self._side(apply("cos", first), jump=True)
        return rebuild(node, arguments)

    def range(self, g: Formula) -> Interval:
        """Enclosure over the interval; of the values at the ends if it is monotone."""
        affine = g.exact_affine
        if affine is not None and not affine[0]:  # x - x, which intervals make little of
            number = arb(affine[1].numerator) / affine[1].denominator
            return interval(number, number)
        found = enclose(g, self.x)
        if found[0] < ZERO < found[1] and g.uses_x and g.exact_affine is None:
            slope = enclose(g.derivative, self.x)
            if slope[0] >= ZERO or slope[1] <= ZERO:
                ends = [enclose(g, interval(x, x)) for x in (self.lower, self.upper)]
                rising = slope[0] >= ZERO
                return (ends[0][0], ends[1][1]) if rising else (ends[1][0], ends[0][1])
        return found

    def _side(self, g: Formula, jump: bool = False) -> int:
        """Sign of ``g``, which may touch zero."""
        low, high = self.range(g)
        if low >= ZERO and not high.is_zero():
            return 1
        if high <= ZERO and not low.is_zero():
            return -1
        if low.is_zero() and high.is_zero():
            if jump:
                raise Undefined
            return 1
        raise Undecided(g, jump)

    def _positive(self, g: Formula, jump: bool) -> None:
        low, high = self.range(g)
        if high <= ZERO:
            raise Undefined
        if not low >= ZERO:
            raise Undecided(g, jump)

    def _floor(self, g: Formula) -> Formula:
        low, high = self.range(g)
        if not (low.is_finite() and high.is_finite()) or abs(low) > 2**52 or abs(high) > 2**52:
            raise Undecided(g, True)
        first, last = math.floor(float(low.floor().lower())), math.floor(float(high.floor().upper()))
        if first == last:
            return Formula.constant(first)
        raise Undecided(g - ((first + last) // 2 + 1), True)

    def _where(self, node: Formula) -> Formula:
        a, b = (self.resolve(e) for e in node.arguments[:2])
        g = a - b
        low, high = self.range(g)
        if high < ZERO:
            return self.resolve(node.arguments[2])
        if low >= ZERO:
            return self.resolve(node.arguments[3])
        if high.is_zero() and self._joins(node, g):
            return self.resolve(node.arguments[2])
        raise Undecided(g, True)

    def _joins(self, node: Formula, g: Formula) -> bool:
        """Whether both branches have the same value at the one end where ``g``, negative inside, is zero."""
        affine = g.exact_affine
        if affine is None or not affine[0]:
            return False
        end = self.upper if affine[0] > 0 else self.lower
        x = interval(end, end)
        c, d = (enclose(e, x) for e in node.arguments[2:])
        return bool(c[0] == c[1] == d[0] == d[1])


def root(g: Formula, lower: float, upper: float) -> tuple[float, float] | None:
    """A zero of ``g`` inside the interval: its float64 value twice if that is exactly a zero, else floats around it.

    Nothing is claimed of other zeros; without a change of sign there is no answer.
    """
    affine = g.exact_affine
    if affine is not None:
        if not affine[0]:
            return None
        zero = -affine[1] / affine[0]
        if not Fraction(lower) <= zero <= Fraction(upper):
            return None
        z = float(zero)
        if Fraction(z) == zero:
            return z, z
        return (z, math.nextafter(z, math.inf)) if Fraction(z) < zero else (math.nextafter(z, -math.inf), z)
    a, b = lower, upper
    values = g(np.array([a, b]))
    if not np.isfinite(values).all() or values[0] * values[1] > 0:
        return None
    rising = values[1] > values[0]
    while a < (m := 0.5 * (a + b)) < b:
        value = float(g(np.array([m]))[0])
        if value == 0.0:
            a = b = m
        elif (value < 0) == rising:
            a = m
        else:
            b = m
    for z in (a, b, round(a, 9)):
        if lower <= z <= upper and _is_zero(enclose(g, interval(z, z))):
            return z, z
    spread = 2.0**-48 * max(abs(a), 2.0**-20 * (upper - lower))
    return max(a - spread, lower), min(b + spread, upper)


def _is_zero(values: Interval) -> bool:
    return bool(values[0].is_zero() and values[1].is_zero())


def outcome(formula: Formula, lower: float, upper: float) -> tuple[Interval, Interval]:
    """Enclosures of the values and of all difference quotients on an interval, whatever the branches.

    The quotients are the whole line unless every jumping branch is decided.
    """
    x = interval(lower, upper)
    values = enclose(formula, x)
    try:
        formula = resolve(formula, lower, upper)
    except Undefined:
        return WHOLE, WHOLE
    except Undecided:
        if any(node.operator in ("floor", "sign", "where_less") for node in formula.nodes):
            return values, WHOLE
    else:
        if not math.isfinite(upper - lower):
            values = _common(values, enclose_tail(formula, x))
            if values[0] > WHOLE[0] or values[1] < WHOLE[1]:
                return values, enclose_tail(formula.derivative, x)
    if not (values[0] > WHOLE[0] or values[1] < WHOLE[1]):
        return values, WHOLE
    return values, enclose(formula.derivative, x)


def _common(a: Interval, b: Interval) -> Interval:
    return (a[0] if a[0] > b[0] else b[0], a[1] if a[1] < b[1] else b[1])
