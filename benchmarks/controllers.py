"""What is decided about controllers with tanh and sigmoid neurons: ranges, cones, changes between near inputs.

    python benchmarks/controllers.py FOLDER [--only PART] [--timeout SECONDS] [--jobs N] [--out FILE]

FOLDER has the public collections ``arch_ainncs`` and ``verisig`` (the environment variable ``SLIR_MILP_BENCHMARKS`` is
used without it); what is asked is told in ``problems/make/controllers.py``.  Prints a table with one row a controller
and kind of question; the columns are the thresholds over the extreme that sampling found.  A verdict ``unsat`` on what
sampling knows to be ``sat`` ends the run with exit code 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from slir_milp import Network, Options, SlirError, load_network, parse_query, verify
from slir_milp.problems.make.controllers import FACTORS, Question, controllers, questions


@dataclass(frozen=True)
class Result:
    """One verdict."""

    controller: str
    kind: str
    factor: float
    known: str
    status: str
    seconds: float
    reason: str

    @property
    def is_wrong(self) -> bool:
        """Whether a sample refutes the verdict."""
        return self.status == "unsat" and self.known == "sat"

    @property
    def cell(self) -> str:
        """Entry of the table."""
        if self.status not in ("sat", "unsat"):
            return self.status
        return f"{self.status}{' WRONG' if self.is_wrong else ''} {self.seconds:.2f} s"


def decide(question: Question, network: Network | SlirError, options: Options) -> Result:
    """Verdict on one question; a network that could not be read is one too."""
    start = time.perf_counter()
    try:
        if isinstance(network, SlirError):
            raise network
        verdict = verify(network, parse_query(question.text), options)
        status, reason = str(verdict.status.value), str(verdict.reason or "")
    except SlirError as error:
        status, reason = "error", str(error)
    spent = time.perf_counter() - start
    return Result(question.controller, question.kind, question.factor, question.known, status, spent, reason)


def read(content: bytes, path: Path) -> Network | SlirError:
    """Read a network from its bytes, which stay in a file: witnesses are replayed from there."""
    path.write_bytes(content)
    try:
        return load_network(path)
    except SlirError as error:
        return error


def run(folder: Path, only: str, options: Options, scratch: Path) -> list[Result]:
    """Ask everything about the controllers whose name contains ``only``; rows are printed as they come."""
    results: list[Result] = []
    print("| controller | question | " + " | ".join(f"{factor:g}" for factor in FACTORS) + " |")
    print("|---|---|" + "---|" * len(FACTORS))
    for controller in controllers(folder):
        if only not in controller.name:
            continue
        for kind, group in groupby(questions(controller), key=lambda question: question.kind):
            asked = list(group)
            network = read(asked[0].network, scratch / f"{controller.name}_{kind.split()[0]}.onnx")
            row = [decide(question, network, options) for question in asked]
            results += row
            cells = " | ".join(result.cell for result in row)
            print(f"| {controller.name} | {kind} | {cells} |", flush=True)
            for reason in sorted({result.reason for result in row if result.status == "error"}):
                print(f"  {reason}", file=sys.stderr)
    return results


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("SLIR_MILP_BENCHMARKS"))
    parser.add_argument("--only", default="", help="controllers whose name contains this")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for each question")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write every verdict to a CSV file")
    arguments = parser.parse_args()
    if arguments.folder is None or not controllers(Path(arguments.folder)):
        sys.exit("There are no controllers; name the folder that has arch_ainncs and verisig.")
    options = Options(timeout=arguments.timeout, jobs=arguments.jobs)
    with tempfile.TemporaryDirectory() as scratch:
        results = run(Path(arguments.folder), arguments.only, options, Path(scratch))
    decided = [result for result in results if result.status in ("sat", "unsat")]
    wrong = sum(result.is_wrong for result in results)
    spent = sum(result.seconds for result in results)
    print(f"\n{len(decided)} of {len(results)} decided in {spent:.0f} s; {wrong} contradict a sample.")
    if arguments.out is not None:
        with open(arguments.out, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Result.__dataclass_fields__)
            writer.writerows(tuple(vars(result).values()) for result in results)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
