"""``slir-milp verify``: one network, one query, one answer."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import digest, make_way, read_network, read_query
from slir_milp.commands.output import write_stdout
from slir_milp.commands.waiting import Watched, out_of_time, wait_for
from slir_milp.errors import OptionError
from slir_milp.report.text import answer, explanation
from slir_milp.search.verdict import Options, Reason, Verdict

if TYPE_CHECKING:
    from slir_milp.cluster import Connection
    from slir_milp.network import Network
    from slir_milp.query import Query


@dataclass(frozen=True)
class Request:
    """What ``slir-milp verify`` is asked.

    Attributes
    ----------
    network, query
        The two files.
    options
        As given; its timeout counts from ``started``.
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
    proof
        Where to write the proof, if anywhere.
    cluster
        Dask cluster on which to search; ``None`` to search in this process.
    """

    network: Path
    query: Path
    options: Options
    json: Path | None
    quiet: bool
    check_network: bool
    started: float
    activations: Path | None = None
    proof: Path | None = None
    cluster: str | None = None


class _Run(Watched):
    def __init__(self, request: Request) -> None:
        super().__init__(request.started, request.options)
        self.request = request
        self.network: Network | None = None
        self.query: Query | None = None
        self.stack = ExitStack()

    def work(self) -> Verdict:
        """Read the files and search; called in the working thread."""
        from slir_milp.search import verify

        request = self.request
        connection = self._connection()
        self.network = read_network(request.network, check=request.check_network, activations=request.activations)
        self.query = read_query(request.query, self.network)
        options = self.options_left()
        if options is None:
            return out_of_time()
        if connection is not None:
            from slir_milp.cluster import verify_on

            return verify_on(connection, self.network, self.query, options, progress=self.note, cancel=self.cancel)
        declared = digest(request.activations)
        return verify(
            self.network,
            self.query,
            options,
            progress=self.note,
            cancel=self.cancel,
            proof=request.proof,
            activations=declared[1] if declared else "",
        )

    def _connection(self) -> Connection | None:
        """The cluster, which is left when the answer has been told."""
        if self.request.cluster is None:
            return None
        from slir_milp.cluster import PATIENCE, connect

        limit = self.request.options.timeout
        # A little less than what is left, so that the reason is told and not that the time is over.
        wait = PATIENCE if limit is None else min(PATIENCE, 0.9 * max(limit - self.elapsed(), 0.1))
        return self.stack.enter_context(connect(self.request.cluster, wait))

    def wait(self) -> Verdict:
        """Run the work to its end, or until it has overrun its time by far."""
        return wait_for(self.work, self, quiet=self.request.quiet)


def run(request: Request) -> ExitCode:
    """Answer a query, print the answer and write the JSON document.

    Raises
    ------
    SlirError
        A file or an option is at fault.
    """
    _prepare(request)
    state = _Run(request)
    with state.stack:
        return _tell(request, state, state.wait())


def _tell(request: Request, state: _Run, verdict: Verdict) -> ExitCode:
    """Print the answer, and write the JSON document if one is asked for."""
    elapsed = state.elapsed()
    write_stdout(answer(verdict))
    if not request.quiet:
        print(explanation(verdict, elapsed), file=sys.stderr)
    if request.json is not None:
        from slir_milp.report.document import document, write_json

        network = (str(request.network), state.network.sha256 if state.network else "")
        query = (str(request.query), state.query.sha256 if state.query else "")
        content = document(
            verdict,
            options=request.options,
            network=network,
            query=query,
            elapsed=elapsed,
            activations=digest(request.activations),
        )
        write_json(request.json, content)
    return exit_code(verdict)


def exit_code(verdict: Verdict) -> ExitCode:
    """The exit code that tells of a verdict."""
    if verdict.status.decided:
        return ExitCode.DECIDED
    return ExitCode.INTERRUPTED if verdict.reason is Reason.INTERRUPTED else ExitCode.UNDECIDED


def _prepare(request: Request) -> None:
    """See that what is to be written can be before hours are spent; drop what an earlier run has left there."""
    if request.cluster is not None and request.proof is not None:
        raise OptionError("a search on a cluster writes no proof; leave out --cluster or --proof.")
    outputs = [(f"--{name}", path) for name, path in (("json", request.json), ("proof", request.proof)) if path]
    if len({os.path.realpath(path) for _, path in outputs}) < len(outputs):
        raise OptionError("--json and --proof name the same file; name two.")
    for option, path in outputs:
        make_way(f"{option} {path}", path, (request.network, request.query, request.activations))
