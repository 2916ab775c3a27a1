"""Graphs of many operators: random ones against rational arithmetic, and the arrangement into layers."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from slir_milp.activations import ABS, IDENTITY, RELU, Hinge
from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import Runtime, compose, exact_outputs, load_network
from slir_milp.network.affine import Affine
from slir_milp.network.compare import evaluate_with_error
from slir_milp.network.graph import parse_onnx, read_graph
from slir_milp.network.lowering import lower
from slir_milp.network.neurons import Neurons


@pytest.fixture(autouse=True, scope="module")
def _no_cache():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLIR_MILP_CACHE", "off")
        yield


def fractions(values):
    array = np.empty(np.shape(values), dtype=object)
    array.ravel()[:] = [Fraction(float(value)) for value in np.ravel(values)]
    return array


class Author:
    """Writes a random graph and computes its values at one point as fractions, both step by step."""

    def __init__(self, rng, inputs, kind):
        self.rng, self.kind = rng, kind
        self.dtype = np.float32 if kind == TensorProto.FLOAT else np.float64
        self.nodes, self.constants, self.values = [], {}, {}
        self.inputs = {}
        for number, size in enumerate(inputs):
            point = rng.standard_normal((1, size)).astype(self.dtype)
            self.inputs[f"x{number}"] = point
            self.values[f"x{number}"] = fractions(point)

    def constant(self, *shape, values=None):
        name = f"c{len(self.constants)}"
        drawn = self.rng.standard_normal(shape) if values is None else values
        if values is None and self.rng.random() < 0.4:
            drawn = np.round(drawn * 4) / 4
        self.constants[name] = np.asarray(drawn, dtype=self.dtype)
        return name, fractions(self.constants[name])

    def integers(self, *values):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.array(values, dtype=np.int64)
        return name

    def node(self, op, inputs, value, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=f"n{len(self.nodes)}", **attributes))
        self.values[name] = value
        return name

    def pick(self, size=None):
        """A value, preferably a late one, of the given size if there is one."""
        names = [name for name, value in self.values.items() if size in (None, value.shape[1])]
        return names[max(self.rng.integers(len(names)), self.rng.integers(len(names)))]

    def step(self):
        rng = self.rng
        name = self.pick()
        x = self.values[name]
        size = x.shape[1]
        other = self.pick(size)
        y = self.values[other]
        match rng.choice(list("aabcccddefghijklmnopqrrrrst")):
            case "a":
                w, weight = self.constant(size, rng.integers(1, 5))
                b, bias = self.constant(weight.shape[1])
                self.node("Gemm", [name, w, b], x @ weight + bias)
            case "b":
                w, weight = self.constant(size, rng.integers(1, 5))
                self.node("MatMul", [name, w], x @ weight)
            case "c":
                self.node("Add", [name, other], x + y)
            case "d":
                self.node("Sub", [name, other], x - y)
            case "e":
                c, factor = self.constant(size)
                self.node("Mul", [name, c], x * factor)
            case "f":
                c, divisor = self.constant(1, values=[rng.choice([3.0, -0.7, 4.0])])
                self.node("Div", [name, c], x / divisor)
            case "g":
                c, offset = self.constant(size)
                self.node("Sub", [c, name], offset - x)
            case "h" if self.kind == TensorProto.FLOAT:  # ONNX Runtime has no other
                alpha = Fraction(float(np.float32(0.1)))
                self.node("LeakyRelu", [name], np.where(x < 0, alpha * x, x), alpha=0.1)
            case "i":
                self.node("Abs", [name], np.abs(x))
            case "j":
                self.node("Max", [name, other], np.maximum(x, y))
            case "k":
                c, third = self.constant(size)
                self.node("Min", [name, other, c], np.minimum(np.minimum(x, y), third))
            case "l":
                (low, a), (high, b) = self.constant(values=-0.4), self.constant(values=0.9)
                self.node("Clip", [name, low, high], np.minimum(np.maximum(x, a.item()), b.item()))
            case "m":
                another = self.pick()
                self.node("Concat", [name, another], np.concatenate([x, self.values[another]], axis=1), axis=1)
            case "n" if size > 1:
                a = self.integers(0), self.integers(size - 1), self.integers(1)
                self.node("Slice", [name, *a], x[:, : size - 1])
            case "o":
                axes = self.integers(1)
                self.node("ReduceSum", [name, axes], x.sum(axis=1, keepdims=True))
            case "p":
                self.node("ReduceMean", [name], x.sum(axis=1, keepdims=True) / Fraction(size), axes=[1])
            case "q":
                order = rng.permutation(size)
                self.node("Gather", [name, self.integers(*order)], x[:, order], axis=1)
            case "r":
                self.node("Relu", [name], np.maximum(x, 0))
            case "s":
                self.node("Neg", [name], -x)
            case "t":
                names, parts = zip(*(self.constant(size) for _ in range(3)), strict=True)
                v, variance = self.constant(values=rng.choice([4.0, 0.25, 9.0], size))
                root = fractions(np.sqrt(variance.astype(float)))
                scaled = (x - parts[2]) / root * parts[0] + parts[1]
                self.node("BatchNormalization", [name, *names, v], scaled, epsilon=0.0)

    def finish(self):
        names = list(self.values)
        outputs = [names[-1], *(name for name in names[:-1] if self.rng.random() < 0.15)]
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info(name, self.kind, value.shape) for name, value in self.inputs.items()],
            [helper.make_tensor_value_info(name, self.kind, self.values[name].shape) for name in outputs],
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        point = np.concatenate([value.ravel() for value in self.inputs.values()])
        return model, point, np.concatenate([self.values[name].ravel() for name in outputs])


@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 14), double=st.booleans())
@settings(max_examples=100, deadline=None)
def test_random_graphs_enclose_rational_arithmetic(seed, steps, double, tmp_path_factory):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, rng.integers(1, 3))
    author = Author(rng, sizes, TensorProto.DOUBLE if double else TensorProto.FLOAT)
    for _ in range(steps):
        author.step()
    model, point, truth = author.finish()
    path = tmp_path_factory.mktemp("graph") / "net.onnx"
    path.write_bytes(model.SerializeToString())
    network = load_network(path)
    enclosure = exact_outputs(network, [Fraction(float(value)) for value in point])
    wide = point.astype(np.float64)
    _, slack = evaluate_with_error(network, wide, 2.0**-53)
    for (low, high), true, close, float_value in zip(enclosure, truth, slack, network(wide), strict=True):
        assert low <= true <= high
        assert high - low <= 8 * Fraction(close) + Fraction(1, 2**36)
        assert abs(Fraction(float_value) - true) <= Fraction(close) + (high - low)
    results = Runtime(path).outputs(point)
    assert results.dtype == author.dtype and results.shape == (network.output_size,)


@given(seed=st.integers(0, 2**32 - 1), denominator=st.sampled_from([1, 3, 7, 1000]))
@settings(max_examples=30, deadline=None)
def test_exact_outputs_at_points_that_are_no_floats(seed, denominator):
    """Plain fractions, evaluated as written, give the very same numbers."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 6, 4)
    neurons = Neurons(int(sizes[0]))
    x = compose.picking(np.arange(sizes[0]), int(sizes[0]))
    point = [Fraction(int(rng.integers(-(2**40), 2**40)), denominator * 2**20) for _ in range(sizes[0])]
    value = np.array(point, dtype=object)
    for rows, columns in zip(sizes[1:], sizes, strict=False):
        weight = rng.standard_normal((rows, columns)) * np.exp2(rng.integers(-60, 60, (rows, columns)).astype(float))
        bias = rng.standard_normal(rows)
        function = (RELU, ABS, Hinge(0.1, 1.0), Hinge(0.3, -0.7))[rng.integers(4)]
        value = fractions(weight) @ value + fractions(bias)
        left, right = Fraction(function.negative_slope), Fraction(function.positive_slope)
        value = np.where(value < 0, left * value, right * value)
        x = neurons.hinge(compose.shift(compose.compose(weight, x), bias), function)
    layers, output = neurons.arrange(x)
    from slir_milp.network import Network, TensorSpec

    network = Network(layers, output, (TensorSpec("x", (int(sizes[0]),)),), (TensorSpec("y", (int(sizes[3]),)),))
    assert exact_outputs(network, point) == [(number, number) for number in value]


