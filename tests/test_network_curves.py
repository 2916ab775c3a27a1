"""Activations that exporters spread over many operators become one function again."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from slir_milp.activations import IDENTITY, Curve, Hinge
from slir_milp.activations.declarations import parse_declarations
from slir_milp.activations.declared import Facts, declared_curve
from slir_milp.activations.registry import Registry
from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import Runtime, exact_outputs, load_network
from slir_milp.network.graph import read_graph
from slir_milp.network.lowering import lower
from tests.test_network_operators import check, model_of

HALF_ROOT = np.float32(1 / np.sqrt(2))


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")


def number(value):
    return np.array(value, dtype=np.float32)


def graph(text, constants=None, shape=(1, 4), opset=18, twist=True):
    """Model from lines ``y = Op(a, b)``; numbers are constants.  With ``twist``, an affine layer stands before it."""
    constants = {name: np.asarray(value) for name, value in (constants or {}).items()}
    nodes = []
    if twist:
        rng = np.random.default_rng(5)
        constants |= {"w": number(rng.standard_normal((4, 4))), "bias": number(rng.standard_normal(4))}
        nodes.append(helper.make_node("Gemm", ["input", "w", "bias"], ["x"]))
    for line in text.strip().splitlines():
        result, call = (part.strip() for part in line.split("="))
        op, operands = call.rstrip(")").split("(")
        names = []
        for operand in (part.strip() for part in operands.split(",")):
            if operand[0].isdigit() or operand[0] == "-":
                name = f"n{operand}"
                constants[name] = number(float(operand))
                names.append(name)
            else:
                names.append(operand)
        nodes.append(helper.make_node(op, names, [result]))
    return model_of(nodes, {"input" if twist else "x": shape}, {"y": None}, constants, opset)


def load(tmp_path, model):
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    check(path)
    return load_network(path)


def functions(network):
    """Name of each function that is not the identity, with the number of its neurons."""
    found = Counter()
    for layer in network.layers:
        for index, function in enumerate(layer.functions):
            if function != IDENTITY:
                name = function.name if isinstance(function, Curve) else str(function)
                found[name] += int((layer.function_index == index).sum())
    return dict(found)


SPREAD = {
    "silu": "s = Sigmoid(x)\ny = Mul(x, s)",
    "silu from exp": "n = Neg(x)\ne = Exp(n)\nd = Add(e, 1)\ny = Div(x, d)",
    "gelu": "d = Div(x, 1.4142135381698608)\ne = Erf(d)\np = Add(e, 1)\nh = Mul(x, p)\ny = Mul(h, 0.5)",
    "gelu, half first": "h = Mul(x, 0.5)\nd = Mul(x, 0.7071067690849304)\ne = Erf(d)\np = Add(1, e)\ny = Mul(h, p)",
    "gelu_tanh": (
        "c = Pow(x, 3)\nd = Mul(c, 0.044714998453855515)\ne = Add(x, d)\nf = Mul(e, 0.7978845834732056)\n"
        "t = Tanh(f)\np = Add(t, 1)\nh = Mul(x, 0.5)\ny = Mul(h, p)"
    ),
    "gelu_tanh by products": (
        "q = Mul(x, x)\nc = Mul(q, x)\nd = Mul(c, 0.044714998453855515)\ne = Add(x, d)\n"
        "f = Mul(e, 0.7978845834732056)\nt = Tanh(f)\np = Add(t, 1)\nh = Mul(x, 0.5)\ny = Mul(h, p)"
    ),
    "mish": "s = Softplus(x)\nt = Tanh(s)\ny = Mul(x, t)",
    "mish from exp and log": "e = Exp(x)\np = Add(e, 1)\ns = Log(p)\nt = Tanh(s)\ny = Mul(t, x)",
    "softplus": "e = Exp(x)\np = Add(1, e)\ny = Log(p)",
    "swish(beta=1.5)": "b = Mul(x, 1.5)\ns = Sigmoid(b)\ny = Mul(x, s)",
    "quick_gelu": "b = Mul(x, 1.7020000219345093)\ns = Sigmoid(b)\ny = Mul(x, s)",
    "lambda_gelu": "b = Mul(x, 1.41421354)\ne = Erf(b)\np = Add(e, 1)\nq = Mul(p, 0.5)\ny = Mul(x, q)",
    "hard_swish": "a = Add(x, 3)\nc = Clip(a, 0, 6)\nm = Mul(x, c)\ny = Div(m, 6)",
    "hard_swish from hard sigmoid": "h = HardSigmoid(x)\ny = Mul(x, h)",
    "softsign": "a = Abs(x)\np = Add(a, 1)\ny = Div(x, p)",
    "tanh from exp": "e = Exp(x)\nn = Neg(x)\nf = Exp(n)\na = Sub(e, f)\nb = Add(e, f)\ny = Div(a, b)",
    "elu by Where": "e = Exp(x)\na = Sub(e, 1)\nc = Less(x, 0)\ny = Where(c, a, x)",
    "sin squared": "s = Sin(x)\ny = Pow(s, 2)",
    "residual": "t = Tanh(x)\ny = Add(x, t)",
    "sigmoid times its complement": "s = Sigmoid(x)\nc = Sub(1, s)\ny = Mul(s, c)",
    "moved on the way": "s = Sigmoid(x)\nu = Flatten(s)\nv = Flatten(x)\ny = Mul(u, v)",
}


@pytest.mark.parametrize("name", SPREAD)
def test_a_spread_activation_is_one_function(name, tmp_path):
    network = load(tmp_path, graph(SPREAD[name]))
    assert list(functions(network).values()) == [4]
    assert [layer.size for layer in network.layers] == [4]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (SPREAD["silu"], "silu"),
        (SPREAD["mish"], "mish"),
        (SPREAD["softplus"], "softplus"),
        (SPREAD["tanh from exp"], "tanh"),
        (SPREAD["swish(beta=1.5)"], "swish(beta=1.5)"),
        (SPREAD["hard_swish"], "hard_swish"),
        (SPREAD["softsign"], "softsign"),
        ("y = Gelu(x)", "gelu"),
        ("y = Mish(x)", "mish"),
        ("y = HardSwish(x)", "hard_swish"),
        ("s = Sigmoid(x)\nd = Mul(s, 3)\ny = Sub(d, 1)", "sigmoid"),
    ],
)
def test_a_known_function_is_called_by_its_name(text, name, tmp_path):
    assert functions(load(tmp_path, graph(text, opset=20))) == {name: 4}


def test_a_function_and_its_parts_may_both_be_used(tmp_path):
    network = load(tmp_path, graph("s = Sigmoid(x)\nm = Mul(x, s)\ny = Concat(x, s, m)".replace("Concat", "Sum")))
    assert sum(functions(network).values()) == 4
    model = graph("r = Relu(x)\nz = Gemm(r, w, bias)\ny = Add(x, z)")
    assert functions(load(tmp_path, model)) == {str(Hinge(0.0, 1.0)): 4}


def test_a_value_used_twice_is_one_neuron(tmp_path):
    network = load(tmp_path, graph("s = Sin(x)\nt = Sin(x)\nu = MatMul(s, w)\ny = Add(u, t)"))
    assert functions(network) == {"sin": 4}


def test_hinges_stay_hinges_where_all_is_piecewise_linear(tmp_path):
    network = load(tmp_path, graph("c = Clip(x, 0, 6)\nr = Relu(x)\ny = Add(c, r)"))
    assert network.is_piecewise_linear
    assert functions(network) == {str(Hinge(0.0, 1.0)): 8}


def test_several_hinges_are_one_curve_where_other_curves_are(tmp_path):
    network = load(tmp_path, graph("c = Clip(x, 0, 6)\nm = MatMul(c, w)\ny = Sin(m)"))
    assert sum(functions(network).values()) == 8
    assert "sin" in functions(network)


def test_a_table_of_hinges_is_one_function_of_its_argument(tmp_path):
    thresholds, rises = number([-1.5, -0.5, 0.25, 1]), number([0.5, -0.25, 1.5, -1])
    text = "u = Unsqueeze(x, axis)\nd = Sub(u, t)\nr = Relu(d)\nm = MatMul(r, rises)\np = Add(m, 0.5)\ny = Sin(p)"
    model = graph(text, {"axis": np.array([-1]), "t": thresholds, "rises": rises})
    network = load(tmp_path, model)
    assert [layer.size for layer in network.layers] == [4]


def test_a_formula_that_grows_too_long_becomes_neurons_first(tmp_path):
    lines = ["a0 = Sin(x)", *(f"a{step + 1} = Sin(a{step})" for step in range(150))]
    network = load(tmp_path, graph("\n".join([*lines, "y = Neg(a150)"])))
    assert len(network.layers) == 3


def test_a_constant_for_each_element_does_not_make_a_function_for_each(tmp_path):
    text = "m = Mul(x, v)\ns = Tanh(m)\nt = Mul(s, v)\ny = Add(t, v)"
    assert functions(load(tmp_path, graph(text, {"v": number([0.5, 1.5, -2, 3])}))) == {"tanh": 4}


@pytest.mark.parametrize("op", ["Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal"])
def test_conditions_choose(op, tmp_path):
    model = graph(f"s = Sin(x)\nc = {op}(x, 0.5)\ny = Where(c, s, x)")
    assert list(functions(load(tmp_path, model)).values()) == [4]


@pytest.mark.parametrize("op", ["And", "Or", "Xor"])
def test_conditions_are_combined(op, tmp_path):
    text = f"a = Less(x, 0.5)\nb = Less(-1, x)\nn = Not(b)\nc = {op}(a, n)\ny = Where(c, x, 7)"
    assert list(functions(load(tmp_path, graph(text))).values()) == [4]


def test_a_condition_on_other_numbers_becomes_a_factor(tmp_path):
    load(tmp_path, graph("z = MatMul(x, w)\nc = Less(x, z)\ny = Where(c, x, z)"))


def test_swish_of_the_newest_operator_set():
    from slir_milp.network.operators.curves import swish

    assert swish  # no runtime here knows the operator, so its text is compared with the product it stands for


SIZE = 3
ONE_OPERAND = (
    "Neg",
    "Sin",
    "Tanh",
    "Sigmoid",
    "Relu",
    "Abs",
    "Softplus",
    "Floor",
    "Square",
    "MatMul",
    "Clip",
    "Scaled",
)
TWO_OPERANDS = ("Add", "Sub", "Mul", "Max", "Min", "Where", "Div")
MIXED = np.array([[0.5, -1, 0], [0.25, 1, 2], [0, -0.5, 1]], dtype=np.float32)


class Reference:
    """Every operator on balls, one element at a time."""

    def __init__(self):
        self.nodes, self.values = [], {}

    def apply(self, op, name, operands):
        from flint import arb

        a = self.values[operands[0]]
        b = self.values[operands[-1]]
        zero, one, bound = arb(0), arb(1), arb(float(np.float32(0.3)))
        one_operand = {
            "Neg": lambda u: -u,
            "Sin": arb.sin,
            "Tanh": arb.tanh,
            "Sigmoid": lambda u: one / (one + (-u).exp()),
            "Relu": lambda u: u.max(zero),
            "Abs": abs,
            "Softplus": lambda u: u.exp().log1p(),
            "Floor": arb.floor,
            "Square": lambda u: u * u,
            "Clip": lambda u: u.max(arb(-0.5)).min(arb(0.75)),
            "Scaled": lambda u: u * 3 - one,
        }
        two_operands = {
            "Add": lambda u, v: u + v,
            "Sub": lambda u, v: u - v,
            "Mul": lambda u, v: u * v,
            "Max": arb.max,
            "Min": arb.min,
            "Where": lambda u, v: u if u < bound else v if u >= bound else u.union(v),
            "Div": lambda u, v: u / (v * v + one),
        }
        if op == "MatMul":
            columns = [[arb(float(w)) for w in column] for column in MIXED.T]
            self.values[name] = [sum((w * u for w, u in zip(column, a, strict=True)), zero) for column in columns]
        elif op in one_operand:
            self.values[name] = [one_operand[op](u) for u in a]
        else:
            self.values[name] = [two_operands[op](u, v) for u, v in zip(a, b, strict=True)]
        self.nodes += lines(op, name, operands)


def lines(op, name, operands):
    match op:
        case "Square":
            return [f"{name} = Pow({operands[0]}, 2)"]
        case "MatMul":
            return [f"{name} = MatMul({operands[0]}, mixed)"]
        case "Clip":
            return [f"{name} = Clip({operands[0]}, -0.5, 0.75)"]
        case "Scaled":
            return [f"{name}m = Mul({operands[0]}, 3)", f"{name} = Sub({name}m, 1)"]
        case "Where":
            return [f"{name}c = Less({operands[0]}, 0.300000012)", f"{name} = Where({name}c, {', '.join(operands)})"]
        case "Div":
            square = f"{name}q = Mul({operands[1]}, {operands[1]})"
            return [square, f"{name}p = Add({name}q, 1)", f"{name} = Div({operands[0]}, {name}p)"]
    return [f"{name} = {op}({', '.join(operands)})"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_random_graphs_of_curves_enclose_what_they_mean(data):
    from flint import arb, ctx, fmpq

    point = [data.draw(st.integers(-40, 40)) / 16 for _ in range(SIZE)]
    with ctx.workprec(400):
        reference = Reference()
        reference.values["x"] = [arb(fmpq(int(16 * value), 16)) for value in point]
        for step in range(data.draw(st.integers(2, 9))):
            op = data.draw(st.sampled_from(ONE_OPERAND + TWO_OPERANDS))
            names = st.sampled_from(sorted(reference.values))
            operands = [data.draw(names)] if op in ONE_OPERAND else [data.draw(names), data.draw(names)]
            reference.apply(op, f"t{step}", operands)
        last = f"t{step}"
        model = graph("\n".join([*reference.nodes, f"y = Identity({last})"]), {"mixed": MIXED}, (SIZE,), twist=False)
        network = lower(read_graph(model))
        for (low, high), value in zip(exact_outputs(network, point), reference.values[last], strict=True):
            assert arb(fmpq(low.numerator, low.denominator)) <= value.upper()
            assert value.lower() <= arb(fmpq(high.numerator, high.denominator))


def test_values_of_curves_are_enclosed_to_sixty_bits(tmp_path):
    network = load(tmp_path, graph(SPREAD["mish"]))
    for low, high in exact_outputs(network, [0.1, -0.2, 0.3, 2.5]):
        assert 0 < high - low < abs(low) / 2**59


def custom_model(node, functions=(), opset=18):
    """A hidden layer with an operator of a domain of one's own."""
    model = graph("z = Placeholder(x)\ny = MatMul(z, w)", opset=opset)
    at = next(i for i, n in enumerate(model.graph.node) if n.op_type == "Placeholder")
    model.graph.node[at].CopyFrom(node)
    model.opset_import.append(helper.make_opsetid("my.domain", 1))
    model.functions.extend(functions)
    return model


