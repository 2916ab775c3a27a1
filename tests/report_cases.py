"""Folders of results as ``bench --results`` leaves them, for tests of the report."""

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from slir_milp.report.campaign import Campaign, Limits, SetEntry, ToolEntry
from slir_milp.report.results import COLUMNS, RESULTS, Outcome, Row

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'&amp;"
PLAIN = Row(
    set="acas",
    onnx="onnx/net_1.onnx",
    vnnlib="vnnlib/prop_1.vnnlib",
    tool="slir-milp",
    verdict="unsat",
    truth="unsat",
    outcome=Outcome.RIGHT,
    seconds=0.5,
    timeout=20.0,
    peak_mb=110.0,
    regions=41,
    closed_by={"bound": 33, "inherited": 8},
    closed_fraction=1.0,
    reason="every region of the input set is closed by a sound bound",
    document="documents/acas/net_1-prop_1.json",
    started="2026-11-25T10:00:00+00:00",
)
WRONG = replace(PLAIN, onnx="onnx/net_9.onnx", verdict="sat", outcome=Outcome.WRONG, witness="none")


def rows(count: int, tools: tuple[str, ...] = ("slir-milp", "other")) -> list[Row]:
    """Rows of so many instances and each tool, of every kind but wrong."""
    found = []
    for k in range(count):
        for t, tool in enumerate(tools):
            verdict = ("unsat", "sat", "unsat", "unknown", "timeout", "error", "unsat")[(k + 3 * t * (k % 11 == 0)) % 7]
            truth = "" if k % 13 == 0 else verdict if verdict in ("sat", "unsat") else "unsat"
            outcome = {"unknown": Outcome.UNDECIDED, "timeout": Outcome.UNDECIDED, "error": Outcome.ERROR}.get(
                verdict, Outcome.RIGHT if truth else Outcome.UNCHECKED
            )
            ours = tool == "slir-milp"
            found.append(
                Row(
                    set=f"set_{k % 3}",
                    onnx=f"onnx/network_{k % 17}.onnx",
                    vnnlib=f"vnnlib/query_{k}.vnnlib",
                    tool=tool,
                    verdict=verdict,
                    truth=truth,
                    outcome=outcome,
                    seconds=round(0.01 * (1 + (k * 7919) % 1999) * (1 + t), 3),
                    timeout=60.0,
                    peak_mb=100.0 + k % 50,
                    regions=k if ours else 0,
                    closed_by={"bound": k, "lp": k // 7} if ours and k else {},
                    closed_fraction=1.0 if truth else 0.25,
                    reason="the time limit was reached" if verdict == "timeout" else "every region is closed",
                    witness="both" if verdict == "sat" else "",
                    document=f"documents/set_{k % 3}/query_{k}.json" if ours else "",
                    started="2026-11-25T10:00:00+00:00",
                )
            )
    # Where two tools would contradict each other, the second gave up.
    first = {row.key[:3]: row.verdict for row in found if row.tool == tools[0]}
    return [
        replace(row, verdict="unknown", outcome=Outcome.UNDECIDED, witness="")
        if {row.verdict, first[row.key[:3]]} == {"sat", "unsat"}
        else row
        for row in found
    ]


def folder_of(folder: Path, some: Iterable[Row], *, sets: tuple[SetEntry, ...] | None = None) -> Path:
    """A folder with these rows; documents and witnesses are there, too."""
    some = tuple(some)
    folder.mkdir(parents=True, exist_ok=True)
    names = dict.fromkeys(row.set for row in some)
    Campaign(
        started="2026-11-25T09:59:00+00:00",
        versions={"slir_milp": "0.1.0", "python": "3.11.7"},
        machine={"cores": 2, "memory_bytes": 25_000_000_000, "processor": "A processor", "system": "Linux"},
        limits=Limits(seconds=60.0, memory_mb=4000.0, jobs=2),
        tools=tuple(
            ToolEntry(tool, "1.0", ("slir-milp", "verify", "{network}", "{query}", "--timeout", "{timeout}"))
            for tool in dict.fromkeys(row.tool for row in some)
        ),
        sets=sets if sets is not None else tuple(SetEntry(name, f"/benchmarks/{name}", 7) for name in names),
    ).write(folder)
    with open(folder / RESULTS, "w", encoding="utf-8", newline="") as file:  # (a ResultsFile waits for the disk)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in some:
            values = asdict(row) | {"closed_by": json.dumps(row.closed_by), "outcome": row.outcome.value}
            writer.writerow("" if value is None else value for value in values.values())
    for row in some[:50]:
        if row.document and ".." not in row.document and not row.document.startswith("/"):
            path = folder / row.document
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}\n")
            if row.verdict == "sat":
                witness = folder / "witnesses" / Path(*Path(row.document).with_suffix(".txt").parts[1:])
                witness.parent.mkdir(parents=True, exist_ok=True)
                witness.write_text("((X_0 0.5))\n")
    return folder
