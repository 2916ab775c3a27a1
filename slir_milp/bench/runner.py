"""The loop over the instances of a folder."""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from slir_milp.bench.answer import Answer, Decide
from slir_milp.bench.instances import Instance, find_file, read_instances
from slir_milp.bench.results import ResultsFile, Row, compare
from slir_milp.errors import SlirError
from slir_milp.search.verdict import Options


@dataclass(frozen=True)
class Settings:
    """What to run, and how.

    Attributes
    ----------
    folder
        The benchmark folder.
    options
        For every instance; its timeout is the most that any instance gets, and an instance's own may be less.
    out
        Results file, ``None`` for none.
    only
        Run instances only whose network or query matches this shell pattern (``*prop_2*``); ``""`` for all.
    limit
        Look at the first so many of these only; ``None`` for all.
    """

    folder: Path
    options: Options
    out: Path | None = None
    only: str = ""
    limit: int | None = None


def run_bench(
    settings: Settings, decide: Decide, *, on_row: Callable[[Row, int, int], None], cancel: threading.Event
) -> tuple[Row, ...]:
    """Run the instances of a folder in their order.

    Parameters
    ----------
    settings
        What to run.
    decide
        How to get an answer.
    on_row
        Called as each instance ends, with its row, its number (from one, kept rows counted) and how many there are.
    cancel
        Set it to stop: the instance that runs then leaves no row, and will be run again.

    Returns
    -------
    tuple of Row
        Rows of an earlier run that were kept, then the new ones.

    Raises
    ------
    SlirError
        The folder, its lists or the results file are at fault; a fault of an instance is a row.
    """
    instances = _chosen(read_instances(settings.folder), settings)
    with ResultsFile(settings.out, settings.options.engine.value) as results:
        names = {(instance.onnx, instance.vnnlib) for instance in instances}
        rows = [row for row in results.kept if (row.onnx, row.vnnlib) in names]
        for instance in results.remaining(instances):
            if cancel.is_set():
                break
            row = _run(instance, settings, decide, cancel)
            if row is None:
                break
            results.append(row)
            rows.append(row)
            on_row(row, len(rows), len(instances))
    return tuple(rows)


def _chosen(instances: tuple[Instance, ...], settings: Settings) -> tuple[Instance, ...]:
    if settings.only:
        instances = tuple(
            instance
            for instance in instances
            if any(fnmatch.fnmatch(name, settings.only) for name in (instance.onnx, instance.vnnlib))
        )
    if not instances:
        which = f" that matches '{settings.only}'" if settings.only else ""
        raise SlirError(f"{settings.folder} lists no instance{which}.")
    return instances[: settings.limit]


def _run(instance: Instance, settings: Settings, decide: Decide, cancel: threading.Event) -> Row | None:
    """Row of an instance; ``None`` if it was interrupted."""
    limits = [limit for limit in (settings.options.timeout, instance.timeout) if limit is not None]
    options = replace(settings.options, timeout=min(limits, default=None))
    started = time.monotonic()
    try:
        if instance.fault:
            raise SlirError(instance.fault)
        network, query = (find_file(settings.folder, name) for name in (instance.onnx, instance.vnnlib))
        answer = decide(network, query, options, cancel)
    except SlirError as error:
        answer = Answer("error", str(error))
    except Exception as error:  # a fault of this program must not cost the other instances
        answer = Answer("error", f"internal error: {type(error).__name__}: {error}")
    if cancel.is_set() and answer.verdict not in ("sat", "unsat"):
        return None
    seconds = time.monotonic() - started
    return Row(
        onnx=instance.onnx,
        vnnlib=instance.vnnlib,
        verdict=answer.verdict,
        truth=instance.truth,
        outcome=compare(answer.verdict, instance.truth),
        seconds=round(seconds, 4),
        timeout=options.timeout,
        regions=answer.regions,
        reason=answer.reason,
        engine=options.engine.value,
        splitting=options.splitting.value,
        jobs=options.jobs,
        closed_fraction=answer.closed_fraction,
        witness=answer.witness,
        peak_mb=None if answer.peak_bytes is None else round(answer.peak_bytes / 1e6, 1),
    )
