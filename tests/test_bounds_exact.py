"""Every bound is one, in exact arithmetic, however large, small or degenerate the numbers are."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from bounds_cases import HINGES, BoundCase, bound_case, interval_bounds, network_of
from exact_points import (
    apply,
    at_least,
    at_most,
    dot,
    exact,
    forward,
    points_of,
    rough,
    row_values,
    scales,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from slir_milp.activations import IDENTITY, RELU
from slir_milp.bounding.backward import InputRows, Rows, backward, minimise
from slir_milp.bounding.exact import ExactRow, refuted_exactly
from slir_milp.bounding.kernel import End, Settings, variants
from slir_milp.bounding.lines import Slopes, enclose, start_slopes
from slir_milp.bounding.magnitude import Slack, affine_interval, slack
from slir_milp.bounding.reference import Choice, Problem, StepRule, analyse, evaluate
from slir_milp.bounding.region import HalfSpaces, Region
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec

seeds = st.integers(0, 2**32 - 1)
widths = st.sampled_from([0.0, 0.0, 5e-324, 1e-12, 1e-3, 1.0, 1.0, 1.0, 1e30])


def box(rng: np.random.Generator, inputs: int, centre: float, width: float) -> tuple[Vector, Vector]:
    """A box; a width of zero also gives boxes of one ulp."""
    lower = rough(rng, inputs, centre)
    upper = lower + rng.random(inputs) * width
    if width == 0 and rng.random() < 0.5:
        upper = np.nextafter(lower, np.inf)
    return lower, upper


def rough_network(rng: np.random.Generator, weight_scale: float) -> Network:
    """A small network of hinges of all kinds; one layer has weights of the scale, and sometimes a bias of it."""
    sizes = [int(n) for n in rng.integers(1, 6, rng.integers(2, 5))]
    odd = int(rng.integers(0, len(sizes)))
    layers = []
    for k, (a, b) in enumerate(pairwise(sizes)):
        scale = weight_scale if k == odd else 1.0
        weight = rough(rng, (b, a), scale)
        affine = Affine(csr_array(weight) if rng.random() < 0.2 else weight, rough(rng, b, rng.choice([scale, 1.0])))
        layers.append(Layer(affine, HINGES, rng.integers(0, len(HINGES), b).astype(np.int32)))
    outputs = int(rng.integers(1, 4))
    output = Affine(
        rough(rng, (outputs, sizes[-1]), weight_scale if odd == len(sizes) - 1 else 1.0), rng.normal(size=outputs)
    )
    return Network(tuple(layers), output, (TensorSpec("x", (sizes[0],)),), (TensorSpec("y", (outputs,)),))


def rough_case(seed: int, weight_scale: float, centre: float, width: float) -> BoundCase:
    rng = np.random.default_rng(seed)
    network = rough_network(rng, weight_scale)
    lower, upper = box(rng, network.input_size, centre, width)
    count = int(rng.integers(1, 4))
    rows = Rows(
        rng.normal(size=(count, network.output_size)),
        rng.normal(size=(count, network.input_size)) if rng.random() < 0.5 else None,
        rng.normal(size=count),
    )
    region = replace(Region.box(lower, upper), neurons=interval_bounds(network, lower, upper))
    charges = slack(network, lower, upper, region.neurons if rng.random() < 0.5 else None)
    return BoundCase(Problem(network, charges, rows, rng.random(count) < 0.5), region)


# --- affine maps -----------------------------------------------------------------------------------------------------


@given(seeds, scales, scales, widths, st.booleans())
def test_affine_interval(seed: int, weight_scale: float, centre: float, width: float, inexact: bool) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = (int(n) for n in rng.integers(1, 9, 2))
    lower, upper = box(rng, columns, centre, width)
    weight, bias = rough(rng, (rows, columns), weight_scale), rough(rng, rows, 1.0)
    affine = Affine(weight, bias)
    if inexact:
        with np.errstate(under="ignore"):
            affine = Affine(weight, bias, np.abs(weight) * 1e-16, np.abs(bias) * 1e-10)
    if seed % 3 == 0:
        radius = None if affine.weight_radius is None else csr_array(affine.weight_radius)
        affine = replace(affine, weight=csr_array(weight), weight_radius=radius)
    low, high = affine_interval(affine, lower, upper)
    for x in points_of(rng, lower, upper):
        for y in (apply(affine, x), apply(affine, x, np.ones(rows)), apply(affine, x, -np.ones(rows))):
            assert all(map(at_most, low, y))
            assert all(map(at_least, high, y))


def test_affine_interval_is_tight() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(20, 30)), rng.normal(size=20)
    lower, upper = -rng.random(30), rng.random(30)
    low, high = affine_interval(Affine(weight, bias), lower, upper)
    least = np.minimum(weight * lower, weight * upper).sum(axis=1) + bias
    greatest = np.maximum(weight * lower, weight * upper).sum(axis=1) + bias
    assert np.allclose(low, least, rtol=1e-8, atol=1e-8)
    assert np.allclose(high, greatest, rtol=1e-8, atol=1e-8)


# --- the reference ---------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(seeds, scales, scales, widths)
def test_backward_and_minimise(seed: int, weight_scale: float, centre: float, width: float) -> None:
    case = rough_case(seed, weight_scale, centre, width)
    rng = np.random.default_rng(seed + 1)
    network, region, bounds = case.network, case.region, case.region.neurons
    assert bounds is not None
    slopes = [
        Slopes.same(rng.choice([start_slopes(layer, low, high).lower, rng.normal(size=layer.size)]))
        for layer, low, high in zip(network.layers, bounds.lower, bounds.upper, strict=True)
    ]
    lines = tuple(map(enclose, network.layers, bounds.lower, bounds.upper, slopes))
    rows = case.problem.rows
    walked = backward(network, case.slack, lines, rows)
    values, _, minimisers = minimise(walked, case.slack, region)
    points = points_of(rng, region.lower, region.upper)
    points += [exact(np.clip(p, region.lower, region.upper)) for p in minimisers if np.isfinite(p).all()]
    for x in points:
        pre, y = forward(network, x)
        for k, layer in enumerate(pre):
            assert all(map(at_most, bounds.lower[k], layer))
            assert all(map(at_least, bounds.upper[k], layer))
        for r, value in enumerate(row_values(rows, x, y)):
            assert at_most(values[r], value)
            if np.isfinite(walked.offsets[r]) and np.isfinite(walked.normals[r]).all():
                # The row at the input is below the functional too, up to the charge for using it.
                linear = dot(exact(walked.normals[r]), x) + Fraction(float(walked.offsets[r]))
                assert linear <= value


@settings(max_examples=200)
@given(seeds)
def test_minimise_over_half_spaces(seed: int) -> None:
    """On box and half-space the bound is below every point's value, and equals the optimum of the linear program."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 7))
    lower = rng.normal(size=n)
    upper = lower + rng.random(n) * rng.choice([0.0, 1e-9, 1.0], n, p=[0.1, 0.1, 0.8])
    inside = lower + rng.random(n) * (upper - lower)
    normal = rng.normal(size=n) * (rng.random(n) < 0.8)
    offset = -float(normal @ inside) - rng.random() * 0.1
    row = rng.normal(size=n) * (rng.random(n) < 0.8)
    charges = Slack((), 1e-14, 1e-14 * np.maximum(np.abs(lower), np.abs(upper)), 1e-300)
    region = replace(Region.box(lower, upper), half_spaces=HalfSpaces(normal[None, :], np.array([offset])))
    values, _, points = minimise(InputRows(row[None, :], np.array([0.25]), ()), charges, region)
    fractions = [x for x in points_of(rng, lower, upper, 20) if dot(exact(normal), x) + Fraction(offset) <= 0]
    for x in [*fractions, exact(inside)]:
        assert at_most(values[0], dot(exact(row), x) + Fraction(1, 4))
    best = _least(row, normal, offset, lower, upper) + 0.25
    assert values[0] == pytest.approx(best, abs=1e-9)
    assert row @ points[0] + 0.25 == pytest.approx(best, abs=1e-9)


