"""Lines shifted until they touch: never below the function, and no higher than need be."""

import math
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from table_cases import POLYNOMIALS, Polynomial

from slir_milp.activations import Curve, shift
from slir_milp.activations.catalogue import activation
from slir_milp.activations.outward import add_down, add_up, enclosure, rise_up, times_down, times_up
from slir_milp.activations.table import Table
from slir_milp.activations.touch import touch_above, touch_below

TABLES = {case.name: case.table() for case in POLYNOMIALS}
BY_NAME = pytest.mark.parametrize("case", POLYNOMIALS, ids=lambda case: case.name)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@given(FLOATS, FLOATS)
def test_outward_operations_enclose(a: float, b: float) -> None:
    for down, up, exact in (
        (add_down, add_up, Fraction(a) + Fraction(b)),
        (times_down, times_up, Fraction(a) * Fraction(b)),
    ):
        low, high = float(down(a, b)), float(up(a, b))
        assert low == -math.inf or Fraction(low) <= exact
        assert high == math.inf or Fraction(high) >= exact
    high = float(rise_up(a, abs(b - a)))
    assert high == math.inf or Fraction(high) >= Fraction(a) * abs(Fraction(b) - Fraction(a))


@given(st.fractions())
def test_enclosure_of_a_rational(value: Fraction) -> None:
    low, high = enclosure(value)
    assert Fraction(low) <= value <= Fraction(high)
    assert low == high or (high == math.nextafter(low, math.inf) and Fraction(low) != value != Fraction(high))


def points(case: Polynomial, lower: float, upper: float, slope: float, rng: np.random.Generator) -> list[Fraction]:
    """The ends, random points, and where the function has about the slope of the line."""
    grid = [Fraction(x) for x in np.clip(rng.uniform(lower, upper, 40), lower, upper).tolist()]
    roots = np.roots(
        np.polynomial.Polynomial(np.array(case.coefficients, dtype=float)).deriv().coef[::-1]
        - np.r_[np.zeros(len(case.coefficients) - 2), slope]
    )
    critical = [Fraction(r) for r in roots.real.tolist() if math.isfinite(r) and lower <= r <= upper]
    return [Fraction(lower), Fraction(upper), *grid, *critical]


@BY_NAME
def test_touching_lines_are_sound_and_tight(case: Polynomial) -> None:
    rng = np.random.default_rng(1)
    table = TABLES[case.name]
    rough = 0 in case.curvatures
    low, high = case.ends[0], case.ends[-1]
    for _ in range(80):
        lower, upper = np.sort(rng.uniform(low, high, 2) * rng.choice([1.0, 1.0, 1e-3])).tolist()
        if rng.uniform() < 0.1:
            lower = upper
        slope = float(rng.choice([rng.normal() * 3, float(case.derivative(Fraction(rng.uniform(lower, upper))))]))
        where = points(case, lower, upper, slope, rng)
        excess = [case(x) - Fraction(slope) * x for x in where]
        above, below = touch_above(table, slope, lower, upper), touch_below(table, slope, lower, upper)
        assert max(excess) <= Fraction(above.offset) and min(excess) >= Fraction(below.offset)
        scale = 1e-9 * max(1.0, *(float(abs(e)) for e in excess))
        if not rough:
            assert above.offset - float(max(excess)) <= scale and float(min(excess)) - below.offset <= scale
        for touch in (above, below):
            assert lower <= touch.x <= upper
            if not rough:
                assert abs(float(case(Fraction(touch.x))) - slope * touch.x - touch.offset) <= scale


@BY_NAME
def test_nothing_is_claimed_where_nothing_is_known(case: Polynomial) -> None:
    table = TABLES[case.name]
    for lower, upper in ((-1.0, 1e300), (-math.inf, 1.0), (-math.inf, math.inf), (1e300, math.inf), (1e300, 1e300)):
        assert touch_above(table, 0.5, lower, upper).offset == math.inf
        assert touch_below(table, 0.5, lower, upper).offset == -math.inf


def single(*, low: float, high: float, slopes: tuple[float, float], value: float) -> Table:
    """Two infinite segments that meet at the origin."""
    two = np.ones(2)
    return Table(
        knots=np.array([-math.inf, 0.0, math.inf]),
        knot_low=np.array([-math.inf, value, -math.inf]),
        knot_high=np.array([math.inf, value, math.inf]),
        low=low * two,
        high=high * two,
        slope_low=slopes[0] * two,
        slope_high=slopes[1] * two,
        centre=0 * two,
        coefficients=np.zeros((2, 8)),
        error_low=math.inf * two,
        error_high=math.inf * two,
        slope_error=math.inf * two,
        piece_first=np.array([0, 2], dtype=np.int32),
        piece_curvature=np.array([0], dtype=np.int8),
    )


