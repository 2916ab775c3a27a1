"""Draw how lines are shifted, chosen and divided, for docs/how-it-works.md (needs matplotlib).

    python docs/pictures/shifting.py [FILE]

Left: lines of several slopes, each shifted until it touches the sigmoid.  Middle: how high the line above is in the
middle of the interval, by its slope, and the slopes that are tried for the least area.  Right: the lines of both parts
after a split.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.activations.catalogue import activation
from slir_milp.activations.start import least_area_above, least_area_below, slope_near
from slir_milp.activations.touch import touch_above, touch_below
from slir_milp.report.picture import ABOVE, BELOW, FAINT, FUNCTION, SPLIT
from slir_milp.report.relaxation import as_curve, split_point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVE = as_curve(activation("sigmoid"))
LOWER, UPPER = -5.0, 3.0
MIDDLE = (LOWER + UPPER) / 2
SLOPES_ABOVE, SLOPES_BELOW = (0.02, 0.09, 0.125, 0.22), (-0.03, 0.02, 0.115, 0.21)


def shifted(axes: Axes) -> None:
    """Lines of several slopes on either side."""
    x = np.array([LOWER, UPPER])
    sides = ((touch_above, SLOPES_ABOVE, ABOVE), (touch_below, SLOPES_BELOW, BELOW))
    for touch, slopes, colour in sides:
        for slope in slopes:
            offset, at = touch(CURVE.table, slope, LOWER, UPPER)
            axes.plot(x, slope * x + offset, color=colour, linewidth=1.1, alpha=0.8)
            axes.plot(at, slope * at + offset, "o", color=colour, markeredgecolor="white", markersize=6, zorder=6)
    axes.set_title("shifted until they touch", fontsize=9)
    axes.set_ylim(-0.75, 1.75)


def chosen(axes: Axes) -> None:
    """Height in the middle by the slope: the search for the least area meets its three first slopes."""
    slopes = np.linspace(-0.02, 0.26, 400)
    heights = [touch_above(CURVE.table, s, LOWER, UPPER)[0] + s * MIDDLE for s in slopes]
    axes.plot(slopes, heights, color=FUNCTION, linewidth=2.0)
    left, right = (LOWER, float(CURVE(np.array(LOWER)))), (UPPER, float(CURVE(np.array(UPPER))))
    slope = slope_near(CURVE.table, MIDDLE)
    for number in range(1, 4):
        offset, at = touch_above(CURVE.table, slope, LOWER, UPPER)
        height = offset + slope * MIDDLE
        reach = np.array([-0.045, 0.045])
        axes.plot(slope + reach, height + (MIDDLE - at) * reach, color=ABOVE, linewidth=1.1)
        axes.plot(slope, height, "o", color=ABOVE, markeredgecolor="white", markersize=6, zorder=6)
        axes.annotate(
            str(number), (slope, height), (9 if number == 3 else -9, -3), textcoords="offset points", ha="center"
        )
        contact = (at, offset + slope * at)
        left, right = (contact, right) if at < MIDDLE else (left, contact)
        slope = (right[1] - left[1]) / (right[0] - left[0])
    axes.set_title("the line above: its height in the middle, by slope", fontsize=9)
    axes.set_xlabel("slope s")
    axes.set_ylabel("s·m + c(s)")


def divided(axes: Axes) -> None:
    """Lines of least area of both parts."""
    at = split_point(CURVE.table, LOWER, UPPER)
    for lower, upper, style in ((LOWER, UPPER, FAINT), (LOWER, at, None), (at, UPPER, None)):
        x = np.array([lower, upper])
        lines = least_area_above(CURVE.table, lower, upper), least_area_below(CURVE.table, lower, upper)
        values = [line.slope * x + line.offset for line in lines]
        for value, colour in zip(values, (ABOVE, BELOW), strict=True):
            axes.plot(x, value, color=style or colour, linewidth=0.9 if style else 1.6, zorder=2 if style else 4)
        if style is None:
            axes.fill_between(x, values[1], values[0], color="#e9e3d2", linewidth=0)
    axes.axvline(at, color=SPLIT, linestyle=(0, (2, 3)), linewidth=1.0)
    axes.set_title(f"divided at {at:g}", fontsize=9)
    axes.set_ylim(-0.75, 1.75)


def main() -> None:
    """Write the picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_suffix(".png")
    with mpl.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(9.6, 3.0), facecolor="white", layout="constrained")
        first, second, third = figure.subplots(1, 3)
        x = np.linspace(LOWER, UPPER, 400)
        for axes in (first, third):
            axes.plot(x, CURVE(x), color=FUNCTION, linewidth=2.0, zorder=5)
            axes.set_xlabel("x")
        shifted(first)
        chosen(second)
        divided(third)
        figure.savefig(target, dpi=130)
    if target.suffix == ".png":
        from PIL import Image

        with Image.open(target) as picture:
            picture.convert("RGB").quantize(64).save(target, optimize=True)


if __name__ == "__main__":
    main()
