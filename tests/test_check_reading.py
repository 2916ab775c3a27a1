"""The checker's own reading of networks and queries, against the reading that the rest of the program uses."""

import gzip
import warnings
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from stand_in import TINY

from slir_milp.activations import ABS, RELU, Hinge
from slir_milp.certificate.check import network as check_network
from slir_milp.certificate.check.network import read_network
from slir_milp.certificate.check.query import Question, read_query
from slir_milp.errors import ProofError, QueryError, SlirWarning
from slir_milp.network import Affine, Layer, Network, load_network
from slir_milp.query import And, Atom, Formula, Or, load_query

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

CHAINS = {  # sets of networks that are chains, and how many
    **{"acasxu": 50, "acc_fc": 3, "cora": 1, "dist_shift": 1, "mnist_fc": 2, "nln_2020": 2, "reach_prob_density": 2},
    **{"rl_benchmarks": 2, "safenlp": 1, "sat_relu": 49, "test": 5, "tllverifybench": 8, "verisig": 18},
}
SMALL = ("acasxu", "acc_fc", "reach_prob_density", "safenlp", "tllverifybench", "verisig")
BEYOND = ("cersyve", "collins_rul_cnn", "linearizenn", "lsnc")


def networks(benchmarks: Path, name: str) -> list[Path]:
    return sorted(path for path in (benchmarks / name).rglob("*") if {".onnx", ".nnet"} & set(path.suffixes))


# Networks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SMALL)
def test_both_readings_of_benchmarks_agree(benchmarks: Path, name: str) -> None:
    paths = networks(benchmarks, name)
    for path in {paths[0], paths[-1], min(paths, key=lambda p: p.stat().st_size)}:
        network, agreed = read_network(path)
        assert agreed, path
        assert network.sha256 == load_network(path).sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_both_readings_of_all_chains_agree(benchmarks: Path, name: str) -> None:
    assert sum(read_network(path)[1] for path in networks(benchmarks, name)) == CHAINS[name]


@pytest.mark.parametrize("name", BEYOND)
def test_other_networks_are_read_once(benchmarks: Path, name: str) -> None:
    path = networks(benchmarks, name)[0]
    network, agreed = read_network(path)
    assert not agreed
    assert network.output_size == load_network(path).output_size


EIGHTHS = st.integers(-16, 16).map(lambda k: k / 8)
"""Numbers so short that sums of products of a few of them are exact in float64, if not in float32."""


class Chain:
    """An ONNX model under construction: operators one after another."""

    def __init__(self, shape: tuple[int, ...], draw: Callable[[st.SearchStrategy[Any]], Any], dtype: str) -> None:
        self.draw, self.dtype = draw, dtype
        self.shape, self.name = shape, "input"
        self.nodes: list[onnx.NodeProto] = []
        self.stored: list[onnx.TensorProto] = []
        self.kind = onnx.TensorProto.FLOAT if dtype == "float32" else onnx.TensorProto.DOUBLE
        self.start = helper.make_tensor_value_info("input", self.kind, shape)

    def constant(self, shape: tuple[int, ...]) -> str:
        size = int(np.prod(shape))
        values = np.array(self.draw(st.lists(EIGHTHS, min_size=size, max_size=size)), dtype=self.dtype).reshape(shape)
        return self.store(values)

    def store(self, values: np.ndarray[Any, Any]) -> str:
        name = f"c{len(self.stored)}"
        tensor = numpy_helper.from_array(values, name)
        self.stored.append(tensor)
        return name

    def step(self, operator: str, shape: tuple[int, ...], *others: str, first: bool = True, **attributes: Any) -> None:
        result = f"t{len(self.nodes)}"
        names = [self.name, *others] if first else [*others, self.name]
        self.nodes.append(helper.make_node(operator, names, [result], **attributes))
        self.name, self.shape = result, shape

    def write(self, path: Path) -> None:
        """Store the model, half of its constants as initializers, half as nodes."""
        end = helper.make_tensor_value_info(self.name, self.kind, self.shape)
        inside = [helper.make_node("Constant", [], [t.name], value=t) for t in self.stored[::2]]
        graph = helper.make_graph([*inside, *self.nodes], "chain", [self.start], [end], self.stored[1::2])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, path)


