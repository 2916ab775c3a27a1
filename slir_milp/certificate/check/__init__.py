"""The checker: whether a proof file proves what it claims of a network and a query.

Theorem.  If :func:`check` accepts a claim of ``unsat``, no input meets the query's formula together with the outputs
that the network, in real arithmetic over its stored weights, gives for it.  *Proof.*  By Statement 6 of :mod:`.rewrite`
the network may be exchanged for one that encloses it; by Statement 5 of :mod:`.tree` a counterexample would lie in some
leaf.  Each leaf has a combination of asserted inequalities whose lower bound over the
leaf is positive by Statements 1 to 4, or bounds that exclude each other, or asserts a contradiction; a counterexample
makes every asserted inequality at most zero and lies within all bounds.  ∎

Nothing here imports the search, its bounds, its linear programs or its solvers.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

import numpy as np

from slir_milp.certificate.check.arithmetic import Balls, Exact
from slir_milp.certificate.check.network import read_network
from slir_milp.certificate.check.query import Question, read_query
from slir_milp.certificate.check.rewrite import Rewriter
from slir_milp.certificate.check.tree import LEFT_OPEN, Node, Tree
from slir_milp.certificate.file import Header, open_proof
from slir_milp.certificate.format import Kind, RawEntry
from slir_milp.certificate.rewriting import unpack_rewriting
from slir_milp.errors import OptionError, ProofError

if TYPE_CHECKING:
    from slir_milp.activations.registry import Registry
    from slir_milp.network.normal_form import Network

_ELEMENTS = 60_000
_ROOTS = 12
"""Subtrees for each process."""
_FEW = 2000
"""So many nodes (a tenth of them in exact arithmetic) are checked sooner than another process has started."""
_TICK = 0.2
Path = str | PathLike[str]
Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Files:
    """What is checked: the proof, the network, the query and the activations of one's own, if there are any."""

    proof: Path
    network: Path
    query: Path
    activations: Path | None = None


