"""A small table of facts in HTML, for ``_repr_html_``.

It has no colours of its own: text and lines take the notebook's, so that it reads in light and in dark.  Everything is
escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

MOST_ROWS = 24
"""Rows of a table that are shown; a last row tells how many there are besides."""

_CELL = (
    "padding:0.15em 0.8em 0.15em 0;text-align:left;vertical-align:top;background:transparent;border:0;"
    "color:inherit;font:inherit"
)
_NUMBER = _CELL.replace("text-align:left", "text-align:right;font-variant-numeric:tabular-nums")
_OPEN = '<table style="border-collapse:collapse;margin:0.3em 0;color:inherit">'
_RULE = "border-bottom:1px solid currentColor"


def card(
    title: str,
    facts: Iterable[tuple[str, str]] = (),
    *,
    columns: Sequence[str] = (),
    rows: Sequence[Sequence[str]] = (),
) -> str:
    """HTML of a title, some facts and a table.

    Parameters
    ----------
    title
        One line.
    facts
        Names and values; those without a value are left out.
    columns, rows
        Heads and cells of a table, the first column text and the others numbers; none without columns.

    Returns
    -------
    str
        HTML with inline style and no script.
    """
    parts = [f'<div style="display:inline-block;color:inherit"><strong>{escape(title)}</strong>']
    shown = [(name, value) for name, value in facts if value]
    if shown:
        lines = "".join(
            f'<tr><th scope="row" style="{_CELL};font-weight:normal;opacity:0.75">{escape(name)}</th>'
            f'<td style="{_CELL}">{escape(value)}</td></tr>'
            for name, value in shown
        )
        parts.append(f'<table style="border-collapse:collapse;margin:0.3em 0;color:inherit">{lines}</table>')
    if columns:
        parts.append(_table(columns, rows))
    return "".join(parts) + "</div>"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def style(column: int) -> str:
        return _NUMBER if column else _CELL

    head = "".join(
        f'<th scope="col" style="{style(c)};{_RULE}">{escape(column)}</th>' for c, column in enumerate(columns)
    )
    body = "".join(
        "<tr>" + "".join(f'<td style="{style(c)}">{escape(cell)}</td>' for c, cell in enumerate(row)) + "</tr>"
        for row in rows[:MOST_ROWS]
    )
    hidden = len(rows) - MOST_ROWS
    if hidden > 0:
        body += f'<tr><td colspan="{len(columns)}" style="{_CELL}">and {hidden:,} more</td></tr>'
    table = '<table style="border-collapse:collapse;margin:0.3em 0;color:inherit">'
    return f"{table}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
