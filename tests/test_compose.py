"""Composition of several models: values, verdicts, witnesses, refusals."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from brute_force import find_witness
from compose_cases import box, dense, network, save, text
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from slir_milp import verify_vnnlib
from slir_milp.compose import Composition, Originals, apply, invert
from slir_milp.compose.inputs import implied_bounds
from slir_milp.errors import NetworkError, OptionError, QueryError, SlirWarning
from slir_milp.network import exact_outputs
from slir_milp.query import parse_query, parse_specification
from slir_milp.query.formula import surely_holds
from slir_milp.search import Options, Status
from slir_milp.search.composed import decide as decide_composed

PHASES = [Phase.explicit, Phase.generate]  # shrinking a seed finds nothing simpler
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
HIDDEN = '(declare-hidden H real [3,1] "h0")'


def eighths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-12, 13, shape) / 8.0


def decide(composition: Composition, timeout: float = 30.0):
    return decide_composed(composition, Options(timeout=timeout, jobs=1)).verdict


def two(folder: Path, rng: np.random.Generator, *conditions: str, equal: bool = False) -> Composition:
    """Networks of two inputs, three hidden neurons and two outputs; the first has its hidden layer declared."""
    files = {"f": dense(folder / "f.onnx", [eighths(rng, 3, 2), eighths(rng, 2, 3)])}
    if not equal:
        files["g"] = dense(folder / "g.onnx", [eighths(rng, 3, 2), eighths(rng, 2, 3)])
    declared = [
        network("f", "X", "Y", 2, 2, HIDDEN),
        network("g", "U", "V", 2, 2, relation="(equal-to f)" if equal else ""),
    ]
    return apply(parse_specification(text(declared, *conditions)), files)


@settings(max_examples=10, deadline=None, phases=PHASES, suppress_health_check=SLOW)
@given(seed=st.integers(0, 2**32 - 1), equal=st.booleans(), shared=st.integers(0, 2))
def test_the_composed_network_computes_what_the_models_compute(tmp_path, seed, equal, shared):
    rng = np.random.default_rng(seed)
    same = [f"(== U[{i}] X[{i}])" for i in range(shared)]
    products = ["(<= (* X[0] U[1] V[0]) 1000.0)", "(<= (* Y[0] Y[0]) (* H[1,0] X[1]))", "(>= (* V[1] V[1] V[1]) -9.0)"]
    composed = two(tmp_path, rng, *box("X", 2), *box("U", 2), *same, *products, equal=equal)
    assert composed.network.input_size == 4 - shared
    specification = composed.specification
    x = [Fraction(int(value), 16) for value in rng.integers(-16, 17, composed.network.input_size)]
    found = exact_outputs(composed.network, x)
    assignment = invert(composed, x)
    values = [ends for tensor in assignment.exact for ends in tensor]
    whole = specification.with_monomials(values)
    # Outputs: H (3), Y (2), V (2), then the products.
    starts = {tensor.name: start for _, tensor, start in specification.tensors()}
    wanted = [whole[starts[n] + i] for n, size in (("H", 3), ("Y", 2), ("V", 2)) for i in range(size)]
    wanted += whole[specification.variables :]
    assert len(found) == len(wanted) == 11
    for (low, high), (value, same_value) in zip(found, wanted, strict=True):
        assert value == same_value
        assert low <= value <= high and high - low <= Fraction(1, 10**9)
    assert [float(value) for value in Originals(composed)(np.array([float(v) for v in x]))] == pytest.approx(
        [float(value) for value, _ in wanted]
    )


@settings(max_examples=12, deadline=None, phases=PHASES, suppress_health_check=SLOW)
@given(seed=st.integers(0, 2**32 - 1), values=st.lists(st.integers(0, 3), min_size=6, max_size=6))
def test_inputs_may_be_equal_within_and_across_networks(tmp_path, seed, values):
    rng = np.random.default_rng(seed)
    weights = {name: [eighths(rng, 3, 3), eighths(rng, 2, 3)] for name in ("f", "g")}
    files = {name: dense(tmp_path / f"{name}.onnx", own) for name, own in weights.items()}
    names = [f"{tensor}[{i}]" for tensor in ("X", "U") for i in range(3)]
    first = [values.index(value) for value in values]
    same = [f"(== {names[i]} {names[first[i]]})" for i in range(6) if first[i] != i]
    declared = [network("f", "X", "Y", 3, 2), network("g", "U", "V", 3, 2)]
    composed = apply(
        parse_specification(text(declared, *box("X", 3), *box("U", 3), *same, "(<= Y[0] V[0])")), files, check=False
    )
    assert composed.network.input_size == composed.query.inputs == len(set(values))
    chosen = {place: Fraction(int(rng.integers(-8, 9)), 8) for place in sorted(set(first))}
    found = exact_outputs(composed.network, list(chosen.values()))
    everything = np.array([float(chosen[place]) for place in first])
    wanted = [w[1] @ np.maximum(w[0] @ x, 0.0) for w, x in zip(weights.values(), np.split(everything, 2), strict=True)]
    assert [(float(low), float(high)) for low, high in found] == [(y, y) for y in np.concatenate(wanted)]


def test_inputs_that_are_wired_wrongly_are_noticed(tmp_path, monkeypatch):
    from slir_milp.compose import assemble

    def reversed_picks(builder, name, element, shape, given, numbers):
        return right(builder, name, element, shape, given, numbers[::-1])

    right = assemble._assemble
    monkeypatch.setattr(assemble, "_assemble", reversed_picks)
    rng = np.random.default_rng(3)
    with pytest.raises(NetworkError, match="disagrees with the runtime"):
        two(tmp_path, rng, *box("X", 2), *box("U", 2), "(== U[0] X[0])", "(== U[1] X[1])", "(<= Y[0] V[0])")


@settings(max_examples=8, deadline=None, phases=PHASES, suppress_health_check=SLOW)
@given(seed=st.integers(0, 2**32 - 1), equal=st.booleans())
def test_verdicts_are_those_of_brute_force(tmp_path, seed, equal):
    rng = np.random.default_rng(seed)
    names = ["X[0]", "X[1]", "Y[0]", "Y[1]", "U[0]", "U[1]", "V[0]", "V[1]", "H[0,0]", "H[2,0]"]

    def row() -> str:
        chosen = rng.choice(names, size=int(rng.integers(1, 4)), replace=False)
        terms = " ".join(f"(* {int(rng.integers(-4, 5))}.5 {name})" for name in chosen)
        return f"({rng.choice(['<=', '>=', '<', '>'])} (+ {terms}) {int(rng.integers(-20, 21)) / 4})"

    same = ["(== U[0] X[0])"] if rng.random() < 0.5 else ["(<= (- U[0] X[0]) 0.25)", "(>= (- U[0] X[0]) -0.25)"]
    conditions = [*box("X", 2), "(<= U[1] 0.5)", "(>= U[1] -1.0)", *same, row(), f"(or {row()} (and {row()} {row()}))"]
    composed = two(tmp_path, rng, *conditions, equal=equal)
    lower, upper = -1.5, 1.5
    size = composed.network.input_size
    formula = composed.query.formula
    truths = {
        find_witness(composed.network, formula, (lower,) * size, (upper,) * size, margin) is not None
        for margin in (Fraction(-1, 10**6), Fraction(0), Fraction(1, 10**6))
    }
    verdict = decide(composed)
    if len(truths) == 1:  # else it hangs on the last digit
        assert verdict.status is (Status.SAT if truths.pop() else Status.UNSAT)
    if verdict.witness is not None:
        assert invert(composed, verdict.witness.x).holds_exactly


@settings(max_examples=10, deadline=None, phases=PHASES, suppress_health_check=SLOW)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_planted_witness_of_polynomials_is_never_denied(tmp_path, seed):
    rng = np.random.default_rng(seed)
    monomials = ["(* X[0] Y[0])", "(* Y[0] V[1])", "(* X[1] X[1])", "(* U[0] X[0] Y[1])", "V[0]", "(* H[0,0] H[0,0])"]
    chosen = rng.choice(monomials, size=3, replace=False)
    terms = [f"(* {rng.integers(-3, 4)}.0 {monomial})" for monomial in chosen]
    free = two(tmp_path, rng, *box("X", 2), *box("U", 2), f"(<= (+ {' '.join(terms)}) 0.0)")
    x = [Fraction(int(value), 8) for value in rng.integers(-8, 9, 4)]
    values = [ends for tensor in invert(free, x).exact for ends in tensor]
    atom = free.specification.formula.parts[-1]
    points = free.specification.with_monomials(values)
    total = sum((a * points[v][0] for v, a in atom.terms), Fraction(0))
    slack = Fraction(int(rng.integers(0, 3)), 16)
    bound = f"(<= (+ {' '.join(terms)}) {float(total + slack)})"
    assert Fraction(float(total + slack)) == total + slack
    composed = apply(
        parse_specification(
            text(
                [network("f", "X", "Y", 2, 2, HIDDEN), network("g", "U", "V", 2, 2)], *box("X", 2), *box("U", 2), bound
            )
        ),
        {name: free.models[name].path for name in ("f", "g")},
    )
    verdict = decide(composed, 5.0)
    assert verdict.status is not Status.UNSAT
    if verdict.witness is not None:
        assert invert(composed, verdict.witness.x).holds_exactly
    if slack:
        assert verdict.status is Status.SAT


def test_products_are_bounded(tmp_path):
    rng = np.random.default_rng(7)
    composed = two(tmp_path, rng, *box("X", 2), *box("U", 2), "(> (+ (* X[0] U[0]) (* X[1] X[1])) 2.001)")
    assert decide(composed).status is Status.UNSAT


def test_networks_on_the_same_inputs_share_them(tmp_path):
    rng = np.random.default_rng(1)
    weights = [eighths(rng, 3, 2), eighths(rng, 1, 3)]
    files = {n: dense(tmp_path / f"{n}.onnx", weights, element=e) for n, e in (("f", "float32"), ("g", "float64"))}
    declared = [network("f", "X", "Y", 2, 1), network("g", "U", "V", 2, 1)]
    same = ["(== X[1] U[0])", "(<= (- X[0] U[1]) 0.0)", "(>= (* 2.0 X[0]) (* 2.0 U[1]))"]
    specification = parse_specification(text(declared, *box("X", 2), *same, "(!= Y[0] V[0])"))
    composed = apply(specification, files)
    assert composed.network.input_size == 2
    swapped = [weights[0][:, ::-1], weights[1]]
    assert decide(composed).status is Status.SAT
    dense(files["g"], swapped, element="float64")
    assert decide(apply(specification, files)).status is Status.UNSAT


def test_weights_of_equal_networks_are_stored_once(tmp_path):
    rng = np.random.default_rng(1)
    once = two(tmp_path, rng, *box("X", 2), *box("U", 2), "(<= Y[0] V[0])", equal=True)
    model = onnx.load_from_string(once.content)
    assert sorted(tensor.name for tensor in model.graph.initializer) == ["f/flat", "f/row", "f/w0", "f/w1"]
    onnx.checker.check_model(onnx.load_from_string(once.content))


def test_operator_sets_are_reconciled(tmp_path):
    rng = np.random.default_rng(3)
    weights = [eighths(rng, 3, 2), eighths(rng, 1, 3)]
    files = {n: dense(tmp_path / f"{n}.onnx", weights, opset=opset) for n, opset in (("f", 9), ("g", 17))}
    declared = [network("f", "X", "Y", 2, 1), network("g", "U", "V", 2, 1)]
    same = ["(== X[0] U[0])", "(== X[1] U[1])"]
    composed = apply(parse_specification(text(declared, *box("X", 2), *same, "(> Y[0] V[0])")), files)
    assert decide(composed).status is Status.UNSAT


def test_half_precision_is_read_as_real_numbers(tmp_path):
    rng = np.random.default_rng(3)
    file = dense(tmp_path / "f.onnx", [eighths(rng, 3, 2), eighths(rng, 1, 3)], element="float16")
    declared = "f (declare-input X float16 [2]) (declare-output Y float16 [1])"
    specification = parse_specification(text([declared], *box("X", 2), "(>= Y[0] -100.0)"))
    with pytest.raises(QueryError, match=r"X has the element type float16.*--floats-as-real"):
        apply(specification, {"f": file})
    composed = apply(specification, {"f": file}, floats_as_real=True)
    verdict = decide(composed)
    assert verdict.status is Status.SAT
    assert invert(composed, verdict.witness.x).holds_exactly


def test_free_dimensions_take_the_declared_extent(tmp_path):
    weights = [np.eye(6), np.ones((1, 6))]
    file = dense(tmp_path / "f.onnx", weights, shape=["batch", 3])
    declared = "f (declare-input X real [2,3]) (declare-output Y real [1])"
    bounds = [f"({r} X[{i},{j}] {e})" for i in (0, 1) for j in (0, 1, 2) for r, e in (("<=", "1.0"), (">=", "0.0"))]
    composed = apply(parse_specification(text([declared], *bounds, "(>= Y[0] 5.5)")), {"f": file})
    assert composed.network.input_size == 6
    assert decide(composed).status is Status.SAT


def test_shapes_that_list_the_same_elements_are_a_warning(tmp_path):
    file = dense(tmp_path / "f.onnx", [np.ones((1, 2))], shape=[1, 1, 2])
    specification = parse_specification(text([network("f", "X", "Y", 2, 1)], *box("X", 2), "(>= Y[0] 2.0)"))
    with pytest.warns(SlirWarning, match=r"X is declared as \[2\], but 'x' in .* is \[1,1,2\]"):
        composed = apply(specification, {"f": file})
    assert decide(composed).status is Status.SAT


def with_default(path: Path) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["y"])],
        "default",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "k")],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.array([2.0, 0.25], dtype=np.float32), "k")],
    )
    return save(path, graph)


def test_initialized_inputs_have_the_models_values(tmp_path):
    declared = "f (declare-input X real [2]) (declare-input K real [2] initialized) (declare-output Y real [2])"
    specification = parse_specification(text([declared], *box("X", 2), "(>= Y[0] 1.5)", version="2.1"))
    composed = apply(specification, {"f": with_default(tmp_path / "f.onnx")})
    verdict = decide(composed)
    assert invert(composed, verdict.witness.x).values[1] == (2, Fraction(1, 4))
    # Without the word it is an input as any other, and may also be left out of the declaration.
    free = text([declared.replace(" initialized", "")], *box("X", 2), *box("K", 2, 5, 6), "(>= Y[0] 5.5)")
    assert decide(apply(parse_specification(free), {"f": tmp_path / "f.onnx"})).status is Status.SAT
    left_out = text([network("f", "X", "Y", 2, 2)], *box("X", 2), "(> Y[0] 2.0)")
    assert decide(apply(parse_specification(left_out), {"f": tmp_path / "f.onnx"})).status is Status.UNSAT


def test_what_is_initialized_has_an_initial_value(tmp_path):
    file = with_default(tmp_path / "f.onnx")
    rng = np.random.default_rng(2)
    plain = dense(tmp_path / "g.onnx", [eighths(rng, 2, 2)])
    one = "f (declare-input X real [2] initialized) (declare-output Y real [2])"
    equal = "(equal-to g) (declare-input U real [2] initialized) (declare-output V real [2])"
    for declared, given_files, message in (
        ([one], {"f": file}, "declares 1 inputs of f, but .* has 2"),
        ([network("g", "X", "Y", 2, 2), f"h {equal}"], {"g": plain}, "no initial value for its input 'x', so U has"),
    ):
        specification = parse_specification(text(declared, *box("X", 2), "(>= Y[0] 1.5)", version="2.1"))
        with pytest.raises(NetworkError, match=message):
            apply(specification, given_files)


def test_a_tensor_may_have_any_name(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x/free"], ["y"])],
        "named",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [numpy_helper.from_array(np.array([1, 2], dtype=np.float32), "x/free")],
    )
    files = {"f": save(tmp_path / "f.onnx", graph), "g": save(tmp_path / "g.onnx", graph)}
    declared = [network("f", "X", "Y", 2, 2), network("g", "U", "V", 2, 2)]
    conditions = [*box("X", 2), *box("U", 2), "(== U[0] X[0])", "(> V[1] 2.5)"]
    assert decide(apply(parse_specification(text(declared, *conditions)), files)).status is Status.SAT


def test_inputs_without_bounds_are_searched_and_named(tmp_path):
    file = dense(tmp_path / "f.onnx", [np.array([[1.0, 0.0]])])
    declared = [network("f", "X", "Y", 2, 1)]
    composed = apply(parse_specification(text(declared, "(<= X[0] 1.0)", "(<= Y[0] -7.0)")), {"f": file})
    assert composed.assumed == ("X[0]",)  # the other does not matter
    assert decide(composed).status is Status.SAT


def test_bounds_follow_from_rows():
    declarations = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0"))
    formula = parse_query(
        declarations
        + "(assert (and (<= X_0 1) (>= X_0 -1) (<= (- X_1 X_0) 0.5) (>= (- X_1 X_0) -0.5) (<= X_1 9) (>= X_1 -9)"
        + "(<= Y_0 1)))"
    ).formula
    without = type(formula)(tuple(p for p in formula.parts if p.terms not in (((1, 1),), ((1, -1),))))
    found = implied_bounds(without, 2)
    assert {(atom.terms, atom.constant) for atom in found} == {
        (((1, Fraction(1)),), Fraction(-3, 2)),
        (((1, Fraction(-1)),), Fraction(-3, 2)),
    }
    assert surely_holds(found[0], [(Fraction(0),) * 2, (Fraction(3, 2),) * 2])


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({}, OptionError, "the network f of the query has no model; add --network f=FILE"),
        ({"f": "f.onnx", "h": "f.onnx"}, OptionError, "--network h=... names no network of the query"),
        ({"f": "f.onnx", "g": "f.onnx"}, OptionError, "g is declared equal to f, and has its model"),
        ({"f": "missing.onnx"}, NetworkError, "cannot read"),
        ({"f": "text.onnx"}, NetworkError, "not an ONNX model"),
        ({"f": "wide.onnx"}, NetworkError, r"X is declared as \[2\], but 'x' in .* is \[3\]"),
        ({"f": "tall.onnx"}, NetworkError, r"Y is declared as \[1\], but 'y' in .* is \[2\]"),
        ({"f": "shallow.onnx"}, NetworkError, "has no node with an output 'h0', which H is declared to be"),
    ],
)
def test_files_that_do_not_belong_get_a_sentence(tmp_path, given, error, message):
    (tmp_path / "text.onnx").write_text("no model")
    dense(tmp_path / "f.onnx", [np.ones((3, 2)), np.ones((1, 3))])
    dense(tmp_path / "wide.onnx", [np.ones((3, 3)), np.ones((1, 3))])
    dense(tmp_path / "tall.onnx", [np.ones((3, 2)), np.ones((2, 3))])
    dense(tmp_path / "shallow.onnx", [np.ones((1, 2))])
    declared = [
        network("f", "X", "Y", 2, 1, HIDDEN),
        network("g", "U", "V", 2, 1, relation="(equal-to f)"),
    ]
    specification = parse_specification(text(declared, *box("X", 2), *box("U", 2), "(<= Y[0] V[0])"))
    with pytest.raises(error, match=message):
        apply(specification, {name: tmp_path / file for name, file in given.items()})


def test_isomorphic_models_have_the_same_graph(tmp_path):
    rng = np.random.default_rng(5)
    one = dense(tmp_path / "one.onnx", [eighths(rng, 3, 2), eighths(rng, 1, 3)])
    alike = dense(tmp_path / "alike.onnx", [eighths(rng, 3, 2), eighths(rng, 1, 3)], element="float64")
    other = dense(tmp_path / "other.onnx", [eighths(rng, 3, 2), eighths(rng, 3, 3), eighths(rng, 1, 3)])
    declared = [network("f", "X", "Y", 2, 1), network("g", "U", "V", 2, 1, relation="(isomorphic-to f)")]
    specification = parse_specification(text(declared, *box("X", 2), *box("U", 2), "(<= Y[0] V[0])"))
    apply(specification, {"f": one, "g": alike})
    with pytest.raises(NetworkError, match="have different graphs, but g is declared isomorphic to f"):
        apply(specification, {"f": one, "g": other})


def test_hidden_tensors_may_be_named_by_their_node_or_be_outputs(tmp_path):
    file = dense(tmp_path / "f.onnx", [np.eye(2), np.ones((1, 2))])
    hidden = '(declare-hidden H real [2,1] "relu0") (declare-hidden G real [1] "y")'
    declared = [network("f", "X", "Y", 2, 1, hidden)]
    conditions = [*box("X", 2), "(>= H[1,0] 1.0)", "(== G[0] Y[0])", "(<= G[0] 1.0)"]
    composed = apply(parse_specification(text(declared, *conditions)), {"f": file})
    verdict = decide(composed)
    assert verdict.status is Status.SAT
    assert invert(composed, verdict.witness.x).values[1][1] == 1


def test_scalars_are_tensors_without_indices(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "scalar",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    files = {"f": save(tmp_path / "f.onnx", graph)}
    declared = [
        "f (declare-input X real []) (declare-output Y real [])",
        "g (equal-to f) (declare-input U real []) (declare-output V real [])",
    ]
    bounded = ["(<= X 1.0)", "(>= X -1.0)"]
    same = apply(parse_specification(text(declared, *bounded, "(== U X)", "(!= Y V)")), files)
    assert decide(same).status is Status.UNSAT
    product = apply(parse_specification(text(declared[:1], *bounded, "(>= (* Y Y X) 0.9)")), files)
    assert decide(product).status is Status.SAT


def test_nodes_of_equal_networks_may_come_in_any_order(tmp_path):
    nodes = [helper.make_node("Relu", ["a"], ["y"]), helper.make_node("Neg", ["x"], ["a"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    file = save(tmp_path / "f.onnx", helper.make_graph(nodes, "unsorted", ends[:1], ends[1:]))
    declared = [network("f", "X", "Y", 2, 2), network("g", "U", "V", 2, 2, relation="(equal-to f)")]
    conditions = [*box("X", 2), *box("U", 2), "(> (- Y[1] V[1]) 0.5)"]
    assert decide(apply(parse_specification(text(declared, *conditions)), {"f": file})).status is Status.SAT


def test_assumed_bounds_never_make_unsat(tmp_path):
    dense(tmp_path / "f.onnx", [np.array([[1.0]]), np.array([[1.0]])])
    query = tmp_path / "open.vnnlib"
    query.write_text(text([network("f", "X", "Y", 1, 1)], "(>= X[0] 0.0)", "(>= Y[0] 5000.0)"))
    answer = verify_vnnlib(query, {"f": tmp_path / "f.onnx"}, Options(timeout=20))
    assert answer.verdict.status is Status.UNKNOWN
    assert "X[0]" in answer.verdict.detail
    query.write_text(text([network("f", "X", "Y", 1, 1)], "(>= X[0] 0.0)", "(>= Y[0] 50.0)"))
    answer = verify_vnnlib(query, {"f": tmp_path / "f.onnx"}, Options(timeout=20))
    assert answer.verdict.status is Status.SAT
    assert answer.assignment is not None and answer.assignment.holds_exactly
