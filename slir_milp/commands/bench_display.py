"""What a bench run shows while it goes on: a line on stdout as each instance ends, and on stderr how far it is."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from slir_milp.bench import Task, Watcher, described
from slir_milp.commands.output import write_stdout
from slir_milp.report.results import Outcome, Row
from slir_milp.report.text import plural, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

_REMARKS = {Outcome.WRONG: "  WRONG", Outcome.ERROR: "  ERROR", Outcome.UNCHECKED: "  (no published verdict)"}
_LINE_EVERY = 60.0


class BenchDisplay(Watcher):
    """A line on stdout as each instance ends; on stderr a line a minute, and at once what is wrong.

    Parameters
    ----------
    stream
        Where to say how far it is.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._started = self._told = time.monotonic()
        self._count = self._done = self._wrong = 0
        self._running: dict[str, float] = {}

    def __enter__(self) -> BenchDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def begins(self, rows: Sequence[Row], count: int) -> None:
        """Say how many rows are there already."""
        self._done, self._count = len(rows), count
        self._wrong = sum(row.outcome is Outcome.WRONG for row in rows)
        if rows:
            self._say(f"slir-milp: {len(rows)} of {plural(count, 'row')} are there already")

    def starts(self, task: Task) -> None:
        """Take note of what runs."""
        with self._lock:
            self._running[f"{task} {task.tool}"] = time.monotonic()
        self._refresh()

    def ends(self, row: Row) -> None:
        """Print the row."""
        with self._lock:
            self._running.pop(f"{row.set} {row.onnx} {row.vnnlib} {row.tool}", None)
            self._done += 1
            self._wrong += row.outcome is Outcome.WRONG
        place = f"{self._done:>{len(str(self._count))}}/{self._count}"
        names = f"{row.set}  {row.onnx}  {row.vnnlib}"
        said = f"{row.verdict:<7}  {seconds(row.seconds):>8}  {row.tool}"
        write_stdout(f"{place}  {said}  {names}{_REMARKS.get(row.outcome, '')}\n")
        if row.outcome is Outcome.WRONG:
            self._say(f"slir-milp: WRONG VERDICT: {described(row)}")
        self._refresh()

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _refresh(self) -> None:
        if time.monotonic() - self._told >= _LINE_EVERY:
            self._told = time.monotonic()
            self._say(f"slir-milp: {self._state()}")

    def _state(self) -> str:
        passed = seconds(time.monotonic() - self._started)
        return f"{self._done} of {self._count} done in {passed}, {self._wrong} wrong"


class LiveBenchDisplay(BenchDisplay):
    """The same on a terminal: a bar and what runs stay at the bottom."""

    _live: Live | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the bar."""
        if self._live is not None:
            self._live.stop()

    def begins(self, rows: Sequence[Row], count: int) -> None:
        """Draw the bar."""
        from rich.console import Console
        from rich.live import Live

        super().begins(rows, count)
        self._live = Live(
            console=Console(file=self._stream),
            get_renderable=self._lines,
            refresh_per_second=4,
            transient=True,
            # What goes to the same terminal must pass by the bar; what goes to a file must not.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
        )
        self._live.start()

    def _say(self, text: str) -> None:
        if self._live is None:
            super()._say(text)
        else:
            self._live.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _refresh(self) -> None:
        pass  # (a thread of its own draws)

    def _lines(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        with self._lock:
            running = list(self._running.items())
        now = time.monotonic()
        lines = [f"{seconds(now - since):>8}  {name}" for name, since in running]
        style = "bold red" if self._wrong else "bold"
        return Group(
            Text(self._state(), style=style),
            ProgressBar(total=max(1, self._count), completed=self._done),
            *(Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in lines),
        )


def choose_bench_display(stream: TextIO) -> BenchDisplay:
    """The display that suits a stream."""
    return LiveBenchDisplay(stream) if stream.isatty() else BenchDisplay(stream)
