"""The original file, run in its own element type: the arbiter of what a network means to those who deploy it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from slir_milp.errors import NetworkError
from slir_milp.network.files import is_nnet, read_content

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from slir_milp.activations.registry import Registry
    from slir_milp.network.custom import ReferenceSession

FloatArray = NDArray[Any]

_DTYPES: dict[str, type[np.floating[Any]]] = {
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


class Deployed(Protocol):
    """What computes a deployed network's outputs: a :class:`Runtime`, or whatever stands for several."""

    def outputs(self, point: FloatArray) -> FloatArray:
        """Outputs, shape ``(outputs,)``, at one point of shape ``(inputs,)``."""


def open_session(model: bytes, *, optimized: bool = True) -> InferenceSession:
    """Single-threaded ONNX Runtime session (CPU) that prints nothing.

    Its graph optimizations have limits of their own (some fail on float64, some round factors to float32): they are
    turned off if it fails with them.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    if optimized:
        try:
            return onnxruntime.InferenceSession(model, options, providers=providers)
        except Exception:  # ONNX Runtime's exceptions have no common base
            return open_session(model, optimized=False)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=providers)


class Runtime:
    """A network file that can be run.

    ONNX files run on ONNX Runtime; ``.nnet`` files are evaluated by NumPy in float32, which is what their weights mean
    here (see :mod:`slir_milp.network.nnet`).  Several inputs are read from, and several outputs joined to, one flat
    vector, in the file's order.  A free batch dimension counts as one.

    Parameters
    ----------
    path
        The file.
    activations
        Those of one's own; by default, what was registered in this process.

    Raises
    ------
    NetworkError
        If the file cannot be read or run.
    """

    def __init__(self, path: str | os.PathLike[str], activations: Registry | None = None) -> None:
        content = read_content(path)
        if is_nnet(path):
            from slir_milp.network.nnet import NnetRunner

            self._runner: NnetRunner | _OnnxRunner = NnetRunner(content)
        else:
            self._runner = _OnnxRunner(content, os.fspath(path), known_activations(activations))

    @classmethod
    def as_written(cls, model: bytes, name: str, activations: Registry | None = None) -> Runtime:
        """Runtime of an ONNX model in memory, without optimizations; errors call it by the given name."""
        return cls.in_memory(model, name, activations, optimized=False)

    @classmethod
    def in_memory(
        cls, model: bytes, name: str, activations: Registry | None = None, *, optimized: bool = True
    ) -> Runtime:
        """Runtime of an ONNX model in memory; errors call it by the given name."""
        runtime = cls.__new__(cls)
        runtime._runner = _OnnxRunner(model, name, activations, optimized=optimized)
        return runtime

    @property
    def input_size(self) -> int:
        """Number of elements of all inputs together."""
        return self._runner.input_size

    def outputs(self, point: FloatArray) -> FloatArray:
        """Outputs, shape ``(outputs,)``, at one point of shape ``(inputs,)``, which is rounded to the file's type.

        Raises
        ------
        NetworkError
            If the point has the wrong size or the runtime fails.
        """
        point = np.asarray(point)
        if point.shape != (self.input_size,):
            raise NetworkError(f"the network takes {self.input_size} numbers, but was given shape {point.shape}")
        return self._runner.run(point)

    def tensors(self, point: FloatArray) -> list[FloatArray]:
        """All output tensors at one point, each by itself."""
        return self._runner.tensors(np.asarray(point))

    def outputs_batch(self, points: FloatArray) -> FloatArray:
        """Outputs, shape ``(points, outputs)``, at points of shape ``(points, inputs)``, one after another."""
        return np.stack([self.outputs(point) for point in points])


class _OnnxRunner:
    def __init__(self, content: bytes, path: str, activations: Registry | None, *, optimized: bool = True) -> None:
        self._session = _session_of(content, path, activations, optimized)
        self._path = path
        self._inputs = []
        for value in self._session.get_inputs():
            shape = tuple(extent if isinstance(extent, int) and extent > 0 else 1 for extent in value.shape)
            dtype = _DTYPES.get(value.type)
            if dtype is None:
                raise NetworkError(f"input '{value.name}' of {path} has element type {value.type}, not supported")
            self._inputs.append((value.name, shape, dtype, int(np.prod(shape, dtype=np.int64))))
        self.input_size = sum(size for *_, size in self._inputs)

    def run(self, point: FloatArray) -> FloatArray:
        return np.concatenate([tensor.ravel() for tensor in self.tensors(point)])

    def tensors(self, point: FloatArray) -> list[FloatArray]:
        from slir_milp.network.graph import first_line

        feed, start = {}, 0
        for name, shape, dtype, size in self._inputs:
            feed[name] = point[start : start + size].astype(dtype).reshape(shape)
            start += size
        try:
            results = self._session.run(None, feed)
        except Exception as error:
            raise NetworkError(f"ONNX Runtime cannot run {self._path}: {first_line(error)}") from None
        return [np.asarray(result) for result in results]


def _session_of(
    content: bytes, path: str, activations: Registry | None, optimized: bool
) -> InferenceSession | ReferenceSession:
    """Session of the file as it is, or else as :mod:`~slir_milp.network.repair` puts it right.

    Operators that stand for activations are spelled out; where that cannot be, the reference implementation runs them.
    """
    from slir_milp.network.graph import first_line

    try:
        return open_session(content, optimized=optimized)
    except Exception as error:
        from slir_milp.network.custom import ReferenceSession, by_standard_operators, has_unknown_operators
        from slir_milp.network.graph import parse_onnx

        try:
            model = parse_onnx(content, Path(path).parent, activations).proto
            model = by_standard_operators(model, activations)
            if has_unknown_operators(model):
                return ReferenceSession(model, activations)
            return open_session(model.SerializeToString(), optimized=optimized)
        except Exception:
            raise NetworkError(f"ONNX Runtime cannot load {path}: {first_line(error)}") from None


def known_activations(activations: Registry | None) -> Registry | None:
    """The registry if it holds anything; without one, that of this process, if anything was registered in it."""
    if activations is None and "slir_milp.activations.registry" in sys.modules:
        from slir_milp.activations.registry import registered

        activations = registered()
    return activations if activations is not None and activations.curves else None
