"""The signed distance to a rectangle in the plane: a learned one (leaky ReLU) beside an exact one (Abs and Max).

The exact one is the largest of the two axis distances, ``max(|x| - 1, |y| - 0.5)``, negative inside the rectangle.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from onnx import helper

from .recipe import QueryRecipe, Recipe, box, model, perceptron_nodes
from .training import Array, Parameters, Value, Values, constant, dense, leaky_relu, mean_square, perceptron, train

HALF = np.array([1.0, 0.5])
SLOPE = 0.125
SIZES = (2, 16, 16, 1)


def distance(point: Array) -> Array:
    return np.asarray((np.abs(point) - HALF).max(axis=1, keepdims=True))


def batch(rng: np.random.Generator) -> tuple[Array, Array]:
    point = rng.uniform(-2.2, 2.2, (256, 2))
    return point, distance(point)


def trained() -> Parameters:
    start = dense(np.random.default_rng(2), SIZES)

    def learned(points: Array, values: Values) -> Value:
        return perceptron(constant(points), values, activation=partial(leaky_relu, slope=SLOPE))

    return train(start, lambda v, b: mean_square(learned(b[0], v), b[1]), batch, steps=4000, seed=2)


def build() -> dict[str, bytes]:
    node = helper.make_node
    nodes = [
        *perceptron_nodes("point", "learned", len(SIZES) - 1, activation="LeakyRelu", alpha=SLOPE),
        node("Abs", ["point"], ["across"], "Abs"),
        node("Sub", ["across", "half"], ["axis_distance"], "Sub"),
        node("Split", ["axis_distance", "sizes"], ["first", "second"], "Split", axis=1),
        node("Max", ["first", "second"], ["exact"], "Max"),
        node("Concat", ["learned", "exact"], ["distances"], "Concat", axis=1),
    ]
    constants = {**trained(), "half": HALF, "sizes": np.array([1, 1], dtype=np.int64)}
    return {
        "onnx/obstacle.onnx": model(
            nodes, {"point": (1, 2)}, {"distances": (1, 2)}, constants, opset=15, about=RECIPE.about
        )
    }


PLANE = box([(-2, 2), (-2, 2)])
RECIPE = Recipe(
    name="obstacle",
    about="Distance to a rectangle, learned (2 x 16 leaky ReLU) and exact (Abs, Split, Max) side by side.",
    inputs=2,
    outputs=2,
    build=build,
    queries=(
        QueryRecipe(
            "agree",
            "unsat",
            "Do the learned and the exact distance ever differ by an eighth or more?",
            PLANE + "\n(assert (or (>= (- Y_0 Y_1) 0.125) (<= (- Y_0 Y_1) (- 0.125))))",
        ),
        QueryRecipe(
            "agree_closely",
            "sat",
            "Do the learned and the exact distance ever differ by a twentieth or more?",
            PLANE + "\n(assert (or (>= Y_0 (+ Y_1 5e-2)) (>= Y_1 (+ Y_0 5e-2))))",
        ),
        QueryRecipe(
            "false_clear",
            "unsat",
            "Is there a point in the rectangle that the learned distance takes to be clear by more than 0.15?",
            PLANE + "\n(assert (<= Y_1 0))\n(assert (> Y_0 0.15))",
        ),
    ),
)
