"""Just enough automatic differentiation and Adam to train a small network in NumPy, the same on every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Parameters: TypeAlias = dict[str, Array]


@dataclass(frozen=True, eq=False)
class Value:
    """An array that remembers what it was computed from, and how a gradient flows back there."""

    data: Array
    origins: tuple[tuple[Value, Callable[[Array], Array]], ...] = ()


Values: TypeAlias = Mapping[str, Value]


def constant(data: Array) -> Value:
    return Value(np.asarray(data, dtype=np.float64))


def affine(x: Value, weight: Value, bias: Value) -> Value:
    """``x @ weight + bias`` for ``x`` of shape (..., inputs)."""
    inputs, outputs = weight.data.shape

    def to_weight(g: Array) -> Array:
        return x.data.reshape(-1, inputs).T @ g.reshape(-1, outputs)

    return Value(
        x.data @ weight.data + bias.data,
        (
            (x, lambda g: g @ weight.data.T),
            (weight, to_weight),
            (bias, lambda g: g.reshape(-1, outputs).sum(axis=0)),
        ),
    )


def leaky_relu(x: Value, slope: float = 0.0) -> Value:
    factor = np.where(x.data > 0, 1.0, slope)
    return Value(x.data * factor, ((x, lambda g: g * factor),))


def add(x: Value, y: Value) -> Value:
    return Value(x.data + y.data, ((x, lambda g: g), (y, lambda g: g)))


def concatenate(x: Value, y: Value) -> Value:
    cut = x.data.shape[-1]
    joined = np.concatenate((x.data, y.data), axis=-1)
    return Value(joined, ((x, lambda g: g[..., :cut]), (y, lambda g: g[..., cut:])))


def gather(x: Value, index: NDArray[np.intp]) -> Value:
    """``x[:, index]`` for ``x`` of shape (points, elements): with ``affine`` after it, a convolution or a transpose."""

    def back(g: Array) -> Array:
        scattered = np.zeros_like(x.data)
        np.add.at(scattered.T, index, np.moveaxis(g, 0, -1))
        return scattered

    return Value(x.data[:, index], ((x, back),))


def flatten(x: Value) -> Value:
    return Value(x.data.reshape(len(x.data), -1), ((x, lambda g: g.reshape(x.data.shape)),))


def mean_square(x: Value, target: Array) -> Value:
    error = x.data - target
    return Value(np.asarray(np.mean(error**2)), ((x, lambda g: g * 2 * error / error.size),))


def cross_entropy(scores: Value, label: NDArray[np.intp]) -> Value:
    shifted = scores.data - scores.data.max(axis=1, keepdims=True)
    log_chance = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    rows = np.arange(len(label))
    excess = np.exp(log_chance)
    excess[rows, label] -= 1.0
    return Value(np.asarray(-log_chance[rows, label].mean()), ((scores, lambda g: g * excess / len(label)),))


def gradients(loss: Value) -> dict[int, Array]:
    """Gradient of a scalar with respect to everything it was computed from, by the identity of the value."""
    order: list[Value] = []
    seen: set[int] = set()

    def visit(value: Value) -> None:
        if id(value) not in seen:
            seen.add(id(value))
            for origin, _ in value.origins:
                visit(origin)
            order.append(value)

    visit(loss)
    found: dict[int, Array] = {id(loss): np.ones(())}
    for value in reversed(order):
        for origin, pull in value.origins:
            part = pull(found[id(value)])
            found[id(origin)] = found[id(origin)] + part if id(origin) in found else part
    return found


def dense(rng: np.random.Generator, sizes: Sequence[int], prefix: str = "") -> Parameters:
    """Start weights ``{prefix}w0, {prefix}b0, ...`` of consecutive affine maps, for rectified neurons."""
    parameters: Parameters = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        parameters[f"{prefix}w{i}"] = rng.normal(0.0, np.sqrt(2.0 / inputs), (inputs, outputs))
        parameters[f"{prefix}b{i}"] = rng.normal(0.0, 0.1, outputs)
    return parameters


def perceptron(x: Value, values: Values, prefix: str = "", activation: Callable[[Value], Value] = leaky_relu) -> Value:
    """Affine maps ``{prefix}w0, ...`` with an activation between each two."""
    depth = sum(name.startswith(f"{prefix}w") for name in values)
    for i in range(depth):
        x = affine(x, values[f"{prefix}w{i}"], values[f"{prefix}b{i}"])
        if i < depth - 1:
            x = activation(x)
    return x


def train(
    parameters: Parameters,
    loss: Callable[[Values, Any], Value],
    batch: Callable[[np.random.Generator], Any],
    *,
    steps: int,
    rate: float = 1e-2,
    seed: int = 0,
) -> Parameters:
    """Adam with the rate falling along a half cosine; the result is rounded to float32, as it is stored."""
    rng = np.random.default_rng(seed)
    current = {name: value.copy() for name, value in parameters.items()}
    mean = {name: np.zeros_like(value) for name, value in current.items()}
    square = {name: np.zeros_like(value) for name, value in current.items()}
    for step in range(1, steps + 1):
        values = {name: constant(value) for name, value in current.items()}
        found = gradients(loss(values, batch(rng)))
        pace = 0.5 * rate * (1.0 + np.cos(np.pi * step / steps))
        for name, value in values.items():
            gradient = found.get(id(value))
            if gradient is None:
                continue
            mean[name] += 0.1 * (gradient - mean[name])
            square[name] += 0.001 * (gradient**2 - square[name])
            unbiased = mean[name] / (1 - 0.9**step), square[name] / (1 - 0.999**step)
            current[name] -= pace * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return {name: value.astype(np.float32).astype(np.float64) for name, value in current.items()}
