"""The checker's lines around curves: never violated, as tight as the engine's, and nothing where nothing holds."""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from flint import arb, ctx, fmpq
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from slir_milp.activations import shift
from slir_milp.activations.catalogue import CATALOGUE, curve_of
from slir_milp.activations.curve import Curve
from slir_milp.activations.declared import Facts, declared_curve
from slir_milp.activations.parse import parse
from slir_milp.certificate.check import curves
from slir_milp.certificate.check.curves import CurveLines
from slir_milp.errors import ProofError

ODD = (
    "max(x, x**2)",
    "abs(sin(3 * x))",
    "x * exp(-x**2)",
    "1 / (x - 0.3)",
    "floor(x) * x",
    "where(x < 0.1, x, 2 - x)",
    "where(x**2 < 2, x**3, 1)",
    "x**-3",
    "x**0.3",
    "max(log(x), -1)",
    "min(tan(x), 2)",
    "sqrt(1 - x**2)",
    "relu(x) * sign(x - 1)",
    "x**4 - 3 * x**2 + x",
    "3 - 2 * x",
    "7 + 0 * x",
)
FORMULAS = {**{name: entry.formula() for name, entry in CATALOGUE.items()}, **{text: parse(text) for text in ODD}}
ROUGH = {
    "sign",
    "floor",
    "tan",
    "log",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "clip",
    "hard_sigmoid",
    "hard_tanh",
    "hard_swish",
}
SMOOTH = sorted(set(CATALOGUE) - ROUGH)
WAVY = ("sin", "cos", "tan", "floor")
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.1, 0.3, 3.0, -3.0, 6.0, 0.5 * math.pi, -1.5, math.sqrt(2), 1.5e-323, -1e-300, 1e-31)


@cache
def lines_of(name: str) -> tuple[Curve, CurveLines]:
    curve = curve_of(FORMULAS[name])
    return curve, CurveLines(curve)


@st.composite
def intervals(draw: st.DrawFn, reach: float = 1e250) -> tuple[float, float]:
    """Tiny, ordinary and huge ones, and those that begin, end or lie at special places."""
    place = draw(st.sampled_from(SPECIAL) | st.floats(-6, 6) | st.floats(-reach, reach))
    width = draw(st.just(0.0) | st.floats(0, 8) | st.integers(-1074, 200).map(lambda k: min(math.ldexp(1.0, k), reach)))
    ends = draw(st.sampled_from([(0, 1), (1, 0), (1, 1), (0.3, 0.7)]))
    low, high = place - ends[0] * width, place + ends[1] * width
    for _ in range(draw(st.integers(0, 2))):
        low, high = math.nextafter(low, -math.inf), math.nextafter(high, math.inf)
    return low, high


def excess(curve: Curve, x: Fraction, slope: Fraction) -> arb:
    point = arb(fmpq(x.numerator, x.denominator))
    return curve.ball(point) - arb(fmpq(slope.numerator, slope.denominator)) * point


def places(low: float, high: float, more: tuple[float, ...] = ()) -> list[Fraction]:
    a, b = Fraction(low), Fraction(high)
    shares = [Fraction(k, 12) for k in range(13)] + [Fraction(1, 2**k) for k in (8, 30, 60)]
    inside = [Fraction(x) for x in (*SPECIAL, *more, *map(float, range(-3, 4))) if low <= x <= high]
    return [a + (b - a) * t for t in shares] + [b - (b - a) * t for t in shares[13:]] + inside


def offsets(lines: CurveLines, low: float, high: float, slope: Fraction) -> tuple[fmpq | None, fmpq | None]:
    s = fmpq(slope.numerator, slope.denominator)
    return lines.offset(low, high, s, above=False), lines.offset(low, high, s, above=True)


def check_valid(name: str, low: float, high: float, slope: Fraction, more: tuple[float, ...] = ()) -> None:
    curve, lines = lines_of(name)
    below, above = offsets(lines, low, high, slope)
    with ctx.workprec(256):
        for x in places(low, high, more):
            value = excess(curve, x, slope)
            if value.is_finite():
                assert above is None or not value > arb(above), (float(x), value, above)
                assert below is None or not value < arb(below), (float(x), value, below)


@pytest.mark.parametrize("name", FORMULAS)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_no_line_is_crossed(name: str, data: st.DataObject) -> None:
    curve, _ = lines_of(name)
    interval = data.draw(intervals(12.0 if any(word in name for word in WAVY) else 1e250))
    at = data.draw(st.floats(0, 1)) * (interval[1] - interval[0]) + interval[0]
    tangent = float(curve.derivative(np.array([at]))[0])
    slope = data.draw(
        st.floats(-3, 3).map(Fraction)
        | st.floats(-1e200, 1e200).map(Fraction)
        | st.fractions(-2, 2, max_denominator=1000)
        | st.just(Fraction(tangent if math.isfinite(tangent) else 0.0))
        | st.just(Fraction(0))
    )
    check_valid(name, *interval, slope, (at,))


