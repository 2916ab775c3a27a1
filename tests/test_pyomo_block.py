"""Networks as Pyomo blocks: every point of the graph is in them, and exactly written no other."""

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lp_exact import HINGES, Case, least_maximum, random_case, random_network

from slir_milp.activations.catalogue import activation
from slir_milp.bounding.backward import Rows
from slir_milp.errors import OptionError
from slir_milp.network.affine import Affine, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.pyomo import Formulation, network_block

SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=20, deadline=None)


def curved_network(rng: np.random.Generator, widths: tuple[int, ...]) -> Network:
    """A network of curves and hinges."""
    functions = (*(activation(name) for name in ("tanh", "gelu", "sin", "hard_sigmoid")), *HINGES[:3])
    layers = [
        Layer(
            Affine(rng.normal(size=(size, inputs)), rng.normal(size=size)),
            functions,
            rng.integers(0, len(functions), size).astype(np.int32),
        )
        for inputs, size in pairwise(widths[:-1])
    ]
    output = Affine(rng.normal(size=(widths[-1], widths[-2])), rng.normal(size=widths[-1]))
    return Network(tuple(layers), output, (TensorSpec("x", widths[:1]),), (TensorSpec("y", widths[-1:]),))


def put_point(block: Any, network: Network, x: Vector) -> None:
    """Give every variable the value that it has at a point of the graph."""
    z = x
    for i, number in enumerate(x):
        block.inputs[i].set_value(number, skip_validation=True)
    for k, layer in enumerate(network.layers):
        pre = layer.affine(z)
        z = layer.activate(pre)
        for i, number in enumerate(pre):
            block.pre[k, i].set_value(number, skip_validation=True)
            if (k, i) in block.value:
                block.value[k, i].set_value(z[i], skip_validation=True)
            if (k, i) in block.positive:
                block.positive[k, i].set_value(max(number, 0.0), skip_validation=True)
                block.negative[k, i].set_value(max(-number, 0.0), skip_validation=True)
                if hasattr(block, "on"):
                    block.on[k, i].set_value(float(number > 0), skip_validation=True)
    for j, number in enumerate(network.output(z)):
        block.outputs[j].set_value(number, skip_validation=True)
    for k, i, q in block.part:  # the pieces are equal parts of the interval
        low, high = block.pre[k, i].bounds
        count = sum(1 for a, b, _ in block.part if (a, b) == (k, i))
        x_value, y_value = pyo.value(block.pre[k, i]), pyo.value(block.value[k, i])
        here = q == min(int(count * (x_value - low) / (high - low)), count - 1) if high > low else q == 0
        block.part[k, i, q].set_value(float(here), skip_validation=True)
        block.part_pre[k, i, q].set_value(x_value * here, skip_validation=True)
        block.part_value[k, i, q].set_value(y_value * here, skip_validation=True)


def worst_violation(block: Any) -> float:
    """Largest violation of a constraint or a bound, relative to the sizes in it."""
    worst = 0.0
    for constraint in block.component_data_objects(pyo.Constraint):
        body = pyo.value(constraint.body)
        for end, sign in ((constraint.lower, 1.0), (constraint.upper, -1.0)):
            if end is not None:
                worst = max(worst, sign * (pyo.value(end) - body) / (1.0 + abs(pyo.value(end))))
    for variable in block.component_data_objects(pyo.Var):
        value, low, high = pyo.value(variable), variable.lb, variable.ub
        worst = max(
            worst,
            0.0 if low is None else (low - value) / (1 + abs(low)),
            0.0 if high is None else (value - high) / (1 + abs(high)),
        )
    return worst


def greatest(block: Any, output: int = 0) -> float:
    """Greatest value of an output that the block allows."""
    model = pyo.ConcreteModel()
    model.net = block
    model.goal = pyo.Objective(expr=block.outputs[output], sense=pyo.maximize)
    found = pyo.SolverFactory("appsi_highs").solve(model)
    assert found.solver.termination_condition == pyo.TerminationCondition.optimal
    return float(pyo.value(model.goal))


@pytest.mark.parametrize("formulation", ["exact", "relaxed"])
@few
@given(seed=SEEDS)
def test_every_point_of_a_piecewise_linear_graph_is_in_the_block(formulation: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, (2, *rng.integers(1, 5, rng.integers(0, 3)).tolist(), 2))
    lower = rng.normal(size=2)
    upper = lower + rng.uniform(0, 2, 2)
    block = network_block(network, lower, upper, formulation=formulation)
    for x in [lower, upper, *rng.uniform(lower, upper, (6, 2))]:
        put_point(block, network, x)
        assert worst_violation(block) < 1e-12


@pytest.mark.parametrize(
    ("formulation", "pieces"), [("envelopes", 1), ("envelopes", 3), ("relaxed", 1), ("relaxed", 2)]
)
@few
@given(seed=SEEDS, lines=st.integers(1, 5))
def test_every_point_of_a_graph_with_curves_is_in_the_block(
    formulation: str, pieces: int, seed: int, lines: int
) -> None:
    rng = np.random.default_rng(seed)
    network = curved_network(rng, (2, *rng.integers(1, 4, rng.integers(1, 3)).tolist(), 1))
    lower = rng.normal(size=2)
    upper = lower + rng.uniform(0, 1, 2)
    block = network_block(
        network, lower, upper, formulation=formulation, lines=lines, touching=(0.0, 0.5), pieces=pieces
    )
    for x in [lower, upper, *rng.uniform(lower, upper, (6, 2))]:
        put_point(block, network, x)
        assert worst_violation(block) < 1e-12