def local_function():
    """``my.domain::Snake(x) = x + sin(x)²`` as a function of the model."""
    nodes = [
        helper.make_node("Sin", ["a"], ["s"]),
        helper.make_node("Mul", ["s", "s"], ["q"]),
        helper.make_node("Add", ["a", "q"], ["b"]),
    ]
    return helper.make_function("my.domain", "Snake", ["a"], ["b"], nodes, [helper.make_opsetid("", 18)])


SNAKE = helper.make_node("Snake", ["x"], ["z"], domain="my.domain", name="it")
DECLARED = """
[[activation]]
name = "snake"
formula = "x + sin(a * x)**2 / a"
operator = "my.domain::Snake"
parameters = { a = 1.0 }
"""


def declared(tmp_path, text=DECLARED):
    path = tmp_path / "own.toml"
    path.write_text(text)
    return Registry().with_declarations(parse_declarations(path))


def save(tmp_path, model):
    path = tmp_path / "custom.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_custom_operator_applies_what_was_declared(tmp_path):
    network = load_network(save(tmp_path, custom_model(SNAKE)), activations=declared(tmp_path))
    assert functions(network) == {"snake": 4}
    point = np.array([0.5, -1, 2, 0.25])
    runtime = Runtime(network.source, network.activations)
    assert np.allclose(runtime.outputs(point), network(point), atol=1e-5)


