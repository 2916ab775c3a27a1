"""The checker's replay of witnesses: exact, or not at all."""

from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tiny_cases import tiny_network

from slir_milp.activations import Hinge
from slir_milp.activations.catalogue import activation
from slir_milp.activations.curve import Curve
from slir_milp.certificate.check.query import Question, read_query
from slir_milp.certificate.check.witness import Replay, replayed
from slir_milp.certificate.file import Header
from slir_milp.errors import ProofError
from slir_milp.network import exact_outputs, load_network
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.query import And, Atom, Formula, Or, Query

F = Fraction
X, Y = 0, 1
"""Variables of a question with one input and one output."""


def header(point: list[str], network: Network) -> Header:
    layers = tuple(layer.size for layer in network.layers)
    sizes = network.input_size, network.output_size, layers
    return Header("sat", "0" * 64, "0" * 64, "", *sizes, 2, "a test", tuple(point))


def replay(network: Network, formula: Formula, *point: str) -> Replay:
    question = Question(network.input_size, network.output_size, formula, (), (), "")
    return replayed(header(list(point), network), network, question)


def single(function: Hinge | Curve, *, weight: float = 1.0, bias: float = 0.0) -> Network:
    """``y = function(weight * x + bias)``."""
    layer = Layer(Affine(np.array([[weight]]), np.array([bias])), (function,), np.zeros(1, dtype=np.int32))
    output = Affine(np.ones((1, 1)), np.zeros(1))
    return Network((layer,), output, (TensorSpec("x", (1,)),), (TensorSpec("y", (1,)),))


def at_most(number: Fraction, *, strict: bool = False) -> Atom:
    """``Y_0 <= number``, or ``<``."""
    return Atom(((Y, F(1)),), -number, strict)


# --- rational arithmetic -------------------------------------------------------------------------------------------


@given(st.integers(0, 10**6), st.fractions(F(-3), F(3), max_denominator=10**6), st.sampled_from(["eighths", "float64"]))
@settings(deadline=None, max_examples=60)
def test_the_slack_is_known_exactly(seed: int, x: Fraction, kind: str) -> None:
    network = tiny_network(np.random.default_rng(seed), kind, 1, 1, 8)
    ((low, high),) = exact_outputs(network, [x])
    assert low == high
    for formula, holds in (
        (at_most(low), True),
        (at_most(low, strict=True), False),
        (at_most(low + F(1, 10**60), strict=True), True),
        (at_most(low - F(1, 10**60)), False),
        (Atom(((X, F(3)), (Y, F(-2))), 2 * low - 3 * x), True),
        (Atom(((X, F(1)),), -x, strict=True), False),
        (And(()), True),
        (Or(()), False),
        (Or((at_most(low - 1), And((at_most(low), Atom(((X, F(1)),), -x))))), True),
        (And((at_most(low), at_most(low - 1))), False),
    ):
        found = replay(network, formula, str(x))
        assert found.exact
        assert (found.failures == ()) is holds
        assert all("no witness" in failure for failure in found.failures)


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_both_evaluations_agree_on_several_inputs_and_outputs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = tiny_network(rng, "float32", 3, 2, 12)
    x = [F(int(p), int(q)) for p, q in zip(rng.integers(-9, 10, 3), rng.integers(1, 8, 3), strict=True)]
    outputs = exact_outputs(network, x)
    rows = [
        Atom(tuple((i, F(int(c))) for i, c in enumerate(rng.integers(1, 5, 5))), F(int(rng.integers(-20, 20))))
        for _ in range(3)
    ]
    formula = Or((And(tuple(rows[:2])), rows[2]))
    query = Query(3, 2, formula, sha256="")
    found = replay(network, formula, *map(str, x))
    assert (found.failures == ()) is query.holds(x, outputs)


def test_numbers_of_a_witness_are_what_they_say() -> None:
    network = single(Hinge(0.0, 1.0))
    third = at_most(F(1, 3))
    assert replay(network, third, "1/3").failures == ()
    assert replay(network, third, float(F(1, 3)).hex()).failures == ()  # (just below)
    assert replay(network, third, np.nextafter(1 / 3, 1).hex()).failures != ()
    assert replay(network, third, "-7").failures == ()
    with pytest.raises(ProofError, match="too long"):
        replay(network, third, "9" * 5000)


# --- balls ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "exp", "sin", "softplus", "square", "mish"])
@given(x=st.fractions(F(-3), F(3), max_denominator=50))
@settings(deadline=None, max_examples=10)
def test_curves_are_followed_as_far_as_it_takes(name: str, x: Fraction) -> None:
    network = single(activation(name), weight=0.75, bias=0.125)
    ((low, high),) = exact_outputs(network, [x])
    beyond = F(1, 10**15)
    assert replay(network, at_most(high), str(x)).failures == () or low < high
    found = replay(network, at_most(high + beyond), str(x))
    assert (found.failures, found.exact) == ((), False)
    assert replay(network, at_most(low - beyond), str(x)).failures != ()


