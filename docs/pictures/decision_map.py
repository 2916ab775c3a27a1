"""Draw the map of proven advisories that the README shows (needs matplotlib).

    python docs/pictures/decision_map.py [FILE]

The plane around the own aircraft is divided into cells of distance and bearing, finer where the advisory changes.  Each
cell is one query: can another advisory cost as little, for any position of the intruder in the cell, any heading and
any speeds in the ranges below?  A cell is coloured where the answer is ``unsat``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from slir_milp import Network, Options, Status, load_network, parse_query, verify
from slir_milp.problems.catalogue import problem

FARTHEST = 5000.0
WEDGES = 16
FINEST = 6
HEADING = np.deg2rad([96.0, 98.0])  # relative to ours, counter-clockwise: the intruder flies to our left
OWN_SPEED, ITS_SPEED = (198.0, 202.0), (198.0, 202.0)
# The network takes each quantity shifted and scaled to [-0.5, 0.5].
LOWEST = np.array([0.0, -np.pi, -np.pi, 50.0, 50.0])
HIGHEST = np.array([10000.0, np.pi, np.pi, 250.0, 250.0])
NAMES = ("clear of conflict", "weak left", "weak right", "strong left", "strong right")
COLOURS = ("#cfd8dc", "#8ecae6", "#ffcf7d", "#1f6fa8", "#e07b00")
OPEN = "#ffffff"

Cell = tuple[float, float, float, float]


def proven(network: Network, cell: Cell) -> int | None:
    """The advisory that is given everywhere in a cell, if that can be proven."""
    near, far, right, left = cell
    ranges = np.array([(near, far), (right, left), HEADING, OWN_SPEED, ITS_SPEED])
    scaled = (ranges - LOWEST[:, None]) / (HIGHEST - LOWEST)[:, None] - 0.5
    advisory = int(np.argmin(network(scaled.mean(axis=1))))
    text = "".join(f"(declare-const X_{i} Real)" for i in range(5)) + "".join(
        f"(declare-const Y_{i} Real)" for i in range(5)
    )
    for i, (low, high) in enumerate(scaled):
        text += f"(assert (>= X_{i} {low:.9f}))(assert (<= X_{i} {high:.9f}))"
    others = " ".join(f"(<= Y_{other} Y_{advisory})" for other in range(5) if other != advisory)
    verdict = verify(network, parse_query(f"{text}(assert (or {others}))"), Options(jobs=1, timeout=10))
    return advisory if verdict.status is Status.UNSAT else None


def cells(network: Network, cell: Cell, depth: int) -> Iterator[tuple[Cell, int | None]]:
    """Cells with their advisories, divided where none is proven."""
    advisory = proven(network, cell)
    if advisory is not None or depth == FINEST:
        yield cell, advisory
        return
    near, far, right, left = cell
    across, along = 0.5 * (near + far), 0.5 * (right + left)
    for part in (
        (near, across, right, along),
        (near, across, along, left),
        (across, far, right, along),
        (across, far, along, left),
    ):
        yield from cells(network, part, depth + 1)


def outline(cell: Cell) -> np.ndarray:
    """Corners of a cell in the plane, ahead is up; shape (points, 2)."""
    near, far, right, left = cell
    count = max(2, int(np.ceil((left - right) / 0.05)) + 1)
    turn = np.linspace(right, left, count)
    there = np.concatenate([far * np.exp(1j * turn), near * np.exp(1j * turn[::-1])]) * 1j
    return np.stack([there.real, there.imag], axis=1) / 1000.0


def draw(found: list[tuple[Cell, int | None]], target: Path) -> None:
    """Write the picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.collections import PolyCollection
    from matplotlib.patches import Patch
    from PIL import Image

    figure, axes = plt.subplots(figsize=(7.6, 5.0), facecolor="white")
    axes.add_collection(
        PolyCollection(
            [outline(cell) for cell, _ in found],
            facecolors=[OPEN if advisory is None else COLOURS[advisory] for _, advisory in found],
            edgecolors=[OPEN if advisory is None else "#37474f" for _, advisory in found],
            linewidths=[0.0 if advisory is None else 0.15 for _, advisory in found],
        )
    )
    axes.plot(0, 0, marker=(3, 0, 0), markersize=11, color="black", markeredgecolor="white")
    reach = FARTHEST / 1000.0
    axes.set_aspect("equal")
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_axis_off()
    axes.annotate(
        "", xy=(3.3, 4.6), xytext=(5.1, 4.6), arrowprops={"arrowstyle": "-|>", "color": "black", "linewidth": 1.4}
    )
    axes.text(5.2, 4.6, "the intruder flies this way", va="center", fontsize=9)
    present = sorted({advisory for _, advisory in found if advisory is not None})
    handles = [Patch(facecolor=COLOURS[k], edgecolor="#37474f", linewidth=0.5, label=NAMES[k]) for k in present]
    handles.append(Patch(facecolor=OPEN, edgecolor="#37474f", linewidth=0.5, label="none proven"))
    legend = axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False, fontsize=10,
        title="Proven advisory for an\nintruder at this place", alignment="left",
    )  # fmt: skip
    legend.get_title().set_fontsize(10)
    axes.plot([-reach, -reach + 1], [-reach, -reach], color="black", linewidth=1.4)
    axes.text(-reach + 0.5, -reach + 0.12, "1 km", ha="center", va="bottom", fontsize=9)
    figure.savefig(target, dpi=140, bbox_inches="tight", pad_inches=0.12)
    with Image.open(target) as picture:
        picture.convert("RGB").quantize(64).save(target, optimize=True)


def main() -> None:
    """Prove the cells and write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    network = load_network(problem("avoidance").network)
    wedges = np.linspace(-np.pi, np.pi, WEDGES + 1)
    found = [
        cell for right, left in pairwise(wedges.tolist()) for cell in cells(network, (0.0, FARTHEST, right, left), 0)
    ]
    area = sum((far**2 - near**2) * (left - right) for (near, far, right, left), k in found if k is not None)
    print(f"{len(found)} cells, {100 * area / (2 * np.pi * FARTHEST**2):.1f} % of the disc proven")
    draw(found, target)


if __name__ == "__main__":
    main()