def test_tails_to_infinity() -> None:
    bounded = single(low=-1.0, high=1.0, slopes=(-1.0, 1.0), value=0.0)  # what is known of sin
    assert touch_above(bounded, 0.0, -math.inf, math.inf).offset == 1.0
    assert touch_above(bounded, 0.5, -math.inf, math.inf).offset == math.inf
    assert touch_above(bounded, 0.5, 0.0, math.inf).offset == pytest.approx(0.5)  # at 1, where it may be 1
    assert touch_above(bounded, 1.0, 0.0, math.inf).offset == 0.0
    assert touch_above(bounded, -0.5, 0.0, math.inf).offset == math.inf
    assert touch_above(bounded, -0.5, -math.inf, 0.0).offset == pytest.approx(0.5)
    assert touch_above(bounded, 0.25, -2.0, 3.0).offset == pytest.approx(1.5)  # at -2
    assert touch_below(bounded, 0.0, -math.inf, 1e300).offset == -1.0
    assert touch_above(bounded, 0.0, 1e300, 1e300) == (1.0, 1e300)
    assert touch_above(bounded, 1e10, 1e300, 1e300).offset <= -1e308

    steep = single(low=-math.inf, high=math.inf, slopes=(2.0, 2.0), value=0.0)  # exactly 2x
    assert touch_above(steep, 2.0, -math.inf, math.inf).offset == 0.0
    assert touch_below(steep, 2.0, -math.inf, math.inf).offset == 0.0
    assert touch_above(steep, 2.0, 3.0, math.inf).offset == pytest.approx(0.0, abs=1e-14)
    assert touch_above(steep, 1.0, -1.0, 5.0).offset == pytest.approx(5.0)
    assert touch_above(steep, 1.0, -1.0, math.inf).offset == math.inf


def test_wrong_arguments() -> None:
    table = TABLES["square"]
    for lower, upper in ((1.0, 0.0), (math.nan, 1.0), (math.inf, math.inf)):
        with pytest.raises(ValueError, match="no interval"):
            touch_above(table, 0.0, lower, upper)
    assert touch_above(table, math.inf, 0.0, 1.0).offset == math.inf


# --- real activations, reference and compiled ----------------------------------------------------------------------

CURVES = {
    name: curve
    for name in ("tanh", "gelu", "mish", "softplus", "sin", "exp", "elu", "hard_swish", "sign", "softsign", "square")
    if isinstance(curve := activation(name), Curve)
}


def sound_and_alike(curve: Curve, count: int, compared: int) -> None:
    """Lines of the compiled code for many slopes and intervals, and of the reference for some, in ball arithmetic."""
    rng = np.random.default_rng(7)
    ctx.prec = 160
    scale = rng.choice([1e-6, 0.1, 1.0, 4.0, 20.0], count)
    centre = rng.normal(size=count) * rng.choice([0.0, 1.0, 5.0], count)
    lower = centre - scale * rng.uniform(size=count)
    upper = np.where(rng.uniform(size=count) < 0.05, lower, centre + scale * rng.uniform(size=count))
    slope = rng.choice([0.0, 1.0, 0.5, -0.1], count) + rng.normal(size=count) * rng.choice([0.0, 1e-9, 0.3], count)
    above, below = shift.above(curve.table, lower, upper, slope), shift.below(curve.table, lower, upper, slope)
    for i in range(count):
        cases = [(above.offset[i], below.offset[i])]
        if i < compared:
            arguments = float(slope[i]), float(lower[i]), float(upper[i])
            over, under = touch_above(curve.table, *arguments), touch_below(curve.table, *arguments)
            cases.append((over.offset, under.offset))
            if np.isfinite(over.offset) and np.isfinite(under.offset):
                size = 1.0 + max(
                    abs(over.offset), abs(under.offset), abs(slope[i] * upper[i]), abs(slope[i] * lower[i])
                )
                assert abs(over.offset - above.offset[i]) <= 1e-9 * size
                assert abs(under.offset - below.offset[i]) <= 1e-9 * size
        inside = rng.uniform(lower[i], upper[i], 3)
        for x in np.clip([lower[i], upper[i], above.at[i], below.at[i], *inside], lower[i], upper[i]).tolist():
            value = curve.ball(arb(x)) - arb(slope[i]) * arb(x)
            if value.is_finite():
                for most, least in cases:
                    assert arb(least) <= value <= arb(most), (slope[i], lower[i], upper[i], x)


@pytest.mark.parametrize("name", CURVES)
def test_lines_of_activations(name: str) -> None:
    sound_and_alike(CURVES[name], 250, 60)


@pytest.mark.slow
@pytest.mark.parametrize("name", CURVES)
def test_many_lines_of_activations(name: str) -> None:
    sound_and_alike(CURVES[name], 20_000, 2_000)
