"""One time step of two coupled masses on stiffening springs, learned by a network with two residual blocks."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper

from .recipe import QueryRecipe, Recipe, box, model
from .training import Array, Parameters, Value, Values, add, affine, constant, leaky_relu, mean_square, train

STEP, SUBSTEPS, WIDTH, BLOCKS = 0.3, 10, 16, 2


def advance(state: Array) -> Array:
    """State (positions, then speeds) after one step, by the symplectic Euler method."""
    position, speed = state[:, :2].copy(), state[:, 2:].copy()
    for _ in range(SUBSTEPS):
        stretch = position[:, ::-1] - position
        force = -position - position**3 + 0.5 * stretch - 0.2 * speed
        speed += STEP / SUBSTEPS * force
        position += STEP / SUBSTEPS * speed
    return np.concatenate((position, speed), axis=1)


def batch(rng: np.random.Generator) -> tuple[Array, Array]:
    state = rng.uniform(-1.1, 1.1, (256, 4))
    return state, advance(state)


def network(x: Value, v: Values) -> Value:
    for i in range(BLOCKS):
        hidden = leaky_relu(affine(x, v[f"b{i}.up"], v[f"b{i}.up_bias"]))
        x = add(x, affine(hidden, v[f"b{i}.down"], v[f"b{i}.down_bias"]))
    return x


def trained() -> Parameters:
    rng = np.random.default_rng(11)
    start: Parameters = {}
    for i in range(BLOCKS):
        start[f"b{i}.up"] = rng.normal(0, 0.6, (4, WIDTH))
        start[f"b{i}.up_bias"] = rng.normal(0, 0.3, WIDTH)
        start[f"b{i}.down"] = rng.normal(0, 0.1, (WIDTH, 4))
        start[f"b{i}.down_bias"] = np.zeros(4)
    return train(start, lambda v, b: mean_square(network(constant(b[0]), v), b[1]), batch, steps=4000, seed=11)


def build() -> dict[str, bytes]:
    nodes: list[NodeProto] = []
    current = "state"
    for i in range(BLOCKS):
        after = "next_state" if i == BLOCKS - 1 else f"b{i}.sum"
        nodes += [
            helper.make_node("MatMul", [current, f"b{i}.up"], [f"b{i}.lifted"], f"b{i}.MatMul_up"),
            helper.make_node("Add", [f"b{i}.lifted", f"b{i}.up_bias"], [f"b{i}.pre"], f"b{i}.Add_up"),
            helper.make_node("Relu", [f"b{i}.pre"], [f"b{i}.hidden"], f"b{i}.Relu"),
            helper.make_node("MatMul", [f"b{i}.hidden", f"b{i}.down"], [f"b{i}.lowered"], f"b{i}.MatMul_down"),
            helper.make_node("Add", [f"b{i}.lowered", f"b{i}.down_bias"], [f"b{i}.change"], f"b{i}.Add_down"),
            helper.make_node("Add", [current, f"b{i}.change"], [after], f"b{i}.Add_residual"),
        ]
        current = after
    stored = model(
        nodes, {"state": ("batch", 4)}, {"next_state": ("batch", 4)}, trained(), opset=17, about=RECIPE.about
    )
    return {"onnx/oscillator.onnx": stored}


RECIPE = Recipe(
    name="oscillator",
    about="One step of two coupled masses, two residual blocks of 16 ReLU, a free batch dimension.",
    inputs=4,
    outputs=4,
    build=build,
    queries=(
        QueryRecipe(
            "position_bound",
            "unsat",
            "From positions up to 0.5 and speeds up to 0.5: does a position ever exceed 0.7 after one step?",
            box([(-0.5, 0.5)] * 4) + "\n(assert (or (>= Y_0 0.7) (<= Y_0 -0.7) (>= Y_1 0.7) (<= Y_1 -0.7)))",
        ),
        QueryRecipe(
            "at_rest",
            "unsat",
            "Both masses displaced to the right and at rest: does the first one's speed ever become positive?",
            box([(0.5, 1.0), (0.0, 0.9), (0, 0), (0, 0)]) + "\n(assert (>= Y_2 0.0))",
        ),
        QueryRecipe(
            "jump",
            "sat",
            "Does the first position ever change by more than 0.31 in one step?  (Mixes an input with an output.)",
            box([(-1.0, 1.0)] * 4) + "\n(assert (>= (- Y_0 X_0) 0.31))",
        ),
        QueryRecipe(
            "mean_jump",
            "unsat",
            "Does the mean position ever change by more than 0.4 in one step?  (Mixes inputs with outputs, with "
            "coefficients.)",
            box([(-1.0, 1.0)] * 4)
            + "\n(assert (or (>= (+ (* 0.5 Y_0) (* 0.5 Y_1)) (+ (* 0.5 X_0) (* 0.5 X_1) 0.4))"
            + "\n  (<= (+ (* 0.5 Y_0) (* 0.5 Y_1)) (+ (* 0.5 X_0) (* 0.5 X_1) (- 0.4)))))",
        ),
    ),
)
