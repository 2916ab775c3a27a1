"""Waiting for a search: the clock runs, progress is shown, and Ctrl-C ends it with what is known."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Protocol

from slir_milp.commands.background import OverrunError, run_in_background, signals_cancel
from slir_milp.report.progress import choose_display
from slir_milp.search.verdict import Progress, Reason, Status, Verdict


class Watched(Protocol):
    """A run that can be watched and ended.

    Attributes
    ----------
    cancel
        Ends it with what is known so far.
    progress
        Its latest snapshot.
    """

    cancel: threading.Event
    progress: Progress | None

    def elapsed(self) -> float:
        """Seconds since it began."""


def wait_for(work: Callable[[], Verdict], run: Watched, started: float, limit: float | None, *, quiet: bool) -> Verdict:
    """Do some work in a thread of its own and wait for its end, or until it has overrun its time by far.

    Parameters
    ----------
    work
        Finds the verdict.
    run
        Of which the work is a part.
    started, limit
        Value of ``time.monotonic()`` when the run began, and the seconds it may take (``None`` for no limit).
    quiet
        Whether no progress is shown.
    """
    give_up_at = None if limit is None else started + limit + max(1.0, 0.02 * limit)
    told = False
    with signals_cancel(run.cancel), choose_display(sys.stderr, quiet=quiet) as display:

        def tick() -> None:
            nonlocal told
            if not run.cancel.is_set():
                display.show(run.progress, run.elapsed(), limit)
            elif not told:
                told = True
                print("slir-milp: stopping; once more to leave at once", file=sys.stderr, flush=True)

        try:
            return run_in_background(work, tick=tick, give_up_at=give_up_at)
        except OverrunError:
            return out_of_time("The search did not stop by itself and was left.")
        except MemoryError:
            return Verdict(Status.UNKNOWN, Reason.MEMORY_LIMIT, "The system has no more memory to give.")


def out_of_time(detail: str) -> Verdict:
    """The verdict of a run whose time is over."""
    return Verdict(Status.TIMEOUT, Reason.TIME_LIMIT, detail)
