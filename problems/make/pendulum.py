"""A balancing controller for a pendulum, alone and in closed loop with the linearised plant.

State: angle (rad) and rate (rad/s) from the upright position.  The controller imitates a saturated state feedback that
gives the sampled plant the eigenvalues 0.9 and 0.7; in their coordinates the sum of absolute values must fall.
"""

from __future__ import annotations

import numpy as np
from onnx import helper

from .recipe import QueryRecipe, Recipe, box, box_terms, model, perceptron_nodes
from .training import Array, Parameters, constant, dense, mean_square, perceptron, train

STEP, STIFFNESS, LIMIT = 0.1, 9.81, 6.0
PLANT = np.array([[1.0 + STIFFNESS * STEP**2 / 2, STEP], [STIFFNESS * STEP, 1.0 + STIFFNESS * STEP**2 / 2]])
PUSH = np.array([STEP**2 / 2, STEP])
EIGENVALUES = (0.9, 0.7)
SIZES = (2, 20, 20, 1)


def feedback() -> Array:
    """Gain that places the eigenvalues (Ackermann's formula)."""
    controllability = np.column_stack((PUSH, PLANT @ PUSH))
    wanted = (PLANT - EIGENVALUES[0] * np.eye(2)) @ (PLANT - EIGENVALUES[1] * np.eye(2))
    return np.asarray(-np.linalg.solve(controllability, wanted)[-1])


def level_coordinates() -> Array:
    """Rows of the matrix T with V(x) = |T x|_1: the left eigenvectors of the closed loop."""
    values, vectors = np.linalg.eig(PLANT + np.outer(PUSH, feedback()))
    rows = np.linalg.inv(vectors)[np.argsort(-values)]
    return np.asarray(rows / np.abs(rows).max(axis=1, keepdims=True))


def batch(rng: np.random.Generator) -> tuple[Array, Array]:
    state = rng.uniform(-1, 1, (256, 2)) * (0.6, 2.0)
    return state, np.clip(state @ feedback(), -LIMIT, LIMIT)[:, None]


def trained() -> Parameters:
    start = dense(np.random.default_rng(3), SIZES)
    return train(start, lambda v, b: mean_square(perceptron(constant(b[0]), v), b[1]), batch, steps=4000, seed=3)


def build() -> dict[str, bytes]:
    parameters = trained()
    controller = perceptron_nodes("state", "torque", len(SIZES) - 1)
    alone = model(controller, {"state": (1, 2)}, {"torque": (1, 1)}, parameters, opset=13, about=CONTROLLER.about)
    node = helper.make_node
    loop = [
        *perceptron_nodes("state", "wanted", len(SIZES) - 1),
        node("Clip", ["wanted", "least", "most"], ["torque"], "Clip"),
        node("MatMul", ["state", "plant"], ["drift"], "MatMul_plant"),
        node("MatMul", ["torque", "push"], ["pushed"], "MatMul_push"),
        node("Add", ["drift", "pushed"], ["next_state"], "Add_next"),
        node("MatMul", ["state", "level"], ["before"], "MatMul_before"),
        node("Abs", ["before"], ["abs_before"], "Abs_before"),
        node("ReduceSum", ["abs_before", "axis"], ["level_before"], "ReduceSum_before", keepdims=1),
        node("MatMul", ["next_state", "level"], ["after"], "MatMul_after"),
        node("Abs", ["after"], ["abs_after"], "Abs_after"),
        node("ReduceSum", ["abs_after", "axis"], ["level_after"], "ReduceSum_after", keepdims=1),
        node("Sub", ["level_after", "level_before"], ["rise"], "Sub_rise"),
        node("Concat", ["next_state", "rise"], ["result"], "Concat", axis=1),
    ]
    constants = {
        **parameters,
        "least": np.array(-LIMIT),
        "most": np.array(LIMIT),
        "plant": PLANT.T,
        "push": PUSH[None, :],
        "level": level_coordinates().T,
        "axis": np.array([1], dtype=np.int64),
    }
    closed = model(loop, {"state": (1, 2)}, {"result": (1, 3)}, constants, opset=13, about=LOOP.about)
    return {"onnx/pendulum.onnx": alone, "onnx/pendulum_loop.onnx": closed}


def frame(inner: Array, outer: Array) -> str:
    """Assert that the state lies in the outer box and not inside the inner one: a union of four boxes."""
    (a, b), (c, d) = inner, outer
    sides = ([(-c, -a), (-d, d)], [(a, c), (-d, d)], [(-a, a), (-d, -b)], [(-a, a), (b, d)])
    return "(assert (or\n" + "\n".join(f"  (and {box_terms(side)})" for side in sides) + "\n))"


CONTROLLER = Recipe(
    name="pendulum",
    about="A balancing controller: angle and rate in, torque out, 2 x 20 ReLU, learned from saturated feedback.",
    inputs=2,
    outputs=1,
    build=lambda: {path: content for path, content in build().items() if "loop" not in path},
    queries=(
        QueryRecipe(
            "torque_range",
            "unsat",
            "Is a torque outside [-6.5, 6.5] ever asked for within the training range?",
            box([(-0.6, 0.6), (-2, 2)]) + "\n(assert (or (<= Y_0 -6.5) (>= Y_0 6.5)))",
        ),
        QueryRecipe(
            "wrong_way",
            "unsat",
            "Leaning right and not moving left: does the torque ever push to the right?",
            box([(0.05, 0.6), (0, 2)]) + "\n(assert (>= Y_0 0))",
        ),
        QueryRecipe(
            "wrong_way_back",
            "sat",
            "Leaning right but moving left: does the torque ever push to the right?  (It does, to brake.)",
            box([(0.05, 0.6), (-2, 0)]) + "\n(assert (>= Y_0 0))",
        ),
        QueryRecipe(
            "torque_limit",
            "sat",
            "Is a torque above the plant's limit of 6 ever asked for?  (A little: imitation is not exact.)",
            box([(-0.6, 0.6), (-2, 2)]) + "\n(assert (> Y_0 6))",
        ),
    ),
)

DECREASE = "(assert (>= Y_2 0))"
LOOP = Recipe(
    name="pendulum_loop",
    about="The same controller in closed loop with the plant: next state, and the rise of |T x|_1 over one step "
    "(Clip, Abs, a graph with several paths).",
    inputs=2,
    outputs=3,
    build=lambda: {path: content for path, content in build().items() if "loop" in path},
    queries=(
        QueryRecipe(
            "decrease",
            "unsat",
            "In a frame around the origin (a union of four boxes): does |T x|_1 ever fail to fall in one step?",
            frame(np.array((0.1, 0.35)), np.array((0.3, 1.0))) + "\n" + DECREASE,
        ),
        QueryRecipe(
            "decrease_near",
            "sat",
            "The same nearer to the origin, where the imitated feedback is not exact enough.",
            frame(np.array((0.01, 0.03)), np.array((0.3, 1.0))) + "\n" + DECREASE,
        ),
        QueryRecipe(
            "stays",
            "unsat",
            "From the box of angles up to 0.2 and rates up to 0.4: does one step ever leave angles up to 0.25 and "
            "rates up to 1.6?",
            box([(-0.2, 0.2), (-0.4, 0.4)]) + "\n(assert (or (> Y_0 0.25) (< Y_0 -0.25) (> Y_1 1.6) (< Y_1 -1.6)))",
        ),
    ),
)
