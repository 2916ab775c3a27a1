"""Linear programs of regions with curves: lines where they are needed, and nothing lost on the way to a bound."""

import threading
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.activations import RELU, Curve, Hinge
from slir_milp.activations.catalogue import activation
from slir_milp.bounding.backward import Rows
from slir_milp.bounding.lines import Slopes
from slir_milp.bounding.magnitude import Slack, slack
from slir_milp.bounding.neurons import bound_neurons
from slir_milp.bounding.region import HalfSpaces, NeuronBounds, Region
from slir_milp.lp.hulls import supporting
from slir_milp.lp.milp import Claim, solve_exactly
from slir_milp.lp.program import relax
from slir_milp.lp.proposal import Proposal, certify, propose
from slir_milp.lp.tighten import tighten
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.solvers import Solution, Status, solver

HIGHS = solver()
NAMES = ("tanh", "sigmoid", "gelu", "sin", "hard_sigmoid")
few = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 10_000)


class Case:
    """A random network with curves, a region, rows, and bounds of the neurons there."""

    def __init__(self, seed: int, *, names: tuple[str, ...] = NAMES, conditions: bool = False) -> None:
        rng = np.random.default_rng(seed)
        functions: tuple[Hinge | Curve, ...] = (*(activation(name) for name in names), RELU)
        widths = (2, *rng.integers(2, 7, rng.integers(1, 4)).tolist(), 3)
        layers = []
        for inputs, size in pairwise(widths[:-1]):
            affine = Affine(rng.normal(size=(size, inputs)), rng.normal(size=size) / 2)
            layers.append(Layer(affine, functions, rng.integers(0, len(functions), size).astype(np.int32)))
        output = Affine(rng.normal(size=(3, widths[-2])), rng.normal(size=3))
        self.network = Network(tuple(layers), output, (TensorSpec("x", (2,)),), (TensorSpec("y", (3,)),))
        middle, radius = rng.normal(size=2), rng.uniform(0.05, 0.8, 2)
        self.region = Region.box(middle - radius, middle + radius)
        self.points = rng.uniform(self.region.lower, self.region.upper, (4000, 2))
        self.rows = Rows(rng.normal(size=(2, 3)), rng.normal(size=(2, 2)) if seed % 2 else None, rng.normal(size=2))
        bounded = bound_neurons(self.network, self.slack, self.region)
        assert bounded is not None
        self.neurons = bounded.bounds
        if conditions:
            self._divide(rng)

    def _divide(self, rng: np.random.Generator) -> None:
        """Keep one side of some neurons, curves at any point, and one of a half-space; mostly around one point."""
        inside = self.points[0]
        normal = rng.normal(size=(1, 2))
        half_space = HalfSpaces(normal, -(normal @ inside) - 0.05)
        lower, upper, sides = [], [], []
        for layer, low, high, x in zip(
            self.network.layers, self.neurons.lower, self.neurons.upper, pre_activations(self, inside), strict=True
        ):
            at = rng.uniform(low, high)
            at[~layer.is_curved] = 0.0
            side = np.where(rng.random(layer.size) < 0.5, np.where(x < at, -1, 1), 0).astype(np.int8)
            side[rng.random(layer.size) < 0.03] *= -1
            cut = layer.is_curved & (side != 0)
            lower.append(np.where(cut & (side > 0), at, low))
            upper.append(np.where(cut & (side < 0), at, high))
            sides.append(side)
        self.neurons = NeuronBounds(tuple(lower), tuple(upper))
        self.region = replace(self.region, half_spaces=half_space, sides=tuple(sides))

    @property
    def slack(self) -> Slack:
        return slack(self.network, self.region.lower, self.region.upper)

    def values(self, x: Vector) -> Vector:
        direct = 0.0 if self.rows.inputs is None else x @ self.rows.inputs.T
        return self.network(x) @ self.rows.coefficients.T + self.rows.constants + direct

    def inside(self) -> Vector:
        """Points that meet every condition of the region."""
        kept = np.ones(len(self.points), dtype=bool)
        for normal, offset in zip(self.region.half_spaces.normals, self.region.half_spaces.offsets, strict=True):
            kept &= self.points @ normal + offset <= 0
        for k, x in enumerate(pre_activations(self, self.points)):
            kept &= ((x >= self.neurons.lower[k]) & (x <= self.neurons.upper[k])).all(axis=1)
            if self.region.sides is not None:
                layer, side = self.network.layers[k], self.region.sides[k]
                kept &= ((side * x >= 0) | layer.is_curved).all(axis=1)
        return self.points[kept]

    def certify(self, proposal: Proposal) -> float:
        return certify(self.network, self.slack, self.rows, self.region, self.neurons, proposal)[0]


def pre_activations(case: Case, x: Vector) -> list[Vector]:
    found = []
    for layer in case.network.layers:
        found.append(layer.affine(x))
        x = layer.activate(found[-1])
    return found