def _least(row: Vector, normal: Vector, offset: float, lower: Vector, upper: Vector) -> float:
    """The knapsack: from the corner that is best for the row, buy feasibility where it is cheapest."""
    x = np.where(row > 0, lower, upper)
    x = np.where((row == 0) & (normal > 0), lower, x)
    excess = float(normal @ x) + offset
    with np.errstate(divide="ignore", invalid="ignore"):
        price = np.where(normal != 0, np.abs(row / normal), np.inf)
    for q in np.argsort(price):
        target = lower[q] if normal[q] > 0 else upper[q]
        gain = normal[q] * (x[q] - target)
        if excess <= 0:
            break
        if gain > 0:
            share = min(1.0, excess / gain)
            x[q] += share * (target - x[q])
            excess -= share * gain
    return float(row @ x)


@settings(max_examples=30)
@given(seeds)
def test_reference_with_sides_and_half_space(seed: int) -> None:
    """Whatever the ascent chose, the bound holds where the region's conditions do."""
    rng = np.random.default_rng(seed)
    case = bound_case(rng, network_of(rng, [3, 6, 5, 2]), half_space=True, sides=True, direct=True)
    found = analyse(case.problem, case.region, StepRule(3))
    members = [x for x in points_of(rng, case.region.lower, case.region.upper, 30) if is_member(case, x)]
    if found is None:
        assert not members
        return
    random = evaluate(case.problem, case.region, found.neurons, _random_choice(rng, case))
    for x in members:
        pre, y = forward(case.network, x)
        for k, layer in enumerate(pre):
            assert all(map(at_most, found.neurons.bounds.lower[k], layer))
            assert all(map(at_least, found.neurons.bounds.upper[k], layer))
        for bound in (found.best, found.last, random):
            combined = dot(exact(bound.choice.weights), row_values(case.problem.rows, x, y))
            assert at_most(bound.value, combined)


