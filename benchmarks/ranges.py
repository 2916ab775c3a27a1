"""Gap against time of certified ranges: ``python benchmarks/ranges.py [--acasxu FOLDER] [--timeout S] [--jobs N]``.

For each network, and the set of inputs of one of its queries, the regions and seconds after which the widest gap of all
outputs, at either end, is at most 100, 10, 1 and 0.1 % of the attained range.  For comparison the last columns tell
what ``verify`` takes for the query itself.
"""

import argparse
import time
from pathlib import Path

from slir_milp import Network, Options, Query, Ranges, bounds, load_network, load_query, verify
from slir_milp.problems.catalogue import problem

LEVELS = (1.0, 0.1, 0.01, 0.001)
PAIRS = (("1_1", 1), ("1_1", 2), ("3_3", 2), ("4_2", 2), ("1_1", 3), ("2_9", 3), ("1_1", 5), ("1_9", 7))
SMOOTH = ("pendulum", "oscillator", "junction", "obstacle", "pendulum_loop")


def measure(name: str, network: Network, query: Query, options: Options) -> None:
    """Print one row."""
    reached: dict[float, tuple[int, float]] = {}

    def note(known: Ranges) -> None:
        gap = float(known.relative_gap.max())
        for level in LEVELS:
            if gap <= level:
                reached.setdefault(level, (known.statistics.regions, known.statistics.seconds))

    found = bounds(network, query.input_boxes(), timeout=options.timeout, jobs=options.jobs, progress=note)
    note(found)
    cells = ["{:,} ({:.1f} s)".format(*reached[level]) if level in reached else "-" for level in LEVELS]
    begun = time.monotonic()
    verdict = verify(network, query, options)
    last = f"{verdict.status}: {verdict.statistics.regions:,} ({time.monotonic() - begun:.1f} s)"
    print("|", " | ".join([name, *cells, f"{100 * float(found.relative_gap.max()):.2g} %", last]), "|", flush=True)


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--acasxu", type=Path)
    parser.add_argument("--timeout", type=float, default=30.0)
    parser.add_argument("--jobs", type=int, default=0)
    arguments = parser.parse_args()
    options = Options(timeout=arguments.timeout, jobs=arguments.jobs)
    print("| network and set | 100 % | 10 % | 1 % | 0.1 % | last gap | `verify` |\n|---|---|---|---|---|---|---|")
    for name in SMOOTH:
        measure(name, load_network(problem(name).network), load_query(problem(name).queries[0].path), options)
    for name, prop in PAIRS if arguments.acasxu else ():
        network = load_network(arguments.acasxu / f"onnx/ACASXU_run2a_{name}_batch_2000.onnx")
        query = load_query(arguments.acasxu / f"vnnlib/prop_{prop}.vnnlib")
        measure(f"{name}, property {prop}", network, query, options)


if __name__ == "__main__":
    main()
