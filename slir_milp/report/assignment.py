"""Assignments of VNN-LIB 2: as text, and as files of serialised ONNX tensors."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.errors import OptionError
from slir_milp.report.document import Json
from slir_milp.report.files import write_whole

if TYPE_CHECKING:
    from slir_milp.compose import Assignment
    from slir_milp.query import Declared


def format_assignment(assignment: Assignment) -> str:
    """Every declared tensor in the standard's form: a line with name, type and shape, and a line for each element.

    Numbers are decimals, exact wherever one is.
    """
    lines: list[str] = []
    for tensor, values in zip(assignment.tensors, assignment.values, strict=True):
        lines.append(f"{tensor.name} {tensor.written_element} [{','.join(map(str, tensor.shape))}]")
        lines += [_number(value, tensor) for value in values]
    return "\n".join(lines) + "\n"


def _number(value: Fraction | float, tensor: Declared) -> str:
    from slir_milp.query.elements import INTEGERS
    from slir_milp.query.numbers import rounded_decimal

    if not isinstance(value, Fraction):
        return str(value)  # not finite: a network has no value there in its own arithmetic
    if tensor.element in INTEGERS and value.denominator == 1:
        return str(value.numerator)
    return rounded_decimal(value)


def assignment_document(assignment: Assignment) -> Json:
    """The same as JSON values: for each tensor its name, type, shape and elements as decimals."""
    return [
        {
            "name": tensor.name,
            "type": tensor.written_element,
            "shape": list(tensor.shape),
            "values": [_number(value, tensor) for value in values],
        }
        for tensor, values in zip(assignment.tensors, assignment.values, strict=True)
    ]


def write_tensors(folder: Path, assignment: Assignment) -> None:
    """Write ``NAME.pb`` for every declared tensor, each as a whole or not at all; the folder is made if need be.

    The element type is the declared one, and float64 for ``real``; numbers are rounded to it.

    Raises
    ------
    OptionError
        A file cannot be written.
    """
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    files: dict[str, bytes] = {}
    for tensor, values in zip(assignment.tensors, assignment.values, strict=True):
        kind = "DOUBLE" if tensor.element == "real" else _ONNX.get(tensor.element, tensor.element.upper())
        element = int(getattr(TensorProto, kind))
        if element in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16) or kind.endswith(("INT64", "INT32")):
            dtype = helper.tensor_dtype_to_np_dtype(element)
            array = np.array([_nearest(value) for value in values]).astype(dtype).reshape(tensor.shape)
            proto = numpy_helper.from_array(array, tensor.name)
        else:
            numbers = [_nearest(value) for value in values]
            proto = helper.make_tensor(tensor.name, element, list(tensor.shape), numbers)
        files[f"{tensor.name}.pb"] = proto.SerializeToString()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OptionError(f"the folder {folder} cannot be made: {error.strerror or error}.") from error
    for name, content in files.items():
        write_whole(folder / name, content)


_ONNX = {"float32": "FLOAT", "float64": "DOUBLE"}


def _nearest(value: Fraction | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
