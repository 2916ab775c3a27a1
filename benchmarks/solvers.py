"""Record a thousand linear programs of many networks, and some mixed-integer ones, and replay them on every back end.

    python benchmarks/solvers.py DIR [--benchmarks FOLDER] [--programs N] [--solver NAME ...] [--timeout S]

Records into DIR what is not there yet, from the public benchmarks (``SLIR_MILP_BENCHMARKS`` or ``--benchmarks`` names
their folder; networks that are not there are left out, and said so) and from the problems that come with the program.
Then ``slir-milp bench-solvers DIR`` does the rest, with its results in DIR/results.csv.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slir_milp import load_network, load_query, problems
from slir_milp.commands import bench_solvers
from slir_milp.search import Engine
from slir_milp.subproblems.record import Plan, record
from slir_milp.subproblems.store import Entry, Store


@dataclass(frozen=True)
class Source:
    """One verification, and how much of it is recorded."""

    folder: str
    network: str
    query: str
    limit: int
    every: int = 1
    engine: Engine = Engine.LP


def acas(network: str, number: int, limit: int, every: int = 1, engine: Engine = Engine.LP) -> Source:
    """A query about a network of ACAS Xu."""
    return Source(
        "acasxu", f"onnx/ACASXU_run2a_{network}_batch_2000.onnx", f"vnnlib/prop_{number}.vnnlib", limit, every, engine
    )


def own(name: str, query: str, limit: int, every: int = 1, engine: Engine = Engine.LP) -> Source:
    """A query about one of our own problems."""
    return Source("", f"onnx/{name}.onnx", f"vnnlib/{name}_{query}.vnnlib", limit, every, engine)


SOURCES = (
    acas("1_1", 3, 70),
    acas("1_3", 3, 40),
    acas("2_5", 4, 60),
    acas("3_1", 3, 40),
    acas("5_7", 3, 40),
    acas("1_1", 5, 80, 2),
    acas("1_1", 6, 40, 3),
    acas("3_3", 9, 40, 2),
    acas("4_5", 10, 8, 2),
    acas("4_3", 2, 5, 20),
    Source("linearizenn", "onnx/AllInOne_10_10.onnx", "vnnlib/prop_10_10_1.vnnlib", 20),
    Source("linearizenn", "onnx/AllInOne_30_30.onnx", "vnnlib/prop_30_30_1.vnnlib", 20),
    Source("dist_shift", "onnx/mnist_concat.onnx", "vnnlib/index2101_delta0.13.vnnlib", 2),
    Source("nln_2020", "onnx/logsig_200_50.onnx", "vnnlib/image0_eps3.vnnlib", 3),
    Source("verisig", "onnx/mountain_car_sig16x16.onnx", "", 100, 3),
    Source("verisig", "onnx/mountain_car_sig_4x16.onnx", "", 80, 3),
    Source("reach_prob_density", "onnx/vdp.onnx", "", 80),
    Source("reach_prob_density", "onnx/robot.onnx", "", 60),
    Source("safenlp", "onnx/medical__perturbations_0.onnx", "", 20),
    own("avoidance", "far", 30, 2),
    own("avoidance", "cost_bound", 30, 2),
    own("avoidance", "crossing", 40, 2),
    own("cruise", "comfortable", 60),
    own("cruise", "limits", 80),
    own("oscillator", "position_bound", 60),
    own("oscillator", "mean_jump", 40),
    own("pendulum", "torque_limit", 30),
    own("pendulum_loop", "decrease", 80),
    own("obstacle", "agree_closely", 80),
    own("strokes", "horizontal", 20),
    own("junction", "undecided", 60),
    own("digits_gelu", "robust", 12),
    own("digits_tanh", "robust", 12),
    own("digits_silu", "changed", 8),
    acas("1_1", 3, 15, 2, Engine.MILP),
    own("pendulum_loop", "decrease", 15, 1, Engine.MILP),
    own("obstacle", "agree_closely", 15, 1, Engine.MILP),
    own("junction", "undecided", 15, 1, Engine.MILP),
)


def main() -> int:
    """Record and replay."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--benchmarks", type=Path, default=Path(os.environ.get("SLIR_MILP_BENCHMARKS", "")))
    parser.add_argument("--programs", type=int, default=1000, help="most linear programs")
    parser.add_argument("--seconds", type=float, default=60.0, help="most seconds for one recording")
    parser.add_argument("--solver", action="append", default=[])
    parser.add_argument("--timeout", type=float, default=10.0)
    parser.add_argument("--only-record", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.folder / "index.csv").exists():
        gather(arguments.folder, arguments.benchmarks, arguments.programs, arguments.seconds)
    if arguments.only_record:
        return 0
    return int(
        bench_solvers.run(
            arguments.folder,
            solvers=arguments.solver,
            repeat=1,
            timeout=arguments.timeout,
            out=arguments.folder / "results.csv",
        )
    )


def gather(folder: Path, benchmarks: Path, most: int, seconds: float) -> None:
    """Record programs of all sources, at most so many linear ones."""
    store, counts = Store(folder), Counter[str]()

    def count(entry: Entry) -> None:
        counts[entry.kind] += 1
        counts[entry.reference] += 1

    for source in SOURCES:
        limit = source.limit if source.engine is Engine.MILP else min(source.limit, most - counts["lp"])
        found = files(source, benchmarks, folder)
        if limit <= 0 or found is None:
            continue
        begun, before = time.monotonic(), counts.total()
        network, query = load_network(found[0]), load_query(found[1])
        plan = Plan(*found, source.engine, limit, source.every, seconds)
        verdict = record(plan, network, query, store, cancel=threading.Event(), on_entry=count)
        print(
            f"{(counts.total() - before) // 2:4}  {time.monotonic() - begun:6.1f} s  {source.engine.value:<4}"
            f"  {found[0].name}  {found[1].name}  {verdict.status}",
            flush=True,
        )
    store.close()
    print(dict(counts))


def files(source: Source, benchmarks: Path, recorded: Path) -> tuple[Path, Path] | None:
    """A source's two files; where no query is named, the network's first, or one of our own making."""
    folder = benchmarks / source.folder if source.folder else Path(problems.__path__[0])
    network = folder / source.network
    query = folder / source.query
    if not source.query and (folder / "instances.csv").exists():
        lines = (folder / "instances.csv").read_text().splitlines()
        query = folder / next(line.split(",")[1] for line in lines if line.startswith(source.network))
    elif not source.query and network.exists():
        query = threshold(network, recorded / "queries")
    if network.exists() and query.is_file():
        return network, query
    print(f"left out, not there: {network} with {query.name}", file=sys.stderr)
    return None


def threshold(network: Path, folder: Path) -> Path:
    """Make a query over the box [-1, 1]: the first output is a little above the greatest value seen."""
    loaded = load_network(network)
    seen = loaded(np.random.default_rng(0).uniform(-1, 1, (20_000, loaded.input_size)))[:, 0]
    asked = float(seen.max() + 0.002 * (seen.max() - seen.min()))
    names = [*(f"X_{q}" for q in range(loaded.input_size)), *(f"Y_{j}" for j in range(loaded.output_size))]
    lines = [f"(declare-const {name} Real)" for name in names]
    lines += [f"(assert (and (>= X_{q} -1.0) (<= X_{q} 1.0)))" for q in range(loaded.input_size)]
    folder.mkdir(exist_ok=True)
    path = folder / f"{network.stem}.vnnlib"
    path.write_text("\n".join([*lines, f"(assert (>= Y_0 {asked!r}))", ""]))
    return path


if __name__ == "__main__":
    sys.exit(main())