@dataclass(frozen=True)
class Report:
    """What the checker found.

    Attributes
    ----------
    claim
        ``unsat`` or ``sat``.
    failures
        Why it is not proven: a sentence for each node that cannot be closed; empty if the claim is accepted.
    nodes, leaves
        Nodes seen, and how many of them had no children.
    exactly
        How many nodes needed exact arithmetic.
    exact
        Whether all of them were done so; for ``sat``, whether the witness was.
    read_twice
        Whether the second reading covers the network.
    seconds
        Time taken.
    header
        What the proof says it is about.
    note
        For ``sat``: what the network's runtime makes of the witness; see :class:`.witness.Replay`.
    open
        The nodes that ``failures`` tell of, as they were before their own entries, for a repair.
    plain
        Whether this is what the plain checker found; see :mod:`slir_milp.certificate.plain`.
    """

    claim: str
    failures: tuple[str, ...]
    nodes: int
    leaves: int
    exactly: int
    exact: bool
    read_twice: bool
    seconds: float
    header: Header
    note: str = ""
    open: tuple[Node, ...] = ()
    plain: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the claim is proven."""
        return not self.failures


def check(
    files: Files, *, exact: bool = False, jobs: int = 1, most_failures: int = 1, watch: Watch | None = None
) -> Report:
    """Check a proof.

    Parameters
    ----------
    files
        The files.
    exact
        Use rational arithmetic throughout, not only where float64 with counted roundings cannot confirm a node.
    jobs
        Most processes at once; for a small proof there is only this one.
    most_failures
        Stop after so many nodes that cannot be closed; at least 1.
    watch
        Called now and then with the nodes seen and the leaves closed so far.

    Raises
    ------
    OptionError
        ``most_failures`` is less than 1: a walk that may stop without a failure would accept anything.
    ProofError
        The proof is damaged, breaks a rule, or belongs to other files.
    NetworkError, QueryError
        The network or the query cannot be read.
    """
    if most_failures < 1:
        raise OptionError(f"most_failures is {most_failures}; it is the number of failures to stop at, 1 or more.")
    started = time.monotonic()
    problem = _Problem.read(files)
    header, read_twice = problem.header, problem.read_twice
    if header.claim == "sat":
        from slir_milp.certificate.check.witness import replayed

        found = replayed(header, problem.network, problem.question)
        seconds = time.monotonic() - started
        return Report("sat", found.failures, 0, 0, 0, found.exact, read_twice, seconds, header, found.note)
    walk = _Walk(problem, exact, most_failures, watch)
    walk.run(jobs if len(problem.entries) * (10 if exact else 1) > _FEW else 1, files)
    seconds = time.monotonic() - started
    counts = walk.nodes, walk.leaves, walk.exactly
    failures, unconfirmed = tuple(walk.failures), tuple(walk.open)
    return Report("unsat", failures, *counts, exact, read_twice, seconds, header, open=unconfirmed)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The files, read."""

    header: Header
    network: Network
    read_twice: bool
    question: Question
    entries: dict[int, list[RawEntry]]

    @staticmethod
    def read(files: Files) -> _Problem:
        with open_proof(files.proof) as (header, raw):
            registry, digest = _registry(files.activations)
            network, read_twice = read_network(files.network, registry)
            question = read_query(files.query)
            for name, recorded, found in (
                ("network", header.network, network.sha256),
                ("query", header.query, question.sha256),
                ("activations", header.activations, digest),
            ):
                if recorded != found:
                    raise ProofError(f"the proof is about another {name}: its SHA-256 is {recorded or 'none'}.")
            sizes = (network.input_size, network.output_size, tuple(layer.size for layer in network.layers))
            if (header.inputs, header.outputs, header.layers) != sizes or (question.inputs, question.outputs) != sizes[
                :2
            ]:
                raise ProofError("the sizes of network, query and proof do not agree.")
            entries: dict[int, list[RawEntry]] = {}
            rewriter = Rewriter(network, question.formula)
            for entry in raw:
                if entry.kind == Kind.REWRITE and not entries:
                    rewriter.exchange(unpack_rewriting(entry))
                else:
                    entries.setdefault(entry.node, []).append(entry)
        return _Problem(header, rewriter.network, read_twice, question, entries)


def _registry(path: Path | None) -> tuple[Registry | None, str]:
    if path is None:
        return None, ""
    from hashlib import sha256

    from slir_milp.activations.declarations import parse_declarations
    from slir_milp.activations.registry import Registry

    declarations = parse_declarations(fspath(path))
    with open(path, "rb") as stream:
        return Registry().with_declarations(declarations), sha256(stream.read()).hexdigest()


