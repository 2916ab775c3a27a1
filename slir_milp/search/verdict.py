"""What a run answers, and what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

from slir_milp.display import card
from slir_milp.errors import OptionError


class Status(StrEnum):
    """The four answers."""

    SAT = "sat"
    UNSAT = "unsat"
    UNKNOWN = "unknown"
    TIMEOUT = "timeout"

    @property
    def decided(self) -> bool:
        """Whether the question has been answered."""
        return self in (Status.SAT, Status.UNSAT)


class Reason(StrEnum):
    """Why a run ended; the value is the sentence that is shown."""

    WITNESS = "a witness was found and replayed"
    PROVED = "every region of the input set is closed by a sound bound"
    EMPTY = "the query's input set is empty"
    TIME_LIMIT = "the time limit was reached"
    MEMORY_LIMIT = "the memory limit was reached"
    INTERRUPTED = "the run was interrupted"
    MILP_CLAIM = "the MILP solver claims that there is no witness, but its claim is no proof"
    TOO_SMALL = "some regions could not be decided and are too small to be split, or nothing in them is left to split"
    EXACT_WITNESS = "a witness was found that holds in exact arithmetic, but not in the network's own float arithmetic"
    WORKERS_LOST = "workers of the cluster were lost again and again on the same regions"
    UNBOUNDED = "no input was found that meets the query, but it leaves inputs without bounds"
    NOT_CONFIRMED = "a witness was found, but the models themselves do not confirm it"
    SOLVER_FAILED = "the solver failed on a subproblem that nothing else could close"
    NOT_FOUND = "no witness was found, which does not mean that there is none"
    WITHIN_TOLERANCE = "every range is known to within the tolerance"


class Engine(StrEnum):
    """Which means may close a region."""

    AUTO = "auto"
    BOUND = "bound"
    LP = "lp"
    MILP = "milp"

    @property
    def solves_programs(self) -> bool:
        """Whether every subproblem is given to a solver."""
        return self in (Engine.LP, Engine.MILP)


class Splitting(StrEnum):
    """What branching divides."""

    AUTO = "auto"
    INPUT = "input"
    ACTIVATION = "activation"


class SlopeRule(StrEnum):
    """How the slopes of lines are chosen; every choice is sound."""

    OPTIMISED = "optimised"
    LEAST_AREA = "least-area"
    HAND_CRAFTED = "hand-crafted"


MOST_JOBS = 256


@dataclass(frozen=True)
class Options:
    """How a query is to be decided.

    Attributes
    ----------
    timeout
        Seconds of wall time for the whole call; ``None`` for no limit.
    memory_limit
        Bytes of resident memory; ``None`` for no limit.
    engine, splitting
        See :class:`Engine` and :class:`Splitting`.
    slopes
        See :class:`SlopeRule`: lines of least area, then ascent; these lines alone; or the tangents and chords of other
        verifiers alone, to compare with.
    delta
        A network with curved activations is decided up to this: a region all of whose sides are shorter than ``delta``
        times the input set's is not split any more, and the answer is ``unknown`` if it cannot be decided as it is.
        Networks of hinges are split as far as numbers allow.
    jobs
        Threads; 0 means one per available core.  With one job a run is reproducible region for region.
    seed
        Seed of everything random.
    """

    timeout: float | None = None
    memory_limit: int | None = None
    engine: Engine = Engine.AUTO
    splitting: Splitting = Splitting.AUTO
    slopes: SlopeRule = SlopeRule.OPTIMISED
    delta: float = 1e-6
    jobs: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.timeout is not None and not (isinstance(self.timeout, (int, float)) and self.timeout > 0):
            raise OptionError(f"the timeout must be a positive number of seconds, not {self.timeout}")
        if self.memory_limit is not None and self.memory_limit <= 0:
            raise OptionError(f"the memory limit must be positive, not {self.memory_limit}")
        if not isinstance(self.engine, Engine) or not isinstance(self.splitting, Splitting):
            raise OptionError("the engine must be one of Engine, and the splitting one of Splitting")
        if not isinstance(self.slopes, SlopeRule):
            raise OptionError("the slopes must be one of SlopeRule")
        if not (isinstance(self.delta, (int, float)) and 0 <= self.delta < 1):
            raise OptionError(f"delta must be a number from 0 to below 1, not {self.delta}")
        if not isinstance(self.jobs, int) or not 0 <= self.jobs <= MOST_JOBS:
            raise OptionError(f"the number of jobs must be a whole number from 0 to {MOST_JOBS}, not {self.jobs}")
        if not isinstance(self.seed, int) or self.seed < 0:
            raise OptionError(f"the seed must be a whole number that is not negative, not {self.seed}")


@dataclass(frozen=True)
class Witness:
    """An input that meets the query, and how it was replayed.

    Attributes
    ----------
    x
        The input, exact; float32 numbers wherever the input set contains any.
    outputs
        What ONNX Runtime computes there, in the network's own arithmetic.
    exact_outputs
        An enclosure of each output in real arithmetic: a point, unless the network has inexact coefficients.
    holds_in_runtime, holds_exactly
        Whether the query holds as written in either arithmetic; a ``sat`` answer has both, or says which.
    """

    x: tuple[Fraction, ...]
    outputs: tuple[float, ...]
    exact_outputs: tuple[tuple[Fraction, Fraction], ...]
    holds_in_runtime: bool
    holds_exactly: bool


@dataclass(frozen=True)
class Statistics:
    """Counts of one run.

    Attributes
    ----------
    regions
        Regions bounded.
    closed_by
        How many each stage closed: ``bound``, ``lp``, ``inherited``, ``milp`` (claims only), ``exact``.
    input_splits, activation_splits
        Branchings of either kind.
    max_depth
        Depth of the deepest region.
    clauses
        Conjunctions the query was divided into.
    falsifier_points
        Points at which the network was evaluated in search of a witness.
    linear_programs
        LPs and MILPs solved.
    seconds
        Wall time.
    """

    regions: int = 0
    closed_by: dict[str, int] = field(default_factory=dict)
    input_splits: int = 0
    activation_splits: int = 0
    max_depth: int = 0
    clauses: int = 0
    falsifier_points: int = 0
    linear_programs: int = 0
    seconds: float = 0.0

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return card("Statistics", self.facts())

    def facts(self) -> list[tuple[str, str]]:
        """Names and values of all that is not zero, as text."""
        closed = ", ".join(f"{stage} {count:,}" for stage, count in self.closed_by.items() if count)
        counts = {
            "regions": self.regions,
            "conjunctions": self.clauses,
            "input splits": self.input_splits,
            "activation splits": self.activation_splits,
            "greatest depth": self.max_depth,
            "points tried": self.falsifier_points,
            "linear programs": self.linear_programs,
        }
        shown = [(name, f"{count:,}") for name, count in counts.items() if count]
        return [*shown, ("closed by", closed), ("seconds", f"{self.seconds:.2f}")]


@dataclass(frozen=True)
class OpenRegion:
    """A box that is not decided yet.

    Attributes
    ----------
    lower, upper
        Its ends.
    bound
        The bound of its rows: it would be refuted were this positive.
    point, margin
        For a region too small to be split: where the largest row was seen least, and that value (the query holds there
        if it is not positive); else ``None``.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    bound: float
    point: tuple[float, ...] | None = None
    margin: float | None = None


