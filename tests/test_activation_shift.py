"""The compiled lines: sound by exact arithmetic, and as good as those of the readable reference."""

import math
from fractions import Fraction

import numpy as np
import pytest
from table_cases import POLYNOMIALS, Polynomial

from slir_milp.activations import shift
from slir_milp.activations.start import least_area_above, least_area_below
from slir_milp.activations.touch import touch_above, touch_below

TABLES = {case.name: case.table() for case in POLYNOMIALS}
BY_NAME = pytest.mark.parametrize("case", POLYNOMIALS, ids=lambda case: case.name)


def intervals(case: Polynomial, rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    ends = rng.uniform(case.ends[0], case.ends[-1], (2, count)) * rng.choice([1.0, 1.0, 1e-3, 1e-9], count)
    ends[1, ::17] = ends[0, ::17]
    return ends.min(axis=0), ends.max(axis=0)


@BY_NAME
def test_sound_and_as_good_as_the_reference(case: Polynomial) -> None:
    rng = np.random.default_rng(2)
    table = TABLES[case.name]
    lower, upper = intervals(case, rng, 300)
    slopes = np.where(
        rng.random(300) < 0.5,
        3 * rng.normal(size=300),
        [float(case.derivative(Fraction(x))) for x in rng.uniform(lower, upper).tolist()],
    )
    above, below = shift.above(table, lower, upper, slopes), shift.below(table, lower, upper, slopes)
    for i, (s, low, high) in enumerate(zip(slopes.tolist(), lower.tolist(), upper.tolist(), strict=True)):
        inside = [Fraction(low) + (Fraction(high) - Fraction(low)) * Fraction(t, 16) for t in range(17)]
        inside += [Fraction(x) for x in (above.at[i], below.at[i])]
        excess = [case(x) - Fraction(s) * x for x in inside]
        assert max(excess) <= Fraction(above.offset[i])
        assert min(excess) >= Fraction(below.offset[i])
        scale = 1e-12 * max(1.0, *(float(abs(e)) for e in excess))
        assert above.offset[i] <= touch_above(table, s, low, high).offset + scale
        assert below.offset[i] >= touch_below(table, s, low, high).offset - scale
        assert low <= above.at[i] <= high
        assert low <= below.at[i] <= high


@BY_NAME
def test_least_area_is_that_of_the_reference(case: Polynomial) -> None:
    rng = np.random.default_rng(3)
    table = TABLES[case.name]
    lower, upper = intervals(case, rng, 100)
    middle = 0.5 * lower + 0.5 * upper
    above, below = shift.above(table, lower, upper), shift.below(table, lower, upper)
    chord = shift.above(table, lower, upper, np.zeros(100))
    for i, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        top, bottom = least_area_above(table, low, high), least_area_below(table, low, high)
        height = abs(top.offset + top.slope * middle[i] - bottom.offset - bottom.slope * middle[i])
        room = (0.25 if 0 in case.curvatures else 0.02) * height + 1e-12 * (1 + abs(top.offset))
        assert above.slope[i] * middle[i] + above.offset[i] <= top.slope * middle[i] + top.offset + room
        assert below.slope[i] * middle[i] + below.offset[i] >= bottom.slope * middle[i] + bottom.offset - room
        assert above.slope[i] * middle[i] + above.offset[i] <= chord.offset[i] + room


@BY_NAME
def test_nothing_is_claimed_where_nothing_is_known(case: Polynomial) -> None:
    table = TABLES[case.name]
    lower = np.array([-1.0, -math.inf, -math.inf, 1e300, 1e300])
    upper = np.array([1e300, 1.0, math.inf, math.inf, 1e300])
    for slope in (None, np.full(5, 0.5), np.full(5, -1e308)):
        assert (shift.above(table, lower, upper, slope).offset == math.inf).all()
        assert (shift.below(table, lower, upper, slope).offset == -math.inf).all()