@st.composite
def chains(draw: Any) -> Chain:
    dtype = draw(st.sampled_from(["float32", "float64"]))
    chain = Chain((1, draw(st.integers(1, 3))), draw, dtype)
    for _ in range(draw(st.integers(1, 7))):
        n, m = chain.shape[-1], draw(st.integers(1, 3))
        kind = draw(st.sampled_from(["gemm", "matmul", "left", "add", "sub", "relu", "leaky", "reshape", "same"]))
        if kind == "gemm":
            transposed = draw(st.booleans())
            weight = chain.constant((m, n) if transposed else (n, m))
            offset = [chain.constant(draw(st.sampled_from([(m,), (1, m), (1,)])))] if draw(st.booleans()) else []
            factors = {name: draw(st.sampled_from([1.0, 0.5, -2.0])) for name in ("alpha", "beta")}
            chain.step("Gemm", (1, m), weight, *offset, transB=int(transposed), **factors)
        elif kind == "matmul":
            chain.step("MatMul", (1, m), chain.constant((n, m)))
        elif kind == "left":
            chain.step("Reshape", (n, 1), chain.store(np.array([-1, 1])))
            chain.step("MatMul", (m, 1), chain.constant((m, n)), first=False)
            chain.step("Flatten", (1, m), axis=0)
        elif kind in ("add", "sub"):
            constant = chain.constant(draw(st.sampled_from([(n,), (1, n), (1,), ()])))
            chain.step(kind.title(), chain.shape, constant, first=draw(st.booleans()))
        elif kind == "relu":
            chain.step("Relu", chain.shape)
        elif kind == "leaky" and dtype == "float32":  # (ONNX Runtime has no other)
            chain.step("LeakyRelu", chain.shape, alpha=draw(st.sampled_from([0.25, 0.01, 1.0, -1.0])))
        elif kind == "reshape":
            chain.step("Reshape", (1, n), chain.store(np.array([0, -1])))
        else:
            chain.step(draw(st.sampled_from(["Identity", "Dropout"])), chain.shape)
    return chain


