"""Two vehicles approach a junction on different roads: two input tensors, two output tensors.

Each input tensor holds one vehicle's distance to the junction (in units of 100 m) and its speed (in units of 20 m/s).
Outputs: the scores of "go" and "give way" for the first vehicle (the larger counts), and the time between the two
arrivals (in units of 10 s, positive if the first vehicle comes later).
"""

from __future__ import annotations

import numpy as np
from onnx import helper

from .recipe import QueryRecipe, Recipe, box, box_terms, model, perceptron_nodes
from .training import (
    Array,
    Parameters,
    Value,
    Values,
    affine,
    concatenate,
    constant,
    dense,
    leaky_relu,
    mean_square,
    perceptron,
    train,
)

LOW, HIGH = np.array([0.1, 0.25]), np.array([1.0, 1.0])


def answer(own: Array, other: Array) -> Array:
    """Scores and lead time by the rule: go if the other one arrives at least 2 s later."""
    late = 0.5 * (own[:, 0] / own[:, 1] - other[:, 0] / other[:, 1])
    urge = np.clip(-(late + 0.2) * 2.0, -1.0, 1.0)
    return np.stack((urge, -urge, late), axis=1)


def batch(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    own, other = rng.uniform(LOW, HIGH, (256, 2)), rng.uniform(LOW, HIGH, (256, 2))
    return own, other, answer(own, other)


def network(own: Value, other: Value, v: Values) -> Value:
    both = concatenate(perceptron(own, {**select(v, "own.")}, "own."), perceptron(other, select(v, "other."), "other."))
    hidden = leaky_relu(affine(leaky_relu(both), v["joint.w0"], v["joint.b0"]))
    return concatenate(affine(hidden, v["command.w0"], v["command.b0"]), affine(hidden, v["late.w0"], v["late.b0"]))


def select(values: Values, prefix: str) -> Values:
    return {name: value for name, value in values.items() if name.startswith(prefix)}


def trained() -> Parameters:
    rng = np.random.default_rng(6)
    start = {
        **dense(rng, (2, 10), "own."),
        **dense(rng, (2, 10), "other."),
        **dense(rng, (20, 16), "joint."),
        **dense(rng, (16, 2), "command."),
        **dense(rng, (16, 1), "late."),
    }
    return train(
        start,
        lambda v, b: mean_square(network(constant(b[0]), constant(b[1]), v), b[2]),
        batch,
        steps=5000,
        seed=6,
    )


def build() -> dict[str, bytes]:
    node = helper.make_node
    nodes = [
        *perceptron_nodes("own", "own.pre", 1, "own."),
        *perceptron_nodes("other", "other.pre", 1, "other."),
        node("Concat", ["own.pre", "other.pre"], ["both.pre"], "Concat", axis=-1),
        node("Relu", ["both.pre"], ["both"], "Relu_both"),
        *perceptron_nodes("both", "joint.pre", 1, "joint."),
        node("Relu", ["joint.pre"], ["joint"], "Relu_joint"),
        *perceptron_nodes("joint", "command", 1, "command."),
        *perceptron_nodes("joint", "late", 1, "late."),
    ]
    shapes = {"own": (1, 2), "other": (1, 2)}, {"command": (1, 2), "late": (1, 1)}
    return {"onnx/junction.onnx": model(nodes, *shapes, trained(), opset=13, about=RECIPE.about)}


FULL = (0.25, 1.0)
RECIPE = Recipe(
    name="junction",
    about="Two vehicles at a junction: two input tensors, two branches, two output tensors, 20 and 16 ReLU.",
    inputs=4,
    outputs=3,
    build=build,
    queries=(
        QueryRecipe(
            "other_first",
            "unsat",
            "The other vehicle is near and fast, ours is far and slow: is 'go' ever scored as high as 'give way'?",
            box([(0.6, 1.0), (0.3, 0.6), (0.1, 0.3), (0.6, 1.0)]) + "\n(assert (>= Y_0 Y_1))",
        ),
        QueryRecipe(
            "alike",
            "unsat",
            "In either of two situations (both near, or both far and fast): do the scores ever contradict the "
            "predicted time by far, that is, 'go' by a margin of 1 although arriving later, or 'give way' by a margin "
            "of 1 although arriving 6 s earlier?  (Nested and/or.)",
            box([(0.1, 1.0), FULL, (0.1, 1.0), FULL])
            + "\n(assert (and (or (and "
            + box_terms([(0.1, 0.3), FULL, (0.1, 0.3), FULL])
            + ")\n  (and "
            + box_terms([(0.7, 1.0), (0.7, 1.0), (0.7, 1.0), (0.7, 1.0)])
            + "))\n  (or (and (>= Y_0 (+ Y_1 1)) (>= Y_2 0)) (and (>= Y_1 (+ Y_0 1)) (<= Y_2 -0.6)))))",
        ),
        QueryRecipe(
            "undecided",
            "sat",
            "Is there a situation where the two scores differ by less than 0.01 although the vehicles arrive more "
            "than 2.5 s apart?",
            box([(0.1, 1.0), FULL, (0.1, 1.0), FULL])
            + "\n(assert (and (< (- Y_0 Y_1) 0.01) (< (- Y_1 Y_0) 0.01) (or (> Y_2 0.25) (< Y_2 -0.25))))",
        ),
    ),
)
