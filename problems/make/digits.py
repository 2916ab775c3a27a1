"""Handwritten digits of 8 x 8 pixels, told apart by perceptrons of 4 x 64 smooth neurons, one network an activation.

The images are those that scikit-learn ships (``sklearn.datasets.load_digits``; E. Alpaydin and C. Kaynak, "Optical
Recognition of Handwritten Digits", UCI Machine Learning Repository, CC BY 4.0).  scikit-learn is needed to train anew
and for nothing else: ``digits.csv`` holds the test images that queries are about.
"""

from __future__ import annotations

import csv
from functools import cache, partial
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .recipe import BY_POINT, QueryRecipe, Recipe, box, model, number
from .smooth import SMOOTH, Smooth
from .training import Array, Parameters, Value, Values, constant, cross_entropy, dense, perceptron, train

SIZES = (64, 64, 64, 64, 64, 10)
CLASSES, LEVELS = 10, 16
TRAINING, KEPT = 1400, 40
NOISE, STEPS, RATE = 0.15, 2000, 3e-3
IMAGES = Path(__file__).resolve().parents[1] / "digits.csv"
Labels = NDArray[np.intp]
BY_SAMPLES = (
    "make/check_smooth.py puts every neuron between two lines, whose offsets come from samples of the function and a "
    "bound on its second derivative: no other score comes nearer than 1e-5."
)


