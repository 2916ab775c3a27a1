"""Piecewise linear formulas: their canonical form and their breakpoints are the same function, exactly."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.activations.broken import breakpoints_without_jumps, canonical, is_piecewise_linear
from slir_milp.activations.formula import Formula, X, apply
from slir_milp.activations.hinge import Hinge
from slir_milp.activations.parse import parse

NUMBERS = st.integers(-12, 12).map(lambda k: k / 8)


@st.composite
def formulas(draw, depth=4):
    kind = draw(
        st.sampled_from(["x", "x", "constant", "sum", "scaled", "relu", "abs", "max", "min"] if depth else ["x"])
    )
    if kind == "x":
        return X
    if kind == "constant":
        return Formula.constant(draw(NUMBERS))
    first = draw(formulas(depth=depth - 1))
    if kind == "scaled":
        return draw(NUMBERS) * first
    if kind in ("relu", "abs"):
        return apply(kind, first)
    second = draw(formulas(depth=depth - 1))
    return first + second if kind == "sum" else apply(kind, first, second)


def value(formula, x):
    """Value in rational arithmetic, straight from the tree."""
    arguments = [value(argument, x) for argument in formula.arguments]
    return {
        "x": lambda: x,
        "constant": lambda: Fraction(formula.value),
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "neg": lambda a: -a,
        "relu": lambda a: max(a, Fraction(0)),
        "abs": abs,
        "max": max,
        "min": min,
    }[formula.operator](*arguments)


@given(formulas(), st.lists(st.integers(-300, 300), min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_the_canonical_form_is_the_same_function(formula, points):
    assert is_piecewise_linear(formula)
    found, line = canonical(formula), breakpoints_without_jumps(formula)
    for k in points:
        x = Fraction(k, 37)
        meant = value(formula, x)
        if isinstance(found, Hinge):
            assert Fraction(found.negative_slope if x < 0 else found.positive_slope) * x == meant
        else:
            assert value(found, x) == meant
        if line is not None:
            assert _on_the_line(line, x) == meant


def _on_the_line(line, x):
    ends = [(Fraction(place), Fraction(here)) for place, (_, here, _) in line.places]
    if x <= ends[0][0]:
        return ends[0][1] + Fraction(line.left_slope) * (x - ends[0][0])
    if x >= ends[-1][0]:
        return ends[-1][1] + Fraction(line.right_slope) * (x - ends[-1][0])
    right = next(i for i, (place, _) in enumerate(ends) if place >= x)
    (a, low), (b, high) = ends[right - 1], ends[right]
    return low + (high - low) * (x - a) / (b - a)


@pytest.mark.parametrize(
    ("text", "slopes"),
    [("relu(x)", (0, 1)), ("2 * relu(x) - x", (-1, 1)), ("max(x, 0.25 * x)", (0.25, 1)), ("abs(x) - relu(x)", (-1, 0))],
)
def test_one_kink_at_zero_is_a_hinge(text, slopes):
    assert canonical(parse(text)) == Hinge(*slopes)


def test_what_is_no_piecewise_linear_function_stays_as_it_is():
    for text in ("sin(x)", "x * relu(x)", "1 / relu(x)", "where(x < 0, x, 1)", "relu(x - pi)"):
        assert not is_piecewise_linear(parse(text))
        assert canonical(parse(text)) == parse(text)


def test_a_table_within_a_table_is_built_at_once():
    inner = "(3.25 - (relu(x - 1.5) * 2 - (x - 1.5)))"
    text = " + ".join(f"-0.01{k} * relu(relu({inner}) * 2 - {inner} - {k / 16})" for k in range(10))
    table = breakpoints_without_jumps(parse(text)).table()
    assert table.segments < 60


def test_breakpoints_that_float64_does_not_hold_are_no_breakpoints():
    assert breakpoints_without_jumps(parse("relu(3 * x - 1)")) is None
    assert canonical(parse("relu(3 * x - 1)")) == parse("relu(3 * x - 1)")
