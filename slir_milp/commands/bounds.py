"""``slir-milp bounds``: certified ranges of a network's outputs, as a table."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.background import run_in_background, signals_cancel
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import digest, make_way, read_network, read_query
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError
from slir_milp.report.tables import aligned
from slir_milp.search.verdict import Reason

if TYPE_CHECKING:
    from slir_milp.network import Network
    from slir_milp.query import Box
    from slir_milp.report.document import Json
    from slir_milp.search.ranges import Ranges

_LINE_EVERY = 5.0
_LEAST_TIME = 1e-3


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``slir-milp bounds`` is asked.

    Attributes
    ----------
    network
        The network's file.
    box
        A query whose set of inputs is meant.
    lower, upper
        In its place the ends of a box.
    functionals
        Rows of coefficients over the outputs; without any, every output by itself.
    tolerance, timeout, memory_limit, jobs, seed
        See :func:`slir_milp.bounds`; the time counts from ``started``.
    json
        Where to write the JSON document, if anywhere.
    quiet
        Whether stderr shows errors only.
    check_network
        Whether to compare the network, as read, with ONNX Runtime.
    started
        Value of ``time.monotonic()`` when the run began.
    activations
        A file that declares activations of one's own, if there is one.
    """

    network: Path
    box: Path | None = None
    lower: tuple[float, ...] | None = None
    upper: tuple[float, ...] | None = None
    functionals: tuple[tuple[float, ...], ...] = ()
    tolerance: float = 1e-3
    timeout: float | None = None
    memory_limit: int | None = None
    jobs: int = 0
    seed: int = 0
    json: Path | None = None
    quiet: bool = False
    check_network: bool = True
    started: float = 0.0
    activations: Path | None = None


class _Run:
    def __init__(self, request: Request) -> None:
        self.request = request
        self.cancel = threading.Event()
        self.known: Ranges | None = None
        self.sha256 = ""
        self._told = 0.0
        self._stopping = False

    def elapsed(self) -> float:
        return time.monotonic() - self.request.started

    def work(self) -> Ranges:
        from slir_milp.search.ranges import bounds

        request = self.request
        network = read_network(request.network, check=request.check_network, activations=request.activations)
        self.sha256 = network.sha256
        boxes = self._boxes(network)
        left = None if request.timeout is None else max(request.timeout - self.elapsed(), _LEAST_TIME)
        return bounds(
            network,
            boxes if boxes is not None else request.lower or (),
            None if boxes is not None else request.upper or (),
            outputs=request.functionals or None,
            tolerance=request.tolerance,
            timeout=left,
            memory_limit=request.memory_limit,
            jobs=request.jobs,
            seed=request.seed,
            progress=self.note,
            cancel=self.cancel,
        )

    def _boxes(self, network: Network) -> tuple[Box, ...] | None:
        return None if self.request.box is None else read_query(self.request.box, network).input_boxes()

    def note(self, known: Ranges) -> None:
        self.known = known

    def tick(self) -> None:
        if self.cancel.is_set():
            if not self._stopping:
                self._stopping = True
                print("slir-milp: stopping; once more to leave at once", file=sys.stderr, flush=True)
        elif not self.request.quiet and self.known is not None and self.elapsed() - self._told >= _LINE_EVERY:
            self._told = self.elapsed()
            print(f"{self._told:.0f} s: {_counts(self.known)}", file=sys.stderr, flush=True)


def run(request: Request) -> ExitCode:
    """Enclose the ranges, print them and write the JSON document.

    Raises
    ------
    SlirError
        A file or an argument is at fault.
    """
    if (request.box is None) == (request.lower is None) or (request.lower is None) != (request.upper is None):
        raise OptionError("name the set of inputs: either --box FILE, or both --lower and --upper.")
    if request.json is not None:
        make_way(f"--json {request.json}", request.json, (request.network, request.box, request.activations))
    state = _Run(request)
    with signals_cancel(state.cancel):
        found = run_in_background(state.work, tick=state.tick)
    from slir_milp.search.ranges import COLUMNS

    write_stdout("\n".join(aligned([COLUMNS, *found.rows()])) + "\n")
    if not request.quiet:
        reason = str(found.reason)
        print(f"{reason[:1].upper()}{reason[1:]}.\n{state.elapsed():.2f} s: {_counts(found)}.", file=sys.stderr)
    if request.json is not None:
        from slir_milp.report.document import write_json

        write_json(request.json, _document(found, state))
    if found.reason is Reason.INTERRUPTED:
        return ExitCode.INTERRUPTED
    return ExitCode.DECIDED if found.is_within_tolerance else ExitCode.UNDECIDED


def _counts(found: Ranges) -> str:
    largest = float(found.relative_gap.max())
    gap = f"{100 * largest:.2g} %" if largest < 10 else "large"
    return f"{found.statistics.regions:,} regions, largest gap {gap}"


def _document(found: Ranges, state: _Run) -> Json:
    from slir_milp.report.document import FORMAT, json_number, versions

    request = state.request
    reason = found.reason or Reason.INTERRUPTED
    own = digest(request.activations)
    box = digest(request.box)
    ends = zip(found.lower, found.attained_lower, found.attained_upper, found.upper, strict=True)
    points = zip(found.lower_points, found.upper_points, strict=True)
    return {
        "format": FORMAT,
        "reason": {"code": reason.name.lower(), "text": reason.value},
        "ranges": [
            {
                "functional": name,
                "lower": json_number(low),
                "attained_lower": json_number(inner_low),
                "attained_upper": json_number(inner_high),
                "upper": json_number(high),
                "lower_point": [json_number(x) for x in at_low],
                "upper_point": [json_number(x) for x in at_high],
            }
            for name, (low, inner_low, inner_high, high), (at_low, at_high) in zip(
                found.names, ends, points, strict=True
            )
        ],
        "tolerance": found.tolerance,
        "statistics": asdict(found.statistics),
        "seconds": state.elapsed(),
        "network": {"path": str(request.network), "sha256": state.sha256},
        "box": {"path": box[0], "sha256": box[1]} if box else None,
        "activations": {"path": own[0], "sha256": own[1]} if own else None,
        "versions": versions(),
    }
