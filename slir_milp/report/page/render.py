"""The page as text: the template filled in, style and script inlined and named by their digests.

Every value is escaped by the template engine, or by the JSON writer where it goes into the script's data; a policy
in the page forbids whatever is not its own style and script, so that a hostile name could do nothing even unescaped.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from slir_milp._version import __version__
from slir_milp.report.page.data import as_script, page_data, row_id
from slir_milp.report.page.figures import Tally, contradictions, sets_of, tallies, tools_of
from slir_milp.report.page.published import published_times
from slir_milp.report.page.source import Results
from slir_milp.report.results import Outcome
from slir_milp.report.text import plural, seconds

if TYPE_CHECKING:
    from jinja2 import Template

_MOST_NAMED = 12
_SCRIPTS = ("state.js", "charts.js", "table.js", "page.js")
_NOTHING = "\N{EN DASH}"
_NAMES = {outcome: outcome.value for outcome in Outcome} | {Outcome.ERROR: "errors"}


@dataclass(frozen=True)
class Figure:
    """A picture in the page: SVG that is trusted, since this program has drawn it, with a title and a sentence."""

    title: str
    about: str
    svg: str


def render(results: Results, *, title: str, pictures: Sequence[Figure] = (), beside: Path | None = None) -> str:
    """The whole page.

    Parameters
    ----------
    results
        What to report.
    title
        The heading.
    pictures
        Drawn below the charts.
    beside
        Folder in which the page will lie, so that links to documents lead there; that of the campaign by default.

    Raises
    ------
    ModuleNotFoundError
        Jinja2 is not installed.
    """
    from markupsafe import Markup

    template = _template()
    style = _asset("report.css")
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    rows = results.rows
    published = published_times(results.campaign.sets, rows)
    data = {**page_data(results, published), "base": _base(results.folder, beside)}
    wrong = [(row, row_id(row)) for row in rows if row.outcome is Outcome.WRONG]
    clashes = contradictions(rows)
    counts = tallies(rows)
    return template.render(
        policy=_policy(style, script),
        version=__version__,
        title=title,
        lead=_lead(results),
        style=Markup(style),
        script=Markup(script),
        data=Markup(as_script(data)),
        wrong=wrong,
        contradictions=clashes,
        alarm=_alarm(len(wrong), len(clashes)),
        calm=_calm(results),
        most_named=_MOST_NAMED,
        tiles=_tiles(results, counts),
        groups=list(_groups(results, counts)),
        outcome_names=_NAMES,
        pictures=[replace(picture, svg=Markup(picture.svg)) for picture in pictures],
        rows=rows,
        facts=list(_facts(results)),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["file"] = _file
    return environment.get_template("page.html")


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; style-src {source(style)}; script-src {source(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _base(folder: Path, beside: Path | None) -> str:
    """The way from the page to the campaign's folder as a relative address that ends in a slash."""
    way = os.path.relpath(folder, beside or folder)
    return quote(Path(way).as_posix()) + "/"


def _file(name: str) -> str:
    """The name of a file without folder and ending."""
    last = name.rsplit("/", 1)[-1]
    for ending in (".gz", ".onnx", ".nnet", ".vnnlib"):
        last = last.removesuffix(ending)
    return last


def _lead(results: Results) -> str:
    rows, campaign = results.rows, results.campaign
    tools, sets = tools_of(rows), sets_of(rows)
    parts = [f"{plural(len(rows), 'run')} of {plural(len(tools), 'tool')} over {plural(len(sets), 'set')}"]
    if campaign.started:
        parts.append(f"started on {_date(campaign.started)}")
    if campaign.limits.seconds:
        parts.append(f"at most {campaign.limits.seconds:g} s an instance")
    return ", ".join(parts) + "."


