"""``slir-milp map``: which output a network prefers over a plane of two inputs, and where that is proven."""

from __future__ import annotations

import math
import re
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slir_milp.commands.background import run_in_background, signals_cancel
from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.files import make_way, read_network
from slir_milp.commands.output import write_stdout
from slir_milp.errors import OptionError
from slir_milp.report.text import plural, seconds

if TYPE_CHECKING:
    from slir_milp.report.decision_map import DecisionMap
    from slir_milp.report.drawing.decision_map import Axis, MapPicture

_RANGE = re.compile(r"\s*X_(\d{1,9})\s*=\s*([^:]+?)\s*(?::\s*([^:]+?)\s*)?")
_NAMED = re.compile(r"\s*([XY])_(\d{1,9})\s*=(.*)", re.DOTALL)
Range = tuple[int, float, float]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``slir-milp map`` is asked.

    Attributes
    ----------
    network, out
        The network, and the picture.
    x, y, fixed
        Inputs with their ranges, ``X_0=LOW:HIGH`` or ``X_0=VALUE``.
    least
        Whether the least output is preferred, or the greatest.
    labels
        ``X_0=TEXT`` and ``Y_0=TEXT``: what is written for inputs and outputs.
    shown
        ``X_0=LOW:HIGH``: the numbers shown at the ends of an axis.
    title
        The heading; the network's name if it is empty.
    depth, effort
        See :func:`slir_milp.report.decision_map.decision_map`.
    jobs
        Threads; 0 means one a core.
    timeout
        Seconds after which the picture is drawn as it is; ``None`` for no limit.
    activations
        A file that declares activations of one's own.
    """

    network: Path
    out: Path
    x: str
    y: str
    fixed: tuple[str, ...] = ()
    least: bool = True
    labels: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    title: str = ""
    depth: int = 7
    effort: int = 200
    jobs: int = 0
    timeout: float | None = None
    activations: Path | None = None


def run(request: Request) -> ExitCode:
    """Draw the map, and say how much of it is proven.

    Raises
    ------
    SlirError
        Something of the request is at fault, or the picture cannot be written.
    """
    from slir_milp.report.drawing.files import check_ending

    check_ending(request.out)
    x, y = _range("--x", request.x), _range("--y", request.y)
    fixed = tuple(_range("--fix", text) for text in request.fixed)
    labels, shown = _labels(request.labels), {q: (low, high) for q, low, high in _ranges("--shown", request.shown)}
    network = read_network(request.network, check=True, activations=request.activations)

    from slir_milp.report.decision_map import decision_map, plane_of
    from slir_milp.report.drawing.files import write_picture
    from slir_milp.search.run import available_cores

    plane = plane_of(network.input_size, x, y, fixed)
    for kind, number in labels:
        if number >= (size := network.input_size if kind == "X" else network.output_size):
            raise OptionError(f"there is no {kind}_{number} to be labelled: there are {size}, from {kind}_0 on.")
    make_way(f"--out {request.out}", request.out, (request.network,))
    cancel = threading.Event()
    display = _Display()

    def work() -> DecisionMap:
        return decision_map(
            network, plane, least=request.least, depth=request.depth, effort=request.effort,
            jobs=request.jobs or available_cores(), timeout=request.timeout, cancel=cancel, progress=display.note,
        )  # fmt: skip

    with signals_cancel(cancel):
        found = run_in_background(work, tick=display.show)
    display.clear()
    picture = _picture(request, found, x, y, fixed, labels, shown)
    write_picture(request.out, picture)
    write_stdout(
        f"{request.out}: {plural(len(found.cells), 'cell')}, {int(found.proven_share * 1000) / 10:g} % of the plane "
        f"proven, {seconds(found.seconds)}\n"
    )
    if cancel.is_set():
        return ExitCode.INTERRUPTED
    return ExitCode.DECIDED if found.complete else ExitCode.UNDECIDED


class _Display:
    """A line on a terminal that tells how far it is."""

    def __init__(self) -> None:
        self._state = (0.0, 0)
        self._shown = False

    def note(self, share: float, cells: int) -> None:
        self._state = share, cells

    def show(self) -> None:
        if sys.stderr.isatty():
            share, cells = self._state
            sys.stderr.write(f"\r\x1b[K{int(100 * share)} % of the plane is done, {plural(cells, 'cell')}")
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def _picture(
    request: Request,
    found: DecisionMap,
    x: Range,
    y: Range,
    fixed: tuple[Range, ...],
    labels: dict[tuple[str, int], str],
    shown: dict[int, tuple[float, float]],
) -> MapPicture:
    from slir_milp.report.drawing.decision_map import Axis, MapPicture

    def name(q: int) -> str:
        return labels.get(("X", q), f"X_{q}")

    def axis(one: Range) -> Axis:
        q, low, high = one
        return Axis(name(q), low, high, shown.get(q, (low, high)))

    def words(one: Range) -> str:
        q, low, high = one
        low, high = shown.get(q, (low, high))
        return f"{name(q)} {low:.6g}" if low == high else f"{name(q)} from {low:.6g} to {high:.6g}"

    return MapPicture(
        title=request.title or f"Decision map of {request.network.name}",
        x=axis(x),
        y=axis(y),
        fixed=tuple(words(one) for one in fixed),
        least=found.least,
        names=tuple(labels.get(("Y", k), f"Y_{k}") for k in range(found.outputs)),
        cells=tuple((cell.column, cell.row, cell.depth, cell.best, cell.proven) for cell in found.cells),
        complete=found.complete,
    )


def _range(option: str, text: str) -> Range:
    match = _RANGE.fullmatch(text)
    try:
        low = float(match[2]) if match else math.nan
        high = low if match is None or match[3] is None else float(match[3])
    except ValueError:
        low = high = math.nan
    if match is None or not (math.isfinite(low) and math.isfinite(high)):
        form = "X_0=LOW:HIGH" if option in ("--x", "--y", "--shown") else "X_2=VALUE or X_2=LOW:HIGH"
        raise OptionError(f"{option} '{text}' is no range of an input; write {form}, with finite numbers.")
    if option in ("--x", "--y", "--shown") and low == high:
        raise OptionError(f"{option} '{text}' is a single value; write X_0=LOW:HIGH.")
    return int(match[1]), low, high


def _ranges(option: str, texts: Iterable[str]) -> list[Range]:
    return [_range(option, text) for text in texts]


def _labels(texts: Iterable[str]) -> dict[tuple[str, int], str]:
    found = {}
    for text in texts:
        match = _NAMED.fullmatch(text)
        if match is None:
            raise OptionError(
                f"--label '{text}' names nothing; write X_0=TEXT for an input, or Y_0=TEXT for an output."
            )
        found[match[1], int(match[2])] = match[3].strip()
    return found
