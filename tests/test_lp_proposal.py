"""Linear programs of regions: what they claim, and what is made of their duals."""

import threading
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lp_exact import Case, knots, least_maximum, random_case, random_network, row_values, seeds, sound_bounds

from slir_milp.bounding.backward import Rows, backward, combine, minimise
from slir_milp.bounding.lines import Slopes, enclose
from slir_milp.bounding.magnitude import slack
from slir_milp.bounding.region import HalfSpaces, Region
from slir_milp.lp.elimination import within_sides
from slir_milp.lp.proposal import Proposal, certify, propose
from slir_milp.lp.tighten import tighten
from slir_milp.solvers import Status, solver

HIGHS = solver()
few = settings(max_examples=60, deadline=None)


def charges(case: Case):
    return slack(case.network, case.region.lower, case.region.upper)


def check_certified(case: Case, proposal: Proposal) -> float:
    """Certify, compare with exact arithmetic at every knot of the region, and return the bound."""
    bound, row = certify(case.network, charges(case), case.rows, case.region, sound_bounds(case), proposal)
    weights = [Fraction(float(w)) if w > 0 and np.isfinite(w) else Fraction(0) for w in proposal.weights]
    for knot in knots(case):
        if not knot.inside:
            continue
        value = sum((w * v for w, v in zip(weights, row_values(case.rows, knot), strict=True)), Fraction(0))
        assert bound == -np.inf or Fraction(bound) <= value
        if np.isfinite(row.offsets[0]) and np.isfinite(row.normals).all():
            left = sum(Fraction(float(g)) * x for g, x in zip(row.normals[0], knot.x, strict=True))
            assert left + Fraction(float(row.offsets[0])) <= value
    return bound


@few
@given(seeds())
@example(985)  # needs a neuron's bound that nothing in the program implies
def test_what_an_optimum_proposes_is_certified_and_nothing_is_lost(seed: int) -> None:
    case = random_case(seed)
    outcome = propose(case.network, case.rows, case.region, sound_bounds(case), HIGHS)
    assert outcome.proposal is not None
    bound = check_certified(case, outcome.proposal)
    exact = least_maximum(case)
    if outcome.status is Status.INFEASIBLE:
        assert outcome.proposal.objective == np.inf and not outcome.proposal.weights.any()
        assert exact is None
    else:
        assert outcome.status is Status.OPTIMAL
        objective = outcome.proposal.objective
        assert bound == pytest.approx(objective, rel=1e-6, abs=1e-6)
        assert exact is None or objective <= float(exact) + 1e-6
        assert outcome.proposal.weights.sum() == pytest.approx(1.0)
        assert (case.region.lower <= outcome.proposal.point).all()
        assert (outcome.proposal.point <= case.region.upper).all()


wild = st.one_of(st.floats(-4, 4), st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324]))


@few
@given(seeds(), st.data())
def test_no_proposal_whatever_makes_a_bound_false(seed: int, data: st.DataObject) -> None:
    case = random_case(seed)

    def vector(size: int) -> np.ndarray:
        return np.array(data.draw(st.lists(wild, min_size=size, max_size=size)), dtype=np.float64)

    layers = case.network.layers
    check_certified(
        case,
        Proposal(
            weights=vector(len(case.rows)),
            slopes=tuple(Slopes(vector(layer.size), vector(layer.size)) for layer in layers),
            split_multipliers=tuple(vector(layer.size) for layer in layers),
            half_space_multipliers=vector(len(case.region.half_spaces)),
            point=None,
            objective=0.0,
        ),
    )


@pytest.mark.parametrize("seed", range(30))
def test_a_region_of_three_inputs_loses_nothing_either(seed: int) -> None:
    case = random_case(seed, segment=False)
    neurons = sound_bounds(case)
    outcome = propose(case.network, case.rows, case.region, neurons, HIGHS)
    assert outcome.proposal is not None
    bound, _ = certify(case.network, charges(case), case.rows, case.region, neurons, outcome.proposal)
    if outcome.status is Status.INFEASIBLE:
        assert bound > 0
    else:
        assert bound == pytest.approx(outcome.proposal.objective, rel=1e-6, abs=1e-6)


def test_several_half_spaces_are_used_together() -> None:
    # x + y ≥ 1 and x − y ≥ 1 leave x ≥ 1; each alone leaves x ≥ 0 in this box.
    case = random_case(0, segment=False, conditions=False)
    normals = np.array([[-1.0, -1.0, 0.0], [-1.0, 1.0, 0.0]])
    region = Region(np.array([0.0, -1.0, 0.0]), np.array([2.0, 1.0, 0.0]), HalfSpaces(normals, np.ones(2)))
    rows = Rows(np.zeros((1, 3)), np.array([[1.0, 0.0, 0.0]]), np.array([-0.9]))
    case = Case(case.network, region, rows)
    outcome = propose(case.network, rows, region, sound_bounds(case), HIGHS)
    bound, _ = certify(case.network, charges(case), rows, region, sound_bounds(case), outcome.proposal)
    assert bound == pytest.approx(0.1)