@pytest.mark.parametrize("name", SMOOTH)
def test_as_tight_as_the_lines_of_the_engine(name: str) -> None:
    curve, lines = lines_of(name)
    rng = np.random.default_rng(5)
    middle, half = rng.normal(0, 2, 60), np.abs(rng.normal(0, 1, 60)) * rng.choice([3.0, 0.3, 1e-3, 1e-9], 60)
    low, high = middle - half, middle + half
    slope = np.where(rng.random(60) < 0.7, curve.derivative(rng.uniform(low, high)), rng.normal(size=60))
    top, bottom = (side(curve.table, low, high, slope) for side in (shift.above, shift.below))
    for i, (a, b, s) in enumerate(zip(low.tolist(), high.tolist(), slope.tolist(), strict=True)):
        below, above = (float(Fraction(int(v.p), int(v.q))) for v in offsets(lines, a, b, Fraction(s)) if v is not None)
        room = 1e-12 * (1 + abs(above) + abs(s) * max(abs(a), abs(b)))
        assert above <= top.offset[i] + room
        assert below >= bottom.offset[i] - room
        assert above >= top.offset[i] - 1e-9 * (1 + abs(above))
        assert below <= bottom.offset[i] + 1e-9 * (1 + abs(below))
        check_valid(name, a, b, Fraction(s), (top.at[i], bottom.at[i]))


def test_as_tight_as_can_be_next_to_a_pole() -> None:
    _, lines = lines_of("reciprocal")
    for low in (1e-12, 1e-25, 1e-35):
        below, above = offsets(lines, low, 1.0, Fraction(-4))
        assert below is not None and above is not None
        assert 4 - Fraction(1, 10**12) <= Fraction(int(below.p), int(below.q)) <= 4
        truth = 1 / Fraction(low) + 4 * Fraction(low)
        assert truth <= Fraction(int(above.p), int(above.q)) <= truth * (1 + Fraction(1, 10**12))


KNOWN = [
    ("square", -1.0, 3.0, Fraction(2), -1, 3),
    ("square", -1.0, 3.0, Fraction(1, 3), Fraction(-1, 36), 8),
    ("power", -2.0, 2.0, Fraction(3), -2, 2),
    ("exp", -1e3, 0.0, Fraction(0), 0, 1),
    ("sin", 0.0, 4.0, Fraction(0), None, 1),
    ("sin", -200.0, 200.0, Fraction(0), -1, 1),
    ("reciprocal", 1.0, 4.0, Fraction(-1, 4), 1, Fraction(5, 4)),
    ("sqrt", 0.0, 4.0, Fraction(1, 2), 0, Fraction(1, 2)),
    ("hard_tanh", -3.0, 5.0, Fraction(1), -4, 2),
    ("hard_swish", -8.0, 5.0, Fraction(0), Fraction(-3, 8), 5),
    ("elu", -1.0, 2.0, Fraction(1), 0, None),
    ("max(x, x**2)", -1.0, 2.0, Fraction(1), 0, 2),
    ("x**4 - 3 * x**2 + x", 0.0, 1.5, Fraction(1), Fraction(-9, 4), 0),
    ("3 - 2 * x", -1e6, 1e6, Fraction(-2), 3, 3),
    ("7 + 0 * x", -math.inf, math.inf, Fraction(0), 7, 7),
    ("sign", -1.0, 0.0, Fraction(0), -1, 0),
    ("sign", 0.0, 1.0, Fraction(0), 0, 1),
    ("sign", 1e-29, 1.0, Fraction(0), 1, 1),
    ("floor", -1.5, 2.0, Fraction(0), -2, 2),
    ("floor", -1.5, math.nextafter(2.0, 0.0), Fraction(0), -2, 1),
    ("where(x < 0.1, x, 2 - x)", -1.0, 1.0, Fraction(0), -1, 2 - Fraction(0.1)),
    ("where(x < 0.1, x, 2 - x)", -1.0, 0.1, Fraction(0), -1, 2 - Fraction(0.1)),
    ("where(x < 0.1, x, 2 - x)", -1.0, math.nextafter(0.1, 0.0), Fraction(0), -1, Fraction(math.nextafter(0.1, 0.0))),
    ("tanh", -math.inf, math.inf, Fraction(0), -1, 1),
    ("sigmoid", -math.inf, 0.0, Fraction(0), 0, Fraction(1, 2)),
    ("gelu", 0.0, 0.0, Fraction(5), 0, 0),
]


