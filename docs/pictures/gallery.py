"""Draw the gallery of activations that docs/activations.md shows (needs matplotlib).

    python docs/pictures/gallery.py [FILE]

Each small picture is what ``slir-milp relax`` finds: the function on an interval, and the lines of least area.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from slir_milp import register_activation
from slir_milp.activations import Curve
from slir_milp.activations.catalogue import activation, curve_of
from slir_milp.activations.parse import parse
from slir_milp.report.picture import ABOVE, BELOW, FUNCTION, SPLIT, draw_on
from slir_milp.report.relaxation import LEAST_AREA, as_curve, relax


def known(name: str, **parameters: float) -> Curve:
    """A built-in activation."""
    return as_curve(activation(name, **parameters))


def bumpy(x: np.ndarray) -> np.ndarray:
    """A function that is known by a few samples and its Lipschitz constant alone."""
    return np.asarray(0.5 * x + np.abs(np.sin(3 * x)) / 3)


SHOWN = (
    ("GELU", known("gelu"), -3.0, 2.0),
    ("SiLU", known("silu"), -4.0, 2.0),
    ("Mish", known("mish"), -5.0, 1.0),
    ("λ-GELU, λ = 3", known("lambda_gelu", steepness=3.0), -1.5, 1.0),
    ("tanh", known("tanh"), -1.0, 3.0),
    ("sigmoid", known("sigmoid"), -5.0, 3.0),
    ("sin", known("sin"), -2.0, 6.5),
    ("ELU", known("elu"), -3.0, 1.5),
    ("clip to [0, 6]", known("clip"), -2.0, 9.0),
    ("floor", known("floor"), -1.5, 2.5),
    ("a formula: x + sin(x)²", curve_of(parse("x + sin(x)**2")), -2.0, 3.0),
    (
        "64 samples, Lipschitz constant 3/2",
        register_activation("bumpy", bumpy, lipschitz=1.5, interval=(-3, 3), samples=64),
        *(-2.0, 1.4),
    ),
)


def main() -> None:
    """Write the picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    with mpl.rc_context({"font.size": 8}):
        figure = Figure(figsize=(8.4, 8.6), facecolor="white", layout="constrained")
        grid = figure.subplots(4, 3)
        for axes, (title, curve, lower, upper) in zip(grid.flat, SHOWN, strict=True):
            draw_on(axes, relax(curve, lower, upper), rules=False)
            axes.set_title(title, fontsize=9)
            axes.locator_params(nbins=5)
        for axes in grid[-1]:
            axes.set_xlabel("x")
        for axes in grid[:, 0]:
            axes.set_ylabel("f(x)")
        handles = [
            Line2D([], [], color=FUNCTION, linewidth=2.0, label="the function"),
            Line2D([], [], color=ABOVE, marker="o", markeredgecolor="white", label=f"line of {LEAST_AREA} above"),
            Line2D([], [], color=BELOW, marker="o", markeredgecolor="white", label=f"line of {LEAST_AREA} below"),
            Line2D([], [], color=SPLIT, linestyle=(0, (2, 3)), label="where a split divides"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
        figure.savefig(target, dpi=130)
    if target.suffix == ".png":
        from PIL import Image

        with Image.open(target) as picture:
            picture.convert("RGB").quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    main()
