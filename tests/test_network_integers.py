"""Truth values, integers and computed exponents on the way through a graph: against ONNX Runtime, and exactly."""

from fractions import Fraction
from itertools import pairwise
from math import trunc

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from slir_milp import Options, Status, parse_query, verify
from slir_milp.activations.catalogue import activation, curve_of
from slir_milp.activations.formula import X
from slir_milp.activations.parse import parse
from slir_milp.bounding.pinned import without_pinned
from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import Runtime, exact_outputs, load_network
from slir_milp.network.affine import Affine
from slir_milp.network.graph import read_graph
from slir_milp.network.lowering import lower
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.network.operators.casts import truncated, truth

FLOAT, INT64, INT32, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name=f"make {output}", **attributes)


def loaded(tmp_path, nodes, inputs, constants=(), kind=FLOAT, opset=18):
    """Network and runtime of a graph with the inputs' shapes by name and one output ``y``."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()
    )
    return load_network(path), Runtime(path)


def same(network, runtime, points):
    """The exact outputs at each point are what the runtime says."""
    for point in points:
        x = np.array(point, dtype=np.float32)
        found = exact_outputs(network, x.astype(float).tolist())
        for (low, high), output in zip(found, runtime.outputs(x).astype(float).tolist(), strict=True):
            assert float(low) - 1e-5 <= output <= float(high) + 1e-5
            assert high - low <= Fraction(1, 10**9)


POINTS = [[-2.75], [-2.0], [-0.5], [0.0], [0.5], [1.0], [2.25], [7.0], [1e-30]]


@pytest.mark.parametrize("kind", [INT64, INT32, BOOL])
@pytest.mark.parametrize("back", [FLOAT, None])
def test_a_cast_forth_and_back_or_to_an_output(kind, back, tmp_path):
    nodes = [node("Cast", "x", "h" if back else "y", to=kind)]
    if back:
        nodes.append(node("Cast", "h", "y", to=back))
    network, runtime = loaded(tmp_path, nodes, {"x": (1,)}, kind=back or kind)
    assert network.outputs[0].dtype == {FLOAT: "float32", INT64: "int64", INT32: "int32", BOOL: "bool"}[back or kind]
    same(network, runtime, POINTS)


@given(st.fractions(-40, 40, max_denominator=64))
@settings(max_examples=60, deadline=None)
def test_the_formulas_mean_what_they_should(number):
    x = arb(number.numerator) / number.denominator
    if number.denominator in (1, 2, 4, 8, 16, 32, 64):
        assert truncated(X).ball(x) == trunc(number)
        assert truth(X).ball(x) == bool(number)
    assert truncated(X)(np.array([float(number)]))[0] == trunc(number)
    assert truth(X)(np.array([float(number)]))[0] == bool(number)


INTEGER_GRAPHS = {
    "sum": [node("Add", "i j", "k")],
    "difference": [node("Sub", "i j", "k")],
    "product": [node("Mul", "i j", "k")],
    "quotient": [node("Div", "i three", "k")],
    "opposite": [node("Neg", "i", "k")],
    "size": [node("Abs", "i", "k")],
    "side": [node("Sign", "i", "k")],
    "greatest": [node("Max", "i j", "k")],
    "clipped": [node("Clip", "i low high", "k")],
    "clipped to an end of the type": [node("Clip", "i least high", "k")],
    "between computed ends": [node("Clip", "i j high", "k")],
    "total": [node("ReduceSum", "i", "k", keepdims=0)],
    "running total": [node("CumSum", "i zero", "k")],
    "matrix": [node("MatMul", "i matrix", "k")],
    "moved": [node("Concat", "i table", "h", axis=0), node("Gather", "h picks", "k", axis=0)],
    "chosen": [node("Less", "i j", "c"), node("Where", "c i three", "k")],
}
INTEGER_CONSTANTS = {
    "three": np.array(3),
    "zero": np.array(0),
    "low": np.array(-1),
    "high": np.array(2),
    "least": np.array(np.iinfo(np.int64).min),
    "matrix": np.array([[1, -2], [3, 4]]),
    "table": np.array([5, -7]),
    "picks": np.array([3, 0, 1, 2, 0]),
}


@pytest.mark.parametrize("name", INTEGER_GRAPHS)
def test_arithmetic_of_integers(name, tmp_path):
    nodes = [
        node("Cast", "x", "i", to=INT64),
        node("Cast", "z", "j", to=INT64),
        *INTEGER_GRAPHS[name],
        node("Cast", "k", "y", to=FLOAT),
    ]
    reads = {word for one in INTEGER_GRAPHS[name] for word in one.input}
    constants = {word: value for word, value in INTEGER_CONSTANTS.items() if word in reads}
    shapes = {"x": (2,), "z": (2,)}
    if name == "between computed ends":
        nodes[1:2] = [node("ReduceMax", "z", "m", keepdims=0), node("Cast", "m", "j", to=INT64)]
    network, runtime = loaded(tmp_path, nodes, shapes, constants)
    rng = np.random.default_rng(5)
    same(network, runtime, [*rng.uniform(-9, 9, (8, 4)), [0, 0, 0, 0], [-3, 3, 6, -6], [-7.5, 7.5, 2, 1]])


@pytest.mark.parametrize(
    ("nodes", "constants"),
    [
        ([node("Equal", "x z", "e"), node("Greater", "x z", "g"), node("Concat", "e g", "y", axis=0)], {}),
        ([node("Less", "x z", "e"), node("Concat", "e known", "y", axis=0)], {"known": np.array([True, False])}),
        (
            [node("Less", "x z", "e"), node("Unsqueeze", "e axes", "g"), node("Transpose", "g", "y", perm=[1, 0])],
            {"axes": np.array([0])},
        ),
    ],
    ids=["two", "with constants", "shapes"],
)
def test_truth_values_move_and_are_outputs(nodes, constants, tmp_path):
    network, runtime = loaded(tmp_path, nodes, {"x": (2,), "z": (2,)}, constants, kind=BOOL)
    assert network.outputs[0].dtype == "bool"
    same(network, runtime, [[1, 2, 2, 1], [1, 1, 1, 1], [-1, 3, 2, 3], [0.5, -0.5, 0.25, -0.25]])


@pytest.mark.parametrize(
    ("nodes", "constants", "points"),
    [
        ([node("Pow", "base x", "y")], {"base": np.float32([2, 0.3])}, [[0, 1], [-3, 4], [1.5, -2.5]]),
        ([node("Pow", "x z", "y")], {}, [[2, 0.5, 3, -2], [1, 7, -1.5, 0.25]]),
        ([node("Pow", "x x", "y")], {}, [[2, 0.5, 0, 0], [1, 3, 0, 0]]),
        ([node("Clip", "x low", "y")], {"low": np.float32(0.5)}, [[0, 1], [0.5, -3]]),
        (
            [node("ReduceMin", "z", "low", keepdims=0), node("Clip", "x low", "y")],
            {},
            [[0, 1, 0.5, 2], [0.5, -3, 4, 5]],
        ),
        (
            [
                node("ReduceMin", "z", "low", keepdims=0),
                node("ReduceMax", "z", "high", keepdims=0),
                node("Clip", "x low high", "y"),
            ],
            {},
            [[0, 1, 0.5, 2], [0.5, 9, 4, 5], [7, -7, -1, 1]],
        ),
        (
            [node("ReduceMin", "z", "high", keepdims=0), node("Clip", "x low high", "y")],
            {"low": np.float32(0.5)},
            [[0, 1, 0.5, 2], [2, 9, -4, 5], [7, -7, -1, 1]],
        ),
        ([node("Size", "x", "n"), node("Cast", "n", "m", to=FLOAT), node("Mul", "x m", "y")], {}, [[1, 2], [3, -4]]),
    ],
    ids=["2**x", "x**z", "x**x", "above", "above computed", "between computed", "below computed", "size"],
)
def test_computed_exponents_and_ends(nodes, constants, points, tmp_path):
    reads = {word for one in nodes for word in one.input}
    shapes = {"x": (2,), "z": (2,)} if "z" in reads or len(points[0]) == 4 else {"x": (2,)}
    network, runtime = loaded(tmp_path, nodes, shapes, constants)
    same(network, runtime, points)


def test_an_output_may_be_a_constant_of_integers(tmp_path):
    network, runtime = loaded(tmp_path, [node("Shape", "x", "y")], {"x": (2, 3)}, kind=INT64)
    assert network.outputs[0].dtype == "int64"
    same(network, runtime, [np.zeros(6)])


@pytest.mark.parametrize(
    ("nodes", "constants", "words"),
    [
        ([node("Cast", "x", "y", to=TensorProto.INT8)], {}, "operator Cast of computed tensors to element type int8"),
        ([node("Cast", "x", "i", to=INT64), node("ReduceMean", "i", "y")], {}, "ReduceMean of computed .* int64"),
        ([node("Cast", "x", "i", to=INT64), node("Pow", "i two", "y")], {"two": np.float32(0.5)}, "operator Pow of"),
        ([node("Cast", "x", "i", to=INT64), node("Gather", "table i", "y")], {"table": np.ones(40)}, "input 2"),
        ([node("Pow", "base x", "y")], {"base": np.float32(0)}, "base that is not positive"),
        ([node("Pow", "base x", "y")], {"base": np.array(2)}, "operator Pow of integers"),
    ],
    ids=["int8", "mean", "power", "table", "zero", "integer base"],
)  # fmt: skip
def test_what_has_no_sound_meaning_is_refused_by_name(nodes, constants, words, tmp_path):
    with pytest.raises(UnsupportedOperatorError, match=words):
        loaded(tmp_path, nodes, {"x": (2,)}, constants)


def test_a_condition_may_choose_between_truth_values(tmp_path):
    """The runtime cannot; what was read is right all the same."""
    nodes = [node("Less", "x z", "e"), node("Not", "e", "g"), node("Where", "known e g", "y")]
    known = numpy_helper.from_array(np.array([True, False]), "known")
    values = [
        helper.make_tensor_value_info(name, kind, (2,)) for name, kind in (("x", FLOAT), ("z", FLOAT), ("y", BOOL))
    ]
    graph = helper.make_graph(nodes, "test", values[:2], values[2:], [known])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    network = lower(read_graph(model))
    assert exact_outputs(network, [1, 2, 2, 1]) == [(1, 1), (1, 1)]
    assert exact_outputs(network, [2, 1, 1, 2]) == [(0, 0), (0, 0)]


def test_integer_inputs_are_refused(tmp_path):
    graph = helper.make_graph(
        [node("Cast", "x", "y", to=FLOAT)],
        "test",
        [helper.make_tensor_value_info("x", INT64, (2,))],
        [helper.make_tensor_value_info("y", FLOAT, (2,))],
    )
    path = tmp_path / "net.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    with pytest.raises(NetworkError, match="input 'x' has element type int64"):
        load_network(path)


@pytest.mark.parametrize(
    ("kind", "box", "condition", "status"),
    [
        (INT64, (2.1, 2.4), "(<= Y_0 1.999)", Status.UNSAT),
        (INT64, (2.1, 2.4), "(<= Y_0 2)", Status.SAT),
        (INT64, (-2.9, 2.9), "(>= Y_0 2.5)", Status.UNSAT),
        (INT64, (-2.9, 2.9), "(<= Y_0 -2)", Status.SAT),
        (INT64, (-0.9, 0.9), "(or (<= Y_0 -0.5) (>= Y_0 0.5))", Status.UNSAT),
        (INT64, (-3, -3), "(<= Y_0 -3)", Status.SAT),
        (BOOL, (-2, -1), "(<= Y_0 0.5)", Status.UNSAT),
        (BOOL, (-2, 1), "(>= Y_0 1)", Status.SAT),
        (BOOL, (0, 0), "(>= Y_0 0.5)", Status.UNSAT),
        (BOOL, (-1, 1), "(<= Y_0 0)", Status.SAT),
    ],
)  # fmt: skip
def test_verdicts_about_casts(kind, box, condition, status, tmp_path):
    nodes = [node("Cast", "x", "h", to=kind), node("Cast", "h", "y", to=FLOAT)]
    network, _ = loaded(tmp_path, nodes, {"x": (1,)})
    low, high = box
    text = f"(declare-const X_0 Real) (declare-const Y_0 Real) (assert (>= X_0 {low})) (assert (<= X_0 {high}))"
    assert verify(network, parse_query(f"{text} (assert {condition})"), Options(jobs=1, timeout=20.0)).status is status


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_pinned_curves_give_way_to_their_values(data):
    """On the box the network remains the same function, whatever in it is fixed."""
    quarter = st.integers(-12, 12).map(lambda k: k / 4)
    functions = (activation("floor"), activation("relu"), curve_of(truth(X)), curve_of(parse("x**2 / 3")))
    sizes, layers = [3, data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)), 2], []
    maps = [
        Affine(
            np.array([[data.draw(st.sampled_from([0.0, 0.0, 1.0, -0.5])) for _ in range(a)] for _ in range(b)]),
            np.array([data.draw(quarter) for _ in range(b)]),
        )
        for a, b in pairwise(sizes)
    ]
    for affine in maps[:-1]:
        which = np.array([data.draw(st.integers(0, 3)) for _ in range(affine.rows)], dtype=np.int32)
        layers.append(Layer(affine, functions, which))
    network = Network(tuple(layers), maps[-1], (TensorSpec("x", (3,)),), (TensorSpec("y", (2,)),))
    low = np.array([data.draw(quarter) for _ in range(3)])
    high = low + np.array([data.draw(st.sampled_from([0.0, 0.0, 1.0])) for _ in range(3)])
    changed = without_pinned(network, low, high)
    share = Fraction(data.draw(st.integers(0, 4)), 4)
    point = [Fraction(a) + share * (Fraction(b) - Fraction(a)) for a, b in zip(low, high, strict=True)]
    for (a, b), (c, d) in zip(exact_outputs(network, point), exact_outputs(changed, point), strict=True):
        assert max(a, c) <= min(b, d)
