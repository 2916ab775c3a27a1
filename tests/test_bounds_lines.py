"""Lines enclose their activations on their intervals: checked in exact arithmetic, at the only points that matter."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from slir_milp.activations import ABS, IDENTITY, RELU, Hinge
from slir_milp.bounding.lines import Lines, Slopes, enclose
from slir_milp.bounding.magnitude import activation_interval
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer

slopes = st.sampled_from([0.0, 1.0, -1.0, 0.1, 2.5, 5e-324, 1e150, -1e-300]) | st.floats(-4, 4)
hinges = st.sampled_from([RELU, ABS, IDENTITY, Hinge(0.01, 1.0), Hinge(1.0, 0.25), Hinge(0.5, -2.0)]) | st.builds(
    Hinge, slopes, slopes
)
ends = st.floats(-5, 5) | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([5e-324, -5e-324, 1e30])


def layer_of(hinge: Hinge) -> Layer:
    return Layer(Affine(np.ones((1, 1)), np.zeros(1)), (hinge,), np.zeros(1, np.int32))


def exact(hinge: Hinge, x: Fraction) -> Fraction:
    return x * Fraction(hinge.negative_slope if x < 0 else hinge.positive_slope)


def encloses(lines: Lines, hinge: Hinge, lower: float, upper: float) -> bool:
    """Hinge minus line is linear on both sides of zero, so the ends and the kink are enough."""
    points = [Fraction(lower), Fraction(upper)] + [Fraction(0)] * (lower < 0 < upper)
    numbers = [lines.lower_slope[0], lines.lower_offset[0], lines.upper_slope[0], lines.upper_offset[0]]
    assert not any(map(math.isnan, numbers))
    assert all(map(math.isfinite, (numbers[0], numbers[2])))
    for x in points:
        value = exact(hinge, x)
        if math.isfinite(numbers[1]) and value < Fraction(numbers[0]) * x + Fraction(numbers[1]):
            return False
        if math.isfinite(numbers[3]) and value > Fraction(numbers[2]) * x + Fraction(numbers[3]):
            return False
    return numbers[1] < math.inf and numbers[3] > -math.inf


@given(hinges, ends, ends, st.none() | slopes | st.floats())
@example(RELU, -1e308, 1e308, None)
@example(ABS, -5e-324, 5e-324, None)
@example(Hinge(1e150, -1e150), -1e200, 1e200, 0.3)
@example(RELU, -1e-30, 1e30, math.nan)
def test_lines_enclose(hinge: Hinge, a: float, b: float, kink: float | None) -> None:
    lower, upper = min(a, b), max(a, b)
    chosen = None if kink is None else Slopes.same(np.array([kink]))
    lines = enclose(layer_of(hinge), np.array([lower]), np.array([upper]), chosen)
    assert encloses(lines, hinge, lower, upper)


@given(hinges, ends)
def test_lines_enclose_one_ulp(hinge: Hinge, a: float) -> None:
    upper = math.nextafter(a, math.inf)
    if math.isfinite(upper):
        assert encloses(enclose(layer_of(hinge), np.array([a]), np.array([upper])), hinge, a, upper)


@given(hinges, st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_lines_touch(hinge: Hinge, left: float, right: float) -> None:
    """A line shifted farther than needed would be sound and useless."""
    lines = enclose(layer_of(hinge), np.array([-left]), np.array([right]))
    gaps = [
        exact(hinge, x) - Fraction(float(slope)) * x - Fraction(float(offset))
        for slope, offset in [
            (lines.lower_slope[0], lines.lower_offset[0]),
            (lines.upper_slope[0], lines.upper_offset[0]),
        ]
        for x in (Fraction(-left), Fraction(0), Fraction(right))
    ]
    size = (abs(hinge.negative_slope) + abs(hinge.positive_slope)) * (left + right)
    assert min(map(abs, gaps[:3])) <= Fraction(size) / 10**12 + Fraction(1, 10**300)
    assert min(map(abs, gaps[3:])) <= Fraction(size) / 10**12 + Fraction(1, 10**300)


@given(hinges, ends, ends, st.floats(0, 1))
def test_activation_interval(hinge: Hinge, a: float, b: float, share: float) -> None:
    lower, upper = min(a, b), max(a, b)
    low, high = activation_interval(layer_of(hinge), np.array([lower]), np.array([upper]))
    inside = Fraction(lower) + Fraction(share) * (Fraction(upper) - Fraction(lower))
    for x in (Fraction(lower), Fraction(upper), inside):
        value = exact(hinge, x)
        assert low[0] == -math.inf or (low[0] < math.inf and Fraction(float(low[0])) <= value)
        assert high[0] == math.inf or (high[0] > -math.inf and Fraction(float(high[0])) >= value)


@given(hinges, st.sampled_from([-math.inf, -1.0, 0.0, 2.0]), st.sampled_from([math.inf, 3.0]))
def test_activation_interval_of_infinite_ends(hinge: Hinge, lower: float, upper: float) -> None:
    low, high = activation_interval(layer_of(hinge), np.array([lower]), np.array([upper]))
    assert not math.isnan(low[0])
    assert not math.isnan(high[0])
    for x in (max(lower, -1e9), min(upper, 1e9), 0.0 if lower <= 0 else 2.5):
        assert low[0] == -math.inf or Fraction(float(low[0])) <= exact(hinge, Fraction(x))
        assert high[0] == math.inf or Fraction(float(high[0])) >= exact(hinge, Fraction(x))
