"""A picture of intervals that are known from outside and from inside (needs matplotlib)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.errors import OptionError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

# Distinct in lightness too, and for those who see fewer colours (Okabe and Ito, Color Universal Design).
_INNER, _OUTER = "#0072b2", "#d55e00"


def draw_intervals(
    names: Sequence[str],
    outer: tuple[NDArray[np.float64], NDArray[np.float64]],
    inner: tuple[NDArray[np.float64], NDArray[np.float64]],
    axes: Axes | None = None,
) -> Axes:
    """Draw one horizontal bar for each interval: thick where it is known to reach, thin where it may.

    Parameters
    ----------
    names
        One for each interval.
    outer, inner
        Lower and upper ends, shape ``(k,)`` each; those that are not finite are left out.
    axes
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
        What was drawn on.

    Raises
    ------
    OptionError
        Matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError:
        raise OptionError("pictures need matplotlib; 'pip install slir-milp[plot]' brings it.") from None
    if axes is None:
        _, axes = pyplot.subplots(figsize=(7.0, 0.9 + 0.36 * len(names)), layout="constrained")
    heights = np.arange(len(names))[::-1]
    for (low, high), width, colour, label in (
        (outer, 2.0, _OUTER, "proven: no value outside"),
        (inner, 7.0, _INNER, "attained"),
    ):
        shown = np.isfinite(low) & np.isfinite(high) & (low <= high)
        axes.hlines(heights[shown], low[shown], high[shown], color=colour, linewidth=width, label=label)
        if colour == _OUTER:
            for end in (low, high):
                finite = np.isfinite(end)
                axes.plot(end[finite], heights[finite], "|", color=colour, markersize=13, markeredgewidth=2.0)
    axes.set_yticks(heights, names)
    axes.set_ylim(-0.7, len(names) - 0.3)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, frameon=False)
    return axes