@cache
def data() -> tuple[Array, Labels]:
    """All images, pixels in [0, 1], in a fixed random order: the first ``TRAINING`` are trained on, the others test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order] / LEVELS, labels[order].astype(np.intp)


def test_images() -> bytes:
    """The first test images as they are kept: label, then the pixels in sixteenths."""
    images, labels = (part[TRAINING : TRAINING + KEPT] for part in data())
    rows = [[int(label), *map(int, image * LEVELS)] for label, image in zip(labels, images, strict=True)]
    return "".join(",".join(map(str, row)) + "\n" for row in rows).encode()


@cache
def kept_images() -> tuple[Array, Labels]:
    """The test images of ``digits.csv``, pixels in [0, 1], and their labels."""
    with open(IMAGES, encoding="utf-8", newline="") as file:
        table = np.array([[int(cell) for cell in row] for row in csv.reader(file)])
    return table[:, 1:] / LEVELS, table[:, 0].astype(np.intp)


def start(activation: Smooth) -> Parameters:
    """Start weights: those for rectified neurons, scaled for functions of about unit slope at zero."""
    parameters = dense(np.random.default_rng(64), SIZES)
    gain = 1.0 / max(float(activation.slope(np.zeros(1))[0]), 0.5) * np.sqrt(0.5)
    return {name: value * gain if name[0] == "w" else value * 0 for name, value in parameters.items()}


def trained(activation: Smooth) -> Parameters:
    """Train on images with noise, which makes the answers robust enough for questions worth asking."""
    images, labels = data()

    def batch(rng: np.random.Generator) -> tuple[Array, Labels]:
        chosen = rng.integers(0, TRAINING, 128)
        return np.clip(images[chosen] + rng.uniform(-NOISE, NOISE, (128, 64)), 0, 1), labels[chosen]

    def loss(v: Values, b: tuple[Array, Labels]) -> Value:
        return cross_entropy(perceptron(constant(b[0]), v, activation=activation), b[1])

    return train(start(activation), loss, batch, steps=STEPS, rate=RATE, seed=64)


def scores(activation: Smooth, parameters: Parameters, images: Array) -> Array:
    """Outputs of a network in float64."""
    values = {name: constant(value) for name, value in parameters.items()}
    return perceptron(constant(images), values, activation=activation).data


def graph(activation: Smooth, parameters: Parameters, *, apart: bool = False, about: str = "") -> bytes:
    """The network as an exporter writes it.

    With ``apart``, what a gate multiplies is computed by affine maps of its own, so that a reader of graphs cannot see
    that ``x * gate(x)`` is a function of one number.
    """
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, Array] = {}
    current = "image"
    depth = len(SIZES) - 1
    for i in range(depth):
        constants |= {f"layer{i}.weight": parameters[f"w{i}"].T, f"layer{i}.bias": parameters[f"b{i}"]}
        ends = ["scores"] if i == depth - 1 else [f"layer{i}", f"layer{i}_gated"] if apart else [f"layer{i}"]
        for end in ends:
            nodes.append(
                helper.make_node(
                    "Gemm", [current, f"layer{i}.weight", f"layer{i}.bias"], [end], f"{end}/Gemm", transB=1
                )
            )
        if i < depth - 1:
            current = f"hidden{i}"
            made, needed = activation.nodes(ends[0], ends[-1], current)
            nodes += made
            constants |= needed
    shapes = {"image": (1, SIZES[0])}, {"scores": (1, CLASSES)}
    return model(nodes, *shapes, constants, opset=activation.opset, about=about)


def parameters_of(path: Path) -> Parameters:
    """Weights of a network that :func:`graph` wrote."""
    found: Parameters = {}
    for tensor in onnx.load(path).graph.initializer:
        if tensor.name.startswith("layer"):
            layer, kind = tensor.name.removeprefix("layer").split(".")
            value = numpy_helper.to_array(tensor).astype(np.float64)
            found[f"{kind[0]}{layer}"] = value.T if kind == "weight" else value
    return found


def around(image: int, radius: float) -> list[tuple[float, float]]:
    """Ends of every pixel within a distance (largest change of a pixel) of a kept image, in [0, 1]."""
    pixels = kept_images()[0][image]
    ends = np.round(np.clip((pixels - radius, pixels + radius), 0, 1), 6).T
    return [(float(low), float(high)) for low, high in ends]


def otherwise(label: int) -> str:
    """Some other class scores at least as much."""
    others = " ".join(f"(>= Y_{k} Y_{label})" for k in range(CLASSES) if k != label)
    return f"(assert (or {others}))"


def robustness(name: str, verdict: str, image: int, radius: float) -> QueryRecipe:
    label = int(kept_images()[1][image])
    return QueryRecipe(
        name,
        verdict,
        f"Is test image {image}, a handwritten {label}, taken for another digit if each pixel changes by at most "
        f"{number(radius)} of its range?",
        box(around(image, radius)) + "\n" + otherwise(label),
        why=BY_POINT if verdict == "sat" else BY_SAMPLES,
    )


def build(name: str) -> dict[str, bytes]:
    about = about_of(name)
    return {
        f"onnx/digits_{name}.onnx": graph(SMOOTH[name], trained(SMOOTH[name]), about=about),
        "digits.csv": test_images(),
    }


def about_of(name: str) -> str:
    return f"Handwritten digits of 8 x 8 pixels: 4 x 64 neurons, {SMOOTH[name].title}."


# For each activation the image and the radius of a query that is unsat and of one that is sat.
ASKED: dict[str, tuple[tuple[int, float], tuple[int, float]]] = {
    "gelu": ((12, 0.04), (4, 0.06)),
    "gelu_tanh": ((12, 0.04), (4, 0.05)),
    "lambda_gelu": ((26, 0.04), (4, 0.05)),
    "silu": ((26, 0.04), (11, 0.05)),
    "mish": ((12, 0.045), (11, 0.05)),
    "softplus": ((6, 0.05), (7, 0.05)),
    "elu": ((24, 0.07), (29, 0.05)),
    "tanh": ((12, 0.05), (29, 0.05)),
    "sigmoid": ((1, 0.06), (29, 0.05)),
    "atan": ((1, 0.05), (29, 0.05)),
    "sin": ((20, 0.04), (29, 0.05)),
}

RECIPES = tuple(
    Recipe(
        name=f"digits_{name}",
        about=about_of(name),
        inputs=SIZES[0],
        outputs=CLASSES,
        build=partial(build, name),
        queries=(robustness("robust", "unsat", *held), robustness("changed", "sat", *changed)),
    )
    for name, (held, changed) in ASKED.items()
)
