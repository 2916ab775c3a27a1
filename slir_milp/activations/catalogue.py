"""The activations known by name, one line each, and the way from a formula to a curve."""

from __future__ import annotations

import difflib
import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from slir_milp.activations.broken_lines import breakpoints_of
from slir_milp.activations.curve import Curve, Offsets
from slir_milp.activations.formula import Formula
from slir_milp.activations.hinge import ABS, IDENTITY, RELU, Hinge
from slir_milp.activations.offsets.critical_points import CriticalPoints
from slir_milp.activations.parse import parse
from slir_milp.errors import OptionError


@dataclass(frozen=True)
class Entry:
    """An activation known by name.

    Attributes
    ----------
    name
        What it is called.
    text
        Its formula; words that are keys of ``parameters`` stand for numbers.
    parameters
        Names and default values.
    source
        Where it is from.
    """

    name: str
    text: str
    parameters: tuple[tuple[str, float], ...] = ()
    source: str = ""

    def formula(self, **values: float) -> Formula:
        """The formula with numbers for the parameters, defaults where none is given."""
        numbers = {**dict(self.parameters), **values}

        def number(word: re.Match[str]) -> str:
            return f"({numbers[word[0]]!r})" if word[0] in numbers else word[0]

        return parse(re.sub(r"[a-z_]+", number, self.text))


def _entry(name: str, text: str, source: str = "", **parameters: float) -> Entry:
    return Entry(name, text, tuple(parameters.items()), source)


_ENTRIES = (
    _entry("clip", "min(max(x, low), high)", low=0.0, high=6.0),
    _entry("hard_sigmoid", "min(max(x / 6 + 0.5, 0), 1)", "Howard et al., arXiv 1905.02244"),
    _entry("hard_tanh", "min(max(x, -1), 1)"),
    _entry("hard_swish", "x * min(max(x + 3, 0), 6) / 6", "Howard et al., arXiv 1905.02244"),
    _entry("sign", "sign(x)"),
    _entry("floor", "floor(x)"),
    _entry("sigmoid", "sigmoid(x)"),
    _entry("log_sigmoid", "-softplus(-x)"),
    _entry("tanh", "tanh(x)"),
    _entry("atan", "atan(x)"),
    _entry("softsign", "x / (1 + abs(x))"),
    _entry("softplus", "softplus(beta * x) / beta", "Dugas et al., NIPS 2000", beta=1.0),
    _entry("elu", "where(x < 0, alpha * (exp(x) - 1), x)", "Clevert et al., arXiv 1511.07289", alpha=1.0),
    _entry(
        "selu",
        "1.0507009873554805 * where(x < 0, 1.6732632423543772 * (exp(x) - 1), x)",
        "Klambauer et al., arXiv 1706.02515",
    ),
    _entry("celu", "where(x < 0, alpha * (exp(x / alpha) - 1), x)", "Barron, arXiv 1704.07483", alpha=1.0),
    _entry("gelu", "x * normal_cdf(x)", "Hendrycks, Gimpel, arXiv 1606.08415"),
    _entry("gelu_tanh", "0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))", "arXiv 1606.08415"),
    _entry("quick_gelu", "x * sigmoid(1.702 * x)", "Hendrycks, Gimpel, arXiv 1606.08415"),
    _entry("lambda_gelu", "x * normal_cdf(steepness * x)", "arXiv 2603.21991", steepness=1.0),
    _entry("silu", "x * sigmoid(x)", "Elfwing et al., arXiv 1702.03118"),
    _entry("swish", "x * sigmoid(beta * x)", "Ramachandran et al., arXiv 1710.05941", beta=1.0),
    _entry("mish", "x * tanh(softplus(x))", "Misra, arXiv 1908.08681"),
    _entry("erf", "erf(x)"),
    _entry("exp", "exp(x)"),
    _entry("log", "log(x)"),
    _entry("sqrt", "sqrt(x)"),
    _entry("rsqrt", "x**-0.5"),
    _entry("reciprocal", "1 / x"),
    _entry("square", "x**2"),
    _entry("power", "x**exponent", exponent=3.0),
    _entry("sin", "sin(x)"),
    _entry("cos", "cos(x)"),
    _entry("tan", "tan(x)"),
)

CATALOGUE: dict[str, Entry] = {entry.name: entry for entry in _ENTRIES}
"""Every curve known by name."""

