"""Questions about controllers with tanh and sigmoid neurons from two public collections, made where those files lie.

The collections are the closed-loop problems of the ARCH competition's category on neural networks (folder
``arch_ainncs``) and the examples of Verisig (folder ``verisig``).  They come without queries.  Each controller is asked
over the set in which its specification lets it start, or over the whole state space:

``range``
    Does an output leave the interval of its values on samples, widened (or narrowed) by a part of its length?
``cone``
    Is an output ever further from its value at the set's centre than ``L`` times the distance from there, at distances
    between a tenth of the set and all of it?
``change``
    Do two inputs that lie near each other ever get outputs further apart than some number?  Asked of a network that
    computes both and subtracts.

Distances are measured in half widths of the set and by the largest coordinate.  Thresholds lie around what a search on
samples found, by a factor: well above and well below one the answer is clear, near it a verifier has to work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import compose, helper, numpy_helper

from .recipe import box, number
from .training import Array

FACTORS = (1.5, 1.05, 0.95, 0.5)
NEAR = 0.05  # of the set's half widths: how far apart two inputs are
INNER = 0.1  # of the set: what the cone leaves out
DIGITS = 9  # after the point, in thresholds
Box = tuple[tuple[float, float], ...]
Outputs = Callable[[Array], Array]

SETS: dict[str, Box] = {
    "arch_ainncs/onnx/Attitude-Control__attitude_control_3_64_torch.onnx": (
        *((-0.45, -0.44), (-0.55, -0.54), (0.65, 0.66)),
        *((-0.75, -0.74), (0.85, 0.86), (-0.65, -0.64)),
    ),
    "arch_ainncs/onnx/CartPole__model.onnx": ((-0.1, 0.1), (-0.05, 0.05), (-0.1, 0.1), (-0.05, 0.05)),
    "arch_ainncs/onnx/Docking__model.onnx": ((70, 106), (70, 106), (-0.28, 0.28), (-0.28, 0.28)),
    "arch_ainncs/onnx/NAV__nn-nav-set.onnx": ((2.9, 3.1), (2.9, 3.1), (0, 0), (0, 0)),
    "arch_ainncs/onnx/QUAD__quad_controller_3_64_torch.onnx": ((-0.4, 0.4),) * 6 + ((0, 0),) * 6,
    # Wanted speed, wanted time gap, own speed, distance, relative speed: as in the specification of ACC.
    "verisig/onnx/acc_tanh.onnx": ((30, 30), (1.4, 1.4), (30, 30.2), (79, 100), (1.8, 2.2)),
    # No specification comes with it.
    "verisig/onnx/uuv_tanh_3_32x32.onnx": ((-1, 1),) * 3,
}
MOUNTAIN_CAR: Box = ((-1.2, 0.6), (-0.07, 0.07))  # position and speed, the whole state space


@dataclass(frozen=True)
class Controller:
    """A network's file and the set of its inputs."""

    name: str
    path: Path
    box: Box


@dataclass(frozen=True, eq=False)
class Question:
    """A query in VNN-LIB about a network.

    ``factor`` is the threshold over the extreme that was found: below one the query is known to be ``sat``, above it
    nothing is known but that the search met no such point.
    """

    controller: str
    kind: str
    factor: float
    network: bytes
    text: str

    @property
    def name(self) -> str:
        return f"{self.kind} × {self.factor:g}"

    @property
    def known(self) -> str:
        return "sat" if self.factor < 1 else ""


def controllers(folder: Path) -> tuple[Controller, ...]:
    """Every controller that the folder has."""
    sets = {folder / path: ends for path, ends in SETS.items()}
    sets |= {path: MOUNTAIN_CAR for path in sorted(folder.glob("verisig/onnx/mountain_car_*.onnx"))}
    return tuple(Controller(path.stem, path, ends) for path, ends in sets.items() if path.is_file())


def questions(controller: Controller) -> list[Question]:
    """All questions about a controller; their thresholds are found anew, the same each time."""
    model = onnx.load(controller.path)
    outputs, pair = by_runtime(model), paired(model, len(controller.box))
    count = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    return [
        question
        for j in range(count)
        for question in (*_range(controller, j, outputs), *_cone(controller, j, outputs), *_change(controller, j, pair))
    ]


