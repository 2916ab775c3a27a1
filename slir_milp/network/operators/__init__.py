"""The operators that can be lowered: one line here and one small function each.

To add one, see ``docs/operators.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from slir_milp.network.operators import casts, elementwise, hinges, linear, logic, movement, normalisation, windows
from slir_milp.network.operators.call import Call
from slir_milp.network.operators.curves import CURVES
from slir_milp.network.operators.tensor import Tensor

OPERATORS: Mapping[str, Callable[[Call], list[Tensor]]] = {
    **CURVES,
    "Abs": hinges.absolute,
    "Add": elementwise.add,
    "And": logic.condition,
    "AveragePool": windows.average_pool,
    "BatchNormalization": linear.batch_normalization,
    "Cast": casts.cast,
    "CastLike": casts.cast,
    "Clip": hinges.clip,
    "Concat": movement.move,
    "Conv": windows.convolution,
    "ConvTranspose": windows.transposed_convolution,
    "CumSum": linear.cumulative_sum,
    "DepthToSpace": movement.move,
    "Div": casts.quotient,
    "Dropout": movement.keep,
    "Equal": logic.condition,
    "Expand": movement.move,
    "Flatten": movement.move,
    "Gather": movement.move,
    "GatherElements": movement.move,
    "GatherND": movement.move,
    "Gemm": linear.gemm,
    "GlobalAveragePool": linear.reduce_mean,
    "GlobalMaxPool": hinges.reduce_max,
    "Greater": logic.condition,
    "GreaterOrEqual": logic.condition,
    "HardSigmoid": hinges.hard_sigmoid,
    "Identity": movement.keep,
    "InstanceNormalization": normalisation.instance_normalization,
    "LayerNormalization": normalisation.layer_normalization,
    "LeakyRelu": hinges.leaky_relu,
    "Less": logic.condition,
    "LessOrEqual": logic.condition,
    "LogSoftmax": normalisation.log_softmax,
    "MatMul": linear.matmul,
    "Max": hinges.maximum,
    "MaxPool": windows.max_pool,
    "Mean": elementwise.mean,
    "Min": hinges.minimum,
    "Mul": elementwise.multiply,
    "Neg": elementwise.negate,
    "Not": logic.condition,
    "Or": logic.condition,
    "PRelu": hinges.parametric_relu,
    "Pad": movement.move,
    "Pow": elementwise.power,
    "ReduceL1": normalisation.reduce_l1,
    "ReduceL2": normalisation.reduce_l2,
    "ReduceLogSum": normalisation.reduce_log_sum,
    "ReduceLogSumExp": normalisation.reduce_log_sum_exp,
    "ReduceMax": hinges.reduce_max,
    "ReduceMean": linear.reduce_mean,
    "ReduceMin": hinges.reduce_min,
    "ReduceProd": normalisation.reduce_product,
    "ReduceSum": linear.reduce_sum,
    "ReduceSumSquare": normalisation.reduce_sum_square,
    "Relu": hinges.relu,
    "Reshape": movement.move,
    "Resize": movement.move,
    "ReverseSequence": movement.move,
    "ScatterElements": movement.move,
    "ScatterND": movement.move,
    "Slice": movement.move,
    "Softmax": normalisation.softmax,
    "SpaceToDepth": movement.move,
    "Split": movement.move,
    "Squeeze": movement.move,
    "Sub": elementwise.subtract,
    "Sum": elementwise.add,
    "Tile": movement.move,
    "Transpose": movement.move,
    "Trilu": movement.move,
    "Unsqueeze": movement.move,
    "Upsample": movement.move,
    "Where": logic.where,
    "Xor": logic.condition,
}
"""What each operator becomes; the key is ONNX's name for it."""

ON_INTEGERS = {name for name, lowered in OPERATORS.items() if lowered is movement.move} | {
    *("Abs", "Add", "Cast", "CastLike", "Clip", "CumSum", "Div", "Identity", "MatMul", "Max", "Min", "Mul", "Neg"),
    *("ReduceL1", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Sign", "Sub"),
    *("And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where", "Xor"),
}
"""Those that mean the same on whole numbers and truth values as on real numbers, or know the difference."""

MAKING_CONSTANTS = ("Constant", "ConstantOfShape", "Range")
"""Operators that only ever make constants, which ONNX Runtime computes; it also runs any other on constants alone."""

__all__ = ["MAKING_CONSTANTS", "ON_INTEGERS", "OPERATORS", "Call", "Tensor"]
