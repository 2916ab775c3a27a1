"""Verdicts of VNN-LIB 2 twins, held against those of their VNN-LIB 1.0 originals.

    python benchmarks/twins.py SET... [--timeout SECONDS] [--every N] [--jobs N]

Each SET is a folder with ``vnnlib2/`` beside ``vnnlib/``, and an ``instances.csv`` (network, query, seconds allowed),
or its name below the folder that the environment variable ``SLIR_MILP_BENCHMARKS`` names; without any, all below it
that have twins.  An original is decided by ``verify`` as it is, its twin by way of composition, both within the time
limit (10 seconds by default).  Prints a line for every pair that differs, and a row for each set; two verdicts that
contradict each other end the run with exit code 1.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from slir_milp import Options, load_network, load_query, verify
from slir_milp.compose import apply
from slir_milp.query import load_specification
from slir_milp.search.composed import decide
from slir_milp.search.verdict import Verdict


def pairs(folder: Path) -> Iterator[tuple[Path, Path, Path]]:
    """Network, original and twin of every instance that has one."""
    with open(folder / "instances.csv", newline="", encoding="utf-8") as file:
        for network, query, *_ in csv.reader(file):
            twin = folder / "vnnlib2" / Path(query).name.removesuffix(".gz")
            if twin.exists():
                yield folder / network, folder / query, twin


def decided(network: Path, query: Path, options: Options) -> Verdict:
    """Verdict of an original."""
    return verify(load_network(network), load_query(query), options)


def composed(network: Path, twin: Path, options: Options) -> Verdict:
    """Verdict of a twin; a witness is carried back."""
    specification = load_specification(twin)
    composition = apply(specification, {specification.networks[0].name: network})
    return decide(composition, options).verdict


def run(folder: Path, options: Options, every: int) -> bool:
    """Decide the pairs of one set; whether no two verdicts contradict each other."""
    counts: Counter[str] = Counter()
    times = [0.0, 0.0]
    right = True
    for network, query, twin in list(pairs(folder))[::every]:
        start = time.monotonic()
        one = decided(network, query, options)
        middle = time.monotonic()
        other = composed(network, twin, options)
        times = [times[0] + middle - start, times[1] + time.monotonic() - middle]
        if one.status is other.status:
            counts[f"both {one.status}"] += 1
            continue
        contradiction = one.status.decided and other.status.decided
        right &= not contradiction
        counts["contradictions" if contradiction else "decided once"] += 1
        print(f"{network.name} {query.name}: {one.status}, twin {other.status}")
    shown = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    print(f"{folder.name}: {shown or 'none'}; originals {times[0]:.1f} s, twins {times[1]:.1f} s", flush=True)
    return right


def main() -> int:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every Nth instance")
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    root = Path(os.environ.get("SLIR_MILP_BENCHMARKS", "."))
    folders = [Path(name) if Path(name).is_dir() else root / name for name in arguments.sets]
    folders = folders or sorted(path.parent for path in root.glob("*/vnnlib2") if path.is_dir())
    warnings.simplefilter("ignore")
    options = Options(timeout=arguments.timeout, jobs=arguments.jobs)
    return 0 if all([run(folder, options, arguments.every) for folder in folders]) else 1


if __name__ == "__main__":
    sys.exit(main())
