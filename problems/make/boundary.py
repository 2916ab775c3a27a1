"""Networks made by hand whose largest value is reached in one point and equals the threshold exactly.

``tent(x) = relu(x) - 1.5 relu(x - 1)`` rises to 1 at x = 1 and falls by a half per unit after it.  On [0, 3] halving
the box never hits the tip.  Every weight is exact, so ``>= 1`` has one solution and ``> 1`` has none.
"""

from __future__ import annotations

import numpy as np

from .recipe import QueryRecipe, Recipe, box, model, perceptron_nodes

BY_HAND_SAT = "by hand: tent(1) = 1 exactly; the input in truth.csv is that point, checked in exact arithmetic."
BY_HAND_UNSAT = (
    "by hand: tent is piecewise linear with its only maximum 1 at x = 1; make/check_truth.py evaluates it exactly at "
    "every breakpoint."
)


def tents(count: int) -> dict[str, np.ndarray]:
    """Weights of the sum of ``count`` tents, one an input."""
    eye = np.eye(count)
    return {
        "w0": np.concatenate((eye, eye), axis=1),
        "b0": np.concatenate((np.zeros(count), -np.ones(count))),
        "w1": np.concatenate((np.ones(count), -1.5 * np.ones(count)))[:, None],
        "b1": np.zeros(1),
    }


def build(count: int) -> dict[str, bytes]:
    name = "boundary" if count == 1 else f"boundary_{count}d"
    nodes = perceptron_nodes("x", "y", 2)
    about = (ONE if count == 1 else TWO).about
    return {f"onnx/{name}.onnx": model(nodes, {"x": (1, count)}, {"y": (1, 1)}, tents(count), opset=14, about=about)}


ONE = Recipe(
    name="boundary",
    about="Made by hand: a tent whose tip touches the threshold exactly; 1 input, 2 ReLU.",
    inputs=1,
    outputs=1,
    build=lambda: build(1),
    queries=(
        QueryRecipe("reached", "sat", "Does the tent reach 1?", box([(0, 3)]) + "\n(assert (>= Y_0 1))", BY_HAND_SAT),
        QueryRecipe(
            "exceeded", "unsat", "Does the tent exceed 1?", box([(0, 3)]) + "\n(assert (> Y_0 1))", BY_HAND_UNSAT
        ),
        QueryRecipe(
            "below_zero",
            "unsat",
            "Is the tent ever below zero?  (It is zero at both ends of the box.)",
            box([(0, 3)]) + "\n(assert (< Y_0 0))",
            BY_HAND_UNSAT,
        ),
    ),
)

TWO = Recipe(
    name="boundary_2d",
    about="Made by hand: the sum of two tents, one an input, touches the threshold in one point; 2 inputs, 4 ReLU.",
    inputs=2,
    outputs=1,
    build=lambda: build(2),
    queries=(
        QueryRecipe(
            "reached",
            "sat",
            "Does the sum of the tents reach 2?",
            box([(0, 3), (0, 3)]) + "\n(assert (>= Y_0 2))",
            BY_HAND_SAT,
        ),
        QueryRecipe(
            "exceeded",
            "unsat",
            "Does the sum of the tents exceed 2?",
            box([(0, 3), (0, 3)]) + "\n(assert (> Y_0 2))",
            BY_HAND_UNSAT,
        ),
    ),
)
