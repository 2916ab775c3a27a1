"""Collision avoidance: the costs of five advisories, learned from where straight flight would lead.

Two aircraft fly level.  Each advisory turns the own aircraft by a fixed angle; its cost is how close and how soon the
two would then come to each other, and a little for the turn itself.  The advisory of the *least* cost is given.
"""

from __future__ import annotations

import numpy as np

from .recipe import QueryRecipe, Recipe, box, model, perceptron_nodes
from .training import Array, Parameters, dense, mean_square, perceptron, train
from .training import constant as fixed

ADVISORIES = ("clear of conflict", "weak left", "weak right", "strong left", "strong right")
TURN = np.deg2rad([0.0, 20.0, -20.0, 45.0, -45.0])
TURN_COST = np.array([0.0, 0.1, 0.1, 0.25, 0.25])
# Distance (m), bearing of the intruder (rad, left is positive), its heading relative to ours (rad), both speeds (m/s).
LOWEST = np.array([0.0, -np.pi, -np.pi, 50.0, 50.0])
HIGHEST = np.array([10000.0, np.pi, np.pi, 250.0, 250.0])
MIDDLE, RANGE = (LOWEST + HIGHEST) / 2, HIGHEST - LOWEST
SAFE_DISTANCE, HORIZON = 2000.0, 30.0
SIZES = (5, 25, 25, 25, 25, 25, 25, 5)


def costs(state: Array) -> Array:
    """Cost of every advisory, shape (points, 5), for states in their own units, shape (points, 5)."""
    distance, bearing, heading, own, intruder = state.T[:, :, None]
    apart = distance * np.exp(1j * bearing)
    speed = intruder * np.exp(1j * heading) - own * np.exp(1j * TURN)
    soonest = -(apart * speed.conj()).real / np.maximum(np.abs(speed) ** 2, 1.0)
    soonest = np.clip(soonest, 0.0, HORIZON)
    closest = np.abs(apart + soonest * speed)
    near = np.maximum(1.0 - closest / SAFE_DISTANCE, 0.0)
    return np.asarray(1.5 * near * (1.0 - soonest / HORIZON) + TURN_COST)


def batch(rng: np.random.Generator) -> tuple[Array, Array]:
    scaled = rng.uniform(-0.5, 0.5, (512, 5))
    scaled[:256, 0] = -0.5 + rng.uniform(0, 1, 256) ** 2 * 0.6
    return scaled, costs(MIDDLE + RANGE * scaled)


def trained() -> Parameters:
    start = dense(np.random.default_rng(5), SIZES)
    return train(
        start, lambda v, b: mean_square(perceptron(fixed(b[0]), v), b[1]), batch, steps=12000, rate=4e-3, seed=5
    )


def nnet(parameters: Parameters) -> bytes:
    """The same network as text in the .nnet format; inputs and outputs are left as they are."""
    depth = len(SIZES) - 1

    def row(values: Array | tuple[float, ...]) -> str:
        return ",".join(repr(float(np.float32(value))) for value in values) + ","

    lines = [
        "// Costs of five advisories for collision avoidance, learned from an analytic rule.",
        f"{depth},{SIZES[0]},{SIZES[-1]},{max(SIZES)},",
        ",".join(str(size) for size in SIZES) + ",",
        "0,",
        row((-0.5,) * 5),
        row((0.5,) * 5),
        row((0.0,) * 6),
        row((1.0,) * 6),
    ]
    for i in range(depth):
        lines += [row(weights) for weights in parameters[f"w{i}"].T]
        lines += [row((bias,)) for bias in parameters[f"b{i}"]]
    return ("\n".join(lines) + "\n").encode()


def build() -> dict[str, bytes]:
    parameters = trained()
    stored = model(
        perceptron_nodes("state", "costs", len(SIZES) - 1),
        {"state": (1, 5)},
        {"costs": (1, 5)},
        parameters,
        opset=13,
        about=RECIPE.about,
    )
    return {"onnx/avoidance.onnx": stored, "nnet/avoidance.nnet": nnet(parameters)}


def scaled(*ends: tuple[float, float]) -> str:
    """Box in the units of the rule, written for the scaled inputs of the network."""
    low, high = np.array(ends).T
    return box(list(zip(np.round((low - MIDDLE) / RANGE, 6), np.round((high - MIDDLE) / RANGE, 6), strict=True)))


ALL = (-np.pi, np.pi)
SLOW, FAST = (50.0, 120.0), (150.0, 250.0)
CLEAR_IS_LEAST = "\n".join(f"(assert (<= Y_0 Y_{k}))" for k in range(1, 5))


def some_is_least(disjuncts: dict[int, str]) -> str:
    """Some of the given advisories is given, each under its own condition on the inputs."""
    parts = [
        f"  (and {condition} " + " ".join(f"(<= Y_{k} Y_{other})" for other in range(5) if other != k) + ")"
        for k, condition in disjuncts.items()
    ]
    return "(assert (or\n" + "\n".join(parts) + "\n))"


RECIPE = Recipe(
    name="avoidance",
    about="Collision avoidance: 5 inputs, 6 x 25 ReLU, costs of five advisories learned from an analytic rule.",
    inputs=5,
    outputs=5,
    build=build,
    twins=("nnet/avoidance.nnet",),
    queries=(
        QueryRecipe(
            "far",
            "unsat",
            "Both aircraft slow and more than 9 km apart: is anything but clear-of-conflict ever advised?",
            scaled((9000, 10000), ALL, ALL, SLOW, SLOW)
            + "\n(assert (or "
            + " ".join(f"(>= Y_0 Y_{k})" for k in range(1, 5))
            + "))",
        ),
        QueryRecipe(
            "head_on",
            "unsat",
            "An intruder straight ahead, close and coming nearer: is clear-of-conflict ever advised?",
            scaled((1800, 2300), (-0.08, 0.08), (3.0, np.pi), (170, 250), (170, 250)) + "\n" + CLEAR_IS_LEAST,
        ),
        QueryRecipe(
            "overtaking",
            "sat",
            "Closing in on a slower aircraft straight ahead: is clear-of-conflict ever advised?  (It is, in a corner "
            "of the box: a fault of this network.)",
            scaled((1200, 2500), (-0.1, 0.1), (-0.2, 0.2), (200, 250), (50, 100)) + "\n" + CLEAR_IS_LEAST,
        ),
        QueryRecipe(
            "crossing",
            "sat",
            "An intruder crosses from the side: is a strong turn towards that side ever advised?  (It may pass behind.)"
            "  The side is one of two boxes, each with its own condition on the outputs.",
            scaled((1500, 4000), (-1.2, 1.2), (-2.0, 2.0), (100, 250), (100, 250))
            + "\n"
            + some_is_least(
                {
                    4: "(<= X_1 -0.063662) (>= X_1 -0.190986) (>= X_2 0.190986)",
                    3: "(>= X_1 0.063662) (<= X_1 0.190986) (<= X_2 -0.190986)",
                }
            ),
        ),
        QueryRecipe(
            "cost_bound",
            "unsat",
            "An intruder within 2 km, ahead, on any heading: does any cost exceed 2.1?",
            scaled((0, 2000), (-0.5, 0.5), ALL, FAST, FAST)
            + "\n(assert (or "
            + " ".join(f"(>= Y_{k} 2.1)" for k in range(5))
            + "))",
            timeout=60,
        ),
    ),
)
