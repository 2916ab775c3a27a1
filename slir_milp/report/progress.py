"""Progress of a run on stderr: a live display on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

from slir_milp.report.text import number, seconds

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from slir_milp.search.verdict import Progress

_QUIET_FOR = 2.0
_LIVE_QUIET_FOR = 0.7
_LINE_EVERY = 5.0
_STARTING = "reading the files"


class Display(Protocol):
    """Shows how a run goes on; a context manager that cleans up behind itself."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: Progress | None, elapsed: float, limit: float | None) -> None:
        """Take note of the latest snapshot (``None`` before the first) and of the clock, in seconds."""


class SilentDisplay:
    """Shows nothing."""

    def __enter__(self) -> SilentDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def show(self, progress: Progress | None, elapsed: float, limit: float | None) -> None:
        """Do nothing."""


class PlainDisplay(SilentDisplay):
    """Prints a line every few seconds, for log files and pipes.

    Parameters
    ----------
    stream
        Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._due = _QUIET_FOR

    def show(self, progress: Progress | None, elapsed: float, limit: float | None) -> None:
        """Print a line if the last one is a few seconds old."""
        if elapsed < self._due:
            return
        self._due = elapsed + _LINE_EVERY
        print(plain_line(progress, elapsed, limit), file=self._stream, flush=True)


class LiveDisplay(SilentDisplay):
    """Keeps two lines at the bottom of a terminal up to date, and removes them at the end.

    Parameters
    ----------
    stream
        A terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live: Live | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, progress: Progress | None, elapsed: float, limit: float | None) -> None:
        """Draw the lines anew; short runs end before the first drawing and never load the library for it."""
        if elapsed < _LIVE_QUIET_FOR:
            return
        if self._live is None:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._stream), auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(live_lines(progress, elapsed, limit), refresh=True)


def choose_display(stream: TextIO, *, quiet: bool) -> Display:
    """The display that suits a stream."""
    if quiet:
        return SilentDisplay()
    return LiveDisplay(stream) if stream.isatty() else PlainDisplay(stream)


def plain_line(progress: Progress | None, elapsed: float, limit: float | None) -> str:
    """Everything that is known of a run, in one line."""
    if progress is None:
        return f"slir-milp: {_clock(elapsed, limit)}: {_STARTING}"
    closed = f"{_percent(progress.closed_fraction)} of the volume closed"
    return f"slir-milp: {_clock(elapsed, limit)}: {progress.stage}, {closed}, {_counts(progress)}"


def live_lines(progress: Progress | None, elapsed: float, limit: float | None) -> RenderableType:
    """Two lines for a terminal: how much is closed, and the counts."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    first = Table.grid(padding=(0, 1), expand=True)
    first.add_column(no_wrap=True)
    first.add_column(ratio=1)
    first.add_column(no_wrap=True, justify="right")
    stage = _STARTING if progress is None else progress.stage
    fraction = 0.0 if progress is None else progress.closed_fraction
    first.add_row(Text(stage, style="bold"), ProgressBar(total=1.0, completed=fraction), f"{_percent(fraction)} closed")
    details = _clock(elapsed, limit) + ("" if progress is None else f" · {_counts(progress, ' · ')}")
    return Group(first, Text(details, style="dim", no_wrap=True, overflow="ellipsis"))


def _clock(elapsed: float, limit: float | None) -> str:
    return seconds(elapsed) if limit is None else f"{seconds(elapsed)} of {seconds(limit)}"


def _percent(fraction: float) -> str:
    # Rounded down: what is not all closed must not read as 100 %.
    return f"{int(fraction * 1000) / 10:.1f} %"


def _counts(progress: Progress, separator: str = ", ") -> str:
    parts = [f"{progress.open_regions:,} open", f"{progress.regions:,} regions done"]
    if progress.seconds > 0:
        parts.append(f"{progress.regions / progress.seconds:,.0f} a second")
    if progress.worst_bound is not None:
        parts.append(f"worst bound {number(progress.worst_bound)}")
    return separator.join(parts)