def is_member(case: BoundCase, x: list[Fraction]) -> bool:
    region = case.region
    for normal, offset in zip(region.half_spaces.normals, region.half_spaces.offsets, strict=True):
        if dot(exact(normal), x) + Fraction(float(offset)) > 0:
            return False
    if region.sides is None:
        return True
    pre, _ = forward(case.network, x)
    return all(
        side * v >= 0
        for s, layer in zip(region.sides, pre, strict=True)
        for side, v in zip(s.tolist(), layer, strict=True)
    )


def _random_choice(rng: np.random.Generator, case: BoundCase) -> Choice:
    sides = case.region.sides
    assert sides is not None
    layers = case.network.layers
    return Choice(
        tuple(Slopes.same(rng.normal(size=layer.size)) for layer in layers),
        tuple(-side * rng.random(layer.size) for side, layer in zip(sides, layers, strict=True)),
        rng.random(len(case.problem.rows)),
    )


# --- the kernel ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", variants())
@settings(max_examples=120)
@given(seeds, scales, scales, widths)
def test_kernel_on_rough_numbers(variant: str, seed: int, weight_scale: float, centre: float, width: float) -> None:
    case = rough_case(seed, weight_scale, centre, width)
    rng = np.random.default_rng(seed + 1)
    region = case.region if seed % 2 else replace(case.region, neurons=None)
    explorer = case.explorer(Settings(split_activations=bool(seed % 3)), variant)
    record, sides = explorer.record(region)
    points = points_of(rng, region.lower, region.upper)
    check_analysis(case, explorer.analyse(record, sides), explorer.neurons(record), points)


