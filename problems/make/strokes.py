"""Patches of 8 x 8 pixels with one stroke each, told apart by a small convolutional network.

Classes: horizontal, vertical, falling diagonal, rising diagonal.  The patches are drawn, not collected.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from .recipe import QueryRecipe, Recipe, box, model
from .training import (
    Array,
    Parameters,
    Value,
    Values,
    affine,
    constant,
    cross_entropy,
    flatten,
    gather,
    leaky_relu,
    train,
)

SIDE, CLASSES = 8, 4
Labels = NDArray[np.intp]
DIRECTIONS = np.array([(1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0)])
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def windows(side: int, size: int, stride: int) -> NDArray[np.intp]:
    """Element indices of every window of a square image, shape (windows, size * size)."""
    starts = np.arange(0, side - size + 1, stride)
    rows, columns = np.meshgrid(starts, starts, indexing="ij")
    inside = np.add.outer(np.arange(size) * side, np.arange(size)).ravel()
    return np.asarray(np.add.outer((rows * side + columns).ravel(), inside))


FIRST = windows(SIDE, 3, 1)
# The second convolution sees six channels; a channel's value at position p is element p * 6 + channel.
SECOND = (windows(6, 2, 2)[:, :, None] * 6 + np.arange(6)).reshape(9, -1)


def draw(rng: np.random.Generator, count: int) -> tuple[Array, Labels]:
    """Strokes of random place, strength and slight tilt on a dim noisy ground; rows are the second coordinate."""
    label = rng.integers(0, CLASSES, count)
    angle = np.arctan2(DIRECTIONS[label, 1], DIRECTIONS[label, 0]) + rng.normal(0, 0.08, count)
    centre = rng.uniform(-1.5, 1.5, (count, 2))
    grid = np.arange(SIDE) - (SIDE - 1) / 2
    x = grid[None, None, :] - centre[:, 0, None, None]
    y = grid[None, :, None] - centre[:, 1, None, None]
    across = np.abs(x * np.sin(angle)[:, None, None] - y * np.cos(angle)[:, None, None])
    ink = np.clip(1.4 - across, 0.0, 1.0) * rng.uniform(0.6, 1.0, count)[:, None, None]
    image = np.clip(ink + rng.uniform(0, 0.15, ink.shape), 0.0, 1.0)
    return image.reshape(count, -1), label


def scores(image: Array, v: Values) -> Value:
    hidden = leaky_relu(affine(gather(constant(image), FIRST), v["conv0"], v["conv0_bias"]))
    hidden = leaky_relu(affine(gather(flatten(hidden), SECOND), v["conv1"], v["conv1_bias"]))
    return affine(flatten(hidden), v["head"], v["head_bias"])


def trained() -> Parameters:
    rng = np.random.default_rng(8)
    start = {
        "conv0": rng.normal(0, 0.4, (9, 6)),
        "conv0_bias": np.zeros(6),
        "conv1": rng.normal(0, 0.25, (24, 8)),
        "conv1_bias": np.zeros(8),
        "head": rng.normal(0, 0.15, (72, CLASSES)),
        "head_bias": np.zeros(CLASSES),
    }
    return train(
        start,
        lambda v, b: cross_entropy(scores(b[0], v), b[1]),
        lambda g: draw(g, 128),
        steps=1200,
        rate=5e-3,
        seed=8,
    )


def build() -> dict[str, bytes]:
    p = trained()
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "conv0.weight", "conv0.bias"], ["conv0"], "Conv_0", kernel_shape=[3, 3]),
        node("Relu", ["conv0"], ["hidden0"], "Relu_0"),
        node(
            "Conv", ["hidden0", "conv1.weight", "conv1.bias"], ["conv1"], "Conv_1", kernel_shape=[2, 2], strides=[2, 2]
        ),
        node("Relu", ["conv1"], ["hidden1"], "Relu_1"),
        node("Flatten", ["hidden1"], ["flat"], "Flatten", axis=1),
        node("Gemm", ["flat", "head.weight", "head.bias"], ["scores"], "Gemm", transB=1),
    ]
    # Training keeps the channel last; ONNX has it first.
    constants = {
        "conv0.weight": p["conv0"].T.reshape(6, 1, 3, 3),
        "conv0.bias": p["conv0_bias"],
        "conv1.weight": p["conv1"].reshape(2, 2, 6, 8).transpose(3, 2, 0, 1),
        "conv1.bias": p["conv1_bias"],
        "head.weight": p["head"].reshape(9, 8, CLASSES).transpose(2, 1, 0).reshape(CLASSES, -1),
        "head.bias": p["head_bias"],
    }
    shapes = {"image": (1, 1, SIDE, SIDE)}, {"scores": (1, CLASSES)}
    return {"onnx/strokes.onnx": model(nodes, *shapes, constants, opset=13, about=RECIPE.about)}


def example(label: int) -> Array:
    """A fixed patch of the class, in hundredths."""
    images, labels = draw(np.random.default_rng(100 + label), 40)
    return np.asarray(np.round(images[labels == label][0], 2))


def around(label: int, radius: float) -> str:
    """Patches within a distance (largest change of a pixel) of the example, in [0, 1], classified otherwise."""
    image = example(label)
    ends = np.round(np.clip((image - radius, image + radius), 0, 1), 4).T
    others = " ".join(f"(>= Y_{k} Y_{label})" for k in range(CLASSES) if k != label)
    return box([(low, high) for low, high in ends]) + f"\n(assert (or {others}))"


NAMES = ("horizontal", "vertical", "falling", "rising")


def robustness(name: str, verdict: str, label: int, radius: float) -> QueryRecipe:
    meaning = f"Is a {NAMES[label]} stroke classified otherwise if each pixel changes by at most {radius}?"
    return QueryRecipe(name, verdict, meaning, around(label, radius))


RECIPE = Recipe(
    name="strokes",
    about="Strokes on 8 x 8 patches: two convolutions (216 and 72 ReLU) and a dense layer, four classes.",
    inputs=SIDE * SIDE,
    outputs=CLASSES,
    build=build,
    queries=(
        robustness("horizontal", "unsat", 0, 0.04),
        robustness("falling", "unsat", 2, 0.1),
        robustness("rising_far", "sat", 3, 0.2),
    ),
)
