"""Elements of SVG, and what more than one picture needs: ticks, legends, hatching."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree.ElementTree import Element, tostring

NAMESPACE = "http://www.w3.org/2000/svg"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
SIZE = 12.0
PALETTE = ("#8496a6", "#56b4e9", "#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a48a00")
"""Colours that differ for people who do not see all of them, and that are seen on white and on black."""


def element(tag: str, *children: Element | str | None, **attributes: str | float | None) -> Element:
    """An element; underscores in attributes' names stand for hyphens, numbers are written short.

    Text and attributes are escaped when the element is written.
    """
    node = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            node.set(name.strip("_").replace("_", "-"), value if isinstance(value, str) else short(value))
    for child in children:
        if isinstance(child, str):
            node.text = printable(child)
        elif child is not None:
            node.append(child)
    return node


def document(width: float, height: float, title: str, about: str, *children: Element | None) -> str:
    """A picture as text; screen readers are told its title and what it shows."""
    root = element(
        "svg", element("title", title), element("desc", about), *children,
        xmlns=NAMESPACE, viewBox=f"0 0 {short(width)} {short(height)}", width=width, height=height, role="img",
        color="#1b1d20", font_family=FONT, font_size=SIZE, fill="currentColor",
    )  # fmt: skip
    return tostring(root, encoding="unicode")


def text(x: float, y: float, content: str, *, anchor: str | None = None, soft: bool = False, turned: bool = False,
         weight: str | None = None) -> Element:  # fmt: skip
    """A line of text; ``turned`` reads upward."""
    turn = f"rotate(-90 {short(x)} {short(y)})" if turned else None
    opacity = 0.72 if soft else None
    return element(
        "text", content, x=x, y=y, text_anchor=anchor, opacity=opacity, transform=turn, font_weight=weight
    )  # fmt: skip


def hatching(name: str, colour: str, turn: int = 45) -> Element:
    """A pattern of thin lines on a faint ground, for what is not proven."""
    return element(
        "pattern",
        element("rect", width=6, height=6, fill=colour, fill_opacity=0.16),
        element("rect", width=1.5, height=6, fill=colour, fill_opacity=0.75),
        id=name, width=6, height=6, patternUnits="userSpaceOnUse", patternTransform=f"rotate({turn})",
    )  # fmt: skip


def short(value: float) -> str:
    """A number with at most two decimals, none where it is whole."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value % 1 else f"{value:.0f}"


def printable(content: str) -> str:
    """A text without the characters that XML has no way to write."""
    return "".join(
        c if c in "\t\n" or (c >= " " and not 0xD800 <= ord(c) <= 0xDFFF and c not in "￾￿") else "\ufffd"
        for c in content
    )


def ticks(low: float, high: float, most: int = 6) -> Sequence[float]:
    """Round numbers within an interval."""
    width = high - low
    if not 0 < width < math.inf:
        return [low]
    power = 10.0 ** math.floor(math.log10(width / most))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if k * power >= width / most * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def number(value: float) -> str:
    """A tick's number."""
    return f"{value + 0.0:.6g}".replace("-", "\N{MINUS SIGN}")
