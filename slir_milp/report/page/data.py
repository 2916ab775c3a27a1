"""The rows as the page's script reads them: names once, and numbers where a row names them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slir_milp.report.page.figures import VERDICTS
from slir_milp.report.page.published import Published
from slir_milp.report.page.source import Results
from slir_milp.report.results import Outcome, Row

_DIGITS = 10


class _Names:
    """Texts, each once, by their numbers."""

    def __init__(self, first: Sequence[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        for text in first:
            self.number(text)

    def number(self, text: str) -> int:
        return self._numbers.setdefault(text, len(self._numbers))

    def texts(self) -> list[str]:
        return list(self._numbers)


def row_id(row: Row) -> str:
    """A short name of a row for links to it."""
    text = "\0".join((row.set, row.onnx, row.vnnlib, row.tool))
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()[:_DIGITS]


def page_data(results: Results, published: Sequence[Published]) -> dict[str, Any]:
    """Everything that the script needs.

    The lists of a row are: identifier, set, network, query, tool, verdict, published verdict, outcome, seconds, limit,
    memory in MB, regions, stages, closed share in per mille (rounded down), reason, where the witness holds, document,
    file of the witness, start.
    """
    sets, onnx, vnnlib, tools, others, texts = (_Names() for _ in range(6))
    verdicts, outcomes = _Names(VERDICTS), _Names(tuple(Outcome))
    rows = [
        [
            row_id(row),
            sets.number(row.set),
            onnx.number(row.onnx),
            vnnlib.number(row.vnnlib),
            tools.number(row.tool),
            verdicts.number(row.verdict),
            texts.number(row.truth),
            outcomes.number(row.outcome),
            _short(row.seconds),
            None if row.timeout is None else _short(row.timeout),
            None if row.peak_mb is None else round(row.peak_mb),
            row.regions,
            row.closed_by or 0,
            int(row.closed_fraction * 1000),
            texts.number(row.reason),
            texts.number(row.witness),
            row.document,
            witness_file(results.folder, row),
            row.started,
        ]
        for row in results.rows
    ]
    reported = [
        [
            sets.number(one.instance[0]),
            onnx.number(one.instance[1]),
            vnnlib.number(one.instance[2]),
            others.number(one.tool),
            verdicts.number(one.verdict),
            _short(one.seconds),
            int(one.solved),
        ]
        for one in published
    ]
    campaign, limits = results.campaign, results.campaign.limits
    return {
        "sets": sets.texts(),
        "onnx": onnx.texts(),
        "vnnlib": vnnlib.texts(),
        "tools": tools.texts(),
        "verdicts": verdicts.texts(),
        "outcomes": outcomes.texts(),
        "texts": texts.texts(),
        "rows": rows,
        "others": others.texts(),
        "published": reported,
        "folders": {entry.name: entry.folder for entry in campaign.sets},
        "commands": {tool.name: tool.command for tool in campaign.tools},
        "limits": {"seconds": limits.seconds, "memory_mb": limits.memory_mb, "jobs": limits.jobs},
    }


def witness_file(folder: Path, row: Row) -> str:
    """Path of a row's witness within the folder; ``""`` if there is none."""
    if row.verdict != "sat" or not row.document:
        return ""
    parts = Path(row.document).with_suffix(".txt").parts
    path = Path("witnesses", *parts[1:])
    return path.as_posix() if len(parts) > 1 and ".." not in parts and (folder / path).is_file() else ""


def as_script(data: dict[str, Any]) -> str:
    """JSON that may stand within a ``script`` element: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _short(seconds: float) -> float:
    """A time to a millisecond."""
    return round(seconds, 3)