@few
@given(seed=SEEDS)
def test_the_exact_optimum_is_that_of_exact_arithmetic(seed: int) -> None:
    case = random_case(seed, conditions=False)  # only the first of two inputs varies
    rows = Rows(-np.eye(3)[:1], None, np.zeros(1))
    truth = least_maximum(Case(case.network, case.region, rows))
    assert truth is not None
    for tighten in (False, True):
        block = network_block(case.network, case.region.lower, case.region.upper, tighten=tighten)
        assert greatest(block) == pytest.approx(-float(truth), abs=1e-5, rel=1e-5)


def test_more_detail_is_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(5)
    network = curved_network(rng, (2, 4, 4, 1))
    lower, upper = np.full(2, -0.7), np.full(2, 0.7)
    seen = float(network(rng.uniform(lower, upper, (50_000, 2))).max())

    def bound(formulation: str, **options: Any) -> float:
        return greatest(network_block(network, lower, upper, formulation=formulation, **options))

    relaxed, one, three = bound("relaxed"), bound("envelopes", lines=1), bound("envelopes", lines=3)
    fine = bound("envelopes", lines=3, pieces=4)
    assert seen <= fine < three < one
    assert three <= relaxed + 1e-7
    assert fine - seen < 0.5 * (three - seen)
    touching = network_block(network, lower, upper, formulation="envelopes", lines=1, touching=(-1.0, 0.0, 1.0))
    alone = network_block(network, lower, upper, formulation="envelopes", lines=1)
    assert len(touching.rules) > len(alone.rules)
    assert greatest(touching) <= one


def test_names_follow_the_network() -> None:
    network = random_network(np.random.default_rng(1), (3, 4, 2))
    block = network_block(network, -1, 1)
    assert list(block.inputs) == [0, 1, 2] and list(block.outputs) == [0, 1]
    assert set(block.pre) == {(0, i) for i in range(4)}
    assert all(block.inputs[i].bounds == (-1.0, 1.0) for i in range(3))
    points = network(np.random.default_rng(2).uniform(-1, 1, (5000, 3)))
    for j in (0, 1):
        low, high = block.outputs[j].bounds
        assert low <= points[:, j].min() and points[:, j].max() <= high


def test_two_blocks_live_in_one_model() -> None:
    rng = np.random.default_rng(4)
    first, second = random_network(rng, (2, 4, 2)), random_network(rng, (2, 3, 1))
    model = pyo.ConcreteModel()
    model.first = network_block(first, -1, 1)
    low, high = np.array([model.first.outputs[j].bounds for j in (0, 1)]).T
    model.second = network_block(second, low, high)
    model.joined = pyo.Constraint([0, 1], rule=lambda m, j: m.second.inputs[j] == m.first.outputs[j])
    model.goal = pyo.Objective(expr=model.second.outputs[0])
    pyo.SolverFactory("appsi_highs").solve(model)
    x = np.array([pyo.value(model.first.inputs[i]) for i in (0, 1)])
    assert second(first(x))[0] == pytest.approx(pyo.value(model.goal), abs=1e-5)
    seen = second(first(rng.uniform(-1, 1, (20_000, 2)))).min()
    assert pyo.value(model.goal) <= seen + 1e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(lower=[0.0], upper=[1.0, 1.0, 1.0], formulation="relaxed"),
            "upper has 3 numbers, but the network has 2 inputs",
        ),
        (dict(lower=-np.inf, upper=1.0, formulation="relaxed"), "lower has a number that is not finite"),
        (dict(lower=[0.0, 2.0], upper=1.0, formulation="relaxed"), "the box is empty: input 1 has lower above upper"),
        (dict(lower=0.0, upper=1.0, formulation="nonsense"), "there is no formulation 'nonsense'; choose one of"),
        (dict(lower=0.0, upper=1.0), 'no mixed-integer program says exactly .* take the formulation "envelopes"'),
        (dict(lower=0.0, upper=1.0, formulation="relaxed", lines=0), "must be at least one"),
        (dict(lower=0.0, upper=1.0, formulation="relaxed", touching=[np.nan]), "must be finite numbers"),
    ],
)
def test_bad_arguments_get_a_sentence(arguments: dict[str, Any], message: str) -> None:
    network = curved_network(np.random.default_rng(0), (2, 5, 1))
    with pytest.raises(OptionError, match=message):
        network_block(network, **arguments)


def test_something_else_is_no_network() -> None:
    with pytest.raises(OptionError, match="takes a network"):
        network_block("network.onnx", 0, 1)  # type: ignore[arg-type]


def test_a_pole_is_said_to_be() -> None:
    reciprocal = Layer(Affine(np.eye(1), np.zeros(1)), (activation("reciprocal"),), np.zeros(1, dtype=np.int32))
    network = Network((reciprocal,), Affine(np.eye(1), np.zeros(1)), (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))
    with pytest.raises(OptionError, match="no finite bounds over the box; take a smaller one"):
        network_block(network, -1, 1, formulation=Formulation.RELAXED)
    assert greatest(network_block(network, 1, 2, formulation="relaxed")) == pytest.approx(1.0, abs=1e-6)


def test_without_pyomo_the_package_imports_and_says_what_is_missing() -> None:
    program = """
import sys
from itertools import pairwise
sys.modules["pyomo"] = sys.modules["pyomo.environ"] = None
import slir_milp.pyomo
try:
    slir_milp.pyomo.network_block(None, 0, 1)
except slir_milp.OptionError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "the package pyomo is not installed; get it by: pip install 'slir-milp[pyomo]'\n"
