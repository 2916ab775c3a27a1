"""The CSV file of replays: a row for each program and solver, written as it ends, and none twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from slir_milp.errors import SlirError
from slir_milp.report.lines import Appender, read_lines
from slir_milp.subproblems.judge import Judgement


@dataclass(frozen=True)
class Result:
    """One row of the file; the fields are its columns.

    Attributes
    ----------
    name, kind, solver
        The program, ``lp`` or ``milp``, and the back end.
    status
        Name of a :class:`slir_milp.solvers.Status`, or ``REFUSED``.
    judgement
        See :class:`slir_milp.subproblems.judge.Judgement`.
    seconds_min, seconds_median
        Wall time over the repetitions, handing the program over included.
    repeat
        How many there were.
    iterations, nodes
        As the solver counts them.
    objective, bound
        Of the solver's point, recomputed; its lower bound (for a linear program recomputed from the duals).
    error
        How far the objective is from the exact optimum, relative to ``max(1, |optimum|)``.
    primal, dual, gap
        Residuals recomputed from the program: largest violation of a row or bound, of stationarity or a dual's sign,
        and objective less dual objective.
    certified
        The bound that the duals give after backward evaluation, in the unit of the program's objective.
    loss
        By how much that is below the optimum, relative to ``max(1, |optimum|)``.
    proves
        Whether it proves that the region holds no counterexample.
    detail
        What is wrong, or why the solver refused.
    """

    name: str
    kind: str
    solver: str
    status: str
    judgement: Judgement
    seconds_min: float = 0.0
    seconds_median: float = 0.0
    repeat: int = 0
    iterations: int = 0
    nodes: int = 0
    objective: float | None = None
    bound: float | None = None
    error: float | None = None
    primal: float | None = None
    dual: float | None = None
    gap: float | None = None
    certified: float | None = None
    loss: float | None = None
    proves: bool = False
    detail: str = ""


class ResultsFile:
    """A file of results open for appending; a context manager.

    Parameters
    ----------
    path
        The file, made if it is absent; ``None`` to keep nothing.

    Raises
    ------
    SlirError
        The file cannot be opened, or is something else.
    """

    def __init__(self, path: Path | None) -> None:
        self.kept: tuple[Result, ...] = ()
        self._file: Appender[Result] | None = None
        if path is None:
            return
        try:
            self.kept = read_lines(Result, path, Judgement)
            self._file = Appender(Result, path)
        except OSError as error:
            raise SlirError(f"{path} cannot be opened: {error.strerror or error}.") from error
        except ValueError as error:
            raise SlirError(f"{path} is there and holds no results of bench-solvers; name another file.") from error

    def __enter__(self) -> ResultsFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, result: Result) -> None:
        """Write a row and hand it to the operating system at once.

        Raises
        ------
        SlirError
            The row cannot be written.
        """
        if self._file is not None:
            self._file.append(result)
