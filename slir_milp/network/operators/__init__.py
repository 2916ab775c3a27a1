"""The operators that can be lowered: one line here and one small function each.

To add one, see ``docs/operators.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slir_milp.network.operators import hinges, linear, movement, windows
from slir_milp.network.operators.call import Call, Tensor

OPERATORS: Mapping[str, Callable[[Call], list[Tensor]]] = {
    "Abs": hinges.absolute,
    "Add": linear.add,
    "AveragePool": windows.average_pool,
    "BatchNormalization": linear.batch_normalization,
    "Cast": movement.keep,
    "Clip": hinges.clip,
    "Concat": movement.move,
    "Conv": windows.convolution,
    "DepthToSpace": movement.move,
    "Div": linear.divide,
    "Dropout": movement.keep,
    "Expand": movement.move,
    "Flatten": movement.move,
    "Gather": movement.move,
    "GatherElements": movement.move,
    "GatherND": movement.move,
    "Gemm": linear.gemm,
    "GlobalAveragePool": linear.reduce_mean,
    "GlobalMaxPool": hinges.reduce_max,
    "HardSigmoid": hinges.hard_sigmoid,
    "Identity": movement.keep,
    "LeakyRelu": hinges.leaky_relu,
    "MatMul": linear.matmul,
    "Max": hinges.maximum,
    "MaxPool": windows.max_pool,
    "Mean": linear.mean,
    "Min": hinges.minimum,
    "Mul": linear.multiply,
    "Neg": linear.negate,
    "PRelu": hinges.parametric_relu,
    "Pad": movement.move,
    "ReduceMax": hinges.reduce_max,
    "ReduceMean": linear.reduce_mean,
    "ReduceMin": hinges.reduce_min,
    "ReduceSum": linear.reduce_sum,
    "Relu": hinges.relu,
    "Reshape": movement.move,
    "Resize": movement.move,
    "ScatterElements": movement.move,
    "ScatterND": movement.move,
    "Slice": movement.move,
    "SpaceToDepth": movement.move,
    "Split": movement.move,
    "Squeeze": movement.move,
    "Sub": linear.subtract,
    "Sum": linear.add,
    "Tile": movement.move,
    "Transpose": movement.move,
    "Trilu": movement.move,
    "Unsqueeze": movement.move,
    "Upsample": movement.move,
    "Where": movement.move,
}
"""What each operator becomes; the key is ONNX's name for it."""

__all__ = ["OPERATORS", "Call", "Tensor"]
