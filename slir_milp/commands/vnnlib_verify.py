"""``slir-milp-vnnlib verify``: one VNN-LIB 2 query about any number of models, one answer in the standard's form."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import digest, make_way, naming
from slir_milp.commands.output import write_stdout
from slir_milp.commands.verify import exit_code
from slir_milp.commands.waiting import Watched, out_of_time, wait_for
from slir_milp.errors import OptionError
from slir_milp.report.text import explanation
from slir_milp.search.verdict import Options, Status, Verdict

if TYPE_CHECKING:
    from slir_milp.compose import Assignment, Composition
    from slir_milp.query import Specification


@dataclass(frozen=True)
class Request:
    """What ``slir-milp-vnnlib verify`` is asked.

    Attributes
    ----------
    query
        The VNN-LIB 2 file.
    networks
        The model of every network, by name.
    options
        As given; its timeout counts from ``started``.
    serialise
        Folder for the assignment, if it is not to go to stdout.
    json
        Where to write the JSON document, if anywhere.
    quiet
        Whether stderr shows errors only.
    floats_as_real
        Whether floating-point types may be read as real numbers; the environment may allow it, too.
    check_network
        Whether to compare the composed network with the models.
    started
        Value of ``time.monotonic()`` when the run began.
    """

    query: Path
    networks: Mapping[str, Path]
    options: Options
    serialise: Path | None
    json: Path | None
    quiet: bool
    floats_as_real: bool
    check_network: bool
    started: float


class _Run(Watched):
    def __init__(self, request: Request) -> None:
        super().__init__(request.started, request.options)
        self.request = request
        self.specification: Specification | None = None
        self.assignment: Assignment | None = None
        self.names: dict[str, str] = {}

    def work(self) -> Verdict:
        """Read the files, compose and search; called in the working thread."""
        from slir_milp.compose import variables
        from slir_milp.search.composed import decide

        request = self.request
        composed = composition(
            request.query,
            request.networks,
            floats_as_real=request.floats_as_real,
            check_network=request.check_network,
        )
        self.specification = composed.specification
        self.names = dict(variables(composed))
        options = self.options_left()
        if options is None:
            return out_of_time()
        answer = decide(composed, options, progress=self.note, cancel=self.cancel)
        self.assignment = answer.assignment
        return answer.verdict


def composition(query: Path, networks: Mapping[str, Path], *, floats_as_real: bool, check_network: bool) -> Composition:
    """Read a query and its models, and compose them.

    Raises
    ------
    SlirError
        A file is at fault, or they do not belong together.
    """
    from slir_milp.compose import apply
    from slir_milp.query import load_specification
    from slir_milp.query.elements import consents_to_reals

    with naming(query):
        specification = load_specification(query)
        consent = floats_as_real or consents_to_reals()
        return apply(specification, networks, floats_as_real=consent, check=check_network)


def run(request: Request) -> ExitCode:
    """Answer a query, print the answer and write what is asked for.

    Raises
    ------
    SlirError
        A file or an option is at fault.
    """
    _prepare(request)
    state = _Run(request)
    verdict = wait_for(state.work, state, quiet=request.quiet, program="slir-milp-vnnlib")
    elapsed = state.elapsed()
    assignment = state.assignment if verdict.status is Status.SAT else None
    text = f"{_WORDS.get(verdict.status, verdict.status.value)}\n"
    if assignment is not None and request.serialise is not None:
        from slir_milp.report.assignment import write_tensors

        write_tensors(request.serialise, assignment)
    elif assignment is not None:
        from slir_milp.report.assignment import format_assignment

        text += format_assignment(assignment)
    write_stdout(text)
    if not request.quiet:
        print(_named(explanation(verdict, elapsed), state.names), file=sys.stderr)
    if request.json is not None:
        from slir_milp.report.assignment import assignment_document
        from slir_milp.report.document import document, write_json

        query = (str(request.query), state.specification.sha256 if state.specification else "")
        content = document(verdict, options=request.options, network=("", ""), query=query, elapsed=elapsed)
        named = {name: digest(path) or (str(path), "") for name, path in request.networks.items()}
        content["network"] = None
        content["networks"] = {name: {"path": path, "sha256": sha256} for name, (path, sha256) in named.items()}
        content["assignment"] = None if assignment is None else assignment_document(assignment)
        write_json(request.json, content)
    return exit_code(verdict)


def _named(text: str, names: Mapping[str, str]) -> str:
    """Words about the composed query, with the names that its variables have in the query as written."""
    return re.sub(r"\b[XY]_\d+\b", lambda found: names.get(found[0], found[0]), text)


_WORDS = {Status.TIMEOUT: "timed-out"}


def _prepare(request: Request) -> None:
    """See that what is to be written can be before hours are spent; drop what an earlier run has left there."""
    if request.json is not None:
        make_way(f"--json {request.json}", request.json, (request.query, *request.networks.values()))
    folder = request.serialise
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise OptionError(f"--serialise-assignments {folder} is no folder; name one.")
        if not folder.exists() and not folder.resolve().parent.is_dir():
            raise OptionError(f"the folder of --serialise-assignments {folder} does not exist; make it first.")
        if not os.access(folder if folder.exists() else folder.resolve().parent, os.W_OK):
            raise OptionError(f"--serialise-assignments {folder} cannot be written: permission denied.")