@dataclass(frozen=True, repr=False)
class Verdict:
    """The answer to a query.

    Attributes
    ----------
    status, reason
        The answer, and why the run ended.
    detail
        A further sentence where there is more to say, else ``""``.
    witness
        For ``sat``; else ``None``.
    near_miss
        A point that met the query in one arithmetic only, if one was seen.
    closed_fraction
        Fraction of the work (by volume of the input set, averaged over the clauses) that is closed: 1 for ``unsat``.
    worst_bound
        Least bound over all open regions (the query is refuted where it is positive); ``None`` if there is none.
    output_bounds
        Sound bounds of every output over the whole input set, as far as they are known; empty if they are not.
    open_regions
        The worst few regions that are still open.
    statistics
        Counts.
    proof
        Path of the proof that was written; ``None`` if there is none.
    """

    status: Status
    reason: Reason
    detail: str = ""
    witness: Witness | None = None
    near_miss: Witness | None = None
    closed_fraction: float = 0.0
    worst_bound: float | None = None
    output_bounds: tuple[tuple[float, float], ...] = ()
    open_regions: tuple[OpenRegion, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)
    proof: str | None = None

    def __repr__(self) -> str:
        counts = self.statistics
        return f"<Verdict {self.status}: {self.reason} ({counts.regions:,} regions, {counts.seconds:.2f} s)>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        shown = self.witness or self.near_miss
        facts = [
            ("reason", f"{self.reason}{'; ' + self.detail if self.detail else ''}"),
            ("closed", "" if self.status.decided else f"{int(10_000 * self.closed_fraction) / 100:.2f} %"),
            ("a near miss" if self.witness is None else "witness", _where_it_holds(shown)),
            ("proof", self.proof or ""),
            *self.statistics.facts(),
        ]
        rows: list[tuple[str, ...]] = []
        columns: tuple[str, ...] = ()
        if shown is not None:
            columns = ("variable", "value")
            rows = [(f"X_{i}", f"{float(value):.9g}") for i, value in enumerate(shown.x)]
            rows += [(f"Y_{j}", f"{value:.9g}") for j, value in enumerate(shown.outputs)]
        elif self.output_bounds:
            columns = ("output", "at least", "at most")
            rows = [(f"Y_{j}", f"{low:.6g}", f"{high:.6g}") for j, (low, high) in enumerate(self.output_bounds)]
        return card(f"{self.status}", facts, columns=columns, rows=rows)


def _where_it_holds(witness: Witness | None) -> str:
    if witness is None:
        return ""
    if witness.holds_exactly and witness.holds_in_runtime:
        return "holds in exact arithmetic and in the network's own"
    return "holds in exact arithmetic only" if witness.holds_exactly else "holds in the network's own arithmetic only"


@dataclass(frozen=True)
class Progress:
    """A snapshot of a run, for display."""

    seconds: float
    limit: float | None
    closed_fraction: float
    open_regions: int
    worst_bound: float | None
    regions: int
    stage: str


ProgressCallback: TypeAlias = Callable[[Progress], None]
