"""What a worker does: the ordinary search, from some open regions, for a while."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from slir_milp._version import __version__
from slir_milp.bounding.kernel import Settings, compile_network
from slir_milp.cluster.parcel import opened
from slir_milp.errors import SlirError
from slir_milp.network.normal_form import Network
from slir_milp.query import Query
from slir_milp.search.explore import Search
from slir_milp.search.frontier import Piece, Records, Sides, Target
from slir_milp.search.journal import Journal
from slir_milp.search.limits import Limits
from slir_milp.search.replay import Replayer
from slir_milp.search.state import Counts, State
from slir_milp.search.verdict import OpenRegion, Options, Reason, Witness


@cache
def program() -> str:
    """Digest of this program: its version and all of its Python code."""
    digest = hashlib.sha256(__version__.encode())
    folder = Path(__file__).parent.parent
    for source in sorted(folder.rglob("*.py")):
        digest.update(source.relative_to(folder).as_posix().encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


@dataclass(frozen=True)
class Problem:
    """The problem, as it is sent to every worker once.

    Attributes
    ----------
    original, network
        The network as read, in which witnesses are replayed, and as it is searched.
    query, options
        What is asked, and how it is to be decided.
    file
        The network's file, for the runtime; empty if there is none.
    program
        What the client runs, see :func:`program`.
    """

    original: Network
    network: Network
    query: Query
    options: Options
    file: bytes = b""
    program: str = ""

    def check_program(self) -> None:
        """Refuse to work for a client of another version: regions are stored as each has them.

        Raises
        ------
        SlirError
            It is another.
        """
        if self.program != program():
            raise SlirError("a worker runs another version of slir_milp than the client; install one everywhere.")

    @cached_property
    def replayable(self) -> Network:
        """The network as read, its file where this machine has it: in its own place, or in a temporary folder."""
        if not self.file:
            return self.original
        digest, path = hashlib.sha256(self.file).hexdigest(), Path(self.original.source)
        try:
            if hashlib.sha256(path.read_bytes()).hexdigest() == digest:
                return self.original
        except OSError:  # another machine
            pass
        folder = Path(tempfile.mkdtemp(prefix="slir-milp-worker-"))
        (folder / path.name).write_bytes(self.file)
        return replace(self.original, source=os.fspath(folder / path.name))

    @cached_property
    def replayer(self) -> Replayer:
        """Checks candidates, for all shares of this process."""
        return Replayer(self.replayable, self.query)


@dataclass(frozen=True)
class Targets:
    """Conjunctions that were opened at their roots, as they are sent to every worker once.

    Their compiled networks are left out: every worker compiles the network for itself, with the same rounding charges.
    """

    all: tuple[Target, ...]

    @staticmethod
    def of(targets: tuple[Target, ...]) -> Targets:
        """Without what cannot be sent."""
        return Targets(tuple(replace(target, compiled=None, undecided=[], closed=0.0) for target in targets))

    def taken_up(self, number: int, settings: Settings, chosen: bool, network: Network) -> Target:
        """A target of one's own to work on."""
        target = self.all[number]
        if target.compiled is None:
            target.compiled = compile_network(network, target.slack)
        return replace(target, settings=settings, chosen=chosen, undecided=[], closed=0.0)


@dataclass(frozen=True)
class Part:
    """Open regions of one target, as they travel.

    Attributes
    ----------
    target
        Its number.
    settings, chosen
        What its search divides, once that has been chosen.
    records, sides
        The regions, as the kernel stores them.
    """

    target: int
    settings: Settings
    chosen: bool
    records: Records
    sides: Sides


@dataclass(frozen=True)
class Share:
    """Some work for one worker.

    Attributes
    ----------
    problem, targets
        Keys of the parcels that it is about.
    parts
        The regions.
    seconds
        How long to work on them.
    seed
        Of everything random.
    begun, due
        Regions that were explored before, and after how many (these included) the falsifier has its turn.
    """

    problem: str
    targets: str
    parts: tuple[Part, ...]
    seconds: float
    seed: int
    begun: int
    due: int


@dataclass
class Outcome:
    """What became of a share: every region of it is closed, or open still, or undecided; or there is a witness.

    Attributes
    ----------
    open
        What is left.
    closed
        Fraction of each target's tree that was closed.
    undecided
        Regions too small to be split, by their targets.
    counts
        What happened.
    witness, near_miss
        What turned up, with the number of its target: for the client to replay.
    reason
        What ended the work, if not its end or its time.
    """

    open: list[Part] = field(default_factory=list)
    closed: dict[int, float] = field(default_factory=dict)
    undecided: dict[int, list[OpenRegion]] = field(default_factory=dict)
    counts: Counts = field(default_factory=Counts)
    witness: Witness | None = None
    near_miss: Witness | None = None
    reason: Reason | None = None


def explore(share: Share) -> Outcome:
    """Work on a share; called by Dask in a worker."""
    problem: Problem = opened(share.problem)
    problem.check_program()
    known: Targets = opened(share.targets)
    limits = Limits(time.monotonic() + share.seconds, problem.options.memory_limit)
    state = State(limits, problem.options.solver)
    state.counts.regions = share.begun
    replayer = problem.replayer
    options = replace(problem.options, seed=share.seed)
    search = Search(problem.network, replayer, options, state, 1, Journal(), due=share.due)
    targets: dict[int, Target] = {}
    for part in share.parts:
        if part.target not in targets:
            targets[part.target] = known.taken_up(part.target, part.settings, part.chosen, problem.network)
        search.frontier.put(Piece(targets[part.target], part.records, part.sides))
    reason = search.run()
    state.counts.regions -= share.begun
    numbers = {id(target): number for number, target in targets.items()}
    return Outcome(
        [as_part(numbers[id(piece.target)], piece) for piece in search.frontier.drain()],
        {number: target.closed for number, target in targets.items()},
        {number: target.undecided for number, target in targets.items() if target.undecided},
        state.counts,
        state.witness,
        replayer.near_miss,
        None if reason is Reason.TIME_LIMIT else reason,
    )


def as_part(number: int, piece: Piece) -> Part:
    """A piece as it travels."""
    target = piece.target
    return Part(number, target.settings, target.chosen, piece.records, piece.sides)