@pytest.mark.parametrize(("name", "low", "high", "slope", "least", "most"), KNOWN)
def test_known_extremes_are_met_and_nothing_better_is_claimed(
    name: str, low: float, high: float, slope: Fraction, least: Fraction | None, most: Fraction | None
) -> None:
    below, above = offsets(lines_of(name)[1], low, high, slope)
    assert above is not None and below is not None
    if most is not None:
        assert most <= Fraction(int(above.p), int(above.q)) <= most + (1 + abs(most)) * Fraction(1, 10**13)
    if least is not None:
        assert least - (1 + abs(least)) * Fraction(1, 10**13) <= Fraction(int(below.p), int(below.q)) <= least


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("reciprocal", -1.0, 1.0),
        ("reciprocal", 0.0, 0.0),
        ("log", -1.0, 1.0),
        ("log", -2.0, -1.0),
        ("tan", 1.0, 2.0),
        ("1 / (x - 0.3)", 0.3, 0.3),
        ("sqrt", -1e-300, 1.0),
        ("sqrt(1 - x**2)", 0.0, math.nextafter(1.0, 2.0)),
        ("max(log(x), -1)", -1.0, 1.0),
        ("tanh", math.nan, 1.0),
        ("tanh", 0.0, math.nan),
        ("tanh", 1.0, 0.0),
    ],
)
def test_nothing_is_claimed_where_the_function_is_undefined(name: str, low: float, high: float) -> None:
    assert lines_of(name)[1].image(low, high) == (None, None)
    assert offsets(lines_of(name)[1], low, high, Fraction(1, 3)) == (None, None)


def test_one_side_may_have_a_bound_where_the_other_has_none() -> None:
    assert lines_of("exp")[1].image(0.0, math.inf)[1] is None
    assert lines_of("exp")[1].image(0.0, 1e300)[1] is None
    below = lines_of("exp")[1].image(0.0, math.inf)[0]
    assert below is not None and 1 - fmpq(1, 10**12) <= below <= 1
    assert lines_of("log")[1].image(0.0, 1.0) == (None, fmpq(0))
    assert offsets(lines_of("tanh")[1], -1.0, math.inf, Fraction(1, 2))[0] is None


@pytest.mark.parametrize("name", ["exp", "sigmoid", "softplus", "square"])
@given(place=st.floats(-1e3, 1e3))
def test_positive_functions_stay_positive_far_out(name: str, place: float) -> None:
    below = lines_of(name)[1].image(place, place + 1)[0]
    assert below is not None and (below > 0 or (below == 0 and (name == "square" or place < -700)))


@settings(max_examples=20)
@given(low=st.floats(-20, 20), width=st.floats(1e-6, 20), slope=st.floats(-2, 2))
def test_offsets_do_not_hang_on_what_was_asked_before(low: float, width: float, slope: float) -> None:
    fresh, used = CurveLines(lines_of("silu")[0]), lines_of("silu")[1]
    assert offsets(fresh, low, low + width, Fraction(slope)) == offsets(used, low, low + width, Fraction(slope))


def test_the_precision_of_others_is_left_alone() -> None:
    with ctx.workprec(77):
        lines_of("gelu")[1].offset(-1.0, 1.0, fmpq(1, 2), above=True)
        lines_of("gelu")[1].chord(-1.0, 1.0)
        assert ctx.prec == 77


def test_a_bad_guess_only_loosens(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = np.random.default_rng(0)
    monkeypatch.setattr(curves, "touch", lambda found, middle, radius, a, b, slope: a + wrong.random() * (b - a))
    lines = CurveLines(lines_of("tanh")[0])
    for slope in (Fraction(0), Fraction(1, 2), Fraction(9, 10)):
        for name_offset, offset in zip(
            offsets(lines_of("tanh")[1], -2.0, 3.0, slope), offsets(lines, -2.0, 3.0, slope), strict=True
        ):
            assert name_offset is not None and offset is not None
            assert abs(name_offset - offset) < fmpq(1, 10**12)


def test_chords() -> None:
    assert lines_of("square")[1].chord(1.0, 3.0) == 4.0
    assert lines_of("square")[1].chord(1.0, 1.0) == 0.0
    assert lines_of("log")[1].chord(-1.0, 1.0) == 0.0
    assert lines_of("tanh")[1].chord(-math.inf, 1.0) == 0.0


@given(interval=intervals(), where=st.floats(0, 1))
def test_images_hold_values(interval: tuple[float, float], where: float) -> None:
    x = min(max(interval[0] + where * (interval[1] - interval[0]), interval[0]), interval[1])
    assume(math.isfinite(x))
    curve, lines = lines_of("mish")
    below, above = lines.image(*interval)
    value = curve.ball(arb(x))
    assert below is None or not value < arb(below)
    assert above is None or not value > arb(above)


def test_samples_prove_nothing() -> None:
    curve = declared_curve("wobble", np.sin, Facts(lipschitz=1.0))
    with pytest.raises(ProofError, match="wobble is known by samples only"):
        CurveLines(curve)