def network_of(nodes, inputs, outputs, constants=()):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in dict(constants).items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.acme", 1)], ir_version=8
    )
    return lower(read_graph(parse_onnx(model.SerializeToString(), Path()).proto))


def relu(source, target):
    return helper.make_node("Relu", [source], [target])


def test_a_residual_carries_its_input_by_identity_neurons():
    nodes = [relu("x", "h"), relu("h", "g"), helper.make_node("Add", ["g", "x"], ["y"])]
    network = network_of(nodes, {"x": (2,)}, ["y"])
    assert [layer.size for layer in network.layers] == [4, 4]
    assert all(set(layer.functions) == {RELU, IDENTITY} for layer in network.layers)


def test_neurons_stand_as_early_as_they_can():
    """Only the half of the concatenation that was computed needs a second layer."""
    nodes = [relu("x", "h"), helper.make_node("Concat", ["h", "z"], ["c"], axis=0), relu("c", "y")]
    network = network_of(nodes, {"x": (2,), "z": (3,)}, ["y"])
    assert [layer.size for layer in network.layers] == [5, 5]
    assert IDENTITY not in network.layers[0].functions


def test_what_the_outputs_do_not_need_is_dropped():
    nodes = [relu("x", "h"), relu("h", "unused"), relu("x", "dead"), helper.make_node("Neg", ["h"], ["y"])]
    network = network_of(nodes, {"x": (2,), "ignored": (5,)}, ["y"])
    assert [layer.size for layer in network.layers] == [2]
    assert network.input_size == 7


