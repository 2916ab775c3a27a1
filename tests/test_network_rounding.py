"""Composition of affine maps never loses the true map: everything is compared with rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.errors import NetworkError
from slir_milp.network import compose, rounding, storage
from slir_milp.network.affine import Affine

finite = st.floats(allow_nan=False, allow_infinity=False, width=64)
single = st.floats(allow_nan=False, allow_infinity=False, width=32)
moderate = st.floats(-1e100, 1e100, allow_nan=False) | st.sampled_from([0.0, 1.0, -2.0, 0.1, 5e-324, 1e-300])
seeds = st.integers(0, 2**32 - 1)


def fractions(values):
    array = np.empty(np.shape(values), dtype=object)
    array.ravel()[:] = [Fraction(float(value)) for value in np.ravel(values)]
    return array


def dense(affine):
    """Weights, biases and their radii as exact fractions."""
    rows, columns = affine.rows, affine.columns
    radius = np.zeros((rows, columns)) if affine.weight_radius is None else storage.to_dense(affine.weight_radius)
    bias_radius = np.zeros(rows) if affine.bias_radius is None else affine.bias_radius
    return [fractions(v) for v in (storage.to_dense(affine.weight), affine.bias, radius, bias_radius)]


def assert_within(affine, weight, bias):
    """The true map lies within the radii of the computed one."""
    w, b, wr, br = dense(affine)
    assert np.all(np.abs(w - weight) <= wr)
    assert np.all(np.abs(b - bias) <= br)


def draw_matrix(rng, shape, kind):
    values = rng.standard_normal(shape)
    match kind:
        case "single":
            values = values.astype(np.float32).astype(np.float64)
        case "short":
            values = np.round(values * 8) / 8
        case "wild":
            values = values * np.exp2(rng.integers(-400, 400, shape).astype(float))
        case "tiny":
            values = values * np.exp2(rng.integers(-560, -520, shape).astype(float))
        case "tiny short":
            values = np.round(values * 8) / 8 * np.exp2(rng.integers(-545, -520, shape).astype(float))
        case "picks":
            values = (np.arange(shape[-1]) == rng.integers(0, shape[-1], (shape[0], 1))).astype(float).reshape(shape)
        case "powers":
            values = np.sign(values) * np.exp2(rng.integers(-9, 9, shape).astype(float))
    return np.where(rng.random(shape) < rng.choice([0.0, 0.5, 0.9]), 0.0, values)


VECTORS = ("full", "single", "short", "wild", "tiny", "tiny short", "powers")
KINDS = (*VECTORS, "picks")


def draw_affine(rng, rows, columns, kind):
    weight, bias = draw_matrix(rng, (rows, columns), kind), draw_matrix(rng, rows, rng.choice(VECTORS))
    weight_radius = np.abs(draw_matrix(rng, (rows, columns), kind)) * 2.0**-40 if rng.random() < 0.3 else None
    bias_radius = np.abs(draw_matrix(rng, rows, rng.choice(VECTORS))) * 2.0**-40 if rng.random() < 0.3 else None
    if rng.random() < 0.5:
        weight = storage.to_csr(weight)
        weight_radius = None if weight_radius is None else storage.to_csr(weight_radius)
    return Affine(weight, bias, weight_radius, bias_radius)


def some_true_map(rng, affine):
    """A map that the given one may stand for: on the edge of its radii or inside."""
    w, b, wr, br = dense(affine)
    signs = rng.integers(-1, 2, w.shape), rng.integers(-1, 2, b.shape)
    return w + wr * signs[0], b + br * signs[1]


@pytest.mark.parametrize("size", [2**20, 0], ids=["dense", "sparse"])
@given(seed=seeds)
@settings(max_examples=100, deadline=None)
def test_compose_encloses_the_true_map(size, seed):
    rng = np.random.default_rng(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "DENSE_WORK_SIZE", size)
        rows, inner, columns = rng.integers(1, 6, 3)
        outer = draw_matrix(rng, (rows, inner), rng.choice(KINDS))
        affine = draw_affine(rng, inner, columns, rng.choice(KINDS))
        weight, bias = some_true_map(rng, affine)
        result = compose.compose(storage.to_csr(outer) if rng.random() < 0.5 else outer, affine)
        assert_within(result, fractions(outer) @ weight, fractions(outer) @ bias)


@given(seed=seeds)
@settings(max_examples=100, deadline=None)
def test_sums_and_row_factors_enclose_the_true_map(seed):
    rng = np.random.default_rng(seed)
    rows, columns, more = rng.integers(1, 6, 3)
    left = draw_affine(rng, rows, columns, rng.choice(KINDS))
    right = draw_affine(rng, rows, columns + more, rng.choice(KINDS))
    (lw, lb), (rw, rb) = some_true_map(rng, left), some_true_map(rng, right)
    lw_wide = np.concatenate([lw, fractions(np.zeros((rows, more)))], axis=1)
    assert_within(compose.add(left, right), lw_wide + rw, lb + rb)
    factors = draw_matrix(rng, rows, rng.choice(VECTORS))
    radius = np.abs(factors) * 2.0**-45
    exact = fractions(factors)[:, None]
    true = exact + fractions(radius)[:, None] * rng.integers(-1, 2, (rows, 1))
    assert_within(compose.shift(left, factors), lw, lb + exact[:, 0])
    assert_within(compose.scale(left, factors), lw * exact, lb * exact[:, 0])
    assert_within(compose.scale(left, factors, radius), lw * true, lb * true[:, 0])
    divisors = np.where(factors == 0, 3.0, factors)
    exact = fractions(divisors)[:, None]
    assert_within(compose.divide(left, divisors), lw / exact, lb / exact[:, 0])


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_short_weights_compose_exactly(seed):
    """Picking, scaling by powers of two and sums of short numbers need no radius."""
    rng = np.random.default_rng(seed)
    outer = draw_matrix(rng, (4, 3), "full")
    picked = compose.picking(rng.permutation(5)[:3], 5)
    assert compose.compose(outer, picked).is_exact
    short = Affine(draw_matrix(rng, (3, 5), "short"), draw_matrix(rng, 3, "short"))
    assert compose.compose(draw_matrix(rng, (4, 3), "short"), short).is_exact
    assert compose.scale(Affine(outer, outer[:, 0]), np.array([2.0, -0.5, 1.0, 0.0])).is_exact
    assert compose.divide(Affine(outer, outer[:, 0]), np.array([2.0, -0.5, 1.0, 4.0])).is_exact


def test_inexact_compositions_are_marked():
    """The tests above could pass with needless radii everywhere; this one with none."""
    twice = compose.picking(np.array([0, 0]), 1)
    assert compose.compose(np.array([[0.1, 1e-20]]), twice).weight_radius is not None
    thirds = Affine(np.full((2, 2), 1 / 3), np.zeros(2))
    assert compose.compose(np.full((1, 2), 0.1), thirds).weight_radius is not None
    assert compose.divide(Affine(np.ones((1, 1)), np.zeros(1)), np.array([3.0])).weight_radius is not None
    assert compose.shift(Affine(np.ones((1, 1)), np.ones(1)), np.array([1e-30])).bias_radius is not None


def test_overflow_is_refused():
    with pytest.raises(NetworkError, match="range of float64"):
        compose.scale(Affine(np.array([[1e300]]), np.zeros(1)), np.array([1e300]))


@given(a=finite, b=finite)
def test_sum_error_is_exact(a, b):
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.float64(a) + np.float64(b)
    if np.isfinite(total) and max(abs(a), abs(b)) < 1e307:
        error = float(rounding.sum_error(np.float64(a), np.float64(b), total))
        assert Fraction(a) + Fraction(b) == Fraction(float(total)) + Fraction(error)


@given(a=finite | moderate, b=finite | moderate)
def test_product_and_quotient_errors_are_bounds(a, b):
    x, y = np.float64(a), np.float64(b)
    with np.errstate(all="ignore"):
        product, quotient = x * y, np.divide(x, y)
    if np.isfinite(product):
        error = float(rounding.product_error(x, y, np.asarray(product)))
        assert abs(Fraction(a) * Fraction(b) - Fraction(float(product))) <= Fraction(error)
    if b != 0 and np.isfinite(quotient):
        error = float(rounding.quotient_error(x, y, np.asarray(quotient)))
        assert abs(Fraction(a) / Fraction(b) - Fraction(float(quotient))) <= Fraction(error)


@given(a=st.floats(-1e150, 1e150) | single)
def test_lowest_bit_and_length(a):
    unit = int(rounding.lowest_bit(np.array([a]))[0])
    if a:
        digits = Fraction(a) / Fraction(2) ** unit
        assert digits.denominator == 1 and digits.numerator % 2 == 1
        assert rounding.significant_bits(np.array([a, 0.0])) == abs(digits.numerator).bit_length()
    else:
        assert rounding.significant_bits(np.array([a])) == 0