@few
@given(seeds())
def test_the_optimum_is_no_worse_than_the_usual_lines(seed: int) -> None:
    case = random_case(seed, segment=False, conditions=False)
    neurons, rounding = sound_bounds(case), charges(case)
    outcome = propose(case.network, case.rows, case.region, neurons, HIGHS)
    lines = tuple(map(enclose, case.network.layers, neurons.lower, neurons.upper))
    for weights in (*np.eye(len(case.rows)), np.full(len(case.rows), 1 / len(case.rows))):
        row = combine(case.rows, weights, case.network, rounding)
        values, _, _ = minimise(backward(case.network, rounding, lines, row), rounding, case.region)
        assert outcome.proposal.objective >= values[0] - 1e-6


@pytest.mark.parametrize("width", [1e-3, 1e-6, 1e-9])
def test_small_regions_are_scaled(width: float) -> None:
    for seed in range(10):
        case = random_case(seed, segment=False, conditions=False)
        middle = case.region.midpoint
        case = replace(case, region=Region.box(middle - width, middle + width))
        neurons = sound_bounds(case)
        outcome = propose(case.network, case.rows, case.region, neurons, HIGHS)
        bound, _ = certify(case.network, charges(case), case.rows, case.region, neurons, outcome.proposal)
        assert abs(bound - outcome.proposal.objective) <= 1e-6 * width + 1e-11  # what rounding is charged with


@few
@given(seeds())
@example(0)
def test_tightened_bounds_hold_and_are_within_the_given_ones(seed: int) -> None:
    case = random_case(seed)
    before = within_sides(case.network, case.region, sound_bounds(case))
    after = tighten(case.network, charges(case), case.region, before, HIGHS)
    inside = [knot for knot in knots(case) if knot.inside]
    if after is None:
        assert inside == []
        return
    for k in range(len(case.network.layers)):
        assert (after.lower[k] >= before.lower[k]).all()
        assert (after.upper[k] <= before.upper[k]).all()
        for knot in inside:
            for value, low, high in zip(knot.pre[k], after.lower[k], after.upper[k], strict=True):
                assert Fraction(float(low)) <= value <= Fraction(float(high))


def test_tightening_gains_something_and_only_where_it_is_asked_to() -> None:
    network = random_network(np.random.default_rng(0), (3, 8, 8, 8, 2))
    case = Case(network, Region.box(-np.ones(3), np.ones(3)), Rows(np.ones((1, 2)), None, np.zeros(1)))
    before = sound_bounds(case)
    after = tighten(case.network, charges(case), case.region, before, HIGHS)
    gain = sum(float((b - a).sum()) for b, a in zip(before.upper, after.upper, strict=True))
    assert gain > 1
    nothing = tuple(np.zeros(layer.size, dtype=bool) for layer in case.network.layers)
    same = tighten(case.network, charges(case), case.region, before, HIGHS, chosen=nothing)
    assert all(np.array_equal(a, b) for a, b in zip(same.upper, before.upper, strict=True))


def test_a_deadline_or_a_flag_ends_everything_at_once() -> None:
    case = random_case(11, segment=False, conditions=False)
    before = sound_bounds(case)
    cancel = threading.Event()
    cancel.set()
    for limits, status in (
        ({"deadline": time.monotonic()}, Status.TIME_LIMIT),
        ({"cancel": cancel}, Status.INTERRUPTED),
    ):
        outcome = propose(case.network, case.rows, case.region, before, HIGHS, **limits)
        assert (outcome.status, outcome.proposal) == (status, None)
        after = tighten(case.network, charges(case), case.region, before, HIGHS, **limits)
        assert all(np.array_equal(a, b) for a, b in zip(after.upper, before.upper, strict=True))


def test_numbers_that_no_program_can_hold_give_no_proposal() -> None:
    case = random_case(11, segment=False, conditions=False)
    unbounded = tuple(np.full(layer.size, np.inf) for layer in case.network.layers)
    neurons = sound_bounds(case)
    neurons = replace(neurons, lower=tuple(-u for u in unbounded), upper=unbounded)
    outcome = propose(case.network, case.rows, case.region, neurons, HIGHS)
    assert (outcome.status, outcome.proposal) == (None, None)
    assert tighten(case.network, charges(case), case.region, neurons, HIGHS) is not None


def test_on_a_real_network_the_certified_bound_is_the_optimum(benchmarks: Path) -> None:
    from slir_milp.network import load_network

    network = load_network(benchmarks / "acasxu" / "onnx" / "ACASXU_run2a_1_1_batch_2000.onnx")
    middle = np.array([-0.3, 0.0, 0.49, 0.3, 0.3])
    # The row says that the first output is the least of all: a conjunction of four.
    rows = Rows(np.hstack([np.ones((4, 1)), -np.eye(4)]), None, np.zeros(4))
    for radius in (0.01, 0.003, 0.0001):
        case = Case(network, Region.box(middle - radius, middle + radius), rows)
        neurons = sound_bounds(case)
        outcome = propose(network, rows, case.region, neurons, HIGHS)
        bound, _ = certify(network, charges(case), rows, case.region, neurons, outcome.proposal)
        assert bound == pytest.approx(outcome.proposal.objective, rel=1e-6, abs=1e-9)
        points = np.random.default_rng(0).uniform(case.region.lower, case.region.upper, (2000, 5))
        assert bound <= (network(points) @ rows.coefficients.T).max(axis=1).min()