def test_attributes_of_a_custom_operator_are_its_parameters(tmp_path):
    node = helper.make_node("Snake", ["x"], ["z"], domain="my.domain", name="it", a=2.5)
    network = load_network(save(tmp_path, custom_model(node)), activations=declared(tmp_path))
    assert functions(network) == {"snake(a=2.5)": 4}


def test_a_custom_operator_that_nobody_declared_is_refused(tmp_path):
    with pytest.raises(UnsupportedOperatorError, match=r"my.domain.Snake is not a standard ONNX operator.*declare it"):
        load_network(save(tmp_path, custom_model(SNAKE)))


def test_wrong_attributes_are_refused(tmp_path):
    node = helper.make_node("Snake", ["x"], ["z"], domain="my.domain", name="it", b=2.5)
    with pytest.raises(NetworkError, match="no parameter 'b'"):
        load_network(save(tmp_path, custom_model(node)), activations=declared(tmp_path))


def test_a_function_without_a_formula_is_run_by_the_reference_implementation(tmp_path):
    def snake(x):
        return x + np.sin(x) ** 2

    curve = declared_curve("sampled_snake", snake, Facts(lipschitz=2.0, interval=(-20.0, 20.0)))
    activations = Registry().with_curve(curve, "my.domain::Snake")
    network = load_network(save(tmp_path, custom_model(SNAKE)), activations=activations)
    assert functions(network) == {"sampled_snake": 4}
    point = [0.5, -1, 2, 0.25]
    for (low, high), value in zip(exact_outputs(network, point), network(np.array(point)), strict=True):
        assert low <= value <= high <= low + 1


