"""Adaptive cruise control: gap (m), own speed and lead speed (m/s) in, acceleration (m/s^2) out.

The scaling of the inputs is part of the network.  Dangerous situations are no boxes: they are linear constraints that
tie the gap to the speeds.
"""

from __future__ import annotations

import numpy as np
from onnx import helper

from .recipe import QueryRecipe, Recipe, box, model, perceptron_nodes
from .training import Array, Parameters, constant, dense, mean_square, perceptron, train

MIDDLE, SCALE = np.array([50.0, 20.0, 20.0]), np.array([64.0, 16.0, 16.0])
SIZES = (3, 24, 24, 1)


def acceleration(state: Array) -> Array:
    """The wanted gap is 5 m and 1.5 s; braking is limited to 6 and acceleration to 2 m/s^2."""
    gap, own, lead = state.T
    return np.asarray(np.clip(0.15 * (gap - 5.0 - 1.5 * own) + 0.6 * (lead - own), -6.0, 2.0)[:, None])


def batch(rng: np.random.Generator) -> tuple[Array, Array]:
    state = rng.uniform((0.0, 0.0, 0.0), (100.0, 40.0, 40.0), (256, 3))
    return (state - MIDDLE) / SCALE, acceleration(state)


def trained() -> Parameters:
    start = dense(np.random.default_rng(4), SIZES)
    return train(start, lambda v, b: mean_square(perceptron(constant(b[0]), v), b[1]), batch, steps=5000, seed=4)


def build() -> dict[str, bytes]:
    nodes = [
        helper.make_node("Sub", ["situation", "middle"], ["centred"], "Sub"),
        helper.make_node("Div", ["centred", "scale"], ["scaled"], "Div"),
        *perceptron_nodes("scaled", "acceleration", len(SIZES) - 1),
    ]
    constants = {**trained(), "middle": MIDDLE, "scale": SCALE}
    shapes = {"situation": (1, 3)}, {"acceleration": (1, 1)}
    return {"onnx/cruise.onnx": model(nodes, *shapes, constants, opset=16, about=RECIPE.about)}


RECIPE = Recipe(
    name="cruise",
    about="Adaptive cruise control: 3 inputs in physical units, scaling inside the network, 2 x 24 ReLU.",
    inputs=3,
    outputs=1,
    build=build,
    queries=(
        QueryRecipe(
            "too_close",
            "unsat",
            "The gap is below one second of travel and the lead car slower by 2 m/s or more: does the car ever "
            "accelerate?  (The input set is a polytope, not a box.)",
            box([(0, 100), (10, 40), (0, 40)])
            + "\n(assert (<= X_0 X_1))\n(assert (<= X_2 (- X_1 2)))\n(assert (>= Y_0 0))",
        ),
        QueryRecipe(
            "comfortable",
            "sat",
            "The gap is at least 1.5 s of travel plus 5 m and the lead car not slower: is the car ever braked?",
            box([(0, 100), (0, 40), (0, 40)])
            + "\n(assert (>= X_0 (+ (* 1.5 X_1) 5)))\n(assert (>= X_2 X_1))\n(assert (< Y_0 0))",
        ),
        QueryRecipe(
            "free_road",
            "unsat",
            "The gap exceeds 2.5 s of travel plus 10 m and the lead car is not slower: is the car ever braked?",
            box([(0, 100), (0, 30), (0, 40)])
            + "\n(assert (>= (- X_0 (* 2.5 X_1)) 10))\n(assert (>= X_2 X_1))\n(assert (<= Y_0 0))",
        ),
        QueryRecipe(
            "limits",
            "unsat",
            "Does the wanted acceleration ever leave [-6.3, 2.3]?",
            box([(0, 100), (0, 40), (0, 40)]) + "\n(assert (or (< Y_0 -6.3) (> Y_0 2.3)))",
        ),
    ),
)
