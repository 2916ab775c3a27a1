"""Published times of other verifiers, from a set's ``tool_times.csv``; they were measured on other machines."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slir_milp.report.campaign import SetEntry
from slir_milp.report.page.figures import DECIDED, VERDICTS, Instance, instance_of
from slir_milp.report.results import Row


@dataclass(frozen=True)
class Published:
    """What a verifier was reported to have answered.

    Attributes
    ----------
    instance
        The instance, as the rows of the campaign name it.
    tool
        Name and year.
    verdict, seconds
        Its answer and its time.
    solved
        Whether the answer is a verdict, and none that contradicts the set's own.
    """

    instance: Instance
    tool: str
    verdict: str
    seconds: float
    solved: bool


def published_times(sets: Iterable[SetEntry], rows: Iterable[Row]) -> tuple[Published, ...]:
    """Times of the instances that have rows, each verifier's of its last year in the set; none where none are known.

    Where a set names an instance several times, the first of its times is taken, as rows have it once.

    Parameters
    ----------
    sets
        The sets; those times are in their folders.
    rows
        The campaign's rows.
    """
    known = {(row.set, _stem(row.onnx), _stem(row.vnnlib)): row for row in rows}
    found: list[Published] = []
    for entry in sets:
        if entry.folder:
            found += _of_set(entry.name, Path(entry.folder) / "tool_times.csv", known)
    return tuple(found)


def _of_set(name: str, path: Path, known: dict[Instance, Row]) -> list[Published]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line.get("verdict") in VERDICTS]
        latest: dict[str, str] = {}
        for line in lines:
            latest[line["tool"].lower()] = max(line["year"], latest.get(line["tool"].lower(), ""))
        found: dict[tuple[Instance, str], Published] = {}
        for line in lines:
            row = known.get((name, _stem(line["onnx"]), _stem(line["vnnlib"])))
            if row is None or line["year"] != latest[line["tool"].lower()]:
                continue
            tool = f"{line['tool'].lower()} {line['year']}"
            instance, verdict = instance_of(row), line["verdict"]
            solved = verdict in DECIDED and row.truth in ("", verdict)
            found.setdefault((instance, tool), Published(instance, tool, verdict, float(line["seconds"]), solved))
    except (OSError, ValueError, KeyError, csv.Error):  # they are an extra: a report is none the worse without
        return []
    return list(found.values())


def _stem(name: str) -> str:
    """A file's name however the lists write it."""
    return name.strip().removeprefix("./").removesuffix(".gz")
