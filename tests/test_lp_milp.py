"""The exact program of a region, against exact arithmetic and against enumeration of activation patterns."""

import threading
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from lp_exact import Case, least_maximum, random_case, random_network, seeds, sound_bounds

from slir_milp.activations.hinge import RELU
from slir_milp.bounding.backward import Rows
from slir_milp.bounding.region import HalfSpaces, Region
from slir_milp.lp.milp import Claim, ExactOutcome, Goal, solve_exactly
from slir_milp.lp.proposal import propose
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.solvers import Status, solver

HIGHS = solver()
NEAR = 1e-6


def largest_row(case: Case, point: np.ndarray) -> float:
    values = case.rows.coefficients @ case.network(point) + case.rows.constants
    return float(np.max(values if case.rows.inputs is None else values + case.rows.inputs @ point))


def solve(case: Case, goal: Goal) -> ExactOutcome:
    return solve_exactly(case.network, case.rows, case.region, sound_bounds(case), HIGHS, goal=goal)


@pytest.mark.parametrize("goal", Goal)
@settings(max_examples=50, deadline=None)
@given(seed=seeds())
def test_the_claim_is_right_up_to_tolerances(goal: Goal, seed: int) -> None:
    case = random_case(seed)
    exact = least_maximum(case)
    outcome = solve(case, goal)
    if exact is None or exact > NEAR:
        assert outcome.claim is Claim.INFEASIBLE
    elif exact < -NEAR:
        assert outcome.claim is Claim.FEASIBLE
        assert largest_row(case, outcome.points[0]) <= NEAR
    else:
        assert outcome.claim in (Claim.FEASIBLE, Claim.INFEASIBLE)
    for point in outcome.points:
        assert (case.region.lower <= point).all() and (point <= case.region.upper).all()
    if goal is Goal.OPTIMUM and exact is not None:
        assert outcome.bound == pytest.approx(float(exact), abs=NEAR)
        assert largest_row(case, outcome.points[0]) == pytest.approx(float(exact), abs=NEAR)


def least_by_enumeration(case: Case) -> float:
    """The least value of the largest row: one linear program for each choice of a side for every neuron."""
    best = np.inf
    for signs in product((-1, 1), repeat=sum(layer.size for layer in case.network.layers)):
        ends = np.cumsum([layer.size for layer in case.network.layers])[:-1]
        sides = tuple(side.astype(np.int8) for side in np.split(np.array(signs), ends))
        region = Region(case.region.lower, case.region.upper, HalfSpaces.none(len(case.region.lower)), sides)
        outcome = propose(case.network, case.rows, region, sound_bounds(case), HIGHS)
        assert outcome.status in (Status.OPTIMAL, Status.INFEASIBLE)
        if outcome.status is Status.OPTIMAL:
            best = min(best, outcome.proposal.objective)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_it_agrees_with_the_enumeration_of_all_patterns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, (3, 3, 3, 2))
    rows = Rows(rng.normal(size=(2, 2)), None, rng.normal(size=2))
    case = Case(network, Region.box(-np.ones(3), np.ones(3)), rows)
    least = least_by_enumeration(case)
    assert solve(case, Goal.OPTIMUM).bound == pytest.approx(least, abs=NEAR)
    assert solve(case, Goal.WITNESS).claim is (Claim.FEASIBLE if least < 0 else Claim.INFEASIBLE)


def rectifier(constant: float) -> Case:
    """Is ``relu(x) + relu(−x) + constant`` at most zero for some x in [−1, 1]?  It is least at the two kinks."""
    layer = Layer(Affine(np.array([[1.0], [-1.0]]), np.zeros(2)), (RELU,), np.zeros(2, dtype=np.int32))
    network = Network(
        (layer,), Affine(np.ones((1, 2)), np.zeros(1)), (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),)
    )
    region = Region.box(-np.ones(1), np.ones(1))
    return Case(network, region, Rows(np.ones((1, 1)), None, np.array([constant])))


@pytest.mark.parametrize(
    ("constant", "claims"),
    [
        (0.0, {Claim.FEASIBLE}),
        (-1e-3, {Claim.FEASIBLE}),
        (1e-3, {Claim.INFEASIBLE}),
        (1e-12, {Claim.FEASIBLE, Claim.INFEASIBLE}),
    ],
)
@pytest.mark.parametrize("goal", Goal)
def test_ties(constant: float, claims: set[Claim], goal: Goal) -> None:
    outcome = solve(rectifier(constant), goal)
    assert outcome.claim in claims
    if outcome.claim is Claim.FEASIBLE:
        assert abs(outcome.points[0][0]) <= abs(constant) + NEAR


@pytest.fixture(scope="module")
def hard() -> Case:
    """A region that takes a mixed-integer solver many seconds."""
    rng = np.random.default_rng(5)
    network = random_network(rng, (6, 40, 40, 40, 3))
    rows = Rows(rng.normal(size=(1, 3)), None, np.array([0.0]))
    return Case(network, Region.box(-np.ones(6), np.ones(6)), rows)


def test_a_deadline_is_kept(hard: Case) -> None:
    neurons = sound_bounds(hard)
    begun = time.monotonic()
    outcome = solve_exactly(
        hard.network, hard.rows, hard.region, neurons, HIGHS, goal=Goal.OPTIMUM, deadline=begun + 0.7
    )
    assert outcome.claim is Claim.STOPPED
    assert time.monotonic() - begun < 1.2
    assert all((abs(point) <= 1).all() for point in outcome.points)


def test_a_flag_stops_it(hard: Case) -> None:
    neurons = sound_bounds(hard)
    cancel = threading.Event()
    timer = threading.Timer(0.4, cancel.set)
    timer.start()
    begun = time.monotonic()
    outcome = solve_exactly(hard.network, hard.rows, hard.region, neurons, HIGHS, goal=Goal.OPTIMUM, cancel=cancel)
    assert outcome.claim is Claim.STOPPED
    assert time.monotonic() - begun < 0.9
    timer.join()


def test_bounds_that_are_not_finite_make_no_program() -> None:
    case = rectifier(0.0)
    neurons = sound_bounds(case)
    wide = type(neurons)((np.full(2, -np.inf),), (np.full(2, np.inf),))
    outcome = solve_exactly(case.network, case.rows, case.region, wide, HIGHS)
    assert (outcome.claim, outcome.points) == (Claim.IMPOSSIBLE, ())