class _Walk:
    """Closes nodes until none is left."""

    def __init__(self, problem: _Problem, exact: bool, most_failures: int, watch: Watch | None = None) -> None:
        self._problem, self._exact, self._most, self._watch = problem, exact, most_failures, watch
        self._tree = self._made(Exact() if exact else Balls())
        self._fallbacks = dict[bool, Tree]()
        neurons = max(1, sum(problem.header.layers) + problem.header.inputs)
        self._batch = 1 if exact else int(np.clip(_ELEMENTS // neurons, 1, 512))
        self.failures, self.open = list[str](), list[Node]()
        self.nodes = self.leaves = self.exactly = 0

    def _made(self, numbers: Balls | Exact) -> Tree:
        problem = self._problem
        return Tree(problem.network, problem.question, problem.entries, problem.header.index, numbers)

    def run(self, jobs: int, files: Files) -> None:
        """Close the root and all below; with several processes, each takes some of the subtrees."""
        root = self._tree.root()
        stack = [] if root is None else [root]
        self.close(stack, _ROOTS * jobs if jobs > 1 else 0)
        if not stack or len(self.failures) >= self._most:
            return
        import multiprocessing

        context = multiprocessing.get_context("spawn")
        shared = context.Array("q", [self.nodes, self.leaves, 0])  # (the last says whether to stop)
        with ProcessPoolExecutor(jobs, context, _begin, (files, self._exact, self._most, shared)) as pool:
            try:
                with _interrupts_held():
                    tasks: set[Future[_Result]] = {pool.submit(_close, [node]) for node in stack}
                while tasks and len(self.failures) < self._most:
                    done, tasks = wait(tasks, _TICK, FIRST_COMPLETED)
                    for failures, unconfirmed, nodes, leaves, exactly in (task.result() for task in done):
                        self.failures, self.open = self.failures + failures, self.open + unconfirmed
                        self.nodes, self.leaves = self.nodes + nodes, self.leaves + leaves
                        self.exactly += exactly
                    if self._watch is not None:
                        self._watch(shared[0], shared[1])
            finally:
                shared[2] = 1
                pool.shutdown(cancel_futures=True)

    def close(self, stack: list[Node], enough: int = 0) -> None:
        """Close the nodes of a stack and all below them, or go on until the stack has ``enough`` nodes."""
        from threadpoolctl import threadpool_limits

        with np.errstate(all="ignore"), threadpool_limits(1):  # (matrices are small: threads would only wait)
            while stack and not 0 < enough <= len(stack):
                if enough:
                    stack.reverse()  # breadth first while work is being divided
                group = self._tree.group(stack, 1 if enough else self._batch)
                if enough:
                    stack.reverse()
                for node, found in zip(group, self._closed(group), strict=True):
                    children = self._exactly(node, found) if isinstance(found, str) else found
                    self.nodes, self.leaves = self.nodes + 1, self.leaves + (not children)
                    stack.extend(children)
                if self._watch is not None:
                    self._watch(self.nodes, self.leaves)
                if len(self.failures) >= self._most:
                    return

    def _closed(self, group: list[Node]) -> Iterable[list[Node] | str]:
        """What closing a group gives; in exact arithmetic, where neurons may be without bounds, a reason then."""
        if not self._exact:
            return self._tree.close(group)
        try:
            return list(self._tree.close(group))
        except (OverflowError, ValueError, TypeError):
            return ["some neuron has no bounds there, and none can be found"]

    def _exactly(self, node: Node, reason: str) -> list[Node]:
        """Try a node again in exact arithmetic; note it as a failure if that does not close it either."""
        tries = [] if self._exact or reason == LEFT_OPEN else [True]
        if reason != LEFT_OPEN and self._tree.is_tie(node):
            tries.append(False)
        self.exactly += not self._exact and bool(tries)
        for shortening in tries:
            tree = self._fallbacks.get(shortening) or self._made(Exact(shortening))
            self._fallbacks[shortening] = tree
            try:
                (found,) = tree.close([tree.converted(node)])
            except (OverflowError, ValueError, TypeError):
                found = "some neuron has no bounds there, and none can be found"
            if not isinstance(found, str):
                return [self._tree.converted(child) for child in found]
            reason = found
        self.failures.append(f"node {node.number} cannot be confirmed: {reason}.")
        self.open.append(node)
        return []


_Result = tuple[list[str], list[Node], int, int, int]
_worker: list[_Walk] = []
"""In a process of the pool: its walk."""


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Processes that are started meanwhile never see Ctrl-C, and this one sees it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # (Windows)
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _StoppedError(Exception):
    """The answer is known, or no longer wanted."""


def _begin(files: Files, exact: bool, most_failures: int, shared: Any) -> None:
    seen = [0, 0]

    def watch(nodes: int, leaves: int) -> None:
        with shared.get_lock():
            shared[0], shared[1] = shared[0] + nodes - seen[0], shared[1] + leaves - seen[1]
        seen[:] = nodes, leaves
        if shared[2]:
            raise _StoppedError

    _worker.append(_Walk(_Problem.read(files), exact, most_failures, watch))


def _close(nodes: list[Node]) -> _Result:
    walk = _worker[0]
    before = walk.nodes, walk.leaves, walk.exactly
    walk.failures, walk.open = [], []
    walk.close(nodes)
    return walk.failures, walk.open, walk.nodes - before[0], walk.leaves - before[1], walk.exactly - before[2]


__all__ = ["Files", "Report", "check"]