def test_an_affine_graph_has_no_layers():
    network = network_of([helper.make_node("Neg", ["x"], ["y"])], {"x": (2,)}, ["y", "x"])
    assert network.layers == ()
    assert network(np.array([1.0, 2.0])).tolist() == [-1, -2, 1, 2]


def test_linear_steps_without_activation_become_one_map():
    constants = {"v": np.full((2, 2), 0.1, np.float32), "w": np.full((2, 3), 0.3, np.float32)}
    nodes = [helper.make_node("MatMul", ["x", "v"], ["h"]), helper.make_node("MatMul", ["h", "w"], ["y"])]
    network = network_of(nodes, {"x": (1, 2)}, ["y"], constants)
    assert network.layers == ()
    true = 2 * Fraction(float(np.float32(0.1))) * Fraction(float(np.float32(0.3)))
    radius = 0 if network.output.weight_radius is None else network.output.weight_radius[0, 0]
    assert abs(Fraction(float(network.output.weight[0, 0])) - true) <= Fraction(float(radius))


def test_constants_are_folded_in_their_own_precision():
    """The float32 sum of two stored constants is the constant that counts."""
    constants = {"a": np.array([1], np.float32), "b": np.array([1e-8], np.float32)}
    nodes = [helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Mul", ["x", "c"], ["y"])]
    network = network_of(nodes, {"x": (1,)}, ["y"], constants)
    assert network.output.weight[0, 0] == 1.0


def test_shapes_computed_by_the_graph_are_followed():
    constants = {"zero": np.array([0]), "minus": np.array([-1])}
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Concat", ["n", "minus"], ["target"], axis=0),
        helper.make_node("Reshape", ["x", "target"], ["y"]),
    ]
    assert network_of(nodes, {"x": (3, 2, 2)}, ["y"], constants).outputs[0].shape == (3, 4)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([helper.make_node("Relu", ["y"], ["h"]), helper.make_node("Relu", ["h"], ["y"])], "in a circle"),
        ([helper.make_node("Relu", ["nowhere"], ["y"])], "not valid ONNX"),
        ([helper.make_node("Strange", ["x"], ["y"], name="odd")], "Strange"),
        ([helper.make_node("Relu", ["x"], ["y"], name="odd", domain="com.acme")], "node 'odd': .*com.acme.Relu"),
        (
            [helper.make_node("RandomNormal", [], ["r"], shape=[2]), helper.make_node("Add", ["x", "r"], ["y"])],
            "random",
        ),
    ],
    ids=["circle", "missing", "unknown", "domain", "random"],
)
def test_bad_graphs_are_refused(nodes, words):
    with pytest.raises(NetworkError, match=words):
        network_of(nodes, {"x": (2,)}, ["y"])


@pytest.mark.parametrize(
    ("shape", "words"), [((2, "n"), "no fixed size in dimension 1"), ((0, 2), "no elements: dimension 0")]
)
def test_free_and_empty_dimensions_are_refused(shape, words):
    with pytest.raises(NetworkError, match=f"input 'x' has {words}"):
        network_of([relu("x", "y")], {"x": shape}, ["y"])


def test_a_free_batch_counts_as_one():
    assert network_of([relu("x", "y")], {"x": ("batch", 2)}, ["y"]).inputs[0].shape == (1, 2)


def test_enormous_tensors_are_refused_before_they_are_made():
    constants = {"shape": np.array([2**20, 2**20])}
    nodes = [helper.make_node("Expand", ["x", "shape"], ["h"]), helper.make_node("ReduceSum", ["h"], ["y"])]
    with pytest.raises(NetworkError, match="elements supported"):
        network_of(nodes, {"x": (1,)}, ["y"], constants)


def test_an_operator_with_a_graph_inside_is_refused():
    inner = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["i"])], "in", [], [helper.make_tensor_value_info("i", TensorProto.FLOAT, (2,))]
    )
    nodes = [helper.make_node("If", ["c"], ["y"], name="odd", then_branch=inner, else_branch=inner)]
    with pytest.raises(UnsupportedOperatorError, match="node 'odd': operator If"):
        network_of(nodes, {"x": (2,)}, ["y"], {"c": np.array(True)})


def test_maps_report_their_exactness():
    assert Affine(np.ones((1, 1)), np.zeros(1)).is_exact
