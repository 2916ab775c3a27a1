"""Formulas of one variable: a function as an expression that every part of the program can evaluate in its own way.

A formula is a tree.  It is read from text (:func:`slir_milp.activations.parse.parse`), found in a network's graph, or
made by arithmetic on other formulas; it is computed in float64, enclosed over intervals, expanded into Taylor series
and differentiated.  Its meaning is the real function with exactly the constants that it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import OptionError

if TYPE_CHECKING:
    from flint import arb

ARITY = {"x": 0, "constant": 0, "pi": 0, "add": 2, "sub": 2, "mul": 2, "div": 2, "pow": 2, "neg": 1}
"""Leaves and arithmetic with their number of arguments; the second argument of ``pow`` is a constant."""

FUNCTIONS = {
    **dict.fromkeys(("exp", "log", "sqrt", "tanh", "sigmoid", "erf", "sin", "cos", "tan", "atan"), 1),
    **dict.fromkeys(("abs", "relu", "softplus", "floor", "sign", "normal_cdf"), 1),
    "max": 2,
    "min": 2,
    "where_less": 4,
}
"""Named functions; ``where_less(a, b, c, d)`` is ``c`` where ``a < b`` and ``d`` elsewhere."""

BRANCHING = frozenset({"abs", "relu", "floor", "sign", "max", "min", "where_less"})
"""The operators that are not analytic on their whole domain."""

DERIVATIVES = {
    "exp": "exp(x)",
    "log": "1 / x",
    "sqrt": "0.5 / sqrt(x)",
    "tanh": "4 * sigmoid(2 * x) * sigmoid(-2 * x)",
    "sigmoid": "sigmoid(x) * sigmoid(-x)",
    "erf": "2 / sqrt(pi) * exp(-x**2)",
    "normal_cdf": "exp(-0.5 * x**2) / sqrt(2 * pi)",
    "sin": "cos(x)",
    "cos": "-sin(x)",
    "tan": "1 / cos(x)**2",
    "atan": "1 / (1 + x**2)",
    "abs": "sign(x)",
    "relu": "where(0 < x, 1, 0)",
    "softplus": "sigmoid(x)",
    "floor": "0",
    "sign": "0",
}
"""Derivatives of the functions of one argument, where they exist."""

LARGEST_EXPONENT = 1024

Number = int | float
Value = TypeVar("Value")


@dataclass(frozen=True, repr=False)
class Formula:
    """An expression of the variable ``x``; a node of its tree.

    Two formulas are equal if their trees are.  Arithmetic folds what is exact in float64 (``x·1``, ``2 + 3``), nothing
    else, so that a formula stays the function that was written.

    Attributes
    ----------
    operator
        A key of :data:`ARITY` or :data:`FUNCTIONS`.
    arguments
        The formulas it is applied to.
    value
        The number, if the operator is ``constant``.
    """

    operator: str
    arguments: tuple[Formula, ...] = ()
    value: float = 0.0
    _hash: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.operator, self.arguments, self.value)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Formula):
            return NotImplemented
        pairs: list[tuple[Formula, Formula]] = [(self, other)]
        seen: set[tuple[int, int]] = set()
        while pairs:  # no recursion: a tree may be deeper than Python's stack
            a, b = pairs.pop()
            if a is b or (id(a), id(b)) in seen:
                continue
            if (a._hash, a.operator, a.value) != (b._hash, b.operator, b.value) or len(a.arguments) != len(b.arguments):
                return False
            seen.add((id(a), id(b)))
            pairs.extend(zip(a.arguments, b.arguments, strict=True))
        return True

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Formula({self.text!r})"

    @staticmethod
    def constant(value: Number) -> Formula:
        """A number, exact in float64.

        Raises
        ------
        OptionError
            If it is not finite, or an integer that float64 does not hold.
        """
        try:
            number = float(value)
        except OverflowError:
            number = np.inf
        if not np.isfinite(number) or number != value:
            raise OptionError(f"{value} is no finite number that float64 holds: a formula cannot use it.")
        return Formula("constant", (), number + 0.0)  # (adding zero makes −0 plain zero)

    def __add__(self, other: Formula | Number) -> Formula:
        return _arithmetic("add", self, other)

    def __radd__(self, other: Number) -> Formula:
        return _arithmetic("add", other, self)

    def __sub__(self, other: Formula | Number) -> Formula:
        return _arithmetic("sub", self, other)

    def __rsub__(self, other: Number) -> Formula:
        return _arithmetic("sub", other, self)

    def __mul__(self, other: Formula | Number) -> Formula:
        return _arithmetic("mul", self, other)

    def __rmul__(self, other: Number) -> Formula:
        return _arithmetic("mul", other, self)

    def __truediv__(self, other: Formula | Number) -> Formula:
        return _arithmetic("div", self, other)

    def __rtruediv__(self, other: Number) -> Formula:
        return _arithmetic("div", other, self)

    def __pow__(self, exponent: Formula | Number) -> Formula:
        """Power; with an exponent that is no number, ``exp(exponent·log(base))``, so the base must be positive.

        Raises
        ------
        OptionError
            If the exponent is beyond ±1024.
        """
        power = _formula(exponent)
        if power.operator != "constant":
            return apply("exp", power * apply("log", self))
        if abs(power.value) > LARGEST_EXPONENT:
            raise OptionError(f"the exponent {power.value} is beyond ±{LARGEST_EXPONENT}: a formula cannot use it.")
        return self if power.value == 1.0 else Formula("pow", (self, power))

    def __rpow__(self, base: Number) -> Formula:
        return _formula(base) ** self

    def __neg__(self) -> Formula:
        if self.operator == "constant":
            return Formula.constant(-self.value)
        return self.arguments[0] if self.operator == "neg" else Formula("neg", (self,))

    def of(self, inner: Formula) -> Formula:
        """The formula of ``x ↦ self(inner(x))``."""
        return self.fold(lambda node, new: inner if node.operator == "x" else rebuild(node, new))

    def fold(self, step: Callable[[Formula, tuple[Value, ...]], Value]) -> Value:
        """Value of the root, where ``step`` makes a node's value from the node and its arguments' values.

        Equal sub-formulas are visited once.
        """
        known: dict[Formula, Value] = {}
        for node in self.nodes:
            known[node] = step(node, tuple(known[a] for a in node.arguments))
        return known[self]

    @cached_property
    def nodes(self) -> tuple[Formula, ...]:
        """Every distinct sub-formula, arguments before what uses them, this formula last."""
        order: dict[Formula, None] = {}
        stack = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if node in order:
                continue
            if ready or not node.arguments:
                order[node] = None
            else:
                stack.append((node, True))
                stack.extend((a, False) for a in reversed(node.arguments))
        return tuple(order)

    @cached_property
    def uses_x(self) -> bool:
        """Whether the variable occurs at all."""
        return any(node.operator == "x" for node in self.nodes)

    @cached_property
    def is_analytic(self) -> bool:
        """Whether no operator chooses between branches."""
        return not any(node.operator in BRANCHING for node in self.nodes)

    @cached_property
    def text(self) -> str:
        """Canonical text, which :func:`~slir_milp.activations.parse.parse` reads back to an equal formula."""
        return self.fold(_text)[0]

    def __str__(self) -> str:
        return self.text

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Value at ``x``, elementwise, in plain float64: not a bound.  NaN where the formula is undefined."""
        from slir_milp.activations.numeric import evaluate

        return evaluate(self, x)

    def ball(self, x: arb) -> arb:
        """Enclosure of the values over a ball, at the working precision of python-flint.

        Where a branch is undecided, the enclosure holds both; where the formula may be undefined, the whole line.
        """
        from slir_milp.activations.interval import ball

        return ball(self, x)

    @cached_property
    def derivative(self) -> Formula:
        """The derivative, where there is one; at kinks and jumps it is that of one side."""
        return self.fold(_derivative)

    @cached_property
    def affine(self) -> tuple[float, float] | None:
        """Slope and offset if the formula is trivially affine and float64 holds both exactly, else nothing."""
        exact = self.exact_affine
        if exact is None:
            return None
        try:
            slope, offset = float(exact[0]), float(exact[1])
        except OverflowError:
            return None
        return (slope, offset) if (Fraction(slope), Fraction(offset)) == exact else None

    @cached_property
    def exact_affine(self) -> tuple[Fraction, Fraction] | None:
        """Slope and offset in rational arithmetic if the formula is trivially affine, else nothing."""
        return self.fold(_exact_affine)


