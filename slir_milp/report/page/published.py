"""Published times of other verifiers, from a set's ``tool_times.csv``; they were measured on other machines."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slir_milp.report.campaign import SetEntry
from slir_milp.report.page.figures import VERDICTS, Instance, instance_of
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
    """

    instance: Instance
    tool: str
    verdict: str
    seconds: float


def published_times(sets: Iterable[SetEntry], rows: Iterable[Row]) -> tuple[Published, ...]:
    """Times of the instances that have rows, each verifier's of its last year in the set; none where none are known.

    Parameters
    ----------
    sets
        The sets; those times are in their folders.
    rows
        The campaign's rows.
    """
    known = {(name, _stem(onnx), _stem(vnnlib)): (name, onnx, vnnlib) for name, onnx, vnnlib in map(instance_of, rows)}
    found: list[Published] = []
    for entry in sets:
        if entry.folder:
            found += _of_set(entry.name, Path(entry.folder) / "tool_times.csv", known)
    return tuple(found)


def _of_set(name: str, path: Path, known: dict[Instance, Instance]) -> list[Published]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line.get("verdict") in VERDICTS]
        latest: dict[str, str] = {}
        for line in lines:
            latest[line["tool"].lower()] = max(line["year"], latest.get(line["tool"].lower(), ""))
        found = []
        for line in lines:
            instance = known.get((name, _stem(line["onnx"]), _stem(line["vnnlib"])))
            if instance is None or line["year"] != latest[line["tool"].lower()]:
                continue
            tool = f"{line['tool'].lower()} {line['year']}"
            found.append(Published(instance, tool, line["verdict"], float(line["seconds"])))
    except (OSError, ValueError, KeyError, csv.Error):  # they are an extra: a report is none the worse without
        return []
    return found


def _stem(name: str) -> str:
    """A file's name however the lists write it."""
    return name.strip().removeprefix("./").removesuffix(".gz")
