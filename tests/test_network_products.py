"""Products of computed tensors, sums of them, and what is made of exponentials: values, exactness and sizes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slir_milp.network import compose, exact_outputs, load_network
from slir_milp.network.affine import Affine
from slir_milp.network.neurons import Neurons
from slir_milp.network.normal_form import Network, TensorSpec
from slir_milp.network.operators.products import product, summed_products
from tests.test_network_curves import functions, graph, load, number

SMALL = st.integers(-8, 8).map(lambda k: k / 4)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")


def rows(draw, count, columns):
    weight = np.array([[draw(SMALL) for _ in range(columns)] for _ in range(count)]).reshape(count, columns)
    return Affine(weight, np.array([draw(SMALL) for _ in range(count)]))


def outputs_at(neurons, output, point):
    layers, last = neurons.arrange(output)
    specs = (TensorSpec("x", (neurons.inputs,)),), (TensorSpec("y", (output.rows,)),)
    return exact_outputs(Network(layers, last, *specs), point)


def rational(affine, point):
    return [
        sum((Fraction(w) * p for w, p in zip(row, point, strict=True)), Fraction(bias))
        for row, bias in zip(affine.weight.tolist(), affine.bias.tolist(), strict=True)
    ]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_products_are_enclosed(data):
    columns, count = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 3))
    left, right = rows(data.draw, count, columns), rows(data.draw, count, columns)
    point = [Fraction(data.draw(SMALL)) / 3 for _ in range(columns)]
    neurons = Neurons(columns)
    found = outputs_at(neurons, product(neurons, left, right), point)
    for (low, high), a, b in zip(found, rational(left, point), rational(right, point), strict=True):
        assert low <= a * b <= high <= low + Fraction(1, 10**12)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_sums_of_products_are_enclosed_whatever_their_form(data):
    columns, terms, sums = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    left = rows(data.draw, terms * sums, columns)
    right = rows(data.draw, terms * sums, columns)
    if data.draw(st.booleans()):  # definite: every factor with itself
        right = left
    point = [Fraction(data.draw(SMALL)) / 3 for _ in range(columns)]
    neurons = Neurons(columns)
    pairs = np.arange(terms * sums).reshape(sums, terms)
    found = outputs_at(neurons, summed_products(neurons, left, right, (pairs, pairs)), point)
    products = [a * b for a, b in zip(rational(left, point), rational(right, point), strict=True)]
    for (low, high), group in zip(found, pairs, strict=True):
        assert low <= sum(products[i] for i in group) <= high <= low + Fraction(1, 10**10)


def test_a_product_takes_two_squares_and_one_in_proportion_takes_one():
    neurons = Neurons(2)
    left = Affine(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0], [1.0, 0.0]]), np.array([0.5, 1.0, 3.0, 0.0]))
    right = Affine(np.array([[3.0, 6.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), np.array([1.5, 2.0, 0.0, 0.0]))
    layers, output = neurons.arrange(product(neurons, left, right))
    assert [layer.size for layer in layers] == [1 + 2 + 2]  # of these two carry x for the rows that a constant scales
    assert output.is_exact


def test_factors_of_different_size_are_balanced():
    neurons = Neurons(2)
    tiny = Affine(np.array([[2.0**-10, 0.0]]), np.zeros(1))
    large = Affine(np.array([[0.0, 2.0**10]]), np.zeros(1))
    (layer,), _ = neurons.arrange(product(neurons, tiny, large))
    assert set(np.abs(layer.affine.weight).ravel().tolist()) == {0.5}


def test_a_square_is_shared(tmp_path):
    text = (
        "z = MatMul(x, w)\na = Mul(x, z)\nq = Mul(x, x)\nu = MatMul(q, w)\nr = Pow(x, 2)\ns = Add(u, r)\ny = Add(a, s)"
    )
    assert functions(load(tmp_path, graph(text))) == {"square": 12}


def test_a_definite_form_takes_a_square_for_each_variable(tmp_path):
    p = np.array([[2, 0.5, 0, 0.25], [0.5, 1, 0.25, 0], [0, 0.25, 3, 1], [0.25, 0, 1, 1]], dtype=np.float32)
    text = "z = MatMul(x, p)\na = Mul(x, z)\ny = ReduceSum(a, axis)"
    model = graph(text, {"p": p, "axis": np.array([1])}, twist=False)
    network = load(tmp_path, model)
    assert functions(network) == {"square": 4}
    assert (network.output.weight >= 0).all()
    indefinite = graph(text, {"p": p - 2 * np.eye(4, dtype=np.float32), "axis": np.array([1])}, twist=False)
    assert functions(load(tmp_path, indefinite)) == {"square": 8}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("t = Transpose(x)\ny = MatMul(x, t)", (3, 2)),
        ("t = Transpose(x)\ns = Softmax(x)\ny = MatMul(t, s)", (2, 3)),
        ("y = MatMul(x, x)", (2, 2, 2)),
        ("y = MatMul(x, x)", (3,)),
        ("e = Exp(x)\ns = Sigmoid(v)\nt = MatMul(x, v)\ny = Div(t, e)", (2, 2)),
        ("e = Exp(x)\nt = MatMul(x, v)\nd = Add(e, 1)\ny = Div(t, d)", (2, 2)),
        ("t = MatMul(x, v)\ns = Tanh(t)\ny = Mul(x, s)", (2, 2)),
        ("t = MatMul(x, v)\ne = Exp(t)\ny = Div(v, e)", (2, 2)),
    ],
)
def test_products_agree_with_the_runtime(text, shape, tmp_path):
    load(tmp_path, graph(text, {"v": number([[0.5, -1], [2, 0.25]])}, shape, twist=False))


def test_attention_of_one_head(tmp_path):
    rng = np.random.default_rng(3)
    constants = {name: number(rng.standard_normal((3, 3)) / 2) for name in ("wq", "wk", "wv")}
    text = (
        "q = MatMul(x, wq)\nk = MatMul(x, wk)\nv = MatMul(x, wv)\nt = Transpose(k)\ns = MatMul(q, t)\n"
        "d = Div(s, 1.7320508)\na = Softmax(d)\ny = MatMul(a, v)"
    )
    load(tmp_path, graph(text, constants, (2, 3), twist=False))


def test_softmax_takes_no_product(tmp_path):
    network = load(tmp_path, graph("y = Softmax(x)"))
    assert functions(network) == {"exp": 12, "1 / (1 + relu(x))": 4}
    total = [sum(ends) for ends in zip(*exact_outputs(network, [1, -2, 3, 0.5]), strict=True)]
    assert total[0] <= 1 <= total[1] <= total[0] + Fraction(1, 10**15)


def test_layer_normalization_as_exporters_spread_it(tmp_path):
    text = (
        "m = ReduceMean(x, axis)\nd = Sub(x, m)\nq = Pow(d, 2)\nv = ReduceMean(q, axis)\ne = Add(v, 0.00001)\n"
        "r = Sqrt(e)\ny = Div(d, r)"
    )
    network = load(tmp_path, graph(text, {"axis": np.array([-1])}))
    assert functions(network)["rsqrt"] == 1
    whole = load(tmp_path, graph("y = LayerNormalization(x, one)", {"one": np.ones(4, dtype=np.float32)}))
    assert whole(np.array([1.0, 2, -1, 0.5])) == pytest.approx(network(np.array([1.0, 2, -1, 0.5])), abs=1e-6)


def test_what_is_needed_late_is_made_late(tmp_path):
    text = (
        "s = Sin(x)\nr = Relu(x)\nh = MatMul(r, w)\nt = Tanh(h)\nz = Add(t, x)\nu = Tanh(z)\nk = Add(u, s)\n"
        "y = Add(k, x)"
    )
    network = load(tmp_path, graph(text))
    assert [len(layer.curves) for layer in network.layers] == [0, 1, 2]


def test_a_row_known_up_to_a_radius_is_shared_only_with_itself():
    neurons = Neurons(1)
    third = compose.divide(compose.picking(np.array([0]), 1), np.array([3.0]))
    twin = compose.divide(compose.picking(np.array([0]), 1), np.array([3.0]))
    one, again = neurons.relu(third), neurons.relu(third)
    assert np.array_equal(one.weight.argmax(), again.weight.argmax())
    assert neurons.relu(twin).weight.argmax() != one.weight.argmax()


def test_undefined_values_are_an_error_of_their_own(tmp_path):
    from slir_milp.errors import UndefinedValueError

    path = tmp_path / "log.onnx"
    path.write_bytes(graph("y = Log(x)", twist=False).SerializeToString())
    network = load_network(path)
    with pytest.raises(UndefinedValueError, match="no value at this point"):
        exact_outputs(network, [1, 2, -1, 4])


@pytest.mark.parametrize(
    ("text", "at", "low", "high"), [("y = Exp(x)", -1e30, -1e-300, 1e-300), ("y = Exp(x)", 1e30, 1, 0)]
)
def test_numbers_of_more_digits_than_fit_are_no_hindrance(tmp_path, text, at, low, high):
    from slir_milp.errors import UndefinedValueError

    path = tmp_path / "exp.onnx"
    path.write_bytes(graph(text, twist=False).SerializeToString())
    network = load_network(path)
    if high < low:
        with pytest.raises(UndefinedValueError, match="beyond"):
            exact_outputs(network, [1, 2, at, 4])
    else:
        found = exact_outputs(network, [1, 2, at, 4])[2]
        assert low <= found[0] <= found[1] <= high
        assert len(str(found[0])) < 4300
