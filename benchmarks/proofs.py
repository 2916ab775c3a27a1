"""What proofs cost: solving without and with one, and checking it, in processor time.

    python benchmarks/proofs.py SET... [--timeout SECONDS] [--every N] [--engine NAME] [--exact] [--out FILE]

Each SET is a folder with an ``instances.csv`` (network, query, seconds allowed), or its name below the folder that the
environment variable ``SLIR_MILP_BENCHMARKS`` names.  One thread throughout; networks and queries are read before the
clock starts for solving, and by the checker while it runs for checking.  Prints one line for every proof that is not
accepted or needed exact arithmetic, one row for each set, and one for all.  A proof that is not accepted ends the run
with exit code 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from slir_milp import Options, SlirError, Verdict, load_network, load_query, verify
from slir_milp.certificate.check import Files, Report, check
from slir_milp.search.verdict import Engine, Status

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One instance; times in seconds of processor time, the proof's size in bytes."""

    folder: str
    network: str
    query: str
    status: str
    solving: float = 0.0
    with_proof: float = 0.0
    checking: float = 0.0
    size: int = 0
    nodes: int = 0
    leaves: int = 0
    exactly: int = 0
    outcome: str = ""

    @property
    def is_proven(self) -> bool:
        """Whether the verdict is accepted."""
        return self.outcome == "accepted"


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """A result and the processor time that it took."""
    start = time.process_time()
    return work(), time.process_time() - start


def measure(folder: Path, network: str, query: str, options: Options, exact: bool, scratch: Path) -> Row:
    """One instance: decided twice, then its proof checked."""
    model, question = load_network(folder / network), load_query(folder / query)
    first = verify(model, question, options)  # tables of activations and pages of memory are there from now on
    if first.status not in (Status.SAT, Status.UNSAT):
        return Row(folder.name, network, query, first.status.value)
    _, solving = timed(lambda: verify(model, question, options))
    proof = scratch / "run.proof"
    proof.unlink(missing_ok=True)
    found: tuple[Verdict, float] = timed(lambda: verify(model, question, options, proof=proof))
    verdict, with_proof = found
    if verdict.status not in (Status.SAT, Status.UNSAT):
        return Row(folder.name, network, query, verdict.status.value)
    size = proof.stat().st_size
    try:
        checked: tuple[Report, float] = timed(
            lambda: check(Files(proof, folder / network, folder / query), exact=exact)
        )
    except SlirError as error:
        return Row(
            folder.name, network, query, verdict.status.value, solving, with_proof, size=size, outcome=str(error)
        )
    report, checking = checked
    outcome = "accepted" if report.accepted else report.failures[0]
    counts = report.nodes, report.leaves, report.exactly
    times = solving, with_proof, checking
    return Row(folder.name, network, query, verdict.status.value, *times, size, *counts, outcome)


def instances(folder: Path, every: int) -> Iterator[tuple[str, str]]:
    """Network and query of every n-th instance."""
    with open(folder / "instances.csv", newline="") as stream:
        for i, row in enumerate(csv.reader(stream)):
            if row and i % every == 0:
                yield row[0], row[1]


def summary(name: str, rows: list[Row]) -> str:
    """Sums over the proofs of ``unsat``, and how often ``sat`` was confirmed."""
    proofs, witnesses = ([row for row in rows if row.status == status] for status in ("unsat", "sat"))
    accepted, confirmed = sum(row.is_proven for row in proofs), sum(row.is_proven for row in witnesses)
    solving, writing, checking = (sum(getattr(row, t) for row in proofs) for t in ("solving", "with_proof", "checking"))
    ratios = [row.checking / row.solving for row in proofs if row.solving > 0]
    leaves = sum(row.leaves for row in proofs)
    cells = [
        f"{name:20}",
        f"unsat {accepted}/{len(proofs)}",
        f"sat {confirmed}/{len(witnesses)}",
        f"open {len(rows) - len(proofs) - len(witnesses)}",
        f"solving {solving:.1f} s",
        f"with proofs {writing:.1f} s",
        f"checking {checking:.1f} s",
    ]
    if ratios:
        cells += [
            f"ratio {checking / solving:.1f}, median {statistics.median(ratios):.1f}, worst {max(ratios):.1f}",
            f"{sum(row.size for row in proofs) / max(leaves, 1):.0f} bytes a leaf",
            f"largest {max(row.size for row in proofs) / 1e6:.2f} MB",
            f"{sum(row.exactly for row in proofs)} nodes exactly",
        ]
    return "  ".join(cells)


def main() -> int:
    """Measure the sets named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="SET")
    parser.add_argument("--timeout", type=float, default=20.0)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--engine", choices=[engine.value for engine in Engine], default=Engine.AUTO.value)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    options = Options(jobs=1, timeout=arguments.timeout, engine=Engine(arguments.engine))
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.sets:
            folder = Path(name) if Path(name).is_dir() else Path(os.environ.get("SLIR_MILP_BENCHMARKS", ".")) / name
            found: list[Row] = []
            for network, query in instances(folder, arguments.every):
                try:
                    row = measure(folder, network, query, options, arguments.exact, Path(scratch))
                except SlirError as error:
                    row = Row(folder.name, network, query, f"error: {error}")
                found.append(row)
                if (row.status in ("sat", "unsat") and not row.is_proven) or row.exactly or row.status[:5] == "error":
                    print(
                        f"{folder.name} {query} on {network}: {row.status}, {row.outcome}, {row.exactly} nodes exactly"
                    )
            print(summary(folder.name, found), flush=True)
            rows += found
    if len(arguments.sets) > 1:
        print(summary("all", rows))
    if arguments.out is not None:
        with open(arguments.out, "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(Row.__dataclass_fields__)
            writer.writerows([getattr(row, field) for field in Row.__dataclass_fields__] for row in rows)
    return int(any(row.status in ("sat", "unsat") and not row.is_proven for row in rows))


if __name__ == "__main__":
    sys.exit(main())