def check(case: Case, proposal: Proposal) -> float:
    """Certify, and compare with the values at points of the region."""
    bound = case.certify(proposal)
    weights = np.maximum(np.nan_to_num(proposal.weights, posinf=0.0), 0.0)
    inside = case.inside()
    if len(inside):
        assert bound <= (case.values(inside) @ weights).min() + 1e-9 * (1 + abs(bound))
    return bound


@few
@given(seeds, st.booleans())
def test_nothing_is_lost_from_an_optimum_to_its_bound(seed: int, conditions: bool) -> None:
    case = Case(seed, conditions=conditions)
    outcome = propose(case.network, case.rows, case.region, case.neurons, HIGHS)
    assert outcome.proposal is not None
    bound = check(case, outcome.proposal)
    if outcome.status is Status.INFEASIBLE:
        assert bound > 0 and not len(case.inside())
    else:
        assert outcome.status is Status.OPTIMAL
        assert bound >= outcome.proposal.objective - 1e-6 * (1 + abs(bound))


@pytest.mark.parametrize("name", NAMES)
def test_a_solution_within_every_hull_and_its_bound_agree(name: str) -> None:
    for seed in range(8):
        case = Case(seed, names=(name,))
        rows = replace(case.rows, constants=case.rows.constants - 20)  # so that no bound is positive
        first = propose(case.network, rows, case.region, case.neurons, HIGHS, patience=0.0).proposal
        last = propose(case.network, rows, case.region, case.neurons, HIGHS, patience=np.inf).proposal
        assert first is not None and last is not None
        bound, _ = certify(case.network, case.slack, rows, case.region, case.neurons, last)
        assert bound == pytest.approx(last.objective, rel=1e-6)
        assert last.objective >= first.objective - 1e-7
        assert last.objective <= case.values(case.points).max(axis=1).min() - 20 + 1e-7


def test_lines_are_added_where_they_gain() -> None:
    gains = []
    for seed in range(10):
        case = Case(seed, names=("tanh",))
        rows = replace(case.rows, constants=case.rows.constants - 20)
        outcomes = [
            propose(case.network, rows, case.region, case.neurons, HIGHS, patience=patience)
            for patience in (0.0, np.inf)
        ]
        gains.append(outcomes[1].proposal.objective - outcomes[0].proposal.objective)
        assert outcomes[1].lines >= outcomes[0].lines
    assert max(gains) > 0.01


wild = st.one_of(st.floats(-4, 4), st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e300, 5e-324]))