def test_a_remembered_network_with_curves_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", str(tmp_path / "cache"))
    path = save(tmp_path, graph("s = Sin(x)\nq = Mul(s, s)\nz = Add(x, q)\nm = MatMul(z, w)\ny = Gelu(m)", opset=20))
    first, again = load_network(path), load_network(path)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert [layer.functions for layer in first.layers] == [layer.functions for layer in again.layers]
    own = load_network(path, activations=declared(tmp_path, DECLARED.replace("sin(a * x)**2 / a", "sin(x)**2")))
    assert functions(own) == {"snake": 4, "gelu": 4}


def test_networks_that_declarations_may_change_are_not_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", str(tmp_path / "cache"))
    load_network(save(tmp_path, custom_model(SNAKE, [local_function()])))
    load_network(save(tmp_path, custom_model(SNAKE)), activations=declared(tmp_path))
    assert not (tmp_path / "cache").exists()


def test_a_local_function_is_read_as_what_it_is_made_of(tmp_path):
    network = load_network(save(tmp_path, custom_model(SNAKE, [local_function()])))
    assert list(functions(network).values()) == [4]


def test_a_local_function_may_be_declared_and_is_then_compared(tmp_path):
    path = save(tmp_path, custom_model(SNAKE, [local_function()]))
    assert functions(load_network(path, activations=declared(tmp_path))) == {"snake": 4}
    wrong = declared(tmp_path, DECLARED.replace("sin", "cos"))
    with pytest.raises(NetworkError, match="disagrees with the runtime"):
        load_network(path, activations=wrong)