def by_runtime(model: onnx.ModelProto) -> Outputs:
    """Outputs at many points, by ONNX Runtime; all input tensors are joined in the points' columns.

    In float64: some outputs change by no more than what float32 rounds.
    """
    import onnxruntime

    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    for value in (*freed.graph.input, *freed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "points"
        value.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    for tensor in freed.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            wide = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    del freed.graph.value_info[:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(freed.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def outputs(points: Array) -> Array:
        parts = np.split(points.astype(np.float64), len(names), axis=1)
        found = session.run(None, dict(zip(names, parts, strict=True)))[0]
        return np.asarray(found, dtype=np.float64)

    return outputs


def highest(score: Callable[[Array], Array], ends: Box) -> float:
    """Largest score found in a box: random points and corners, then ever nearer to the best one."""
    rng = np.random.default_rng(0)
    low, high = np.array(ends, dtype=np.float64).T
    points = rng.uniform(low, high, (4000, len(ends)))
    points[::2] = np.where(rng.random((2000, len(ends))) < 0.5, low, high)
    best, best_point = -np.inf, low
    for round_ in range(30):
        scores = score(points)
        if scores.max() > best:
            best, best_point = float(scores.max()), points[scores.argmax()]
        spread = 0.3 * 0.75**round_ * (high - low)
        points = np.clip(best_point + spread * rng.normal(size=(500, len(ends))), low, high)
    return best


def paired(model: onnx.ModelProto, inputs: int) -> onnx.ModelProto:
    """A network that takes a point and a step, and gives the change of every output over that step."""
    here, there = (compose.add_prefix(model, prefix).graph for prefix in ("here/", "there/"))
    outputs = model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["point"], [here.input[0].name]),
            helper.make_node("Add", ["point", "step"], [there.input[0].name]),
            *here.node,
            *there.node,
            helper.make_node("Sub", [there.output[0].name, here.output[0].name], ["change"]),
        ],
        "main_graph",
        [helper.make_tensor_value_info(name, float32, [1, inputs]) for name in ("point", "step")],
        [helper.make_tensor_value_info("change", float32, [1, outputs])],
        [*here.initializer, *there.initializer],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)


def _range(controller: Controller, j: int, outputs: Outputs) -> list[Question]:
    top = highest(lambda x: outputs(x)[:, j], controller.box)
    bottom = -highest(lambda x: -outputs(x)[:, j], controller.box)
    middle, half = (top + bottom) / 2, (top - bottom) / 2

    def leaves(factor: float) -> str:
        ends = middle + factor * half, middle - factor * half
        return f"(or {_row({f'Y_{j}': 1.0}, ends[0])} {_row({f'Y_{j}': -1.0}, -ends[1])})"

    return _questions(controller, f"range of Y_{j}", controller.path.read_bytes(), controller.box, outputs, leaves)


def _cone(controller: Controller, j: int, outputs: Outputs) -> list[Question]:
    low, high = np.array(controller.box, dtype=np.float64).T
    centre, half = (low + high) / 2, (high - low) / 2
    free = np.flatnonzero(half)
    value = float(np.round(outputs(centre[None])[0, j], DIGITS))

    def steepness(x: Array) -> Array:
        distance = np.abs((x - centre)[:, free] / half[free]).max(axis=1)
        rise = np.abs(outputs(x)[:, j] - value)
        return np.where(distance >= INNER, rise / np.maximum(distance, INNER), 0.0)

    steepest = highest(steepness, controller.box)

    def leaves(factor: float) -> str:
        """One part for each coordinate that may be the furthest from the centre, each way, and either side."""
        parts = []
        for q, way in ((q, way) for q in free for way in (1.0, -1.0)):
            away, at = way / half[q], way * centre[q] / half[q]  # the distance is away * X_q - at
            rows = [_row({f"X_{q}": away}, at + INNER)]
            for p in (p for p in free if p != q):
                near = {f"X_{q}": away, f"X_{p}": -1 / half[p]}, {f"X_{q}": away, f"X_{p}": 1 / half[p]}
                rows += [_row(near[0], at - centre[p] / half[p]), _row(near[1], at + centre[p] / half[p])]
            slope = factor * steepest
            for side in (1.0, -1.0):
                parts.append([*rows, _row({f"Y_{j}": side, f"X_{q}": -slope * away}, side * value - slope * at)])
        return "(or\n" + "\n".join(f"  (and {' '.join(part)})" for part in parts) + ")"

    return _questions(controller, f"cone of Y_{j}", controller.path.read_bytes(), controller.box, outputs, leaves)


def _change(controller: Controller, j: int, pair: onnx.ModelProto) -> list[Question]:
    outputs = by_runtime(pair)
    steps = [round(NEAR * (high - low) / 2, DIGITS) for low, high in controller.box]
    ends = controller.box + tuple((-step, step) for step in steps)
    largest = highest(lambda x: np.abs(outputs(x)[:, j]), ends)

    def leaves(factor: float) -> str:
        return f"(or {_row({f'Y_{j}': 1.0}, factor * largest)} {_row({f'Y_{j}': -1.0}, factor * largest)})"

    return _questions(controller, f"change of Y_{j}", pair.SerializeToString(), ends, outputs, leaves)


def _row(terms: dict[str, float], least: float) -> str:
    """A linear expression that is at least a number, all in decimals."""
    written = [(name, _decimal(c)) for name, c in terms.items()]
    products = [name if c == "1.0" else f"(* {c} {name})" for name, c in written]
    total = products[0] if len(products) == 1 else f"(+ {' '.join(products)})"
    return f"(>= {total} {_decimal(least)})"


def _decimal(value: float) -> str:
    return number(round(float(value), DIGITS) + 0.0)  # and no negative zero


def _questions(
    controller: Controller, kind: str, network: bytes, ends: Box, outputs: Outputs, leaves: Callable[[float], str]
) -> list[Question]:
    count = outputs(np.array([[low for low, _ in ends]])).shape[1]
    declared = [f"X_{i}" for i in range(len(ends))] + [f"Y_{j}" for j in range(count)]
    top = "\n".join(f"(declare-const {name} Real)" for name in declared) + "\n\n" + box(ends) + "\n"
    return [Question(controller.name, kind, factor, network, f"{top}(assert {leaves(factor)})\n") for factor in FACTORS]