@few
@given(seeds, st.data())
def test_no_proposal_whatever_makes_a_bound_false(seed: int, data: st.DataObject) -> None:
    case = Case(seed, conditions=bool(seed % 3))

    def vector(size: int) -> np.ndarray:
        return np.array(data.draw(st.lists(wild, min_size=size, max_size=size)), dtype=np.float64)

    layers = case.network.layers
    check(
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


@pytest.mark.parametrize("below", [True, False])
@pytest.mark.parametrize("name", [*NAMES, "exp", "mish"])
def test_supporting_lines_touch_the_hull(name: str, below: bool) -> None:
    rng = np.random.default_rng(0)
    curve = activation(name)
    assert isinstance(curve, Curve)
    ends = np.sort(rng.uniform(-6, 6, (60, 2)), axis=1)
    at = rng.uniform(ends[:, 0], ends[:, 1])
    at[:5], at[5:10] = ends[:5, 0], ends[5:10, 1]
    slope, offset = supporting(curve.table, below, ends[:, 0].copy(), ends[:, 1].copy(), at)
    sign = -1.0 if below else 1.0
    for i, (low, high) in enumerate(ends.tolist()):
        x = np.union1d(np.linspace(low, high, 401), at[i])
        y = sign * curve(x)
        left, right = np.flatnonzero(x <= at[i])[:, None], np.flatnonzero(x >= at[i])[None, :]
        # The hull at a place is the highest chord over it.
        span = x[right] - x[left]
        share = (at[i] - x[left]) / np.where(span > 0, span, 1.0)
        hull = ((1 - share) * y[left] + share * y[right]).max()
        line = sign * (slope[i] * at[i] + offset[i])
        assert (sign * (slope[i] * x + offset[i]) >= y - 1e-12).all()
        grid = np.abs(np.diff(curve(np.linspace(low, high, 401)), 2)).max()  # the chords are those of a grid
        assert hull - 1e-9 <= line <= hull + grid + 1e-12


def one_neuron(name: str, lower: float, upper: float) -> tuple[Network, Region, NeuronBounds]:
    layer = Layer(Affine(np.ones((1, 1)), np.zeros(1)), (activation(name),), np.zeros(1, dtype=np.int32))
    output = Affine(np.ones((1, 1)), np.zeros(1))
    network = Network((layer,), output, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    return network, Region.box(np.full(1, lower), np.full(1, upper)), bounds_of(lower, upper)


def bounds_of(lower: float, upper: float) -> NeuronBounds:
    return NeuronBounds((np.full(1, lower),), (np.full(1, upper),))


def test_the_bounds_of_a_divided_curve_are_conditions() -> None:
    network, region, _ = one_neuron("tanh", -2.0, 2.0)
    rows = Rows(np.ones((1, 1)), None, np.full(1, -0.4))
    for side, neurons, least in ((1, bounds_of(0.5, 2.0), np.tanh(0.5)), (-1, bounds_of(-2.0, -0.5), np.tanh(-2.0))):
        divided = replace(region, sides=(np.full(1, side, dtype=np.int8),), neurons=neurons)
        outcome = propose(network, rows, divided, neurons, HIGHS)
        assert outcome.proposal is not None
        charges = slack(network, region.lower, region.upper)
        bound, _ = certify(network, charges, rows, divided, neurons, outcome.proposal)
        assert bound == pytest.approx(least - 0.4)


def test_a_region_without_points_is_proven_empty() -> None:
    network, region, _ = one_neuron("tanh", -2.0, 0.25)
    neurons = bounds_of(0.5, 2.0)
    divided = replace(region, sides=(np.ones(1, dtype=np.int8),), neurons=neurons)
    rows = Rows(np.ones((1, 1)), None, np.full(1, -4.0))
    outcome = propose(network, rows, divided, neurons, HIGHS)
    assert outcome.status is Status.INFEASIBLE and outcome.proposal is not None
    bound, _ = certify(network, slack(network, region.lower, region.upper), rows, divided, neurons, outcome.proposal)
    assert bound > 0


def test_where_nothing_is_known_nothing_is_claimed() -> None:
    network, region, neurons = one_neuron("reciprocal", -1.0, 1.0)
    rows = Rows(np.ones((1, 1)), None, np.zeros(1))
    outcome = propose(network, rows, region, neurons, HIGHS)
    assert outcome.status in (Status.UNBOUNDED, Status.FAILED)
    if outcome.proposal is not None:
        charges = slack(network, region.lower, region.upper)
        assert certify(network, charges, rows, region, neurons, outcome.proposal)[0] == -np.inf


@pytest.mark.parametrize("width", [0.0, 1e-300, 1e-12, 1e-6])
def test_intervals_that_are_almost_points(width: float) -> None:
    network, region, neurons = one_neuron("gelu", 0.5, 0.5 + width)
    rows = Rows(np.ones((1, 1)), None, np.zeros(1))
    outcome = propose(network, rows, region, neurons, HIGHS)
    assert outcome.status is Status.OPTIMAL and outcome.proposal is not None
    bound, _ = certify(network, slack(network, region.lower, region.upper), rows, region, neurons, outcome.proposal)
    assert bound == pytest.approx(float(network(np.full(1, 0.5))[0]), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_neurons_are_tightened_and_keep_their_values(seed: int) -> None:
    case = Case(seed)
    tight = tighten(case.network, case.slack, case.region, case.neurons, HIGHS)
    assert tight is not None
    for k, x in enumerate(pre_activations(case, case.points)):
        assert (x >= tight.lower[k] - 1e-12).all() and (x <= tight.upper[k] + 1e-12).all()
        assert (tight.lower[k] >= case.neurons.lower[k]).all() and (tight.upper[k] <= case.neurons.upper[k]).all()


def test_no_exact_program_of_a_curve() -> None:
    case = Case(0)
    outcome = solve_exactly(case.network, case.rows, case.region, case.neurons, HIGHS)
    assert outcome.claim is Claim.IMPOSSIBLE and not outcome.points and outcome.bound == -np.inf


class Halting:
    """HiGHS, whose sessions run out of time after some solves."""

    name = HIGHS.name
    features = HIGHS.features

    def __init__(self, solves: int) -> None:
        self.solves = solves

    def open(self, program):
        session = HIGHS.open(program)
        usual = session.solve

        def solve(**options) -> Solution:
            self.solves -= 1
            return usual(**options) if self.solves >= 0 else usual(deadline=time.monotonic() - 1.0)

        session.solve = solve
        return session


@pytest.mark.parametrize("solves", [1, 2, 3])
def test_a_round_that_is_stopped_leaves_the_one_before(solves: int) -> None:
    case = Case(3, names=("tanh",))
    rows = replace(case.rows, constants=case.rows.constants - 20)
    halted = propose(case.network, rows, case.region, case.neurons, Halting(solves), patience=np.inf)
    assert halted.status is Status.OPTIMAL and halted.proposal is not None
    bound, _ = certify(case.network, case.slack, rows, case.region, case.neurons, halted.proposal)
    assert bound >= halted.proposal.objective - 1e-6 * abs(bound)
    whole = propose(case.network, rows, case.region, case.neurons, HIGHS, patience=np.inf)
    assert halted.proposal.objective <= whole.proposal.objective + 1e-9


def test_a_flag_stops_it() -> None:
    case = Case(0)
    cancel = threading.Event()
    cancel.set()
    outcome = propose(case.network, case.rows, case.region, case.neurons, HIGHS, cancel=cancel)
    assert outcome.status is Status.INTERRUPTED and outcome.proposal is None


def test_hinges_have_no_lines() -> None:
    case = Case(1, names=())
    relaxation = relax(case.network, case.rows, case.region, case.neurons)
    assert relaxation is not None and not len(relaxation.cuts)
    assert relaxation.program.rows == relaxation.row_groups[-1].stop
