"""``slir-milp bench``: every instance of some sets, compared with the published verdicts."""

from __future__ import annotations

import platform
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from slir_milp._version import __version__
from slir_milp.bench import (
    Dispatch,
    InProcess,
    Isolated,
    Locally,
    OwnTool,
    ResultsFolder,
    ResultsTable,
    Selection,
    Summary,
    Tool,
    load_adapter,
    own_name,
    run_tasks,
)
from slir_milp.bench.clustered import OnCluster
from slir_milp.cluster import connect
from slir_milp.commands.background import run_in_background, signals_cancel
from slir_milp.commands.bench_display import choose_bench_display
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import read_activations
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError
from slir_milp.report.campaign import Campaign, Limits, SetEntry, ToolEntry, this_machine
from slir_milp.report.results import OWN, Row
from slir_milp.search.verdict import Options


@dataclass(frozen=True)
class Request:
    """What ``slir-milp bench`` is asked.

    Attributes
    ----------
    selection
        The instances.
    options
        For every instance; the timeout is the most that any of them gets.
    out
        Table of results of a run in this process, if it is to be kept.
    results
        Folder of results of a campaign, in which every instance has a process of its own; ``None`` for a run in this
        process.
    parallel
        How many instances a campaign runs at a time.
    activations
        A file that declares activations of one's own.
    tools
        Names of the verifiers, or files that declare them.
    cluster
        Dask cluster on which a campaign runs; ``None`` for this machine.
    """

    selection: Selection
    options: Options
    out: Path | None = None
    results: Path | None = None
    parallel: int = 1
    activations: Path | None = None
    tools: tuple[str, ...] = (OWN,)
    cluster: str | None = None


def run(request: Request) -> ExitCode:
    """Run the instances, print a line as each ends and a summary at the end.

    Raises
    ------
    SlirError
        A folder, the results or the declared activations are at fault.
    """
    if request.results is None:
        for given, option in (
            (request.parallel > 1, "--parallel"),
            (request.cluster is not None, "--cluster"),
            (request.tools != (OWN,), "--tool"),
        ):
            if given:
                raise OptionError(f"{option} is for campaigns: name a folder for --results, too.")
    if request.cluster is not None and request.parallel > 1:
        raise OptionError("with --cluster, as many instances run at a time as its workers have threads: no --parallel.")
    cancel = threading.Event()
    work = _quick_run if request.results is None else _campaign
    with signals_cancel(cancel):
        rows = run_in_background(lambda: work(request, cancel))
    summary = Summary(rows)
    if cancel.is_set():
        again = "run the same command" if request.out or request.results else "with --results"
        print(f"slir-milp: interrupted; {again} to go on from here", file=sys.stderr)
    write_stdout(f"{summary}\n")
    if cancel.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.BENCH_FAILED if summary.failed else ExitCode.DECIDED


def _quick_run(request: Request, cancel: threading.Event) -> tuple[Row, ...]:
    """Decide all instances in this process, one after the other."""
    decide = InProcess(request.options, read_activations(request.activations))
    tasks = request.selection.tasks((own_name(request.options),), request.options.timeout)
    with ResultsTable(request.out) as table, choose_bench_display(sys.stderr) as display:
        return run_tasks(tasks, table, Locally(decide, 1, display), watcher=display, cancel=cancel)


def _campaign(request: Request, cancel: threading.Event) -> tuple[Row, ...]:
    """Run every instance in a process of its own, and keep all there is to know."""
    assert request.results is not None
    read_activations(request.activations)  # what is wrong with it is said at once
    tools = {tool.name: tool for tool in (_tool(name, request) for name in request.tools)}
    memory, jobs = request.options.memory_limit, _jobs(request)
    limits = Limits(request.options.timeout, None if memory is None else memory / 1e6, jobs, request.parallel)
    sets = request.selection.sets()
    campaign = Campaign(
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={"slir_milp": __version__, "python": platform.python_version()},
        machine=this_machine(),
        limits=limits if request.cluster is None else replace(limits, parallel=None),
        tools=tuple(ToolEntry(tool.name, tool.version, tool.template) for tool in tools.values()),
        sets=tuple(SetEntry(found.name, str(found.folder.resolve()), len(found.instances)) for found in sets),
    )
    tasks = request.selection.tasks(tuple(tools), request.options.timeout)
    with ExitStack() as stack:
        # First the cluster: a folder that was made for one that cannot be reached would refuse a campaign without it.
        connection = None if request.cluster is None else stack.enter_context(connect(request.cluster))
        folder = stack.enter_context(ResultsFolder(request.results, campaign))
        display = stack.enter_context(choose_bench_display(sys.stderr))
        decide = Isolated(tools, memory, jobs, folder.lock)
        dispatch: Dispatch = Locally(decide, request.parallel, display)
        if connection is not None:
            dispatch = OnCluster(connection, decide, display)
        return run_tasks(tasks, folder, dispatch, watcher=display, cancel=cancel)


def _tool(name: str, request: Request) -> Tool:
    return OwnTool(request.options, request.activations) if name == OWN else load_adapter(name)


def _jobs(request: Request) -> int:
    """Threads of each instance: as asked, or the cores divided among those that run at a time."""
    from slir_milp.search.run import available_cores

    if request.cluster is not None:
        return request.options.jobs or 1
    return request.options.jobs or max(1, available_cores() // request.parallel)
