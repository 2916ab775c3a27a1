"""The picture of a decision map: colour is the preferred output, solid where that is proven, hatched elsewhere."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from slir_milp.report.drawing.svg import PALETTE, document, element, hatching, number, short, text, ticks
from slir_milp.report.drawing.values import Values

_SIDE = 460.0
_LEFT, _TOP, _BELOW, _LEGEND = 78.0, 14.0, 56.0, 282.0
_LINE = 18.0


@dataclass(frozen=True)
class Axis:
    """An axis of the map.

    Attributes
    ----------
    label
        What stands along it.
    lower, upper
        The input's range, as the network takes it.
    shown
        The numbers shown at the two ends, such as those in physical units.
    """

    label: str
    lower: float
    upper: float
    shown: tuple[float, float]


@dataclass(frozen=True)
class MapPicture:
    """All that is drawn.

    Attributes
    ----------
    title
        The heading.
    x, y
        The axes.
    fixed
        The other inputs in words.
    least
        Whether the least output is preferred.
    names
        Of the outputs.
    cells
        Column, row, depth, output and whether it is proven, each.
    complete
        Whether nothing was cut short.
    """

    title: str
    x: Axis
    y: Axis
    fixed: tuple[str, ...]
    least: bool
    names: tuple[str, ...]
    cells: tuple[tuple[int, int, int, int, bool], ...] = field(repr=False)
    complete: bool = True

    @property
    def about(self) -> str:
        """What the picture shows, in a few sentences."""
        proven = sum(0.25**depth for _, _, depth, _, sure in self.cells if sure)
        which = "least" if self.least else "greatest"
        sentences = [
            f"The colour tells which output is {which}. It is solid where bounds prove that for every point of the cell"
            f"{' and every value of the other inputs' if self.fixed else ''} ({_percent(proven)} of the plane), and "
            "hatched where it is so at the cell's centre only."
        ]
        if self.fixed:
            sentences.append(f"Other inputs: {'; '.join(self.fixed)}.")
        if not self.complete:
            sentences.append("The run was ended before all cells were as small as was asked for.")
        return " ".join(sentences)

    def svg(self) -> str:
        """The picture."""
        prefix = "m" + hashlib.sha256(repr((self.title, self.x, self.y, self.cells)).encode()).hexdigest()[:8]
        present = sorted({cell[3] for cell in self.cells})
        colours = {k: PALETTE[k % len(PALETTE)] for k in present}
        patterns = [hatching(f"{prefix}-{k}", colours[k], 45 if k % 2 else -45) for k in present]
        parts: list[Element] = [element("defs", *patterns)]
        for (k, sure), outline in sorted(self._outlines().items()):
            label = f"{self._name(k)}, {'proven' if sure else 'not proven'}"
            fill = colours[k] if sure else f"url(#{prefix}-{k})"
            parts.append(
                element("path", element("title", label), d=outline, fill=fill, stroke="#1b1d20",
                        stroke_width=0.4, stroke_opacity=0.3 if sure else 0.1)
            )  # fmt: skip
        parts += self._axes()
        parts += self._legend(present, colours, prefix)
        width, height = _LEFT + _SIDE + _LEGEND, _TOP + _SIDE + _BELOW
        return document(width, height, self.title, self.about, *parts)

    def _outlines(self) -> dict[tuple[int, bool], str]:
        """Cells of each output, proven or not, as one path."""
        found: dict[tuple[int, bool], list[str]] = defaultdict(list)
        for column, row, depth, best, sure in self.cells:
            side = _SIDE / (1 << depth)
            left, top = _LEFT + column * side, _TOP + _SIDE - (row + 1) * side
            wide = short(side)
            found[best, sure].append(f"M{short(left)} {short(top)}h{wide}v{wide}h-{wide}z")
        return {key: "".join(paths) for key, paths in found.items()}

    def _axes(self) -> list[Element]:
        bottom = _TOP + _SIDE
        parts = [
            element("rect", x=_LEFT, y=_TOP, width=_SIDE, height=_SIDE, fill="none", stroke="currentColor",
                    stroke_width=1)
        ]  # fmt: skip
        low, high = self.x.shown
        for value in ticks(min(low, high), max(low, high), 8):
            at = _LEFT + _SIDE * (value - low) / (high - low)
            parts.append(element("path", d=f"M{short(at)} {short(bottom)}v5", stroke="currentColor"))
            parts.append(text(at, bottom + 19, number(value), anchor="middle"))
        low, high = self.y.shown
        for value in ticks(min(low, high), max(low, high), 8):
            at = bottom - _SIDE * (value - low) / (high - low)
            parts.append(element("path", d=f"M{short(_LEFT)} {short(at)}h-5", stroke="currentColor"))
            parts.append(text(_LEFT - 9, at + 4, number(value), anchor="end"))
        parts.append(text(_LEFT + _SIDE / 2, bottom + 43, self.x.label, anchor="middle"))
        parts.append(text(18, _TOP + _SIDE / 2, self.y.label, anchor="middle", turned=True))
        return parts

    def _legend(self, present: list[int], colours: dict[int, str], prefix: str) -> list[Element]:
        left, top = _LEFT + _SIDE + 24, _TOP + 2
        shares = {k: [0.0, 0.0] for k in present}
        for _, _, depth, best, sure in self.cells:
            shares[best][0] += 0.25**depth
            shares[best][1] += 0.25**depth * sure
        parts = [text(left, top + 10, "least output" if self.least else "greatest output", soft=True)]
        for line, k in enumerate(present):
            y = top + 28 + 40 * line
            whole, proven = shares[k]
            parts.append(element("rect", x=left, y=y, width=18, height=12, rx=2, fill=colours[k]))
            parts.append(text(left + 28, y + 10, self._name(k)))
            parts.append(
                text(left + 28, y + 25, f"{_percent(whole)} of the plane, {_percent(proven)} proven", soft=True)
            )
        y = top + 36 + 40 * len(present)
        grey = "#7d858e"
        parts.append(element("defs", hatching(f"{prefix}-x", grey)))
        for line, (fill, words) in enumerate(((grey, "proven"), (f"url(#{prefix}-x)", "at the centre only"))):
            at = y + 22 * line
            parts.append(element("rect", x=left, y=at, width=18, height=12, rx=2, fill=fill))
            parts.append(text(left + 28, at + 10, words, soft=True))
        top = y + 78
        fitting = max(0, int((_TOP + _SIDE + _BELOW - top) // _LINE))
        for line, words in enumerate(self._conditions(fitting)):
            parts.append(text(left, top + _LINE * line, words, soft=True))
        return parts

    def _conditions(self, most: int) -> list[str]:
        """What else the picture speaks of: the other inputs, and that it was cut short; so many lines at most."""
        lines = ["other inputs", *self.fixed] if self.fixed else []
        end = [] if self.complete else ["cut short: cells are coarser than asked"]
        most -= len(end)
        if len(lines) > most:
            lines = [*lines[: most - 1], f"and {len(lines) - most + 1} more"] if most > 2 else []
        return lines + end

    def _name(self, k: int) -> str:
        return self.names[k] if k < len(self.names) and self.names[k] else f"Y_{k}"

    def to_json(self) -> dict[str, object]:
        """The picture's data, for a file."""

        def axis(one: Axis) -> dict[str, object]:
            return {"label": one.label, "lower": one.lower, "upper": one.upper, "shown": list(one.shown)}

        return {
            "picture": "decision map", "format": 1, "title": self.title, "x": axis(self.x), "y": axis(self.y),
            "fixed": list(self.fixed), "least": self.least, "names": list(self.names), "complete": self.complete,
            "cells": [[c, r, d, k, int(sure)] for c, r, d, k, sure in self.cells],
        }  # fmt: skip

    @staticmethod
    def from_json(values: Values) -> MapPicture:
        """The picture of a file's data.

        Raises
        ------
        OptionError
            A field is missing or is not what it should be.
        """

        def axis(name: str) -> Axis:
            one = values.part(name)
            low, high = one.numbers("shown", 2)
            if low == high:
                raise one.error("shown", "two different numbers")
            return Axis(one.text("label"), one.number("lower"), one.number("upper"), (low, high))

        cells = tuple(
            (column, row, depth, best, bool(sure)) for column, row, depth, best, sure in values.rows("cells", 5)
        )
        for column, row, depth, best, _ in cells:
            if not (0 <= depth <= 12 and 0 <= column < 1 << depth and 0 <= row < 1 << depth and 0 <= best < 10**6):
                raise values.error("cells", "cells within the plane")
        return MapPicture(
            values.text("title"), axis("x"), axis("y"), values.texts("fixed"), values.flag("least"),
            values.texts("names"), cells, values.flag("complete"),
        )  # fmt: skip


def _percent(share: float) -> str:
    """A share, rounded down: what is not whole must not read as 100 %."""
    return f"{int(share * 1000 + 1e-9) / 10:g} %"