def test_a_slack_of_nothing_is_accepted_only_where_it_is_exact() -> None:
    tanh = single(activation("tanh"))
    assert replay(tanh, at_most(F(0)), "0").failures == ()
    assert replay(tanh, at_most(F(0), strict=True), "0").failures != ()
    two = replace(tanh, output=Affine(np.array([[1.0]]), np.array([0.0])))
    above = Atom(((X, F(1)), (Y, F(-1))), F(0))  # x <= tanh(x) holds for x <= 0
    assert replay(two, above, "-1/3").failures == ()
    assert replay(two, above, "1/3").failures != ()
    # 1e-12 is nearer to its tanh than the first precision can tell.
    assert replay(two, replace(above, strict=True), "-1/1" + 20 * "0").failures == ()


@pytest.mark.parametrize(("name", "x"), [("log", "-1"), ("log", "0"), ("reciprocal", "0"), ("sqrt", "-1/7")])
def test_a_point_without_a_value_meets_nothing(name: str, x: str) -> None:
    network = single(activation(name))
    squashed = Layer(Affine(np.zeros((1, 1)), np.zeros(1)), (activation("sigmoid"),), np.zeros(1, dtype=np.int32))
    for tried in (network, replace(network, layers=(*network.layers, squashed))):
        (failure,) = replay(tried, And(()), x).failures
        assert "has no value" in failure
        assert failure.endswith(".")


def test_weights_known_within_a_radius_are_taken_at_their_worst() -> None:
    network = single(Hinge(0.0, 1.0))
    radius = Affine(np.ones((1, 1)), np.zeros(1), np.array([[0.25]]), np.array([0.125]))
    rough = replace(network, output=radius)
    for x, worst in (("2", F(21, 8)), ("-2", F(1, 8))):
        assert not replay(rough, at_most(worst + F(1, 100)), x).exact
        assert replay(rough, at_most(worst + F(1, 100)), x).failures == ()
        assert replay(rough, at_most(worst - F(1, 100)), x).failures != ()


def test_a_ball_around_a_kink_is_divided_there() -> None:
    layers = (single(activation("sin")).layers[0], single(Hinge(-1.0, 1.0)).layers[0])
    network = replace(single(Hinge(0.0, 1.0)), layers=layers)  # |sin(x)| near pi, where sin(x) is a ball around 0
    pi = "314159265358979323846264338327950288419716939937510/1" + 50 * "0"
    assert replay(network, at_most(F(1, 10**40)), pi).failures == ()
    assert replay(network, at_most(F(0)), pi).failures != ()


def test_a_function_known_by_samples_is_refused() -> None:
    tanh = activation("tanh")
    assert isinstance(tanh, Curve)
    sampled = replace(tanh, formula=None, function=np.tanh)
    with pytest.raises(ProofError, match="samples alone"):
        replay(single(sampled), And(()), "0")


# --- the runtime ---------------------------------------------------------------------------------------------------


def on_disk(folder: Path, operator: str, weight: float) -> Path:
    nodes = [helper.make_node("Mul", ["x", "w"], ["z"]), helper.make_node(operator, ["z"], ["y"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    tensor = numpy_helper.from_array(np.array([weight], dtype=np.float32), "w")
    model = helper.make_model(
        helper.make_graph(nodes, "g", values[:1], values[1:], [tensor]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    path = folder / "n.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("x", "condition", "note"),
    [
        ("1/2", "(>= Y_0 1)", "ONNX Runtime's outputs (float32) meet the query too"),
        ("0x1.00000001p+0", "(> Y_0 2)", "ONNX Runtime's outputs (float32) do not meet the query: Y_0 = 2.0"),
        ("1" + 300 * "0", "(> Y_0 2)", "ONNX Runtime's outputs (float32) do not meet the query: Y_0 = inf"),
        ("1" + 400 * "0", "(> Y_0 2)", "ONNX Runtime could not run the network there"),
    ],
)
def test_what_the_runtime_makes_of_it_is_told(tmp_path: Path, x: str, condition: str, note: str) -> None:
    path, query = on_disk(tmp_path, "Relu", 2.0), tmp_path / "q.vnnlib"
    query.write_text(f"(declare-const X_0 Real)(declare-const Y_0 Real)(assert {condition})")
    network, question = load_network(path), read_query(query)
    found = replayed(header([x], network), network, question)
    assert found.failures == ()
    assert found.note.startswith(note)
    assert network.sha256 == sha256(path.read_bytes()).hexdigest()
