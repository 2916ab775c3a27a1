"""Wrong proofs that live off the limits of float64, and off a weight that is given twice: none is accepted."""

from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from slir_milp.certificate.check import Files, Report, check
from slir_milp.certificate.file import Header
from slir_milp.certificate.format import Combination, Entry, Kind, Numbers, Ratios, pack
from slir_milp.certificate.write import ProofWriter
from slir_milp.network import load_network

BOTH = pytest.mark.parametrize("exact", [False, True], ids=["ball", "exact"])


def numbers(values: dict[int, float]) -> Numbers:
    return Numbers(np.array(list(values), dtype=np.uint16), np.array(list(values.values())))


def answer(folder: Path, weights: list[float], query: str, end: Entry, exact: bool) -> Report:
    """Check a proof that is one entry, about a chain of float64 neurons ``relu(w x)`` with the last one plain."""
    nodes, constants, name = [], [], "X"
    for i, weight in enumerate(weights):
        constants.append(numpy_helper.from_array(np.full((1, 1), weight), f"w{i}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{i}"], [f"z{i}"]))
        name = f"z{i}"
        if i + 1 < len(weights):
            nodes.append(helper.make_node("Relu", [name], [f"a{i}"]))
            name = f"a{i}"
    ends = [helper.make_tensor_value_info(end, TensorProto.DOUBLE, [1, 1]) for end in ("X", name)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    files = Files(folder / "run.proof", folder / "net.onnx", folder / "query.vnnlib")
    onnx.save(model, files.network)
    text = f"(declare-const X_0 Real)(declare-const Y_0 Real){query}".encode()
    Path(files.query).write_bytes(text)
    network = load_network(files.network)
    layers = tuple(layer.size for layer in network.layers)
    header = Header("unsat", network.sha256, sha256(text).hexdigest(), "", 1, 1, layers, 2, "a test")
    writer = ProofWriter(files.proof, header)
    writer.append(pack(end, 2))
    writer.commit()
    return check(files, exact=exact)


@BOTH
@pytest.mark.parametrize("second", ["a number", "a fraction"])
def test_a_weight_that_is_taken_back_makes_no_sum_strict(tmp_path: Path, exact: bool, second: str) -> None:
    query = "(assert (>= X_0 0))(assert (<= X_0 1))(assert (> Y_0 0.5))"
    index = np.array([2], dtype=np.uint16)
    if second == "a number":
        combination = Combination(Numbers(np.repeat(index, 2), np.array([1.0, 0.0])))
    else:
        none = Ratios(index, np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.uint64))
        combination = Combination(numbers({2: 1.0}), none)
    assert not answer(tmp_path, [1.0, 1.0], query, Entry(Kind.REFUTED, 0, combination=combination), exact).accepted


@BOTH
def test_a_weight_does_not_make_a_huge_output_vanish(tmp_path: Path, exact: bool) -> None:
    """At 1 the output is -1e120, and 2^-100 of that is below -2^200; times 2^-976 it is below the least float64."""
    small = f"(* (/ 1 {2**100}) Y_0)"
    query = f"(assert (>= X_0 0))(assert (<= X_0 1))(assert (<= (+ {small} {2**200}) 0))"
    end = Entry(Kind.REFUTED, 0, combination=Combination(numbers({2: 2.0**-976})))
    assert not answer(tmp_path, [1.0, 1e60, -1e60], query, end, exact).accepted


@BOTH
@pytest.mark.parametrize("weight", [1.0, 2e307])
def test_numbers_of_a_query_are_not_rounded_to_denormal_ones(tmp_path: Path, exact: bool, weight: float) -> None:
    """``x >= b, x >= b, 2 x <= a`` holds for some x as ``2 b < a``, but not once all are multiples of 2^-1074."""
    b, a = (Fraction(n, 10 * 2**1074) for n in (6, 13))
    lower = f"(assert (>= (+ X_0 Y_0) (/ {b.numerator} {b.denominator})))"
    upper = f"(assert (<= (+ X_0 X_0 Y_0 Y_0) (/ {a.numerator} {a.denominator})))"
    query = f"(assert (>= X_0 0))(assert (<= X_0 1e-322)){lower}{lower}{upper}"
    end = Entry(Kind.REFUTED, 0, combination=Combination(numbers({2: weight, 3: weight, 4: weight})))
    assert not answer(tmp_path, [-1.0, 1e-300], query, end, exact).accepted


@pytest.mark.parametrize(
    "query",
    [
        "(assert (>= X_0 0))(assert (<= X_0 1))(assert (<= Y_0 -1e400))",
        "(assert (>= X_0 0))(assert (<= X_0 1))(assert (<= (* 1e-400 Y_0) -1e-400))",
    ],
    ids=["beyond", "below"],
)
@BOTH
def test_numbers_that_float64_does_not_have_are_left_to_exact_arithmetic(
    tmp_path: Path, exact: bool, query: str
) -> None:
    end = Entry(Kind.REFUTED, 0, combination=Combination(numbers({2: 1.0})))
    assert answer(tmp_path, [1.0, 1.0], query, end, exact).accepted
