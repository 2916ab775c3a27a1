"""``slir-milp-vnnlib supports``: what it claims is what the program does."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from slir_milp.commands.supports import CAPABILITIES, OLDEST_OPSET, newest_opset
from slir_milp.network import load_network
from slir_milp.network.operators import OPERATORS
from slir_milp.vnnlib_cli import main

NEWEST = newest_opset()


def lines(capsys, *arguments):
    assert main(["supports", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_versions_of_the_operator_set(capsys):
    assert lines(capsys, "--onnx-opset-versions") == [str(OLDEST_OPSET), str(NEWEST)]
    assert NEWEST >= 21


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST + 1))
def test_a_network_of_every_claimed_version_is_read(opset, tmp_path, monkeypatch):
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")
    constants = {"w": np.float32([[1, 2], [3, 4]]), "b": np.float32([0.5, -0.5]), "shape": np.array([1, 2])}
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["h"]),
            helper.make_node("Relu", ["h"], ["a"]),
            helper.make_node("Sigmoid", ["a"], ["s"]),
            helper.make_node("Add", ["a", "s"], ["y"]),
        ],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert load_network(tmp_path / "net.onnx").output_size == 2


def test_operators_are_those_that_are_read(capsys):
    found = lines(capsys, "--onnx-operators")
    assert found == sorted(set(found))
    assert set(OPERATORS) < set(found)
    assert {"Shape", "Constant", "ConstantOfShape"} <= set(found)
    assert not {"ArgMax", "LSTM", "Round"} & set(found)


@pytest.mark.parametrize(("consent", "types"), [("real", {"real", "float32", "float64"}), ("", {"real"})])
def test_floating_point_types_take_consent(consent, types, capsys, monkeypatch):
    monkeypatch.setenv("SLIR_MILP_FLOATS", consent)
    assert set(lines(capsys, "--onnx-element-types")) == types


def test_all_of_it_for_people(capsys):
    text = "\n".join(lines(capsys))
    for capability in CAPABILITIES:
        assert f"--{capability.name}: {capability.meaning}" in text
    assert max(map(len, text.splitlines())) <= 100


def test_one_question_at_a_time(capsys):
    for arguments in (["--nothing"], ["--onnx-operators", "--vnnlib-versions"]):
        assert main(["supports", *arguments]) == 2
        assert "error" in capsys.readouterr().err
