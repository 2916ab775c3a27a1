"""Not one violation: lines of every activation and back end in ball arithmetic, on intervals chosen to hurt.

Ends of intervals are knots (inflections, corners, jumps, ends of series), their neighbours in float64, the smallest and
the largest numbers, or random; intervals are one number, one step, tiny, huge or infinite; slopes are those of the
function, of chords, or far off.  Compiled lines are looked at for all of them, those of the reference for some.

``pytest tests/test_activation_violations.py -m ''`` takes some minutes and looks at tens of thousands of intervals for
every activation and back end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from flint import arb, ctx

from slir_milp.activations import Curve, shift
from slir_milp.activations.catalogue import CATALOGUE, activation, curve_of
from slir_milp.activations.offsets.breakpoints import Breakpoints
from slir_milp.activations.offsets.critical_points import CriticalPoints
from slir_milp.activations.offsets.curvature import Curvature
from slir_milp.activations.offsets.lipschitz import Lipschitz
from slir_milp.activations.offsets.slope_range import SlopeRange
from slir_milp.activations.parse import parse
from slir_milp.activations.table import Table
from slir_milp.activations.touch import touch_above, touch_below

Vector = np.ndarray
Ball = Callable[[arb], arb]

INF = math.inf
PARAMETERS = [
    ("softplus", {"beta": 20.0}),
    ("softplus", {"beta": 0.05}),
    ("swish", {"beta": -1.0}),
    ("swish", {"beta": 30.0}),
    ("elu", {"alpha": -2.0}),
    ("celu", {"alpha": 2.0}),
    ("lambda_gelu", {"steepness": 50.0}),
    ("power", {"exponent": -2.0}),
    ("power", {"exponent": 1.5}),
    ("power", {"exponent": 0.1}),
    ("power", {"exponent": 4.0}),
    ("clip", {"low": -0.1, "high": 0.7}),
]
FORMULAS = [
    "abs(tanh(x) - 0.5)",
    "where(3 * x < 1, -1, exp(x))",
    "floor(2 * x + 0.3)",
    "(x - 0.3)**4",
    "x**7 - x**2",
    "sin(x) * exp(-x * x / 50)",
    "log(x)**2",
    "sqrt(abs(x))",
    "sign(x) * sqrt(abs(x))",
    "1 / (3 * x - 1)",
    "tanh(1000 * x)",
    "x - floor(x)",
    "max(sin(x), cos(x))",
    "atan(1 / x)",
    "exp(-1 / x**2)",
    "sqrt((x - 1)**2)",
    "min(max(1 / x, -1), 1)",
    "1e-300 * tanh(x)",
    "1e200 * x**2",
    "exp(1e-3 * x) * 1e-310",
    "abs(-3) * tanh(x) + floor(2.5)",
]
SAMPLED: dict[str, tuple[Callable[[Vector], Vector], Ball, tuple[float, float], tuple[float, float]]] = {
    "tanh": (np.tanh, lambda x: x.tanh(), (0.0, 1.0), (-0.77, 0.77)),
    "sin": (np.sin, lambda x: x.sin(), (-1.0, 1.0), (-1.0, 1.0)),
    "softplus": (lambda x: np.logaddexp(0, x), lambda x: (1 + x.exp()).log(), (0.0, 1.0), (0.0, 0.25)),
}
BACK_ENDS = {
    "Lipschitz": lambda f, slopes, _, n: Lipschitz(f, max(map(abs, slopes)), -8.0, 8.0, n),
    "slope range": lambda f, slopes, _, n: SlopeRange(f, *slopes, -8.0, 8.0, n),
    "curvature": lambda f, slopes, seconds, n: Curvature(f, *seconds, -8.0, 8.0, n, slopes=slopes),
}
LINES = {  # each also with the critical points' method, as functions that its branches cut up
    "clip": ("min(max(x, 0), 6)", Breakpoints((0.0, 6.0), (0.0, 6.0), 0.0, 0.0)),
    "corner": ("abs(x - 0.25)", Breakpoints((0.25,), (0.0,), -1.0, 1.0)),
    "sign": ("sign(x)", Breakpoints((0.0, 0.0, 0.0), (-1.0, 0.0, 1.0), 0.0, 0.0)),
    "step": ("where(x < 0.5, 0.25 * x, x + 3)", Breakpoints((0.5, 0.5), (0.125, 3.5), 0.25, 1.0)),
}


def _cases() -> dict[str, Callable[[], tuple[Table, Ball]]]:
    def of(curve: Curve) -> tuple[Table, Ball]:
        return curve.table, curve.ball

    named = [(name, {}) for name in CATALOGUE] + PARAMETERS
    cases: dict[str, Callable[[], tuple[Table, Ball]]] = {
        name + "".join(f" {v}" for v in values.values()): lambda n=name, v=values: of(activation(n, **v))
        for name, values in named
    }
    cases |= {text: lambda t=text: of(curve_of(parse(t))) for text in FORMULAS}
    for name, (text, line) in LINES.items():
        cases[f"{name} by breakpoints"] = lambda t=text, b=line: (b.table(), parse(t).ball)
        cases[f"{name} by critical points"] = lambda t=text: (CriticalPoints(parse(t)).table(), parse(t).ball)
    for end, make in BACK_ENDS.items():
        for name, (function, ball, slopes, seconds) in SAMPLED.items():
            for n in (2, 17, 301):
                cases[f"{name} by {end} and {n} samples"] = (
                    lambda m=make, f=function, b=ball, s=slopes, t=seconds, k=n: (
                        m(f, s, t, k).table(),
                        b,
                    )
                )
    return cases


CASES = _cases()
BY_NAME = pytest.mark.parametrize("name", CASES)


@cache
def case(name: str) -> tuple[Table, Ball]:
    return CASES[name]()


def numbers(rng: np.random.Generator, table: Table, count: int) -> Vector:
    """Knots, their neighbours, numbers of every size."""
    knots = table.knots[1:-1] if table.segments > 1 else np.zeros(1)
    near = knots[np.abs(knots) < 20] if (np.abs(knots) < 20).any() else knots
    odd = [0.0, -0.0, 5e-324, -5e-324, 1e-310, 1e300, -1e300, np.finfo(float).max, -np.finfo(float).max, np.pi, 0.1]
    kinds = [
        rng.choice(knots, count),
        rng.choice(near, count),
        np.nextafter(rng.choice(near, count), INF),
        np.nextafter(rng.choice(near, count), -INF),
        rng.choice(near, count) * (1 + 1e-15 * rng.normal(size=count)),
        3 * rng.normal(size=count),
        rng.uniform(-10, 10, count),
        rng.normal(size=count) * 10.0 ** rng.uniform(-320, 300, count),
        rng.choice(odd, count),
    ]
    return np.choose(rng.integers(0, len(kinds), count), kinds)


def intervals(rng: np.random.Generator, table: Table, count: int) -> tuple[Vector, Vector]:
    a = numbers(rng, table, count)
    ends = [
        a,
        np.nextafter(a, INF),
        a + 10.0 ** rng.uniform(-17, 3, count),
        a * (1 + 10.0 ** rng.uniform(-16, 0, count)),
        numbers(rng, table, count),
        numbers(rng, table, count),
    ]
    b = np.choose(rng.integers(0, len(ends), count), ends)
    b = np.where(np.isfinite(b), b, a)
    lower, upper = np.minimum(a, b), np.maximum(a, b)
    infinite = rng.random(count)
    return np.where(infinite < 0.02, -INF, lower), np.where(infinite > 0.98, INF, upper)


def slopes(rng: np.random.Generator, table: Table, lower: Vector, upper: Vector) -> Vector:
    count = len(lower)
    a, b = np.maximum(lower, -1e3), np.minimum(upper, 1e3)
    own = shift.values(table, np.clip(a + rng.random(count) * (b - a), lower, upper))[1]
    chord = (shift.values(table, upper)[0] - shift.values(table, lower)[0]) / (upper - lower)
    kinds = [
        own,
        own * (1 + 1e-15 * rng.normal(size=count)),
        chord,
        np.zeros(count),
        rng.normal(size=count),
        rng.choice([1.0, -1.0, 0.5, -0.0, 1e-300, 1e300, -1e18], count),
    ]
    slope = np.choose(rng.integers(0, len(kinds), count), kinds)
    return np.where(np.isfinite(slope), slope, 0.0)


def violations(
    table: Table, ball: Ball, *, count: int, compared: int, seed: int, off: float = 0.0
) -> tuple[int, list[tuple[float, ...]]]:
    """How many values were compared with lines, and ``slope, offset, x`` wherever a line is on the wrong side.

    ``off`` moves every line towards the function, relative to its own numbers: to see that this would be noticed.
    """
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        lower, upper = intervals(rng, table, count)
        given = slopes(rng, table, lower, upper)
        spread = np.clip(lower, -1e300, 1e300), np.clip(upper, -1e300, 1e300)
        inside = np.clip(spread[0] + rng.random(count) * (spread[1] - spread[0]), lower, upper)
    lines = [
        (1, shift.above(table, lower, upper, given)),
        (-1, shift.below(table, lower, upper, given)),
        (1, shift.above(table, lower, upper)),
        (-1, shift.below(table, lower, upper)),
    ]
    assert not any(np.isnan(line.offset).any() for _, line in lines)
    knots, seen, wrong = table.knots[1:-1], 0, []
    for i in range(count):
        low, high = float(lower[i]), float(upper[i])
        found = [(side, line.slope[i], line.offset[i], line.at[i]) for side, line in lines]
        if i < compared and math.isfinite(low) and math.isfinite(high):
            arguments = float(given[i]), low, high
            found.append((1, given[i], *touch_above(table, *arguments)))
            found.append((-1, given[i], *touch_below(table, *arguments)))
        first, last = np.searchsorted(knots, [low, high], "left")
        places = [low, high, inside[i], *(at for *_, at in found)]
        if last > first:
            knot = rng.choice(knots[first:last])
            places += [knot, np.nextafter(knot, INF), np.nextafter(knot, -INF)]
        for x in {float(p) for p in places if math.isfinite(p) and low <= p <= high}:
            value = ball(arb(x))
            if not value.is_finite():
                continue
            for side, slope, offset, _ in found:
                if not (math.isfinite(slope) and math.isfinite(offset)):
                    assert offset == side * INF or math.isfinite(offset)
                    continue
                height = (value - arb(slope) * arb(x) - arb(offset)) * side
                if off:
                    height += off * (abs(arb(offset)) + abs(arb(slope) * arb(x)))
                seen += 1
                if height > 0:
                    wrong.append((float(slope), float(offset), x))
    return seen, wrong


@pytest.fixture(autouse=True)
def _precise():  # type: ignore[no-untyped-def]
    with ctx.workprec(200):
        yield


@BY_NAME
def test_no_line_is_violated(name: str) -> None:
    seen, wrong = violations(*case(name), count=50, compared=6, seed=1)
    assert not wrong, wrong[:5]
    assert seen > 100


@pytest.mark.slow
@BY_NAME
def test_no_line_of_very_many_is_violated(name: str) -> None:
    seen, wrong = violations(*case(name), count=20_000, compared=500, seed=2)
    assert not wrong, wrong[:5]
    assert seen > 20_000


@pytest.mark.parametrize("name", ["tanh", "gelu", "sin", "exp", "clip by breakpoints"])
def test_a_violation_of_the_last_few_bits_would_be_noticed(name: str) -> None:
    _, wrong = violations(*case(name), count=200, compared=0, seed=3, off=1e-13)
    assert len(wrong) > 10
