"""The original graph in float64, by the evaluator that comes with ONNX: slow, and needed only in doubt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from slir_milp.errors import NetworkError
from slir_milp.network.affine import Vector
from slir_milp.network.graph import first_line, parse_onnx
from slir_milp.network.normal_form import TensorSpec
from slir_milp.network.repair import widen_precision


def float64_reference(content: bytes, folder: Path, inputs: Sequence[TensorSpec]) -> Callable[[Vector], Vector]:
    """Evaluate a model with every float32 widened to float64.

    Raises
    ------
    NetworkError
        If the evaluator cannot run the model.
    """
    from onnx.reference import ReferenceEvaluator

    model = parse_onnx(content, folder).proto
    widen_precision(model)
    try:
        evaluator = ReferenceEvaluator(model)
    except Exception as error:
        raise NetworkError(f"the reference evaluator cannot load the model: {first_line(error)}") from None

    def outputs(point: Vector) -> Vector:
        feed, start = {}, 0
        for spec in inputs:
            feed[spec.name] = point[start : start + spec.size].reshape(spec.shape)
            start += spec.size
        try:
            results = evaluator.run(None, feed)
        except Exception as error:
            raise NetworkError(f"the reference evaluator cannot run the model: {first_line(error)}") from None
        return np.concatenate([np.asarray(result, dtype=np.float64).ravel() for result in results])

    return outputs