@FEW
@given(chain=chains())
def test_both_readings_of_random_chains_agree(tmp_path: Path, chain: Chain) -> None:
    import onnxruntime

    path = tmp_path / "chain.onnx"
    chain.write(path)
    network, agreed = read_network(path)
    comparable = network.is_piecewise_linear and all(affine.is_exact for affine in network.affines)
    assert agreed or not comparable
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.linspace(-1, 2, network.input_size)
    expected = session.run(None, {"input": x.astype(chain.dtype).reshape(1, -1)})[0].ravel()
    np.testing.assert_allclose(network(x), expected, rtol=1e-4, atol=1e-3)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A network of two hidden layers, the neurons of which all differ."""
    path = tmp_path / "plain.nnet"
    head = "// two layers\n3,2,2,2,\n2,2,2,2,\n0,\n-1,-1,\n1,1,\n0,0,0,\n1,1,1,\n"
    path.write_text(head + "1,2,\n3,4,\n5,\n6,\n" + "0.1,-1,\n2,1,\n-0.5,\n1,\n" + "1,-1,\n1,1,\n0,\n0.25,\n")
    return path


def test_nnet_files_are_read(plain: Path, tmp_path: Path) -> None:
    assert read_network(plain)[1]
    packed = tmp_path / "plain.nnet.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_network(packed)[1]
    (tmp_path / "tiny.nnet").write_text(TINY)
    assert read_network(tmp_path / "tiny.nnet")[1]


def changed(network: Network, place: int, **parts: Any) -> Network:
    """Network with another weight or bias in one of its maps, or other functions."""
    affines = list(network.affines)
    if parts.get("weight") is not None:
        weight = np.array(affines[place].weight)
        weight[1, 0] = parts["weight"]
        affines[place] = replace(affines[place], weight=weight)
    if parts.get("bias") is not None:
        affines[place] = replace(affines[place], bias=affines[place].bias + parts["bias"])
    layers = [
        Layer(affine, (parts.get("function", RELU) if place == i else RELU,), layer.function_index)
        for i, (affine, layer) in enumerate(zip(affines, network.layers, strict=False))
    ]
    return replace(network, layers=tuple(layers), output=affines[-1])


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "parts",
    [
        {"weight": 0.0},
        {"weight": np.nextafter(3.0, 4.0)},
        {"weight": -1.0},
        {"bias": 2.0**-40},
        {"function": ABS},
        {"function": Hinge(2.0**-30, 1.0)},
    ],
)
def test_a_wrong_reading_is_found_out(
    plain: Path, monkeypatch: pytest.MonkeyPatch, place: int, parts: dict[str, Any]
) -> None:
    place = min(place, 1) if "function" in parts else place  # the last map has no activation
    wrong = changed(load_network(plain), place, **parts)
    monkeypatch.setattr(check_network, "load_network", lambda *_, **__: wrong)
    with pytest.raises(ProofError, match=r"two independent readings of .* differ"):
        read_network(plain)


def test_other_arrangements_of_the_same_network_agree(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_network(plain)
    first, second = network.layers
    swap = [1, 0]
    turned = Affine(np.array(first.affine.weight)[swap], first.affine.bias[swap])
    layers = (replace(first, affine=turned), replace(second, affine=_columns(second.affine, swap)))
    monkeypatch.setattr(check_network, "load_network", lambda *_, **__: replace(network, layers=layers))
    assert read_network(plain)[1]
    turned_wrongly = replace(network, layers=(layers[0], second))
    monkeypatch.setattr(check_network, "load_network", lambda *_, **__: turned_wrongly)
    with pytest.raises(ProofError):
        read_network(plain)


def test_hinges_may_be_written_in_other_ways(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The factor of a rectified value may be a slope or in the next map."""
    network = load_network(plain)
    layer = replace(network.layers[1], functions=(Hinge(0.0, -2.0),))
    output = replace(network.output, weight=np.array(network.output.weight) / -2)
    other = replace(network, layers=(network.layers[0], layer), output=output)
    monkeypatch.setattr(check_network, "load_network", lambda *_, **__: other)
    assert read_network(plain)[1]


def _columns(affine: Affine, order: list[int]) -> Affine:
    return replace(affine, weight=np.array(affine.weight)[:, order])