@pytest.mark.parametrize("variant", variants())
@settings(max_examples=30)
@given(seeds)
def test_kernel_with_sides_and_half_space(variant: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = network_of(rng, [3, 6, 5, 2], sparse=seed % 5 == 0)
    case = bound_case(rng, network, half_space=True, sides=True, direct=True, rows=int(rng.integers(1, 4)))
    explorer = case.explorer(Settings(split_activations=True), variant)
    record, sides = explorer.record(case.region)
    members = [x for x in points_of(rng, case.region.lower, case.region.upper, 20) if is_member(case, x)]
    check_analysis(case, explorer.analyse(record, sides), explorer.neurons(record), members)


def check_analysis(case: BoundCase, analysis: tuple, bounds: object, points: list[list[Fraction]]) -> None:
    """What the kernel says about a region holds at its points."""
    end, value, row, _, slopes, weights = analysis
    assert not np.isnan(value)
    if end in (End.EMPTY, End.INHERITED):
        assert not points
        return
    assert value < np.inf
    assert (weights >= 0).all()
    assert not np.isnan(slopes).any()
    strict = bool((case.problem.strict & (weights > 0)).any())
    assert (end is End.BOUND) == (value > 0 or (strict and value >= 0))
    for x in points:
        pre, y = forward(case.network, x)
        for k, layer in enumerate(pre):
            assert all(map(at_most, bounds.lower[k], layer))
            assert all(map(at_least, bounds.upper[k], layer))
        combined = dot(exact(weights), row_values(case.problem.rows, x, y))
        assert at_most(value, combined)
        if np.isfinite(row).all():
            assert dot(exact(row[:-1]), x) + Fraction(float(row[-1])) <= combined


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("activations", [False, True])
def test_children_cover_their_parent(variant: str, activations: bool) -> None:
    """Every point of a region that may be a counterexample is in an open region below it, with bounds that hold."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        case = bound_case(rng, network_of(rng, [2, 6, 5, 2]), rows=2, direct=True)
        settings = Settings(split_inputs=not activations, split_activations=activations, ascent_steps=seed % 4)
        explorer = case.explorer(settings, variant)
        record, sides = explorer.record(case.region)
        records, all_sides, leaves, leaf_sides, _, _ = explorer.explore(
            record[None, :], sides[None, :], budget=12, deadline=np.inf, cancel=np.zeros(1, np.int32)
        )
        opened = [explorer.region(r, s) for r, s in zip([*records, *leaves], [*all_sides, *leaf_sides], strict=True)]
        for x in points_of(rng, case.region.lower, case.region.upper, 60):
            pre, y = forward(case.network, x)
            if max(row_values(case.problem.rows, x, y)) > 0:
                continue
            homes = [region for region in opened if _contains(region, x, pre)]
            assert homes
            for region in homes:
                assert region.neurons is not None
                for k, layer in enumerate(pre):
                    assert all(map(at_most, region.neurons.lower[k], layer))
                    assert all(map(at_least, region.neurons.upper[k], layer))
                for normal, offset in zip(region.half_spaces.normals, region.half_spaces.offsets, strict=True):
                    assert dot(exact(normal), x) + Fraction(float(offset)) <= 0


def _contains(region: Region, x: list[Fraction], pre: list[list[Fraction]]) -> bool:
    inside = all(a <= v <= b for a, v, b in zip(exact(region.lower), x, exact(region.upper), strict=True))
    sides = region.sides or tuple(np.zeros(len(layer)) for layer in pre)
    return inside and all(
        side * v >= 0 for s, layer in zip(sides, pre, strict=True) for side, v in zip(s.tolist(), layer, strict=True)
    )


# --- rational arithmetic ---------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seeds, st.booleans())
def test_refuted_exactly(seed: int, strict: bool) -> None:
    """A conjunction refuted in a box by a proposal, good or bad, has no solution at its points."""
    rng = np.random.default_rng(seed)
    network = network_of(rng, [2, 4, 3, 2], sparse=seed % 4 == 0)
    lower = rng.integers(-4, 4, 2) / 4.0
    upper = lower + rng.integers(0, 3, 2) / 8.0
    region = replace(Region.box(lower, upper), neurons=interval_bounds(network, lower, upper))
    charges = slack(network, lower, upper)
    coefficients, constants = rng.normal(size=(2, 2)), rng.normal(size=2)
    found = analyse(Problem(network, charges, Rows(coefficients, None, constants), np.array([strict] * 2)), region)
    assert found is not None
    # Move the constants so that the best combination is within a hair of its bound.
    shift = found.best.value + float(rng.choice([-1e-9, 0.0, 1e-9]))
    rows = [
        ExactRow(dict(enumerate(exact(c))), {}, Fraction(float(k)) - Fraction(shift), strict)
        for c, k in zip(coefficients, constants, strict=True)
    ]
    ends = exact(lower), exact(upper)
    slopes = np.concatenate([slopes.lower for slopes in found.best.choice.slopes])
    bounds = found.neurons.bounds
    weights = exact(found.best.choice.weights)
    for proposal in (slopes, rng.normal(size=len(slopes))):
        if refuted_exactly(network, rows, *ends, bounds, proposal, weights):
            for x in points_of(rng, lower, upper, 10):
                _, y = forward(network, x)
                values = [row.constant + dot(list(row.outputs.values()), y) for row in rows]
                assert any(v > 0 or (strict and v == 0) for v in values)


@pytest.mark.parametrize("lower", [-1.0, 0.0, 1 / 3])
def test_refuted_exactly_settles_a_tie(lower: float) -> None:
    """relu(x) − x is never negative, and zero somewhere: no float64 bound can tell."""
    hidden = Layer(Affine(np.ones((2, 1)), np.zeros(2)), (RELU, IDENTITY), np.array([0, 1], np.int32))
    output = Affine(np.array([[1.0, -1.0]]), np.zeros(1))
    network = Network((hidden,), output, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    ends = [Fraction(lower)], [Fraction(1)]
    bounds = interval_bounds(network, np.array([lower]), np.array([1.0]))
    for constant, strict, expected in [(0, True, True), (0, False, False), (Fraction(1, 10**40), False, True)]:
        row = ExactRow({0: Fraction(1)}, {}, Fraction(constant), strict)
        assert refuted_exactly(network, [row], *ends, bounds, np.ones(2), [Fraction(1)]) is expected


def test_refuted_exactly_claims_nothing_about_inexact_networks() -> None:
    output = Affine(np.ones((1, 1)), np.zeros(1), None, np.array([1e-300]))
    network = Network((), output, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    row = ExactRow({0: Fraction(1)}, {}, Fraction(5), False)
    point = [Fraction(1)]
    bounds = interval_bounds(network, np.ones(1), np.ones(1))
    assert not refuted_exactly(network, [row], point, point, bounds, np.zeros(0), [Fraction(1)])
    exact_network = replace(network, output=replace(output, bias_radius=None))
    assert refuted_exactly(exact_network, [row], point, point, bounds, np.zeros(0), [Fraction(1)])
