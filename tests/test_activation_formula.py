"""Formulas: text, arithmetic, values, enclosures, series, recognition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.activations import Hinge
from slir_milp.activations.broken_lines import breakpoints_of
from slir_milp.activations.catalogue import CATALOGUE, activation, curve_of, recognise
from slir_milp.activations.formula import FUNCTIONS, PI, Formula, X, apply
from slir_milp.activations.interval import down, enclose, interval, up
from slir_milp.activations.parse import parse
from slir_milp.activations.rewrite import stable
from slir_milp.activations.series import Expansion
from slir_milp.errors import OptionError

NUMBERS = st.one_of(st.integers(-9, 9), st.floats(-1e3, 1e3, allow_nan=False))


def formulas() -> st.SearchStrategy[Formula]:
    """Any formula, mostly of few nodes."""
    leaves = st.one_of(st.just(X), st.just(PI), NUMBERS.map(Formula.constant))

    def grown(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
        pairs = st.tuples(inner, inner)
        named = [
            st.tuples(*[inner] * arity).map(lambda a, name=name: apply(name, *a)) for name, arity in FUNCTIONS.items()
        ]
        return st.one_of(
            pairs.map(lambda p: p[0] + p[1]),
            pairs.map(lambda p: p[0] - p[1]),
            pairs.map(lambda p: p[0] * p[1]),
            pairs.map(lambda p: p[0] / p[1]),
            inner.map(lambda f: -f),
            st.tuples(inner, st.sampled_from([-2, -1, -0.5, 0, 0.5, 2, 3, 2.5])).map(lambda p: p[0] ** p[1]),
            *named,
        )

    return st.recursive(leaves, grown, max_leaves=6)


@given(formulas())
def test_text_reads_back_to_an_equal_formula(formula: Formula) -> None:
    assert parse(formula.text) == formula
    assert hash(parse(formula.text)) == hash(formula)


@settings(max_examples=300)
@given(formulas(), st.floats(-20, 20), st.floats(0, 2), st.floats(0, 1))
def test_enclosures_hold_and_agree_with_float64(formula: Formula, x: float, width: float, part: float) -> None:
    point_x = min(x + part * width, x + width)
    with ctx.workprec(53):
        low, high = enclose(formula, interval(x, x + width))
    with ctx.workprec(400):
        point = formula.ball(arb(point_x))
        assert not point < low and not point > high
        value = float(formula(np.array([point_x]))[0])
        if point.is_finite() and float(point.rad()) < 1e-30 and math.isfinite(value) and abs(value) < 1e100:
            jumps = {"floor", "sign", "where_less"} & {node.operator for node in formula.nodes}
            rough = formula.derivative.ball(arb(point_x))
            if not jumps and rough.is_finite() and abs(rough) < 1e3:
                assert value == pytest.approx(float(point.mid()), rel=1e-3, abs=1e-3) or _cancels(formula)


def _cancels(formula: Formula) -> bool:
    """Whether float64 may lose everything: large numbers or differences inside."""
    return len(formula.nodes) > 3


@settings(max_examples=200)
@given(formulas(), st.floats(-5, 5))
def test_stable_rewriting_keeps_the_function(formula: Formula, x: float) -> None:
    with ctx.workprec(200):
        before, after = formula.ball(arb(x)), stable(formula).ball(arb(x))
        if before.is_finite() and after.is_finite():
            assert before.overlaps(after)


@settings(max_examples=200)
@given(formulas().filter(lambda f: f.is_analytic), st.floats(-5, 5))
def test_series_agree_with_enclosures_and_derivatives(formula: Formula, x: float) -> None:
    with ctx.workprec(200):
        value, slope, *_ = Expansion(formula)(arb(x), 4)
        if value.is_finite() and slope.is_finite():
            assert not formula.ball(arb(x)).is_finite() or value.overlaps(formula.ball(arb(x)))
            expected = formula.derivative.ball(arb(x))
            assert not expected.is_finite() or slope.overlaps(expected)


@given(formulas(), formulas(), st.floats(-3, 3))
def test_substitution_is_composition(outer: Formula, inner: Formula, x: float) -> None:
    with ctx.workprec(200):
        through = inner.ball(arb(x))
        if through.is_finite():
            direct, nested = outer.of(inner).ball(arb(x)), outer.ball(through)
            assert not direct.is_finite() or not nested.is_finite() or direct.overlaps(nested)


@pytest.mark.parametrize(
    ("text", "column", "word"),
    [
        ("y", 1, "variable is x"),
        ("x + tanh", 5, "tanh(x)"),
        ("x +", 4, "syntax"),
        ("sin(x, x)", 1, "takes 1"),
        ("x < 1", 1, "where"),
        ("2 * foo(x)", 5, "no function 'foo'"),
        ("1e999", 1, "finite"),
        ("x.real", 1, "numbers"),
        ("", 1, "syntax"),
        ("True", 1, "truth"),
        ("where(x, 1, 2)", 1, "where(a < b, c, d)"),
        ("  x + z", 7, "'z'"),
        ("exp(x=1)", 1, "only numbers"),
        ("__import__('os')", 1, "no function"),
    ],
)
def test_a_bad_text_is_refused_with_its_column(text: str, column: int, word: str) -> None:
    with pytest.raises(OptionError, match=rf"column {column}: ") as error:
        parse(text)
    assert word in str(error.value)


@pytest.mark.parametrize("text", ["x**2000", "(" * 500 + "x" + ")" * 500, "-" * 5000 + "x"])
def test_a_monstrous_text_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse(text)


def test_values_are_careful_far_out() -> None:
    x = np.array([-1e300, -800.0, -40.0, 0.0, 40.0, 800.0, 1e300])
    for name in CATALOGUE:
        values = activation(name)(x)
        assert values.shape == x.shape, name
    np.testing.assert_allclose(parse("log(1 + exp(x))")(np.array([-40.0])), np.exp(-40.0), rtol=1e-12)
    np.testing.assert_allclose(parse("exp(x) - 1")(np.array([1e-20])), 1e-20, rtol=1e-12)
    np.testing.assert_allclose(parse("x * normal_cdf(x)")(np.array([-30.0])), -1.47196e-196, rtol=1e-4)
    assert np.isnan(parse("log(x)")(np.array([-1.0]))).all()


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_derivatives_are_those_of_the_values(name: str) -> None:
    curve = activation(name)
    assert not isinstance(curve, Hinge)
    x = np.array([0.31, 0.77, 1.3, 2.41])
    step = 1e-6
    np.testing.assert_allclose(
        curve.derivative(x), (curve(x + step) - curve(x - step)) / (2 * step), rtol=1e-5, atol=1e-8
    )


def test_affine_formulas_are_recognised_only_if_exact() -> None:
    assert parse("2 * (x - 3) + x").affine == (3.0, -6.0)
    assert parse("x / 3").affine is None
    assert parse("x / 3").exact_affine is not None
    assert parse("pi * x").affine is None
    assert parse("x * x").affine is None
    assert Formula.constant(4).affine == (0.0, 4.0)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x / (1 + exp(-x))", "silu"),
        ("x * sigmoid(1.702 * x)", "quick_gelu"),
        ("x * sigmoid(3 * x)", "swish(beta=3)"),
        ("0.5 * x * (1 + erf(x / sqrt(2)))", "gelu"),
        ("0.5 * x * (1 + erf(x / 1.4142135381698608))", "≈ gelu"),
        ("x * 0.5 * (1 + erf(x * sqrt(2)))", "lambda_gelu(steepness=2)"),
        ("x * tanh(log(1 + exp(x)))", "mish"),
        ("x * min(max(x + 3, 0), 6) / 6", "hard_swish"),
        ("x * x", "square"),
        ("min(max(x, -0.5), 2)", "clip(low=-0.5, high=2)"),
        ("x**2 + 1", ""),
    ],
)
def test_known_functions_get_their_names(text: str, name: str) -> None:
    assert recognise(parse(text)) == name
    assert curve_of(parse(text)).name == (name or parse(text).text)


def test_names_and_parameters_are_checked() -> None:
    assert activation("leaky_relu", slope=0.2) == Hinge(0.2, 1.0)
    assert activation("gelu") == activation("gelu")
    with pytest.raises(OptionError, match="gelu"):
        activation("gellu")
    with pytest.raises(OptionError, match=r"no parameter 'gamma'.*beta"):
        activation("swish", gamma=1.0)


@given(st.integers(-(2**200), 2**200), st.integers(-1200, 1000))
def test_conversion_to_float64_is_outward_and_tight(mantissa: int, exponent: int) -> None:
    with ctx.workprec(400):
        value = arb(mantissa) * arb(2) ** exponent
        low, high = down(value), up(value)
        assert arb(low) <= value <= arb(high)
        assert high <= math.nextafter(low, math.inf)
    assert down(arb.nan()) == -math.inf and up(arb.nan()) == math.inf


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("min(max(x / 6 + 0.5, 0), 1)", (-3.0, 3.0)),
        ("max(x, 1 - x)", (0.5,)),
        ("abs(abs(abs(x) - 1) - 0.5)", (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)),
        ("where(x < 0.25, x, 1)", (0.25, 0.25, 0.25)),
        ("sign(x)", (0.0, 0.0, 0.0)),
        ("abs(3 * x - 1)", None),  # no float64 number
        ("relu(x) * relu(x)", None),
        ("floor(x)", None),  # too many
        ("x * min(max(x + 3, 0), 6) / 6", None),
        ("2 * x + 1", None),  # no breakpoint
    ],
)
def test_piecewise_linear_formulas_become_breakpoints(text: str, points: tuple[float, ...] | None) -> None:
    found = breakpoints_of(parse(text))
    assert (None if found is None else found.points) == points
    if found is not None:
        x = np.linspace(-4, 4, 57)
        np.testing.assert_allclose(found(x), parse(text)(x), rtol=1e-14, atol=1e-14)


def test_a_long_text_is_shown_in_part() -> None:
    with pytest.raises(OptionError) as error:
        parse("9" * 6000 + " * x")
    assert len(str(error.value)) < 400


def test_deep_formulas_are_compared() -> None:
    def chain(last: float) -> Formula:
        return sum((X * i for i in range(2000)), X) + last

    assert chain(1.0) == chain(1.0) != chain(2.0)
    assert chain(1.0) in {chain(1.0): True}


@pytest.mark.parametrize("power", [0.1, 1 / 3, -0.3, 0.5, 1.5, 2.0])
def test_the_derivative_of_a_power_is_not_that_of_a_rounded_exponent(power: float) -> None:
    """``p - 1`` need not be a float64 number: with it, the enclosure of the derivative would miss the derivative."""
    derivative = (X**power).derivative
    with ctx.workprec(200):
        x, p = arb("1e30"), arb(power)
        assert derivative.ball(x).overlaps(p * x ** (p - 1))
