"""The back ends that know a function by points: sound against ball arithmetic, and as tight as they say."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

from slir_milp.activations.offsets.breakpoints import Breakpoints
from slir_milp.activations.offsets.curvature import Curvature
from slir_milp.activations.offsets.lipschitz import Lipschitz
from slir_milp.activations.offsets.slope_range import SlopeRange
from slir_milp.activations.table import Table
from slir_milp.activations.touch import touch_above, touch_below
from slir_milp.errors import OptionError

INF = math.inf


@dataclass(frozen=True)
class Case:
    """A smooth function with the ranges of its first two derivatives, and how to compute it two ways."""

    name: str
    near: Callable[[np.ndarray], np.ndarray]
    ball: Callable[[arb], arb]
    slopes: tuple[float, float]
    seconds: tuple[float, float]
    values: tuple[float, float] = (-INF, INF)

    @property
    def constant(self) -> float:
        return max(abs(s) for s in self.slopes)


SMOOTH = (
    Case("tanh", np.tanh, lambda x: x.tanh(), (0.0, 1.0), (-0.77, 0.77), (-1.0, 1.0)),
    Case("sin", np.sin, lambda x: x.sin(), (-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)),
    Case("softplus", lambda x: np.logaddexp(0, x), lambda x: (1 + x.exp()).log(), (0.0, 1.0), (0.0, 0.25)),
    Case("x/(1+x²)", lambda x: x / (1 + x * x), lambda x: x / (1 + x * x), (-0.125, 1.0), (-1.5, 1.5), (-0.6, 0.6)),
)
BACK_ENDS = {
    "Lipschitz": lambda c, n: Lipschitz(c.near, c.constant, -8.0, 8.0, n, values=c.values),
    "slope range": lambda c, n: SlopeRange(c.near, *c.slopes, -8.0, 8.0, n, values=c.values),
    "curvature": lambda c, n: Curvature(c.near, *c.seconds, -8.0, 8.0, n, values=c.values, slopes=c.slopes),
}
STATED = {
    "Lipschitz": lambda c, h: c.constant * h,
    "slope range": lambda c, h: (c.slopes[1] - c.slopes[0]) * h / 2,
    "curvature": lambda c, h: (max(0.0, -c.seconds[0]) + max(0.0, c.seconds[1])) * h * h / 8,
}


def excess(case: Case, slope: float, x: np.ndarray) -> list[arb]:
    return [case.ball(arb(at)) - arb(slope) * arb(at) for at in x.tolist()]


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_samples_give_sound_lines_within_their_stated_error(case: Case, back_end: str) -> None:
    rng = np.random.default_rng(3)
    ctx.prec = 120
    n = 101
    table = BACK_ENDS[back_end](case, n).table()
    stated = STATED[back_end](case, 16.0 / (n - 1)) * (1 + 1e-9) + 1e-13
    for _ in range(40):
        lower, upper = np.sort(rng.uniform(-8, 8, 2) * rng.choice([1.0, 0.1])).tolist()
        slope = float(rng.choice([rng.uniform(-1.2, 1.2), (case.near(upper) - case.near(lower)) / (upper - lower)]))
        x = np.concatenate([[lower, upper], rng.uniform(lower, upper, 30)])
        over = excess(case, slope, x)
        above, below = touch_above(table, slope, lower, upper), touch_below(table, slope, lower, upper)
        assert all(e < arb(above.offset) for e in over) and all(e > arb(below.offset) for e in over)
        dense = np.linspace(lower, upper, 4001)
        values = case.near(dense) - slope * dense
        bend = max(abs(s) for s in case.seconds) * ((upper - lower) / 4000) ** 2
        assert above.offset - values.max() <= stated + bend
        assert values.min() - below.offset <= stated + bend


@pytest.mark.parametrize("back_end", BACK_ENDS)
@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case.name)
def test_every_statement_of_a_sampled_table(case: Case, back_end: str) -> None:
    rng = np.random.default_rng(4)
    ctx.prec = 120
    table = BACK_ENDS[back_end](case, 65).table()
    for i in range(table.segments):
        a, b = max(table.knots[i], -40.0), min(table.knots[i + 1], 40.0)
        x = np.unique(np.clip([a, b, *rng.uniform(a, b, 6)], a, b))
        f = [case.ball(arb(at)) for at in x.tolist()]
        polynomial = [arb(float(np.polyval(table.coefficients[i][::-1], at - table.centre[i]))) for at in x.tolist()]
        for value, p in zip(f, polynomial, strict=True):
            assert arb(table.low[i]) <= value <= arb(table.high[i])
            assert p - arb(table.error_low[i]) <= value <= p + arb(table.error_high[i])
        for k in range(len(x) - 1):
            quotient = (f[k + 1] - f[k]) / (arb(x[k + 1]) - arb(x[k]))
            assert arb(table.slope_low[i]) <= quotient <= arb(table.slope_high[i])
        if 0 < i < table.segments - 1:
            assert arb(table.knot_low[i]) <= f[0] <= arb(table.knot_high[i])


@pytest.mark.parametrize("back_end", BACK_ENDS)
def test_tails_of_samples(back_end: str) -> None:
    tanh = BACK_ENDS[back_end](SMOOTH[0], 33).table()
    assert touch_above(tanh, 0.0, -INF, INF).offset == pytest.approx(1.0)
    assert touch_above(tanh, 0.0, 1e300, 1e300).offset == 1.0
    assert touch_above(tanh, 0.1, 7.0, 1e6).offset == pytest.approx(0.3, abs=0.1)
    softplus = BACK_ENDS[back_end](SMOOTH[2], 33).table()
    assert touch_above(softplus, 1.0, 0.0, 1e6).offset < 10.0
    assert touch_above(softplus, 0.5, 0.0, INF).offset == INF


# --- breakpoints ---------------------------------------------------------------------------------------------------

SIGN = Breakpoints((0.0, 0.0, 0.0), (-1.0, 0.0, 1.0), 0.0, 0.0)
LINES = {
    "|x|": Breakpoints((0.0,), (0.0,), -1.0, 1.0),
    "clip": Breakpoints((-1.0, 1.0), (-1.0, 1.0), 0.0, 0.0),
    "thirds": Breakpoints((-3.0, -0.1, 0.2, 0.7, 5.0), (1.0, 0.3, -2.0, 0.1, 0.1), 1 / 3, -0.7),
    "convex": Breakpoints((-2.0, -1.0, 0.5, 3.0), (4.0, 1.0, 0.25, 9.0), -5.0, 6.0),
    "sign": SIGN,
    "steps": Breakpoints((-1.0, -1.0, 0.0, 0.5, 0.5, 0.5), (0.0, 1.0, 2.0, 2.0, 7.0, 1.0), 1.0, 1.0),
}


def exactly(line: Breakpoints, x: Fraction) -> tuple[Fraction, Fraction, Fraction]:
    """Limit from the left, value, limit from the right."""
    points, values = [Fraction(p) for p in line.points], [Fraction(v) for v in line.values]
    here = [v for p, v in zip(points, values, strict=True) if p == x]
    if here:
        return here[0], here[min(1, len(here) - 1)], here[-1]
    if x < points[0]:
        value = values[0] + Fraction(line.left_slope) * (x - points[0])
    elif x > points[-1]:
        value = values[-1] + Fraction(line.right_slope) * (x - points[-1])
    else:
        i = max(k for k, p in enumerate(points) if p < x)
        value = values[i] + (values[i + 1] - values[i]) / (points[i + 1] - points[i]) * (x - points[i])
    return value, value, value


def check(line: Breakpoints, table: Table, slope: float, lower: float, upper: float) -> None:
    where = [Fraction(x) for x in (lower, upper, *line.points) if lower <= x <= upper]
    over = []
    for x in where:
        left, value, right = (y - Fraction(slope) * x for y in exactly(line, x))
        over += [value, *([left] if x > lower else []), *([right] if x < upper else [])]
    above, below = touch_above(table, slope, lower, upper), touch_below(table, slope, lower, upper)
    assert max(over) <= Fraction(above.offset) and min(over) >= Fraction(below.offset)
    size = max(1.0, *(float(abs(y)) for x in where for y in exactly(line, x)), *(abs(slope * float(x)) for x in where))
    near_jump = any(abs(e - p) <= 1e-300 + 2e-16 * abs(p) for e in (lower, upper) for p in line.points)
    if not near_jump:
        assert Fraction(above.offset) - max(over) <= Fraction(1e-14 * size)
        assert min(over) - Fraction(below.offset) <= Fraction(1e-14 * size)


@pytest.mark.parametrize("name", LINES)
def test_breakpoints_are_optimal_to_a_few_roundings(name: str) -> None:
    rng = np.random.default_rng(5)
    line, table = LINES[name], LINES[name].table()
    for _ in range(120):
        lower, upper = np.sort(rng.choice([rng.normal(size=2) * 3, rng.normal(size=2) * 1e6])).tolist()
        check(line, table, float(rng.choice([rng.normal() * 2, 0.0, 1.0])), lower, upper)
        check(line, table, 0.5, lower, lower)


@st.composite
def lines(draw: st.DrawFn) -> Breakpoints:
    numbers = st.floats(-1e6, 1e6, allow_subnormal=False)
    points = sorted(draw(st.lists(numbers, min_size=1, max_size=6)))
    kept = [p for i, p in enumerate(points) if i < 3 or p != points[i - 3]]
    values = draw(st.lists(numbers, min_size=len(kept), max_size=len(kept)))
    return Breakpoints(kept, values, draw(numbers), draw(numbers))


@given(lines(), st.floats(-10, 10), st.floats(-1e7, 1e7), st.floats(0, 1e7), st.randoms())
def test_any_breakpoints_are_sound(line: Breakpoints, slope: float, lower: float, width: float, random) -> None:  # type: ignore[no-untyped-def]
    table = line.table()
    upper = lower + width
    above, below = touch_above(table, slope, lower, upper), touch_below(table, slope, lower, upper)
    inside = [Fraction(lower), Fraction(upper), *(Fraction(p) for p in line.points if lower <= p <= upper)]
    inside += [Fraction(random.uniform(lower, upper)) for _ in range(5)]
    for x in inside:
        if not Fraction(lower) <= x <= Fraction(upper):
            continue
        value = exactly(line, x)[1] - Fraction(slope) * x
        assert Fraction(below.offset) <= value <= Fraction(above.offset)


def test_values_at_breakpoints() -> None:
    assert SIGN(np.array([-2.0, 0.0, 3.0])).tolist() == [-1.0, 0.0, 1.0]
    floor = Breakpoints((0.0, 0.0, 1.0, 1.0), (-1.0, 0.0, 0.0, 1.0), 0.0, 0.0)
    assert floor(np.array([-0.5, 0.0, 0.5, 1.0, 1.5])).tolist() == [-1.0, 0.0, 0.0, 1.0, 1.0]
    x = np.array([-5.0, -3.0, 0.0, 0.7, 9.0])
    assert LINES["thirds"](x) == pytest.approx([float(exactly(LINES["thirds"], Fraction(a))[1]) for a in x.tolist()])


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Breakpoints((), (), 0.0, 0.0), "one value per point"),
        (lambda: Breakpoints((1.0, 0.0), (0.0, 0.0), 0.0, 0.0), "increasing order"),
        (lambda: Breakpoints((0.0,) * 4, (0.0,) * 4, 0.0, 0.0), "more than three"),
        (lambda: Breakpoints((0.0,), (INF,), 0.0, 0.0), "finite"),
        (lambda: Lipschitz(np.sin, INF), "Lipschitz constant"),
        (lambda: SlopeRange(np.sin, 1.0, -1.0), "range of slopes"),
        (lambda: Curvature(np.sin, -1.0, math.nan), "range of second"),
        (lambda: Lipschitz(np.log, 1.0).table(), r"value nan at -16\.0"),
        (lambda: Lipschitz(np.sin, 1.0, 1.0, -1.0).table(), "finite interval"),
        (lambda: Lipschitz(np.sin, 1.0, samples=1).table(), "too few"),
        (lambda: Lipschitz(lambda x: 1 // 0, 1.0).table(), "cannot be computed at -16"),  # type: ignore[arg-type, return-value]
    ],
)
def test_nonsense_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make()


def test_a_function_of_single_numbers_will_do() -> None:
    table = Lipschitz(math.sin, 1.0, samples=33).table()  # type: ignore[arg-type]
    assert touch_above(table, 0.0, -1.0, 1.0).offset == pytest.approx(math.sin(1.0), abs=0.6)
