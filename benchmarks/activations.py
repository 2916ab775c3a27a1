"""What good lines are worth: robustness of classifiers of digits, by activation, radius and the way lines are made.

    python benchmarks/activations.py [--activations NAME ...] [--settings NAME ...] [--radii R ...] [--images N]
                                     [--timeout SECONDS] [--out FILE]

The networks are the problems ``digits_*``; the question is whether any image within the radius of a test image (in the
range of a pixel) is taken for another digit.  Each question is decided in four settings, on one thread:

``optimised``
    As the program decides by itself: slopes of least area to start from, then ascent.
``start``
    The slopes of least area, and no ascent.
``hand``
    The tangent and chord rules that verifiers use for s-shaped functions, no shifting to the best slope, no ascent.
``products``
    As ``optimised``, of a network in which the gates of SiLU, Mish and GELU are products of two computed numbers, as a
    tool sees them that does not know the functions.

Prints a table: of how many images the answer is known (``sat`` and ``unsat``), and seconds for all of them.  Two
settings that contradict each other end the run with exit code 1.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from slir_milp import Network, Options, SlirError, load_network, parse_query, verify
from slir_milp.problems.catalogue import problem
from slir_milp.problems.make.digits import around, graph, kept_images, otherwise, parameters_of, scores
from slir_milp.problems.make.recipe import box
from slir_milp.problems.make.smooth import SMOOTH
from slir_milp.search import SlopeRule

RADII = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08)
GATED = ("gelu", "lambda_gelu", "silu", "mish")  # functions whose graphs have products


@dataclass(frozen=True)
class Setting:
    """One way to decide: how slopes are chosen, and whether gates are hidden from the reader of graphs."""

    name: str
    slopes: SlopeRule
    apart: bool = False


SETTINGS = (
    Setting("optimised", SlopeRule.OPTIMISED),
    Setting("start", SlopeRule.LEAST_AREA),
    Setting("hand", SlopeRule.HAND_CRAFTED),
    Setting("products", SlopeRule.OPTIMISED, apart=True),
)


@dataclass(frozen=True)
class Result:
    """One verdict."""

    activation: str
    setting: str
    radius: float
    image: int
    status: str
    seconds: float
    regions: int
    reason: str


def images_for(activation: str, count: int) -> list[int]:
    """The first kept images that the network gets right."""
    images, labels = kept_images()
    found = scores(SMOOTH[activation], parameters_of(problem(f"digits_{activation}").network), images)
    return [int(i) for i in np.flatnonzero(found.argmax(axis=1) == labels)[:count]]


def network_for(activation: str, setting: Setting, scratch: Path) -> Network | SlirError:
    """The network as the setting wants it, or why it could not be read.

    One that has no file of its own gets one in ``scratch``: witnesses are replayed from there.
    """
    path = problem(f"digits_{activation}").network
    try:
        if not setting.apart:
            return load_network(path)
        other = scratch / f"{activation}_apart.onnx"
        other.write_bytes(graph(SMOOTH[activation], parameters_of(path), apart=True))
        return load_network(other)
    except SlirError as error:
        return error


def question(image: int, radius: float) -> str:
    """The query in VNN-LIB."""
    label = int(kept_images()[1][image])
    declared = [f"(declare-const X_{i} Real)" for i in range(64)] + [f"(declare-const Y_{k} Real)" for k in range(10)]
    return "\n".join((*declared, box(around(image, radius)), otherwise(label)))


def run(
    activations: Iterable[str],
    settings: tuple[Setting, ...],
    radii: Iterable[float],
    count: int,
    timeout: float,
    scratch: Path,
) -> Iterator[Result]:
    """Decide everything, an activation at a time."""
    for activation in activations:
        chosen = images_for(activation, count)
        for setting in settings:
            if setting.apart and activation not in GATED:
                continue
            network = network_for(activation, setting, scratch)
            for radius in radii:
                for image in chosen:
                    yield decide(activation, setting, network, radius, image, timeout)


def decide(
    activation: str, setting: Setting, network: Network | SlirError, radius: float, image: int, timeout: float
) -> Result:
    """Verdict on one question; a network that could not be read is one too."""
    start, regions = time.perf_counter(), 0
    try:
        if isinstance(network, SlirError):
            raise network
        verdict = verify(
            network, parse_query(question(image, radius)), Options(timeout=timeout, jobs=1, slopes=setting.slopes)
        )
        status, reason, regions = verdict.status.value, str(verdict.reason or ""), verdict.statistics.regions
    except SlirError as error:
        status, reason = "error", str(error)
    return Result(activation, setting.name, radius, image, status, time.perf_counter() - start, regions, reason)


def table(results: list[Result], radii: tuple[float, ...]) -> str:
    """One row an activation and setting: decided at each radius, and seconds in all."""
    lines = ["| activation | lines | " + " | ".join(f"{radius:g}" for radius in radii) + " | decided | seconds |"]
    lines.append("|---|---|" + "---|" * len(radii) + "---|---|")
    for activation, setting in dict.fromkeys((result.activation, result.setting) for result in results):
        here = [r for r in results if (r.activation, r.setting) == (activation, setting)]
        cells = []
        for radius in radii:
            statuses = [r.status for r in here if r.radius == radius]
            cells.append(f"{statuses.count('unsat')} + {statuses.count('sat')}")
        decided = sum(r.status in ("sat", "unsat") for r in here)
        spent = sum(r.seconds for r in here)
        lines.append(f"| {activation} | {setting} | {' | '.join(cells)} | {decided} of {len(here)} | {spent:.1f} |")
    return "\n".join(lines)


def contradictions(results: list[Result]) -> list[str]:
    """Questions that are ``sat`` in one setting and ``unsat`` in another."""
    found: dict[tuple[str, float, int], set[str]] = {}
    for r in results:
        found.setdefault((r.activation, r.radius, r.image), set()).add(r.status)
    return [f"{key}" for key, statuses in found.items() if {"sat", "unsat"} <= statuses]


def main() -> int:
    """Run from the command line."""
    names = [setting.name for setting in SETTINGS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--activations", nargs="+", choices=list(SMOOTH), default=list(SMOOTH))
    parser.add_argument("--settings", nargs="+", choices=names, default=names)
    parser.add_argument("--radii", nargs="+", type=float, default=RADII)
    parser.add_argument("--images", type=int, default=10, help="how many test images (at most 38)")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds for each question")
    parser.add_argument("--out", type=Path, help="also write every verdict to a CSV file")
    arguments = parser.parse_args()
    settings = tuple(setting for setting in SETTINGS if setting.name in arguments.settings)
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as scratch:
        amount = arguments.radii, arguments.images, arguments.timeout
        for result in run(arguments.activations, settings, *amount, Path(scratch)):
            results.append(result)
            if result.status == "error":
                sys.exit(f"{result.activation}, {result.setting}: {result.reason}")
            done = f"{result.activation} {result.setting} {result.radius:g} image {result.image}: {result.status}"
            print(f"{done} in {result.seconds:.2f} s, {result.regions} regions", file=sys.stderr, flush=True)
    print(table(results, tuple(arguments.radii)))
    if arguments.out is not None:
        with open(arguments.out, "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Result.__dataclass_fields__)
            writer.writerows(tuple(vars(result).values()) for result in results)
    for wrong in contradictions(results):
        print(f"sat in one setting and unsat in another: {wrong}")
    return int(bool(contradictions(results)))


if __name__ == "__main__":
    sys.exit(main())