HINGES: dict[str, tuple[str, ...]] = {
    "identity": (),
    "relu": (),
    "abs": (),
    "leaky_relu": ("slope",),
    "prelu": ("slope",),
}
"""Every hinge known by name, with its parameters."""


def activation(name: str, **parameters: float) -> Curve | Hinge:
    """An activation by its name: ``activation("swish", beta=1.702)``.

    Raises
    ------
    OptionError
        If there is no such name, with the nearest ones; or no such parameter.
    """
    known = dict(CATALOGUE[name].parameters) if name in CATALOGUE else dict.fromkeys(HINGES.get(name, ()), 0.01)
    if name not in CATALOGUE and name not in HINGES:
        near = difflib.get_close_matches(name, [*CATALOGUE, *HINGES], 3, 0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else "'slir-milp activations' lists what is known."
        raise OptionError(f"there is no activation '{name}'; {hint}")
    for word in parameters:
        if word not in known:
            takes = ", ".join(known) or "none"
            raise OptionError(f"activation {name} has no parameter '{word}'; it takes: {takes}.")
    if name in CATALOGUE:
        return curve_of(CATALOGUE[name].formula(**parameters), _shown(CATALOGUE[name], {**known, **parameters}))
    fixed = {"identity": IDENTITY, "relu": RELU, "abs": ABS}
    return fixed[name] if name in fixed else Hinge({**known, **parameters}["slope"], 1.0)


def _shown(entry: Entry, values: dict[str, float]) -> str:
    if all(values[word] == default for word, default in entry.parameters) and entry.name != "power":
        return entry.name
    return f"{entry.name}({', '.join(f'{word}={values[word]:.9g}' for word, _ in entry.parameters)})"


@lru_cache(maxsize=4096)
def curve_of(formula: Formula, name: str = "") -> Curve:
    """The curve of a formula.

    Parameters
    ----------
    formula
        The function.
    name
        What to call it; without one, the name of the known activation that it equals, or its text.
    """
    return Curve(name or recognise(formula) or formula.text, formula, _offsets(formula))


def _offsets(formula: Formula) -> Offsets:
    return breakpoints_of(formula) or CriticalPoints(formula)


def recognise(formula: Formula) -> str:
    """Name of the known activation that a formula is, ``""`` if it is none; for people only, never for bounds.

    Equality is tested at some points to 100 bits.  A function that is a known one but for constants rounded to float32
    gets its name with a "≈".
    """
    here = formula(_POINTS)
    for entry in _ENTRIES:
        for values in _candidates(entry, formula):
            known = entry.formula(**values)
            if known == formula:
                return _shown(entry, values)
            there = known(_POINTS)
            if np.array_equal(np.isnan(here), np.isnan(there)) and np.allclose(here, there, 1e-6, 1e-9, equal_nan=True):
                return ("" if _is_equal(formula, known) else "≈ ") + _shown(entry, values)
    return ""


_POINTS = np.array([-5.25, -1.7, -0.6, 0.3, 0.9, 2.2, 4.1])


def _candidates(entry: Entry, formula: Formula) -> list[dict[str, float]]:
    """Parameters to try: defaults, and what can be made of the formula's constants."""
    default = dict(entry.parameters)
    if not default:
        return [default]
    numbers = sorted({node.value for node in formula.nodes if node.operator == "constant"} - {0.0})
    if len(default) == 2:
        first, second = default
        return [default, *({first: a, second: b} for a in [*numbers, 0.0] for b in [*numbers, 0.0] if a < b)]
    made = [
        f(c)
        for c in numbers
        for f in (float, lambda c: 1 / c, lambda c: c * math.sqrt(2), lambda c: math.sqrt(0.5) / c)
    ]
    near = {float(f"{value:.6g}") for value in made}  # (what was meant, where float32 rounded it)
    (name,) = default
    values = dict.fromkeys([default[name], *numbers, *made, *sorted(near)])
    return [{name: v} for v in values if 1e-3 < abs(v) < 1e3]


def _is_equal(a: Formula, b: Formula) -> bool:
    from flint import arb, ctx

    with ctx.workprec(128):
        for x in _POINTS:
            left, right = a.ball(arb(x)), b.ball(arb(x))
            if left.is_finite() != right.is_finite():
                return False
            if left.is_finite() and not abs(left - right) < arb(2) ** -100:
                return False
    return True