def _date(text: str) -> str:
    """A time as people write it; text that is no time is left as it is."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.strftime("%Y-%m-%d %H:%M") + (f" {moment.tzname()}" if moment.tzinfo else "")


def _alarm(wrong: int, clashes: int) -> str:
    parts = [plural(wrong, "wrong verdict")] if wrong else []
    parts += [plural(clashes, "contradiction") + " between tools"] if clashes else []
    return " and ".join(parts)


def _calm(results: Results) -> str:
    if not results.rows:
        return "There is nothing to compare yet."
    counts = Counter(row.outcome for row in results.rows)
    right, unchecked, errors = counts[Outcome.RIGHT], counts[Outcome.UNCHECKED], counts[Outcome.ERROR]
    sentences = [f"No verdict is wrong; {right:,} {'agrees' if right == 1 else 'agree'} with published ones."]
    if unchecked:
        sentences.append(f"{unchecked:,} {'has' if unchecked == 1 else 'have'} none to agree with.")
    if errors:
        sentences.append(f"{plural(errors, 'run')} ended in an error.")
    return " ".join(sentences)


def _tiles(results: Results, counts: dict[tuple[str, str], Tally]) -> list[dict[str, Any]]:
    versions = {tool.name: tool.version for tool in results.campaign.tools}
    tiles = []
    for tool in tools_of(results.rows):
        tally, start, parts = counts["", tool], 0.0, []
        for outcome, count in tally.outcomes.items():
            width = 1000 * count / tally.rows
            parts.append({"outcome": outcome, "start": f"{start:.2f}", "width": f"{width:.2f}"})
            start += width
        tiles.append({"tool": tool, "version": versions.get(tool, ""), "tally": tally, "parts": parts})
    return tiles


def _groups(results: Results, counts: dict[tuple[str, str], Tally]) -> Iterator[dict[str, Any]]:
    tools, sets = tools_of(results.rows), sets_of(results.rows)
    for name in (*sets, "") if len(sets) > 1 else sets:
        lines = [{"tool": t, "cells": list(_cells(name, t, counts[name, t]))} for t in tools if (name, t) in counts]
        yield {"name": name or "All sets", "total": not name, "lines": lines}


@dataclass(frozen=True)
class _Cell:
    """A figure of the summary: its text, and for a count the filter that shows what was counted."""

    text: str
    count: int | None = None
    link: str = ""
    label: str = ""
    alarm: bool = False


def _cells(name: str, tool: str, tally: Tally) -> Iterator[_Cell]:
    def counted(count: int, label: str, *, alarm: bool = False, **chosen: str) -> _Cell:
        parameters = {**({"set": name} if name else {}), "tool": tool, **chosen}
        return _Cell(f"{count:,}", count, "#" + urlencode(parameters), f"{label} by {tool}", alarm and count > 0)

    yield counted(tally.rows, "runs")
    for outcome, count in tally.outcomes.items():
        yield counted(count, _NAMES[outcome], alarm=outcome is Outcome.WRONG, outcome=outcome.value)
    yield counted(tally.sat, "sat", verdict="sat")
    yield counted(tally.unsat, "unsat", verdict="unsat")
    yield _Cell(f"{tally.seconds:,.1f}")
    yield _Cell(f"{tally.slowest:,.2f}" if tally.solved else _NOTHING)
    yield _Cell(f"{tally.score:,}".replace("-", "−"), alarm=tally.score < 0)


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    campaign = results.campaign
    if campaign.started:
        yield "Started", _date(campaign.started)
    begun = [row.started for row in results.rows if row.started]
    if begun:
        yield "Last instance begun", _date(max(begun))
    machine, limits = campaign.machine, campaign.limits
    for key, name in (("processor", "Processor"), ("cores", "Cores"), ("system", "System")):
        if machine.get(key):
            yield name, str(machine[key])
    if isinstance(machine.get("memory_bytes"), int):
        yield "Memory", f"{machine['memory_bytes'] / 1e9:.1f} GB"
    own = "the instance's own"
    yield "Time limit", f"{seconds(limits.seconds)}, or {own} if that is less" if limits.seconds else own
    yield "Memory limit", f"{limits.memory_mb:,.0f} MB" if limits.memory_mb else "none"
    yield "At a time", f"{plural(limits.parallel, 'instance')}, {plural(limits.jobs, 'thread')} each"
    for tool in campaign.tools:
        yield f"Tool {tool.name} {tool.version}".strip(), " ".join(tool.command) or _NOTHING
    if campaign.versions:
        yield "Versions", ", ".join(f"{name} {version}" for name, version in campaign.versions.items())
    for entry in campaign.sets:
        yield f"Set {entry.name}", f"{plural(entry.instances, 'instance')} in {entry.folder}"