def test_a_network_known_up_to_rounding_is_not_confirmed(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_network(plain)
    output = replace(network.output, bias_radius=np.full(network.output.rows, 1e-20))
    monkeypatch.setattr(check_network, "load_network", lambda *_, **__: replace(network, output=output))
    assert not read_network(plain)[1]


def test_a_file_that_changes_is_refused(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load_network(plain)
    plain.write_text(plain.read_text() + "\n")
    monkeypatch.setattr(check_network, "load_network", lambda *_, **__: network)
    with pytest.raises(ProofError, match="changed while it was read"):
        read_network(plain)


def _model(path: Path, nodes: list[onnx.NodeProto], size: int = 2, opset: int = 13) -> Path:
    stored = [
        numpy_helper.from_array(np.array([[1, 2], [3, 4]], dtype=np.float32), "w"),
        numpy_helper.from_array(np.array([1, 2], dtype=np.float32), "c"),
    ]
    start = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, (1, 2))
    end = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, (1, size))
    graph = helper.make_graph(nodes, "graph", [start], [end], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


@pytest.mark.parametrize(
    "nodes",
    [
        [("Relu", ["x"], "a"), ("Add", ["a", "x"], "y")],  # a value is used twice
        [("Relu", ["x"], "a"), ("Mul", ["a", "c"], "y")],  # an operator beyond those covered
        [("Relu", ["x"], "a"), ("Add", ["a", "a"], "y")],
        [("Relu", ["c"], "d"), ("Add", ["x", "d"], "y")],  # constants are computed
        [("Relu", ["x"], "a"), ("MatMul", ["x", "w"], "y")],  # a result that is not used
    ],
)
def test_what_is_no_plain_chain_is_not_confirmed(tmp_path: Path, nodes: list[tuple[str, list[str], str]]) -> None:
    made = [helper.make_node(operator, names, [result]) for operator, names, result in nodes]
    assert not read_network(_model(tmp_path / "other.onnx", made))[1]


def test_small_attributes_count(tmp_path: Path) -> None:
    """A chain whose only difference is an attribute must not be taken for another."""
    choices: list[dict[str, Any]] = [{}, {"transB": 1}, {"alpha": 0.5}, {"beta": -1.0}]
    found = [
        read_network(_model(tmp_path / f"{i}.onnx", [helper.make_node("Gemm", ["x", "w", "c"], ["y"], **attributes)]))
        for i, attributes in enumerate(choices)
    ]
    assert all(agreed for _, agreed in found)
    values = [tuple(network(np.array([1.0, -2.0])).tolist()) for network, _ in found]
    assert values == [(-4.0, -4.0), (-2.0, -3.0), (-1.5, -1.0), (-6.0, -8.0)]


# Queries -------------------------------------------------------------------------------------------------------------


def same(path: Path) -> Question:
    """Own reading of a query, after comparing it with the shared one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlirWarning)
        shared = load_query(path)
    own = read_query(path)
    assert own.formula == shared.formula
    assert (own.inputs, own.outputs, own.sha256) == (shared.inputs, shared.outputs, shared.sha256)
    found: tuple[list[Atom], list[Or]] = ([], [])
    _collect(shared.formula, found)
    assert (list(own.atoms), list(own.alternatives)) == found
    return own


def _collect(formula: Formula, found: tuple[list[Atom], list[Or]]) -> None:
    if isinstance(formula, Atom):
        found[0].append(formula)
        return
    if isinstance(formula, Or):
        found[1].append(formula)
    for part in formula.parts:
        _collect(part, found)


def queries(benchmarks: Path) -> list[Path]:
    return sorted(path for path in benchmarks.glob("*/vnnlib/*") if ".vnnlib" in path.suffixes)


def test_queries_of_benchmarks_read_alike(benchmarks: Path) -> None:
    seen: dict[str, Path] = {}
    for path in queries(benchmarks):
        if path.stat().st_size < 300_000:
            seen[path.parent.parent.name + path.name[:6]] = path
    assert len(seen) > 20
    for path in seen.values():
        same(path)


@pytest.mark.slow
def test_all_queries_of_benchmarks_read_alike(benchmarks: Path) -> None:
    for path in queries(benchmarks):
        same(path)


def test_packed_queries_are_read(tmp_path: Path, query: Path) -> None:
    packed = tmp_path / "packed.vnnlib.gz"
    packed.write_bytes(gzip.compress(query.read_bytes()))
    assert read_query(packed).formula == same(query).formula


DECLARE = "".join(f"(declare-const {name} Real)\n" for name in ("X_0", "X_1", "Y_0"))
BOX = "".join(f"(assert (>= X_{i} -1)) (assert (<= X_{i} 1.5e0)) ; box\n" for i in (0, 1))

Value = Callable[[dict[str, Fraction]], Any]
Piece = tuple[str, Value]
"""A piece of text and what it means, for values of the variables."""

NUMBERS: st.SearchStrategy[Piece] = st.sampled_from(["0", "1.5", "-2", "+.25", "3e-1", "1.E1", "-0.0"]).map(
    lambda text: (text, lambda _: Fraction(text))
)
NAMES: st.SearchStrategy[Piece] = st.sampled_from(["X_0", "X_1", "Y_0"]).map(lambda name: (name, lambda at: at[name]))


def _sum(pieces: list[Piece]) -> Piece:
    return f"(+ {' '.join(t for t, _ in pieces)})", lambda at: sum(value(at) for _, value in pieces)


def _difference(pieces: list[Piece]) -> Piece:
    def value(at: dict[str, Fraction]) -> Fraction:
        first, *rest = [Fraction(v(at)) for _, v in pieces]
        return first - sum(rest) if rest else -first

    return f"(- {' '.join(t for t, _ in pieces)})", value


def _product(pair: tuple[Piece, Piece, bool]) -> Piece:
    (a, left), (b, right), turned = pair
    return f"(* {b} {a})" if turned else f"(* {a} {b})", lambda at: left(at) * right(at)


def _quotient(pair: tuple[Piece, str]) -> Piece:
    (a, left), divisor = pair
    return f"(/ {a} {divisor})", lambda at: left(at) / Fraction(divisor)


TERMS: st.SearchStrategy[Piece] = st.recursive(
    NUMBERS | NAMES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(_sum),
        st.lists(inner, min_size=1, max_size=3).map(_difference),
        st.tuples(NUMBERS, inner, st.booleans()).map(_product),
        st.tuples(inner, st.sampled_from(["2", "-0.3", "1e2"])).map(_quotient),
    ),
    max_leaves=5,
)
RELATIONS: dict[str, Callable[[Fraction, Fraction], bool]] = {
    "<=": lambda a, b: a <= b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
    "=": lambda a, b: a == b,
}


def _relation(parts: tuple[str, Piece, Piece]) -> Piece:
    relation, (a, left), (b, right) = parts
    return f"({relation} {a} {b})", lambda at: RELATIONS[relation](left(at), right(at))


def _all(pieces: list[Piece]) -> Piece:
    return f"(and {' '.join(t for t, _ in pieces)})", lambda at: all(value(at) for _, value in pieces)


def _any(pieces: list[Piece]) -> Piece:
    return f"(or\n {' '.join(t for t, _ in pieces)})", lambda at: any(value(at) for _, value in pieces)


def _not(piece: Piece) -> Piece:
    return f"(not ; no\n{piece[0]})", lambda at: not piece[1](at)


def _implies(pair: tuple[Piece, Piece]) -> Piece:
    (a, left), (b, right) = pair
    return f"(=> {a} {b})", lambda at: not left(at) or right(at)


CONDITIONS: st.SearchStrategy[Piece] = st.recursive(
    st.tuples(st.sampled_from(list(RELATIONS)), TERMS, TERMS).map(_relation)
    | st.sampled_from([("true", lambda _: True), ("false", lambda _: False)]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(_all),
        st.lists(inner, max_size=3).map(_any),
        inner.map(_not),
        st.tuples(inner, inner).map(_implies),
    ),
    max_leaves=12,
)
POINTS = st.tuples(*[st.sampled_from([Fraction(k, 4) for k in (-4, -1, 0, 1, 6)])] * 3)


def holds(formula: Formula, values: tuple[Fraction, ...]) -> bool:
    if isinstance(formula, Atom):
        left = sum((a * values[v] for v, a in formula.terms), formula.constant)
        return left < 0 or (left == 0 and not formula.strict)
    return (all if isinstance(formula, And) else any)(holds(part, values) for part in formula.parts)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(CONDITIONS, min_size=1, max_size=3), point=POINTS)
def test_random_formulas_read_alike_and_mean_what_they_say(
    tmp_path: Path, pieces: list[Piece], point: tuple[Fraction, ...]
) -> None:
    path = tmp_path / "random.vnnlib"
    path.write_text(DECLARE + BOX + "".join(f"(assert {text})\n" for text, _ in pieces))
    formula = same(path).formula
    at = dict(zip(("X_0", "X_1", "Y_0"), point, strict=True))
    inside = all(-1 <= value <= Fraction(3, 2) for value in point[:2])
    assert holds(formula, point) == (inside and all(value(at) for _, value in pieces))


def test_what_proofs_number_is_in_the_order_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "ordered.vnnlib"
    path.write_text(
        DECLARE + "(assert (and (<= X_0 1) (>= X_0 0) (= X_1 0.1)))"
        "(assert (or (>= Y_0 3) (and (< Y_0 0) (or (<= X_0 0.5) (> Y_0 -1))) (or (<= Y_0 -7))))"
    )
    question = same(path)
    assert [str(atom.constant) for atom in question.atoms] == ["-1", "0", "-1/10", "1/10", "3", "0", "-1/2", "-1", "7"]
    assert [len(alternative.parts) for alternative in question.alternatives] == [3, 2]


def test_deep_nesting_is_read_as_long_as_it_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "deep.vnnlib"
    path.write_text(DECLARE + BOX + f"(assert {'(not ' * 196}(<= Y_0 (+ (+ 1))){')' * 196})")
    assert same(path).atoms[-1] == Atom(((2, Fraction(1)),), Fraction(-1))
    path.write_text(DECLARE + f"(assert {'(or true (and true ' * 95}false{'))' * 95})")
    assert len(read_query(path).alternatives) == 96  # (false is an alternative without parts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(assert (<= X_0 1)", "line 4: this parenthesis is never closed"),
        (")", r"line 4: \) has no place here"),
        ("()", "line 4"),
        ("X_0", "line 4: X_0 has no place here"),
        ("(assert (<= X_0 1) (<= X_1 1))", "line 4: this command is not known"),
        ("(frob)", "line 4: this command is not known"),
        ("((assert) true)", "line 4: this command is not known"),
        ("\n(assert (<= X_0 1 2))", "line 5: a condition is and, or"),
        ("(assert X_0)", "line 4: a condition is and, or"),
        ("(assert (xor true false))", "line 4: a condition is and, or"),
        ("(assert (not true false))", "line 4: a condition is and, or"),
        ("(assert ())", "line 4: a condition is and, or"),
        ("(assert (<= (* X_0 X_1) 1))", "line 4: a term is a variable"),
        ("(assert (<= (/ 1 X_1) 1))", "line 4: a term is a variable"),
        ("(assert (<= (/ X_1 (- 1 1)) 1))", "line 4: a term is a variable"),
        ("(assert (<= (+- X_1 1) 1))", "line 4: a term is a variable"),
        ("(assert (<= (+) 1))", "line 4: a term is a variable"),
        ("(assert (<= () 1))", "line 4: a term is a variable"),
        ("(assert (<= ((+ 1 1)) 1))", "line 4: a term is a variable"),
        ("(assert (<= X_7 1))", "line 4: X_7 is neither a declared variable nor a number"),
        ("(assert (<= X_0 1_000))", "1_000 is neither"),
        ("(assert (<= X_0 1/3))", "1/3 is neither"),
        ("(assert (<= X_0 nan))", "nan is neither"),
        ("(assert (<= X_0 ٣))", "is neither"),  # a digit, but not of this language
        ("(assert (<= X_0 1e99999))", "1e99999 is neither"),
        (f"(assert (<= X_0 1{'0' * 5000}))", r"1000\S+ is neither"),
        (f"(assert (<= {'(* 1e9999' * 30} X_0{')' * 30} 1))", "a number grows too long"),
        (f"(assert {'(not ' * 250}true{')' * 250})", "line 4: parentheses are nested more than 200 deep"),
        ("(declare-const X_0 Real)", "each once"),
        ("(declare-const X_3 Real)", "none left out"),
        ("(declare-const Z Real)", "the query must declare"),
        ("(declare-const (X_2) Real)", "the query must declare"),
        ("(declare-const X_2 Int)", "line 4: this command"),
        ('(assert "true")', "line 4: a condition is"),
    ],
)
def test_malformed_queries_get_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "malformed.vnnlib"
    path.write_text(DECLARE + text, encoding="utf-8")
    with pytest.raises(QueryError, match=message) as refusal:
        read_query(path)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x1f\x8bbroken", gzip.compress(b"(assert" * 99)[:-9]])
def test_files_that_are_no_text_get_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.vnnlib"
    path.write_bytes(content)
    with pytest.raises(QueryError, match="cannot be read"):
        read_query(path)
    with pytest.raises(QueryError, match="cannot be read"):
        read_query(tmp_path / "missing.vnnlib")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, 400), insert=st.sampled_from(["", "(", ")", '"', "|", ";", "=", "not", "\n", "X_0", "1e", "="])
)
def test_damaged_queries_never_end_in_a_traceback(tmp_path: Path, query: Path, cut: int, insert: str) -> None:
    text = query.read_text()
    place = cut % len(text)
    path = tmp_path / "damaged.vnnlib"
    path.write_text(text[:place] + insert + text[place + 1 :])
    try:
        read_query(path)
    except QueryError as error:
        assert str(error).endswith(".")
