"""Tables of the catalogue's activations and of odd formulas, held against ball arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import arb, ctx

from slir_milp.activations.catalogue import CATALOGUE, activation, curve_of
from slir_milp.activations.curve import Curve
from slir_milp.activations.interval import interval
from slir_milp.activations.parse import parse
from slir_milp.activations.table import DEGREE, Table
from slir_milp.activations.tails import enclose_tail

NAMES = sorted(CATALOGUE)
FORMULAS = [
    "abs(-3) * tanh(x) + floor(2.5)",  # branches chosen by numbers
    "where(x < 0, sign(0), max(2, 3)) + min(1, pi) * x",
    "max(x, x) + floor(x - x) - sign(x - x)",  # branches that are decided though nothing is known of a sign
    "sqrt(relu(x))",  # a constant on a half-line
    "sign(relu(x)) + relu(x)**1.5",
    "softplus(x**0) * x",
    "abs(x - 0.1)",  # a kink that is a float64 number
    "abs(3 * x - 1)",  # a kink that is none
    "max(x, 1 - x)",
    "abs(tanh(x) - 0.5)",  # a kink at the root of a curve
    "where(x < 0.3, x, 1)",  # a jump
    "where(3 * x < 1, -1, exp(x))",
    "floor(2 * x + 0.3)",
    "x**4",  # a zero of the second derivative without a change of sign
    "(x - 0.3)**4",
    "(x - 1)**3 * (x + 2)",
    "x**7 - x**2",
    "x**2.5",
    "x**-3",
    "x * softplus(x)",
    "x * exp(-x**2)",
    "sin(x) * exp(-x * x / 50)",
    "log(1 + exp(x))",
    "log(x + 0.1)",
    "log(x)**2",
    "sqrt(1 + x**2)",
    "sqrt(abs(x))",
    "1 / (1 + x**2)",
    "1 / (3 * x - 1)",
    "tanh(1000 * x)",
    "sin(100 * x)",
    "x * sigmoid(1.7020000219345093 * x)",
    "0.5 * x * (1 + erf(x / 1.4142135381698608))",
    "x / (1 + exp(-x))",
    "relu(x)**2",
    "min(max(x * x, 0.5), 2)",
    "sign(x) * sqrt(abs(x))",
    "where(x < 0, -1, 1) * x",
    "3",
    "2 * x - 0.1",
    "pi * x",
    "exp(exp(x))",
    "where(x > 0, log(1 + x), x)",
]


def horner(coefficients: np.ndarray, t: float) -> float:
    total = 0.0
    for c in coefficients[::-1]:
        total = total * t + c
    return float(total)


def points(table: Table, segment: int, rng: np.random.Generator, count: int) -> np.ndarray:
    """Triples of increasing float64 points of a segment, some at its ends, some a rounding apart."""
    low, high = table.knots[segment], table.knots[segment + 1]
    finite_low, finite_high = max(low, -1e300), min(high, 1e300)
    if high == np.inf or low == -np.inf:
        edge = high if low == -np.inf else low
        edge = 0.0 if not np.isfinite(edge) else edge
        x = edge + np.where(low == -np.inf, -1.0, 1.0) * 10.0 ** rng.uniform(-3, 300, (count, 3))
    else:
        x = low + rng.uniform(0, 1, (count, 3)) * (high - low)
    x[::3, 0], x[1::3, 2] = low if np.isfinite(low) else x[::3, 0], high if np.isfinite(high) else x[1::3, 2]
    x[::7, 1] = np.nextafter(x[::7, 0], np.inf)
    return np.sort(np.clip(x, finite_low, finite_high), axis=1)


def check(curve: Curve, table: Table, count: int, seed: int = 0) -> None:
    """Every statement of a table at random points; fails with the first that is false."""
    assert curve.formula is not None
    formula, slope_formula = curve.formula, curve.formula.derivative
    rng = np.random.default_rng(seed)
    curvature = np.repeat(table.piece_curvature, np.diff(table.piece_first))
    per_segment = max(1, count // table.segments)
    chosen = range(table.segments) if per_segment > 1 else rng.choice(table.segments, min(count, table.segments), False)
    with ctx.workprec(300):
        for i in sorted({0, table.segments - 1, *chosen}):
            where = f"{curve.name}, segment {i} [{table.knots[i]!r}, {table.knots[i + 1]!r}]"
            for triple in points(table, i, rng, per_segment):
                values = [formula.ball(arb(x)) for x in triple]
                for x, value in zip(triple, values, strict=True):
                    assert not value > arb(table.high[i]), (where, x)
                    assert not value < arb(table.low[i]), (where, x)
                x, y, z = (arb(p) for p in triple)
                if values[0].is_finite() and values[2].is_finite() and triple[0] < triple[2]:
                    quotient = (values[2] - values[0]) / (z - x)
                    assert not quotient > arb(table.slope_high[i]), where
                    assert not quotient < arb(table.slope_low[i]), where
                    if curvature[i] and triple[0] < triple[1] < triple[2]:
                        bend = (values[2] - values[1]) / (z - y) - (values[1] - values[0]) / (y - x)
                        assert not bend * int(curvature[i]) < 0, where
                if not np.isfinite(table.error_high[i]):
                    continue
                x = triple[1]
                t = float(x - table.centre[i])
                exact_t = arb(x) - arb(table.centre[i])
                exact = sum((arb(c) * exact_t**k for k, c in enumerate(table.coefficients[i])), arb(0))
                for polynomial in (arb(horner(table.coefficients[i], t)), exact):
                    assert not polynomial - arb(table.error_low[i]) > values[1], (where, x)
                    assert not polynomial + arb(table.error_high[i]) < values[1], (where, x)
                slope = slope_formula.ball(arb(x))
                rising = table.coefficients[i][1:] * np.arange(1, DEGREE + 1)
                assert not abs(arb(horner(rising, t)) - slope) > arb(table.slope_error[i]), (where, x)
        for knot, low, high in zip(table.knots[1:-1], table.knot_low[1:-1], table.knot_high[1:-1], strict=True):
            value = formula.ball(arb(knot))
            assert not value > arb(high) and not value < arb(low), (curve.name, knot)


def check_pieces(curve: Curve, table: Table, count: int, seed: int = 1) -> None:
    """Curvature across the segments of a piece."""
    rng = np.random.default_rng(seed)
    assert curve.formula is not None
    with ctx.workprec(300):
        for j, curvature in enumerate(table.piece_curvature):
            low, high = table.knots[table.piece_first[j]], table.knots[table.piece_first[j + 1]]
            if not curvature:
                continue
            x = low + rng.uniform(0, 1, (count, 3)) ** rng.choice([1, 8], (count, 1)) * (high - low)
            for a, b, c in np.sort(np.clip(x, low, high), axis=1):
                if a < b < c:
                    fa, fb, fc = (curve.formula.ball(arb(p)) for p in (a, b, c))
                    bend = (fc - fb) / (arb(c) - arb(b)) - (fb - fa) / (arb(b) - arb(a))
                    assert not bend * int(curvature) < 0, (curve.name, a, b, c)


@pytest.mark.parametrize("name", NAMES)
def test_table_of_every_activation_holds(name: str) -> None:
    curve = activation(name)
    assert isinstance(curve, Curve)
    check(curve, curve.table, 300)
    check_pieces(curve, curve.table, 20)


@pytest.mark.parametrize("text", FORMULAS)
def test_table_of_odd_formulas_holds(text: str) -> None:
    curve = curve_of(parse(text))
    check(curve, curve.table, 300)
    check_pieces(curve, curve.table, 20)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_table_of_every_activation_holds_at_many_points(name: str) -> None:
    curve = activation(name)
    assert isinstance(curve, Curve)
    check(curve, curve.table, 30_000, seed=2)
    check_pieces(curve, curve.table, 2_000, seed=3)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("softplus", {"beta": 20.0}),
        ("swish", {"beta": 0.1}),
        ("swish", {"beta": -1.0}),
        ("elu", {"alpha": 0.3}),
        ("celu", {"alpha": 2.0}),
        ("lambda_gelu", {"steepness": 2.0}),
        ("lambda_gelu", {"steepness": 50.0}),
        ("power", {"exponent": 5.0}),
        ("power", {"exponent": -2.0}),
        ("power", {"exponent": 1.5}),
        ("clip", {"low": -0.1, "high": 0.7}),
    ],
)
def test_tables_hold_for_other_parameters(name: str, parameters: dict[str, float]) -> None:
    curve = activation(name, **parameters)
    assert isinstance(curve, Curve)
    check(curve, curve.table, 300)
    check_pieces(curve, curve.table, 20)


def test_a_false_table_is_caught() -> None:
    """The check above can fail: an error of a few last places too small shows."""
    curve = activation("tanh")
    assert isinstance(curve, Curve)
    table = curve.table
    arrays = {name: getattr(table, name) for name in table.__dataclass_fields__}
    false = Table(**{**arrays, "error_low": table.error_low * 1e-3, "error_high": table.error_high * 1e-3})
    with pytest.raises(AssertionError):
        check(curve, false, 3000)
    turned = Table(**{**arrays, "piece_curvature": -table.piece_curvature})
    with pytest.raises(AssertionError):
        check_pieces(curve, turned, 20)


@pytest.mark.parametrize(
    ("name", "pieces"),
    [("tanh", (1, -1)), ("sigmoid", (1, -1)), ("gelu", (-1, 1, -1)), ("silu", (-1, 1, -1)), ("mish", (-1, 1, -1)),
     ("softplus", (1,)), ("elu", (1,)), ("square", (1,)), ("log_sigmoid", (-1,)), ("erf", (1, -1))],
)  # fmt: skip
def test_pieces_are_as_few_as_the_function_has(name: str, pieces: tuple[int, ...]) -> None:
    table = activation(name).table  # type: ignore[union-attr]
    assert tuple(c for c in table.piece_curvature.tolist() if c) == pieces
    assert table.segments < 500


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu", "mish", "softplus", "sin", "exp", "elu", "atan"])
def test_errors_are_small(name: str) -> None:
    table = activation(name).table  # type: ignore[union-attr]
    near = (np.abs(table.knots[:-1]) <= 8) & (np.abs(table.knots[1:]) <= 8) & (np.diff(table.knots) > 1e-9)
    size = np.maximum(np.maximum(np.abs(table.low), np.abs(table.high))[near], 2.0**-24)
    assert (table.error_high[near] <= 1e-12 * size).all()
    assert math.isfinite(table.error_high[near].max())


@pytest.mark.parametrize(
    "name", ["tanh", "sigmoid", "gelu", "gelu_tanh", "silu", "quick_gelu", "mish", "softplus", "elu"]
)
def test_tails_say_what_there_is_to_say(name: str) -> None:
    """Beyond the last knot the slope is known to almost nothing, on either side."""
    table = activation(name).table  # type: ignore[union-attr]
    for i in (0, -1):
        assert table.slope_high[i] - table.slope_low[i] <= 1e-15
        assert table.low[i] > -np.inf or table.high[i] < np.inf


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [("x**3 * exp(-x)", 50.0, np.inf), ("x * normal_cdf(x)", -np.inf, -9.0), ("x * tanh(softplus(x))", -np.inf, -30.0),
     ("x * x * sigmoid(-3 * x)", 4.0, np.inf), ("(1 + x**2) * exp(-x) * cos(x)", 8.0, np.inf),
     ("x * exp(-x**2) / 3", 2.0, np.inf), ("-x * exp(0.5 * x) * atan(x)", -np.inf, -4.0)],
)  # fmt: skip
def test_decaying_tails_are_enclosed(text: str, x: float, y: float) -> None:
    formula = parse(text)
    rng = np.random.default_rng(5)
    with ctx.workprec(200):
        for g in (formula, formula.derivative):
            low, high = enclose_tail(g, interval(x, y))
            assert low.is_finite() and high.is_finite()
            for size in 10.0 ** rng.uniform(-3, 6, 200):
                value = g.ball(arb(x + size if np.isfinite(x) else y - size))
                assert not value < low and not value > high
