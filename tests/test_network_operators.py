"""Every operator as a tiny graph: against ONNX Runtime, and exactly."""

from fractions import Fraction

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import Runtime, exact_outputs, load_network
from slir_milp.network.compare import evaluate_with_error
from slir_milp.network.operators import OPERATORS

RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")


def weights(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def model_of(nodes, inputs, outputs, constants, opset=13, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def check(path, points=6, domain=(-np.inf, np.inf)):
    """The network agrees with the runtime, and its float64 and exact values with each other."""
    network = load_network(path)
    runtime = Runtime(path)
    rng = np.random.default_rng(3)
    for scale in np.resize([1.0, 0.1, 10.0], points):
        x = np.clip(scale * rng.standard_normal(network.input_size), *domain).astype(np.float32)
        wide = x.astype(np.float64)
        value, error = evaluate_with_error(network, wide, 2.0**-24)
        assert np.all(np.abs(runtime.outputs(x) - value) <= error)
        _, tight = evaluate_with_error(network, wide, 2.0**-53)
        for (low, high), output, slack in zip(exact_outputs(network, wide.tolist()), network(wide), tight, strict=True):
            assert low <= high <= low + Fraction(2 * slack)
            assert low - Fraction(slack) <= Fraction(output) <= high + Fraction(slack)
    return network


def one(op, shape, *constants, out=None, opset=13, **attributes):
    """A case: one operator on input x and constants (``None``: left out)."""
    return op, {"x": shape}, constants, out, opset, attributes


W = weights
I64 = lambda *values: np.array(values, dtype=np.int64)  # noqa: E731
CASES = {
    "Relu": one("Relu", (2, 3)),
    "LeakyRelu": one("LeakyRelu", (4,)),
    "LeakyRelu alpha": one("LeakyRelu", (4,), alpha=0.3),
    "PRelu": one("PRelu", (2, 3), W(3)),
    "Abs": one("Abs", (4,)),
    "Neg": one("Neg", (4,)),
    "Identity": one("Identity", (4,)),
    "Dropout": one("Dropout", (4,)),
    "Clip": one("Clip", (5,), np.float32(-0.5), np.float32(0.25)),
    "Clip low": one("Clip", (5,), np.float32(-0.5)),
    "Clip high": one("Clip", (5,), None, np.float32(0.75)),
    "Clip none": one("Clip", (5,)),
    "Clip infinite": one("Clip", (5,), np.float32(-np.inf), np.float32(6)),
    "Clip largest": one("Clip", (5,), np.float32(0), np.float32(np.finfo(np.float32).max)),
    "Clip crossed": one("Clip", (5,), np.float32(1), np.float32(-1)),
    "Clip old": one("Clip", (5,), opset=6, min=0.0, max=6.0),
    "HardSigmoid": one("HardSigmoid", (5,)),
    "Add": one("Add", (2, 3), W(3)),
    "Add spread": one("Add", (1, 3), W(2, 1)),
    "Sub": one("Sub", (2, 3), W(1, 3)),
    "Mul": one("Mul", (2, 3), W(2, 1)),
    "Div": one("Div", (2, 3), W(3)),
    "Div exact": one("Div", (2, 3), np.float32(4)),
    "Sum": one("Sum", (2, 3), W(2, 3), W(3)),
    "Mean": one("Mean", (2, 3), W(2, 3), W(3)),
    "Max": one("Max", (2, 3), W(3), W(2, 1)),
    "Min": one("Min", (2, 3), W(3), W(2, 1)),
    "MatMul": one("MatMul", (2, 3), W(3, 4)),
    "MatMul vector": one("MatMul", (3,), W(3, 4)),
    "MatMul to scalar": one("MatMul", (3,), W(3)),
    "MatMul batch": one("MatMul", (2, 1, 3), W(2, 3, 4)),
    "MatMul spread": one("MatMul", (1, 2, 3), W(5, 3, 2)),
    "Gemm": one("Gemm", (2, 3), W(3, 4), W(4)),
    "Gemm transposed": one("Gemm", (3, 1), W(4, 3), W(1, 4), transA=1, transB=1, alpha=0.3, beta=0.7),
    "Gemm no offset": one("Gemm", (2, 3), W(3, 4)),
    "BatchNormalization": one("BatchNormalization", (1, 2, 3), W(2), W(2), W(2), np.abs(W(2)), opset=9),
    "ReduceSum": one("ReduceSum", (2, 3, 4), I64(0, -1), keepdims=0),
    "ReduceSum all": one("ReduceSum", (2, 3)),
    "ReduceSum none": one("ReduceSum", (2, 3), noop_with_empty_axes=1),
    "ReduceSum old": one("ReduceSum", (2, 3), opset=11, axes=[1]),
    "CumSum": one("CumSum", (2, 3), np.array(1)),
    "CumSum backward": one("CumSum", (3, 2), np.array(-2), exclusive=1, reverse=1),
    "CumSum exclusive": one("CumSum", (4,), np.array(0), exclusive=1),
    "ReduceMean": one("ReduceMean", (2, 3), axes=[1]),
    "ReduceMax": one("ReduceMax", (2, 3), axes=[1]),
    "ReduceMin": one("ReduceMin", (2, 3), axes=[0], keepdims=0),
    "Conv": one("Conv", (1, 2, 5, 4), W(3, 2, 3, 2), W(3)),
    "Conv groups": one("Conv", (1, 4, 5), W(6, 2, 3), group=2),
    "Conv depthwise": one("Conv", (1, 3, 4, 4), W(3, 1, 2, 2), group=3, strides=[2, 1]),
    "Conv dilated": one("Conv", (1, 1, 7, 6), W(2, 1, 2, 3), dilations=[3, 2], pads=[1, 0, 2, 1], strides=[2, 1]),
    "Conv upper": one("Conv", (1, 1, 5, 6), W(1, 1, 2, 3), auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv lower": one("Conv", (1, 1, 5, 6), W(1, 1, 2, 3), auto_pad="SAME_LOWER", strides=[2, 2]),
    "Conv valid": one("Conv", (1, 1, 5, 6), W(1, 1, 2, 3), auto_pad="VALID"),
    "Conv batch": one("Conv", (2, 2, 3), W(2, 2, 2), W(2)),
    "Conv space": one("Conv", (1, 1, 3, 3, 3), W(2, 1, 2, 2, 2)),
    "ConvTranspose": one("ConvTranspose", (1, 2, 3, 4), W(2, 3, 2, 3), W(3)),
    "ConvTranspose strided": one(
        "ConvTranspose", (1, 1, 3, 4), W(1, 2, 3, 2), strides=[2, 3], pads=[1, 0, 0, 1], output_padding=[1, 2]
    ),
    "ConvTranspose dilated": one("ConvTranspose", (1, 1, 5), W(1, 1, 2), dilations=[3], pads=[2, 1]),
    "ConvTranspose groups": one("ConvTranspose", (2, 4, 3), W(4, 3, 2), W(6), group=2),
    "ConvTranspose space": one("ConvTranspose", (1, 2, 2, 1, 2), W(2, 1, 2, 2, 2)),
    "MaxPool": one("MaxPool", (1, 2, 4, 4), kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool padded": one("MaxPool", (1, 1, 5, 5), kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2]),
    "MaxPool ceiling": one("MaxPool", (1, 1, 5, 5), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "AveragePool": one("AveragePool", (1, 2, 5, 5), kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "AveragePool padding counts": one(
        "AveragePool", (1, 2, 5, 5), kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "AveragePool ceiling": one("AveragePool", (1, 1, 5, 6), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
    "GlobalAveragePool": one("GlobalAveragePool", (1, 2, 3, 3)),
    "GlobalMaxPool": one("GlobalMaxPool", (1, 2, 3)),
    "Flatten": one("Flatten", (2, 3, 2), axis=1),
    "Reshape": one("Reshape", (2, 6), I64(3, -1)),
    "Transpose": one("Transpose", (2, 3, 4), perm=[2, 0, 1]),
    "Squeeze": one("Squeeze", (1, 3, 1), I64(0)),
    "Unsqueeze": one("Unsqueeze", (3,), I64(0, 2)),
    "Unsqueeze old": one("Unsqueeze", (3,), opset=11, axes=[1]),
    "Slice": one("Slice", (4, 5), I64(3, 0), I64(0, 5), I64(0, 1), I64(-1, 2)),
    "ReverseSequence": one("ReverseSequence", (3, 2), I64(3, 2)),
    "Slice old": one("Slice", (4, 5), opset=9, starts=[1], ends=[3], axes=[0]),
    "Gather": one("Gather", (4, 3), np.array([[2, -1], [0, 2]]), axis=0),
    "GatherElements": one("GatherElements", (2, 2), np.array([[1, 1], [0, 1]]), axis=1),
    "GatherND": one("GatherND", (2, 3), np.array([[1, 2], [0, 0]])),
    "ScatterElements": one("ScatterElements", (2, 3), np.array([[1, 0, 1]]), W(1, 3), axis=0),
    "ScatterND": one("ScatterND", (4,), np.array([[1], [3]]), W(2)),
    "Concat": one("Concat", (2, 3), W(2, 1), axis=1),
    "Split": one("Split", (2, 4), I64(1, 3), axis=1, out=2),
    "Split old": one("Split", (2, 4), axis=1, out=2, opset=11, split=[3, 1]),
    "Pad": one("Pad", (2, 3), I64(1, 0, 0, 2), np.float32(0.3)),
    "Pad reflect": one("Pad", (2, 3), I64(0, 2, 0, 1), mode="reflect"),
    "Pad cropping": one("Pad", (2, 3), I64(0, -1, 1, 0)),
    "Pad old": one("Pad", (2, 3), opset=2 + 5, pads=[0, 1, 1, 0], value=2.5),
    "Expand": one("Expand", (1, 3), I64(2, 3)),
    "Tile": one("Tile", (2, 2), I64(1, 3)),
    "DepthToSpace": one("DepthToSpace", (1, 4, 2, 2), blocksize=2),
    "SpaceToDepth": one("SpaceToDepth", (1, 1, 4, 4), blocksize=2),
    "Trilu": one("Trilu", (3, 3), opset=14),
    "Where": one("Where", (2, 3), W(2, 3), opset=13),
    "Acos": one("Acos", (4,)),
    "Asin": one("Asin", (4,)),
    "Acosh": one("Acosh", (4,)),
    "Asinh": one("Asinh", (4,)),
    "Atan": one("Atan", (4,)),
    "Atanh": one("Atanh", (4,)),
    "Ceil": one("Ceil", (4,)),
    "Celu": one("Celu", (4,), alpha=0.7),
    "Cos": one("Cos", (4,)),
    "Cosh": one("Cosh", (4,)),
    "Elu": one("Elu", (4,), alpha=1.5),
    "Erf": one("Erf", (4,)),
    "Exp": one("Exp", (4,)),
    "Floor": one("Floor", (4,)),
    "Gelu": one("Gelu", (4,), opset=20),
    "Gelu tanh": one("Gelu", (4,), opset=20, approximate="tanh"),
    "HardSwish": one("HardSwish", (4,), opset=14),
    "Log": one("Log", (4,)),
    "Mish": one("Mish", (4,), opset=18),
    "Reciprocal": one("Reciprocal", (4,)),
    "Selu": one("Selu", (4,)),
    "Shrink": one("Shrink", (4,), lambd=0.3, bias=0.1),
    "Sigmoid": one("Sigmoid", (4,)),
    "Sign": one("Sign", (4,)),
    "Sin": one("Sin", (4,)),
    "Sinh": one("Sinh", (4,)),
    "Softplus": one("Softplus", (4,)),
    "Softsign": one("Softsign", (4,)),
    "Sqrt": one("Sqrt", (4,)),
    "Tan": one("Tan", (4,)),
    "Tanh": one("Tanh", (4,)),
    "ThresholdedRelu": one("ThresholdedRelu", (4,), alpha=0.4),
    "Pow": one("Pow", (4,), np.float32(3)),
    "Pow whole": one("Pow", (4,), np.array([2, 0, 1, -1])),
    "Pow root": one("Pow", (4,), np.float32(0.5)),
    "Softmax": one("Softmax", (2, 3)),
    "Softmax of two": one("Softmax", (2, 3), axis=0),
    "Softmax of one": one("Softmax", (3, 1)),
    "Softmax old": one("Softmax", (2, 2, 2), opset=11),
    "LogSoftmax": one("LogSoftmax", (2, 3)),
    "LogSoftmax of two": one("LogSoftmax", (3, 2)),
    "ReduceLogSumExp": one("ReduceLogSumExp", (2, 3), axes=[1]),
    "ReduceLogSumExp of two": one("ReduceLogSumExp", (2, 3), axes=[0]),
    "ReduceLogSumExp of one": one("ReduceLogSumExp", (1, 3), axes=[0]),
    "ReduceSumSquare": one("ReduceSumSquare", (2, 3), axes=[1]),
    "ReduceL1": one("ReduceL1", (2, 3), axes=[1]),
    "ReduceL2": one("ReduceL2", (2, 3), axes=[1]),
    "ReduceLogSum": one("ReduceLogSum", (2, 2), axes=[1]),
    "ReduceProd": one("ReduceProd", (2, 3), axes=[1]),
    "ReduceProd all": one("ReduceProd", (2, 3), keepdims=0),
    "LayerNormalization": one("LayerNormalization", (2, 4), W(4), W(4), opset=17),
    "LayerNormalization axis": one("LayerNormalization", (2, 2, 2), W(2, 2), opset=17, axis=1, epsilon=0.01),
    "InstanceNormalization": one("InstanceNormalization", (1, 2, 3), W(2), W(2)),
    "Upsample": one("Upsample", (1, 1, 2, 2), np.array([1, 1, 2, 3], dtype=np.float32), opset=9),
    "Resize": one("Resize", (1, 1, 2, 2), None, np.array([1, 1, 2, 2], dtype=np.float32)),
    "Cast": one("Cast", (3,), to=TensorProto.DOUBLE),
    "CastLike": one("CastLike", (3,), np.array([1.0]), opset=15),
}


def case_model(case):
    op, inputs, constants, out, opset, attributes = case
    names = ["x"] + ["" if value is None else f"c{number}" for number, value in enumerate(constants)]
    stored = {f"c{number}": value for number, value in enumerate(constants) if value is not None}
    if op == "Where":
        names, stored["condition"] = ["condition", *names], np.array([[True, False, True]])
    outputs = [f"y{number}" for number in range(out or 1)]
    model = model_of([helper.make_node(op, names, outputs, name="it", **attributes)], inputs, {}, stored, opset)
    kind = TensorProto.DOUBLE if op in ("Cast", "CastLike") else TensorProto.FLOAT
    model.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name in outputs)
    from onnx.shape_inference import infer_shapes

    return infer_shapes(model)


@pytest.fixture
def saved(tmp_path):
    def save(model, name="net.onnx"):
        path = tmp_path / name
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        return path

    return save


@pytest.mark.parametrize("name", CASES)
def test_operator_agrees_with_the_runtime(name, saved):
    check(saved(case_model(CASES[name])), domain=DOMAINS.get(CASES[name][0], (-np.inf, np.inf)))


DOMAINS = {
    "Acos": (-0.9, 0.9),
    "Asin": (-0.9, 0.9),
    "Acosh": (1.1, np.inf),
    "Atanh": (-0.9, 0.9),
    "Log": (0.1, np.inf),
    "Pow": (0.1, np.inf),
    "ReduceLogSum": (0.1, np.inf),
    "Sqrt": (0.1, np.inf),
}
"""Where operators are defined that are not so everywhere."""

CONDITIONS = {"Less", "LessOrEqual", "Greater", "GreaterOrEqual", "Equal", "Not", "And", "Or", "Xor"}
"""Operators without a floating point result; :mod:`tests.test_network_products` has graphs with them."""

UNKNOWN_TO_THE_RUNTIME = {"Swish"}


def test_every_operator_has_a_case():
    assert {case[0] for case in CASES.values()} == set(OPERATORS) - CONDITIONS - UNKNOWN_TO_THE_RUNTIME


@pytest.mark.parametrize(
    ("op", "swap"), [("Sub", W(2, 3)), ("MatMul", W(4, 2)), ("MatMul", W(2)), ("MatMul", W(5, 4, 2)), ("Add", W(3))]
)
def test_constant_on_the_left(op, swap, saved):
    model = model_of([helper.make_node(op, ["c", "x"], ["y"])], {"x": (2, 3)}, {"y": None}, {"c": swap})
    check(saved(model))


def test_gemm_with_a_constant_left_factor_and_a_computed_offset(saved):
    node = helper.make_node("Gemm", ["a", "x", "z"], ["y"], alpha=0.5, beta=3.0, transB=1)
    check(saved(model_of([node], {"x": (4, 3), "z": (4,)}, {"y": None}, {"a": W(2, 3)})))


def test_tensors_of_double_precision(saved):
    constants = {"w": RNG.standard_normal((3, 4)), "b": RNG.standard_normal(4)}
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    network = load_network(saved(model_of(nodes, {"x": (1, 3)}, {"y": (1, 4)}, constants, kind=TensorProto.DOUBLE)))
    assert network.inputs[0].dtype == "float64"
    assert np.array_equal(network.layers[0].affine.weight, constants["w"].T)


@pytest.mark.parametrize(
    "case",
    [
        one("Det", (2, 2)),
        one("Round", (3,)),
        one("Gelu", (3,), opset=20, approximate="other"),
        one("Cast", (3,), to=TensorProto.UINT8),
        one("ConvTranspose", (1, 1, 3), W(1, 1, 2), output_shape=[5], strides=[2]),
        one("Dropout", (3,), np.float32(0.5), np.array(True)),
        one("Resize", (1, 1, 2, 2), None, np.array([1, 1, 2, 2], dtype=np.float32), mode="linear"),
        one("ArgMax", (3,)),
    ],
    ids=lambda case: case[0],
)
def test_unsupported_operators_are_named_with_their_node(case, saved):
    with pytest.raises(UnsupportedOperatorError, match=rf"node 'it': operator {case[0]} .*supported"):
        load_network(saved(case_model(case)))


@pytest.mark.parametrize(
    ("op", "constant", "words"),
    [
        ("Div", np.zeros(3, np.float32), "divides by zero"),
        ("Add", np.array([1, np.nan, 2], np.float32), "not a finite number"),
        ("Mul", np.array([1, np.inf, 2], np.float32), "not a finite number"),
        ("Add", np.zeros(4, np.float32), "do not fit"),
    ],
)
def test_bad_constants_are_refused(op, constant, words, saved):
    node = helper.make_node(op, ["x", "c"], ["y"], name="bad")
    with pytest.raises(NetworkError, match=f"node 'bad': .*{words}"):
        load_network(saved(model_of([node], {"x": (3,)}, {"y": None}, {"c": constant})))
