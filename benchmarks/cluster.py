"""How much faster a hard query is on two Dask workers of this machine than on one, and what if one is killed.

    python benchmarks/cluster.py acasxu/onnx/ACASXU_run2a_1_1_batch_2000.onnx [--least 2.0] [--rounds 3]

The query is of our own making: can the first output be as great as ``--least`` in a wide region of ACAS Xu's inputs?
One worker and two, of one thread each, take turns.  Other work on the machine makes the ratio smaller: the seconds of
processor that the workers spent are shown, too.  In the last round, one of the two workers is killed with SIGKILL.
"""

import argparse
import os
import signal
import statistics
import threading
import time

from slir_milp import Network, Options, Query, Verdict, load_network, verify
from slir_milp.cluster import Connection, connect, verify_on
from slir_milp.query import parse_query

LOWER, UPPER = (0.0, -0.5, -0.5, -0.5, -0.5), (0.679857769, 0.5, 0.5, 0.5, 0.5)


def question(least: float) -> Query:
    """Ask whether the first output can be so great."""
    lines = [f"(declare-const {letter}_{i} Real)" for letter in "XY" for i in range(5)]
    for i, (lower, upper) in enumerate(zip(LOWER, UPPER, strict=True)):
        lines.append(f"(assert (and (>= X_{i} {lower}) (<= X_{i} {upper})))")
    return parse_query("\n".join([*lines, f"(assert (>= Y_0 {least}))"]))


def measure(connection: Connection, network: Network, query: Query, kill_after: float | None) -> tuple[float, Verdict]:
    """Decide once, and print what it took."""
    client = connection.client
    pids = client.run(os.getpid)
    before = sum(client.run(time.process_time).values())
    if kill_after is not None:
        victim = next(iter(pids.values()))
        threading.Timer(kill_after, os.kill, (victim, signal.SIGKILL)).start()
    started = time.monotonic()
    verdict = verify_on(connection, network, query, Options(timeout=1000))
    seconds = time.monotonic() - started
    spent = (
        "" if kill_after is not None else f", {sum(client.run(time.process_time).values()) - before:.1f} s of processor"
    )
    killed = "" if kill_after is None else f", one killed after {kill_after:.1f} s"
    print(
        f"{plural(len(pids))}: {verdict.status.value} in {seconds:.1f} s{spent}, "
        f"{verdict.statistics.regions} regions{killed}",
        flush=True,
    )
    return seconds, verdict


def plural(workers: int) -> str:
    """Count workers."""
    return f"{workers} worker{'s'[: workers != 1]}"


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--least", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plain", action="store_true", help="also without a cluster, on one thread")
    given = parser.parse_args()
    network, query = load_network(given.network), question(given.least)
    if given.plain:
        started = time.monotonic()
        verdict = verify(network, query, Options(jobs=1))
        print(f"no cluster: {verdict.status.value} in {time.monotonic() - started:.1f} s, {verdict.statistics.regions}")
    ratios, statuses = [], set()
    with connect("local:1") as one, connect("local:2") as two:
        for _ in range(given.rounds):
            alone, first = measure(one, network, query, None)
            together, second = measure(two, network, query, None)
            ratios.append(alone / together)
            statuses |= {first.status, second.status}
            print(f"  ratio {ratios[-1]:.2f}, load {os.getloadavg()[0]:.1f}", flush=True)
        _, last = measure(two, network, query, together / 3)
        statuses.add(last.status)
    print(f"median ratio {statistics.median(ratios):.2f}; verdicts: {', '.join(sorted(statuses))}")


if __name__ == "__main__":
    main()