X = Formula("x")
"""The variable itself."""

PI = Formula("pi")
"""The number π."""


def apply(name: str, *arguments: Formula | Number) -> Formula:
    """Apply a named function: ``apply("erf", f)``, ``apply("where_less", a, b, c, d)``.

    Raises
    ------
    OptionError
        If there is no such function, or it takes another number of arguments.
    """
    if name not in FUNCTIONS:
        raise OptionError(f"there is no function '{name}'; known: {', '.join(sorted(FUNCTIONS))}.")
    if len(arguments) != FUNCTIONS[name]:
        raise OptionError(f"{name} takes {FUNCTIONS[name]} argument(s), not {len(arguments)}.")
    return Formula(name, tuple(_formula(a) for a in arguments))


def rebuild(node: Formula, arguments: tuple[Formula, ...]) -> Formula:
    """The node's operator on other arguments, folded as arithmetic is."""
    match node.operator:
        case "add" | "sub" | "mul" | "div":
            return _arithmetic(node.operator, *arguments)
        case "pow":
            return arguments[0] ** arguments[1]
        case "neg":
            return -arguments[0]
    return Formula(node.operator, arguments, node.value) if arguments else node


def _formula(value: Formula | Number) -> Formula:
    return value if isinstance(value, Formula) else Formula.constant(value)


