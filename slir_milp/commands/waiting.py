"""Waiting for a search: the clock runs, progress is shown, and Ctrl-C ends it with what is known."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from slir_milp.commands.background import OverrunError, run_in_background, signals_cancel
from slir_milp.report.progress import choose_display
from slir_milp.search.verdict import Options, Progress, Reason, Status, Verdict


class Watched:
    """A run that can be watched and ended: what the working thread leaves for the main thread to see.

    Parameters
    ----------
    started
        Value of ``time.monotonic()`` when the run began.
    options
        As given; their time counts from then.

    Attributes
    ----------
    cancel
        Ends it with what is known so far.
    progress
        Its latest snapshot.
    """

    def __init__(self, started: float, options: Options) -> None:
        self.started, self.options = started, options
        self.cancel = threading.Event()
        self.progress: Progress | None = None

    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    def note(self, progress: Progress) -> None:
        """Keep the latest snapshot; called in the working thread."""
        self.progress = progress

    def options_left(self) -> Options | None:
        """The options with the time that is left; ``None`` if there is none."""
        if self.options.timeout is None:
            return self.options
        left = self.options.timeout - self.elapsed()
        return replace(self.options, timeout=left) if left > 0 else None


def wait_for(work: Callable[[], Verdict], run: Watched, *, quiet: bool, program: str = "slir-milp") -> Verdict:
    """Do some work in a thread of its own and wait for its end, or until it has overrun its time by far.

    Parameters
    ----------
    work
        Finds the verdict.
    run
        Of which the work is a part.
    quiet
        Whether no progress is shown.
    program
        What messages call this program.
    """
    limit = run.options.timeout
    give_up_at = None if limit is None else run.started + limit + max(1.0, 0.02 * limit)
    told = False
    with signals_cancel(run.cancel), choose_display(sys.stderr, quiet=quiet) as display:

        def tick() -> None:
            nonlocal told
            if not run.cancel.is_set():
                display.show(run.progress, run.elapsed(), limit)
            elif not told:
                told = True
                print(f"{program}: stopping; once more to leave at once", file=sys.stderr, flush=True)

        try:
            return run_in_background(work, tick=tick, give_up_at=give_up_at)
        except OverrunError:
            return out_of_time("The search did not stop by itself and was left.")
        except MemoryError:
            return Verdict(Status.UNKNOWN, Reason.MEMORY_LIMIT, "The system has no more memory to give.")


def out_of_time(detail: str = "Reading the files took all of it.") -> Verdict:
    """The verdict of a run whose time is over."""
    return Verdict(Status.TIMEOUT, Reason.TIME_LIMIT, detail)
