"""Files: real networks, damaged ones, the .nnet format, running the original, and what is remembered between runs."""

import gzip
import os
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from slir_milp.errors import NetworkError, UnsupportedOperatorError
from slir_milp.network import Network, Runtime, TensorSpec, cache, exact_outputs, load, load_network
from slir_milp.network.affine import Affine
from slir_milp.network.compare import compare, evaluate_with_error

BENCHMARKS = Path(os.environ.get("SLIR_MILP_BENCHMARKS", "nowhere"))
needs_benchmarks = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="SLIR_MILP_BENCHMARKS names no folder")
RELU_SETS = ["acasxu", "acc_fc", "cersyve", "collins_rul_cnn", "cora", "linearizenn", "mnist_fc", "nn4sys_2024"]
RELU_SETS += ["reach_prob_density", "rl_benchmarks", "safenlp", "sat_relu", "test", "tllverifybench"]
NNET = b"""// a comment
2,2,1,2,
2,2,1,
0,
-1.0,-1.0,
1.0,1.0,
0.0,0.0,0.0,
1.0,1.0,1.0,
1.0,-0.1,
0.5,2.0,
0.25,
-1.0,
3.0,0.1,
0.7,
"""


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch, tmp_path):
    """A cache of its own for every test."""
    monkeypatch.setenv("SLIR_MILP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def small_model():
    rng = np.random.default_rng(1)
    constants = {"w": rng.standard_normal((3, 4)), "b": rng.standard_normal(4), "v": rng.standard_normal((4, 2))}
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Transpose", ["r"], ["t"]),
        helper.make_node("Transpose", ["t"], ["u"]),
        helper.make_node("MatMul", ["u", "v"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(small_model().SerializeToString())
    return path


def assert_same(left, right):
    """The networks are the same to the last bit."""
    assert left.inputs == right.inputs and left.outputs == right.outputs
    assert len(left.affines) == len(right.affines)
    for a, b in zip(left.affines, right.affines, strict=True):
        for one, other in ((a.weight, b.weight), (a.weight_radius, b.weight_radius)):
            assert type(one) is type(other)
            if isinstance(one, np.ndarray):
                assert np.array_equal(one, other) and one.flags.c_contiguous and other.flags.c_contiguous
            elif one is not None:
                assert one.shape == other.shape and (one != other).nnz == 0
                assert other.indices.dtype == other.indptr.dtype == np.int32 and other.has_sorted_indices
        assert np.array_equal(a.bias, b.bias)
        assert (a.bias_radius is None) == (b.bias_radius is None)
        assert a.bias_radius is None or np.array_equal(a.bias_radius, b.bias_radius)
    for a, b in zip(left.layers, right.layers, strict=True):
        assert np.array_equal(a.negative_slope, b.negative_slope)
        assert np.array_equal(a.positive_slope, b.positive_slope)


def onnx_files(folder):
    return sorted(path for path in (BENCHMARKS / folder / "onnx").iterdir() if path.suffix in (".onnx", ".gz"))


@needs_benchmarks
@pytest.mark.parametrize("folder", RELU_SETS)
def test_real_networks_load_and_agree_with_the_runtime(folder):
    paths = [path for path in onnx_files(folder) if "N=M=24" not in path.name and "N=M=32" not in path.name]
    for path in paths:
        network, runtime = load_network(path), Runtime(path)
        x = np.random.default_rng(5).uniform(-1, 1, network.input_size).astype(np.float32)
        value, error = evaluate_with_error(network, x.astype(float), 2.0**-24)
        assert np.all(np.abs(runtime.outputs(x) - value) <= error), path.name
        assert len(network.sha256) == 64 and network.source == str(path)
        if len(paths) <= 8 and network.input_size < 800:
            exact = exact_outputs(network, x.astype(float).tolist())
            assert np.allclose([float(low) for low, _ in exact], network(x.astype(float)), rtol=1e-9, atol=1e-9)


@needs_benchmarks
@pytest.mark.slow
def test_large_real_networks_load_and_agree_with_the_runtime():
    for path in onnx_files("tllverifybench"):
        network = load_network(path)
        x = np.array([0.3, -0.7], dtype=np.float32)
        value, error = evaluate_with_error(network, x.astype(float), 2.0**-24)
        assert np.all(np.abs(Runtime(path).outputs(x) - value) <= error)


@needs_benchmarks
def test_graphs_that_exercise_a_reader_load_or_name_what_is_unsupported():
    refused = {}
    for path in onnx_files("marabou_misc"):
        try:
            network = load_network(path)
        except UnsupportedOperatorError as error:
            refused[path.stem] = str(error)
            continue
        x = np.random.default_rng(5).uniform(-1, 1, network.input_size).astype(np.float32)
        value, error = evaluate_with_error(network, x.astype(float), 2.0**-24)
        assert np.all(np.abs(Runtime(path).outputs(x) - value) <= error), path.name
    assert {name: text.split("operator ")[1].split()[0] for name, text in refused.items()} == {
        "layer-zoo__dropout_training_mode_true": "Dropout",
    }


@needs_benchmarks
def test_nnet_files_have_the_weights_of_their_onnx_twins():
    for path in sorted((BENCHMARKS / "acasxu" / "nnet").iterdir())[::4]:
        twin = load_network(path.parent.parent / "onnx" / f"{path.stem}.onnx")
        network = load_network(path)
        for a, b in zip(network.affines, twin.affines, strict=True):
            assert np.array_equal(a.weight, b.weight) and np.array_equal(a.bias, b.bias)


@needs_benchmarks
def test_real_networks_cut_short_or_changed_are_refused_or_read(tmp_path):
    source = (BENCHMARKS / "test" / "onnx" / "test_sat.onnx").read_bytes()
    survive_mutations(source, tmp_path / "net.onnx", 120)


def survive_mutations(source, path, count):
    """Damaged copies of a file load or are refused, and nothing else happens; returns how many were refused."""
    rng, refused = np.random.default_rng(11), 0
    for number in range(count):
        damaged = bytearray(source)
        match number % 4:
            case 0:
                damaged = damaged[: rng.integers(len(damaged))]
            case 1:
                for place in rng.integers(len(damaged), size=rng.integers(1, 4)):
                    damaged[place] ^= 1 << rng.integers(8)
            case 2:
                start, length = rng.integers(len(damaged)), rng.integers(1, 30)
                damaged[start : start + length] = rng.bytes(rng.integers(0, 30))
            case 3:
                place = rng.integers(len(damaged))
                damaged[place] = (0, 1, 127, 128, 255)[rng.integers(5)]
        path.write_bytes(damaged)
        began = time.perf_counter()
        try:
            load_network(path)
        except NetworkError as error:
            refused += 1
            assert len(str(error)) > 20 and "Traceback" not in str(error)
        assert time.perf_counter() - began < 5
    return refused


def test_damaged_onnx_files_are_refused_or_read(tmp_path):
    assert survive_mutations(small_model().SerializeToString(), tmp_path / "net.onnx", 400) > 100


def test_damaged_nnet_files_are_refused_or_read(tmp_path):
    assert survive_mutations(NNET, tmp_path / "net.nnet", 400) > 100


@pytest.mark.parametrize("content", [b"", b"\0", b"hello", b"\x08" * 1000, bytes(range(256)) * 8])
@pytest.mark.parametrize("name", ["net.onnx", "net.nnet", "net.onnx.gz", "net.nnet.gz"])
def test_garbage_is_refused(name, content, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(NetworkError):
        load_network(path)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(NetworkError, match=r"cannot read .*: No such file"):
        load_network(tmp_path / "none.onnx")


def test_packed_files_are_unpacked_and_damaged_packing_is_refused(small, tmp_path):
    packed = tmp_path / "net.onnx.gz"
    packed.write_bytes(gzip.compress(small.read_bytes()))
    assert_same(load_network(packed), load_network(small))
    x = np.ones(3, dtype=np.float32)
    assert np.array_equal(Runtime(packed).outputs(x), Runtime(small).outputs(x))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(NetworkError, match="not a sound gzip file"):
        load_network(packed)


def test_weights_in_another_file(tmp_path):
    import onnx

    path = tmp_path / "net.onnx"
    onnx.save_model(small_model(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    network = load_network(path)
    assert network(np.ones(3)).shape == (2,)
    assert np.allclose(Runtime(path).outputs(np.ones(3)), network(np.ones(3)))
    assert not list((tmp_path / "cache").glob("*.npz")), "the digest does not cover the other file"
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(NetworkError, match="weights in another file"):
        load_network(path)


def test_nnet_is_read(tmp_path):
    path = tmp_path / "net.nnet"
    path.write_bytes(NNET)
    network = load_network(path)
    assert [layer.size for layer in network.layers] == [2]
    assert network.layers[0].affine.weight[0, 1] == np.float64(np.float32(-0.1))
    x = np.array([0.5, 0.25])
    hidden = np.maximum(np.float32([[1, -0.1], [0.5, 2]]) @ x.astype(np.float32) + np.float32([0.25, -1]), 0)
    assert np.allclose(network(x), [3 * hidden[0] + 0.1 * hidden[1] + 0.7])
    assert Runtime(path).outputs_batch(np.array([x, -x])).shape == (2, 1)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"2,2,1,2,", b"2,3,1,2,", "line 3 gives sizes 2"),
        (b"2,2,1,2,", b"2,0,1,2,", "line 2 should hold 3 positive whole numbers"),
        (b"2,2,1,2,", b"99999999,2,1,2,", "line 2 asks for more"),
        (b"0.5,2.0,", b"0.5,2.0,1.0", "line 10 holds 3 numbers where 2 are expected"),
        (b"0.5,2.0,", b"0.5,two,", "line 10 is not a list of numbers"),
        (b"0.5,2.0,", b"0.5,1e99,", "line 10 holds a number that float32 cannot hold"),
        (b"0.5,2.0,", b"0.5,nan,", "line 10 holds a number that float32 cannot hold"),
        (b"0.7,", b"", "ends too early"),
        (b"0.7,", b"0.7,\n1.0,", "line 15 comes after the last bias"),
    ],
)
def test_errors_in_nnet_files_name_the_line(old, new, words, tmp_path):
    path = tmp_path / "net.nnet"
    path.write_bytes(NNET.replace(old, new, 1))
    with pytest.raises(NetworkError, match=words):
        load_network(path)


def test_the_runtime_checks_its_input(small):
    with pytest.raises(NetworkError, match="takes 3 numbers"):
        Runtime(small).outputs(np.zeros(4))
    with pytest.raises(ValueError, match="need at least one array"):
        Runtime(small).outputs_batch(np.zeros((0, 3)))


def test_a_network_that_disagrees_with_its_file_is_refused(small):
    network = load_network(small)
    for change in (1e-4, -1.0):
        output = Affine(network.output.weight, network.output.bias + change)
        wrong = Network(network.layers, output, network.inputs, network.outputs)
        with pytest.raises(NetworkError, match="disagrees with the runtime"):
            compare(wrong, Runtime(small))
    compare(network, Runtime(small))


def test_cancellation_inside_the_original_is_no_disagreement(tmp_path):
    """A graph that adds a large number and takes it away again is less precise than its normal form."""
    constants = {"big": np.array([1e6], np.float32), "w": np.ones((3, 2), np.float32)}
    nodes = [
        helper.make_node("Add", ["x", "big"], ["a"]),
        helper.make_node("Sub", ["a", "big"], ["b"]),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cancelling",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    path = tmp_path / "net.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    network = load_network(path)
    assert network.layers == () and network.output.is_exact
    assert exact_outputs(network, [Fraction(1, 3)] * 3) == [(1, 1), (1, 1)]


def test_a_remembered_network_is_the_same(small, monkeypatch):
    first = load_network(small)
    monkeypatch.setattr(load, "_read_onnx", None)
    second = load_network(small)
    assert_same(first, second)
    assert first.sha256 == second.sha256


@needs_benchmarks
@pytest.mark.parametrize("name", ["cersyve/onnx/pendulum_finetune_inv.onnx", "sat_relu/onnx/sat_v33_c140.onnx"])
def test_sparse_and_inexact_networks_are_remembered_too(name, monkeypatch):
    first = load_network(BENCHMARKS / name)
    monkeypatch.setattr(load, "_read_onnx", None)
    assert_same(first, load_network(BENCHMARKS / name))


def test_an_unchecked_network_is_not_remembered(small, cache_folder):
    load_network(small, check=False)
    assert not cache_folder.exists()


def test_the_cache_can_be_turned_off(small, monkeypatch, cache_folder):
    monkeypatch.setenv("SLIR_MILP_CACHE", "off")
    load_network(small)
    assert not cache_folder.exists() and cache.folder() is None


def test_the_cache_lies_where_the_environment_says(monkeypatch):
    monkeypatch.delenv("SLIR_MILP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache.folder() == Path("/somewhere/slir_milp")


def test_damaged_entries_are_ignored_and_rewritten(small, cache_folder):
    network = load_network(small)
    (entry,) = cache_folder.glob("*.npz")
    sound = entry.read_bytes()
    rng = np.random.default_rng(2)
    for number in range(60):
        damaged = bytearray(sound)
        if number % 3 == 0:
            damaged = damaged[: rng.integers(len(sound))]
        else:
            damaged[rng.integers(len(sound))] ^= 1 << rng.integers(8)
        entry.write_bytes(damaged)
        found = cache.recall(small.read_bytes(), small.name)
        if found is not None:  # the change was in the packing, not in what is packed
            assert_same(found, network)
    entry.write_bytes(b"")
    assert_same(load_network(small), network)
    assert_same(cache.recall(small.read_bytes(), small.name), network)


def test_a_forged_entry_with_a_wrong_digest_is_ignored(small, cache_folder):
    load_network(small)
    (entry,) = cache_folder.glob("*.npz")
    with np.load(entry) as stored:
        parts = {name: stored[name] for name in stored.files}
    parts["floats"] = parts["floats"] + 1e-9
    np.savez(entry, **parts)
    assert cache.recall(small.read_bytes(), small.name) is None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX permissions")
def test_an_entry_that_others_may_write_is_ignored(small, cache_folder):
    load_network(small)
    (entry,) = cache_folder.glob("*.npz")
    entry.chmod(0o666)
    assert cache.recall(small.read_bytes(), small.name) is None


def test_another_file_or_another_program_finds_nothing(small, monkeypatch):
    load_network(small)
    assert cache.recall(small.read_bytes() + b"x", small.name) is None
    monkeypatch.setattr(cache, "_program_digest", lambda: b"other")
    assert cache.recall(small.read_bytes(), small.name) is None


def test_a_cache_that_cannot_be_written_is_no_error(small, monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("SLIR_MILP_CACHE", str(blocked))
    assert load_network(small).output_size == 2


def test_a_remembered_dense_network_needs_only_numpy(small):
    load_network(small)
    program = (
        "import sys; from slir_milp.network import load_network; load_network(sys.argv[1]);"
        "print([name for name in ('onnx', 'onnxruntime', 'networkx', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(small)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]" and done.stderr == ""


def test_specs_count_their_elements():
    assert TensorSpec("x", (2, 3)).size == 6 and TensorSpec("x", ()).size == 1