_EXACT: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
}
_NEUTRAL = {"add": 0.0, "sub": 0.0, "mul": 1.0, "div": 1.0}


def _arithmetic(operator: str, left: Formula | Number, right: Formula | Number) -> Formula:
    a, b = _formula(left), _formula(right)
    if b.operator == "constant":
        if b.value == _NEUTRAL[operator]:
            return a
        if a.operator == "constant" and not (operator == "div" and b.value == 0.0):
            exact = _EXACT[operator](Fraction(a.value), Fraction(b.value))
            if abs(exact) < Fraction(2) ** 1023 and Fraction(float(exact)) == exact:
                return Formula.constant(float(exact))
    elif a.operator == "constant" and operator in ("add", "mul") and a.value == _NEUTRAL[operator]:
        return b
    return Formula(operator, (a, b))


_BINARY = {"add": (" + ", 1, 1, 2), "sub": (" - ", 1, 1, 2), "mul": (" * ", 2, 2, 3), "div": (" / ", 2, 2, 3)}
"""Symbol, precedence, and the precedences its left and right arguments need."""


def _text(node: Formula, arguments: tuple[tuple[str, int], ...]) -> tuple[str, int]:
    """Text and precedence: 1 sum, 2 product, 3 minus, 4 power, 5 atom."""

    def wrap(i: int, needed: int) -> str:
        text, precedence = arguments[i]
        return text if precedence >= needed else f"({text})"

    match node.operator:
        case "x" | "pi":
            return node.operator, 5
        case "constant":
            whole = node.value == int(node.value) and abs(node.value) < 2**53
            return (str(int(node.value)) if whole else repr(node.value)), 3 if node.value < 0 else 5
        case "add" | "sub" | "mul" | "div":
            symbol, own, left, right = _BINARY[node.operator]
            return wrap(0, left) + symbol + wrap(1, right), own
        case "neg":
            return "-" + wrap(0, 3), 3
        case "pow":
            return f"{wrap(0, 5)}**{wrap(1, 3)}", 4
        case "where_less":
            a, b, c, d = (text for text, _ in arguments)
            return f"where({a} < {b}, {c}, {d})", 5
    return f"{node.operator}({', '.join(text for text, _ in arguments)})", 5


@lru_cache
def _rule(operator: str) -> Formula:
    from slir_milp.activations.parse import parse

    return parse(DERIVATIVES[operator])


def _derivative(node: Formula, slopes: tuple[Formula, ...]) -> Formula:
    a, b = (*node.arguments[:2], X, X)[:2]
    da, db = (*slopes[:2], X, X)[:2]
    zero = Formula.constant(0)
    if not node.uses_x:
        return zero
    match node.operator:
        case "x":
            return Formula.constant(1)
        case "add":
            return da + db if a.uses_x else db
        case "sub":
            return da - db if a.uses_x else -db
        case "mul":
            left, right = _times(da, b), _times(db, a)
            return left + right if left != zero else right
        case "div":
            return da / b if not b.uses_x else (_times(da, b) - _times(db, a)) / b**2
        case "pow":
            if b.value == 0.0:
                return zero
            less = b.value - 1.0
            # An exponent that is no float64 number is not rounded: this is the derivative itself, wherever a is not 0.
            return b * (a**less if Fraction(less) == Fraction(b.value) - 1 else a**b / a) * da
        case "neg":
            return -da
        case "max":
            return da if da == db else apply("where_less", a, b, db, da)
        case "min":
            return da if da == db else apply("where_less", b, a, db, da)
        case "where_less":
            return apply("where_less", a, b, slopes[2], slopes[3])
    return _times(_rule(node.operator).of(a), da)


def _times(a: Formula, b: Formula) -> Formula:
    zero = Formula.constant(0)
    return zero if zero in (a, b) else a * b


def _exact_affine(
    node: Formula, arguments: tuple[tuple[Fraction, Fraction] | None, ...]
) -> tuple[Fraction, Fraction] | None:
    zero = Fraction(0)
    if node.operator in ("x", "constant"):
        return (Fraction(1), zero) if node.operator == "x" else (zero, Fraction(node.value))
    first, second = (*arguments[:2], None, None)[:2]
    if first is None:
        return None
    if node.operator == "neg":
        return -first[0], -first[1]
    if second is None:
        return None
    match node.operator:
        case "add":
            return first[0] + second[0], first[1] + second[1]
        case "sub":
            return first[0] - second[0], first[1] - second[1]
        case "mul" if not (first[0] and second[0]):
            return first[0] * second[1] + first[1] * second[0], first[1] * second[1]
        case "div" if not second[0] and second[1]:
            return first[0] / second[1], first[1] / second[1]
    return None
