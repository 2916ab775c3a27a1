"""Drawing a relaxation (needs matplotlib, which is imported when something is drawn)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from slir_milp.activations.table import Table, Vector
from slir_milp.errors import OptionError
from slir_milp.report.relaxation import CHORD, HAND_CRAFTED, LEAST_AREA, Band, Line, Relaxation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg", "pdf")
"""Endings of the files that can be written."""

# Distinct in lightness too, and for those who see fewer colours (Okabe and Ito, Color Universal Design).
FUNCTION, ABOVE, BELOW, SPLIT, FAINT = "#1a1a1a", "#d55e00", "#0072b2", "#767676", "#9a9a9a"
_FURTHER = ("#009e73", "#cc79a7")
_FAINT_STYLES: dict[str, Any] = {HAND_CRAFTED: (0, (5, 2)), CHORD: (0, (1, 1.6))}
_BESIDE = 0.18
_SAMPLES = 1201
_CONTACT = 1e-4
_LARGEST = 1e100


def draw(relaxation: Relaxation, form: str) -> bytes:
    """A picture of a relaxation: the function, its interval and every band.

    Parameters
    ----------
    relaxation
        What to draw.
    form
        One of :data:`FORMATS`.

    Returns
    -------
    bytes
        Contents of a file.

    Raises
    ------
    OptionError
        If the numbers are too large to be drawn.
    """
    if max(map(abs, (relaxation.lower, relaxation.upper, *_heights(relaxation)))) > _LARGEST:
        raise OptionError(f"the picture was not drawn: its numbers are beyond {_LARGEST:g}; take a smaller interval.")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "slir_milp", "font.size": 10}):
        figure = Figure(figsize=(7.6, 5.4), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        draw_on(axes, relaxation)
        name, formula = relaxation.curve.name, relaxation.formula
        axes.set_title(_shortened(name if formula in ("", name) else f"{name}:  {formula}"), fontsize=11, loc="left")
        axes.set_xlabel("x")
        axes.set_ylabel("f(x)")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
        stream = io.BytesIO()
        figure.savefig(stream, format=form, dpi=150, metadata={"png": {}, "svg": {"Date": None}}.get(form))
    return stream.getvalue()


def draw_on(axes: Axes, relaxation: Relaxation, *, rules: bool = True) -> None:
    """Draw a relaxation into given axes; without the rules for comparison if ``rules`` is false."""
    lower, upper = relaxation.lower, relaxation.upper
    margin = _BESIDE * (upper - lower)
    inside = np.linspace(lower, upper, 2)
    bottom, top = _heights(relaxation)

    for end in (lower, upper):
        axes.axvline(end, color=FAINT, linewidth=0.7, zorder=1)
    first, *others = relaxation.bands
    if first.above is not None and first.below is not None:
        axes.fill_between(inside, first.below(inside), first.above(inside), color="#e9e4d4", linewidth=0, zorder=0.5)
    x, value = _graph(relaxation, lower - margin, upper + margin)
    within = (x >= lower) & (x <= upper)
    axes.plot(x, np.where(within, np.nan, value), color=FUNCTION, linewidth=0.9, alpha=0.45, zorder=5)
    axes.plot(x, np.where(within, value, np.nan), color=FUNCTION, linewidth=2.0, zorder=5, label="the function")
    for line, colour, side in ((first.above, ABOVE, "above"), (first.below, BELOW, "below")):
        if line is None:
            continue
        axes.plot(inside, line(inside), color=colour, linewidth=1.8, zorder=6, label=f"{LEAST_AREA}, {side}")
        at = _contacts(relaxation, line, x[within], value[within], top - bottom)
        axes.plot(at, line(at), "o", color=colour, markeredgecolor="white", markersize=6.5, zorder=7)
    further = iter(_FURTHER)
    for band in others:
        if not rules and band.rule in _FAINT_STYLES:
            continue
        if band.rule in _FAINT_STYLES:
            style = {"color": FAINT, "linestyle": _FAINT_STYLES[band.rule], "linewidth": 1.1, "zorder": 2}
        else:
            style = {"color": next(further), "linestyle": (0, (7, 1.5, 1.5, 1.5)), "linewidth": 1.6, "zorder": 3}
        for number, line in enumerate(_lines(band)):
            axes.plot(inside, line(inside), label="" if number else band.rule, **style)
            if band.rule not in _FAINT_STYLES:
                axes.plot(line.touch, line(np.array(line.touch)), "o", color=style["color"], markersize=4.5, zorder=4)
    style = {"color": SPLIT, "linestyle": (0, (2, 3)), "linewidth": 1.0, "zorder": 1}
    axes.axvline(relaxation.split, label="where a split divides", **style)
    axes.set_xlim(lower - margin, upper + margin)
    axes.set_ylim(bottom, top)
    axes.spines[["top", "right"]].set_visible(False)


def _lines(band: Band) -> Iterator[Line]:
    yield from (line for line in (band.above, band.below) if line is not None)


def _shortened(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:89]}…"


def _heights(relaxation: Relaxation) -> tuple[float, float]:
    """What the vertical axis shows: the function on the interval and the lines that matter."""
    ends = np.array([relaxation.lower, relaxation.upper])
    shown = [band for band in relaxation.bands if band.rule not in _FAINT_STYLES]
    heights = [line(ends) for band in shown for line in _lines(band)]
    value = _graph(relaxation, relaxation.lower, relaxation.upper)[1]
    value = value[np.isfinite(value)]
    if shown[0].above is None or shown[0].below is None:  # the function may go to infinity
        middle = value[len(value) // 20 : -(len(value) // 20) or None]
        value = middle if len(middle) else value
    heights.append(value)
    bottom, top = min(float(h.min()) for h in heights if len(h)), max(float(h.max()) for h in heights if len(h))
    room = 0.08 * (top - bottom) or 1.0
    return bottom - room, top + room


def _graph(relaxation: Relaxation, lower: float, upper: float) -> tuple[Vector, Vector]:
    """Points of the graph, with a gap at every jump."""
    knots = _jumps(relaxation.curve.table)
    knots = knots[(knots > lower) & (knots < upper)][:500]
    near = 1e-9 * (upper - lower)
    ends = np.array([relaxation.lower, relaxation.upper])
    x = np.unique(np.concatenate([np.linspace(lower, upper, _SAMPLES), ends, knots - near, knots, knots + near]))
    with np.errstate(all="ignore"):
        value = np.asarray(relaxation.curve(x), dtype=np.float64)
    value[np.isin(x, knots) | ~np.isfinite(value)] = np.nan
    return x, value


def _jumps(table: Table) -> Vector:
    """Knots at which the function may jump: beside a segment without a bound on its slopes."""
    rough = ~(np.isfinite(table.slope_low) & np.isfinite(table.slope_high))
    rough[[0, -1]] = False
    return np.unique(np.concatenate([table.knots[:-1][rough], table.knots[1:][rough]]))


def _contacts(relaxation: Relaxation, line: Line, x: Vector, value: Vector, height: float) -> Vector:
    """Where a line touches, to the eye: the proven place, and others where the gap has a minimum of nearly nothing."""
    gap = np.abs(line(x) - np.where(np.isnan(value), np.inf, value))
    padded = np.concatenate([[np.inf], gap, [np.inf]])
    lowest = (gap <= padded[:-2]) & (gap <= padded[2:]) & (gap <= _CONTACT * height)
    other = x[lowest]
    apart = np.abs(other - line.touch) > 0.02 * (relaxation.upper - relaxation.lower)
    return np.concatenate([[line.touch], other[apart]])
