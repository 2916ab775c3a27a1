"""The checker: whether a proof file proves what it claims of a network and a query.

Theorem.  If :func:`check` accepts a claim of ``unsat``, no input meets the query's formula together with the outputs
that the network, in real arithmetic over its stored weights, gives for it.  *Proof.*  By Statement 5 of :mod:`.tree` a
counterexample would lie in some leaf.  Each leaf has a combination of asserted inequalities whose lower bound over the
leaf is positive by Statements 1 to 4, or bounds that exclude each other, or asserts a contradiction; a counterexample
makes every asserted inequality at most zero and lies within all bounds.  ∎

Nothing here imports the search, its bounds, its linear programs or its solvers.
"""

from __future__ import annotations

import time
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from os import PathLike, fspath
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.certificate.check.arithmetic import Balls, Exact
from slir_milp.certificate.check.network import read_network
from slir_milp.certificate.check.query import Question, read_query
from slir_milp.certificate.check.tree import Node, Tree
from slir_milp.certificate.file import Header, open_proof
from slir_milp.certificate.format import RawEntry
from slir_milp.errors import ProofError

if TYPE_CHECKING:
    from slir_milp.activations.registry import Registry
    from slir_milp.network.normal_form import Network

_ELEMENTS = 60_000
_ROOTS = 12
"""Subtrees for each process."""
Path = str | PathLike[str]


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
    leaves
        Leaves closed.
    exactly
        How many nodes needed exact arithmetic.
    exact
        Whether all of them were done so.
    read_twice
        Whether the second reading covers the network.
    seconds
        Time taken.
    """

    claim: str
    failures: tuple[str, ...]
    leaves: int
    exactly: int
    exact: bool
    read_twice: bool
    seconds: float

    @property
    def accepted(self) -> bool:
        """Whether the claim is proven."""
        return not self.failures


def check(files: Files, *, exact: bool = False, jobs: int = 1, most_failures: int = 1) -> Report:
    """Check a proof.

    Parameters
    ----------
    files
        The files.
    exact
        Use rational arithmetic throughout, not only where float64 with counted roundings cannot confirm a node.
    jobs
        Number of processes.
    most_failures
        Stop after so many nodes that cannot be closed.

    Raises
    ------
    ProofError
        The proof is damaged, breaks a rule, or belongs to other files.
    NetworkError, QueryError
        The network or the query cannot be read.
    """
    started = time.monotonic()
    problem = _Problem.read(files)
    if problem.header.claim == "sat":
        from slir_milp.certificate.check.witness import replayed

        failures = replayed(problem.header, problem.network, problem.question)
        return Report("sat", failures, 0, 0, True, problem.read_twice, time.monotonic() - started)
    walk = _Walk(problem, exact, most_failures)
    walk.run(jobs, files)
    seconds = time.monotonic() - started
    return Report("unsat", tuple(walk.failures), walk.leaves, walk.exactly, exact, problem.read_twice, seconds)


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
            for entry in raw:
                entries.setdefault(entry.node, []).append(entry)
        return _Problem(header, network, read_twice, question, entries)


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

    def __init__(self, problem: _Problem, exact: bool, most_failures: int) -> None:
        self._problem, self._exact, self._most = problem, exact, most_failures
        self._tree = self._made(Exact() if exact else Balls())
        self._fallback: Tree | None = None
        neurons = max(1, sum(problem.header.layers) + problem.header.inputs)
        self._batch = 1 if exact else int(np.clip(_ELEMENTS // neurons, 1, 512))
        self.failures: list[str] = []
        self.leaves = self.exactly = 0

    def _made(self, numbers: Balls | Exact) -> Tree:
        problem = self._problem
        return Tree(problem.network, problem.question, problem.entries, problem.header.index, numbers)

    def run(self, jobs: int, files: Files) -> None:
        """Close the root and all below; with several processes, each takes some of the subtrees."""
        root = self._tree.root()
        stack = [] if root is None else [root]
        self.close(stack, _ROOTS * jobs if jobs > 1 else 0)
        if not stack:
            return
        import multiprocessing

        with ProcessPoolExecutor(
            jobs, multiprocessing.get_context("spawn"), _begin, (files, self._exact, self._most)
        ) as pool:
            tasks: list[Future[_Result]] = [pool.submit(_close, [node]) for node in stack]
            for task in tasks:
                failures, leaves, exactly = task.result()
                self.failures += failures
                self.leaves, self.exactly = self.leaves + leaves, self.exactly + exactly
                if len(self.failures) >= self._most:
                    pool.shutdown(cancel_futures=True)
                    break

    def close(self, stack: list[Node], enough: int = 0) -> None:
        """Close the nodes of a stack and all below them, or go on until the stack has ``enough`` nodes."""
        with np.errstate(all="ignore"):
            while stack and not 0 < enough <= len(stack):
                if enough:
                    stack.reverse()  # breadth first while work is being divided
                group = self._tree.group(stack, 1 if enough else self._batch)
                if enough:
                    stack.reverse()
                for node, found in zip(group, self._tree.close(group), strict=True):
                    children = self._exactly(node, found) if isinstance(found, str) else found
                    self.leaves += not children
                    stack.extend(children)
                if len(self.failures) >= self._most:
                    return

    def _exactly(self, node: Node, reason: str) -> list[Node]:
        """Try a node again in exact arithmetic; note it as a failure if that does not close it either."""
        if not self._exact:
            self.exactly += 1
            self._fallback = self._fallback or self._made(Exact())
            try:
                (found,) = self._fallback.close([self._fallback.converted(node)])
            except (OverflowError, ValueError, TypeError):
                found = "some neuron has no bounds there, and none can be found"
            if not isinstance(found, str):
                return [self._tree.converted(child) for child in found]
            reason = found
        self.failures.append(f"node {node.number} cannot be confirmed: {reason}.")
        return []


_Result = tuple[list[str], int, int]
_worker: list[_Walk] = []
"""In a process of the pool: its walk."""


def _begin(files: Files, exact: bool, most_failures: int) -> None:
    _worker.append(_Walk(_Problem.read(files), exact, most_failures))


def _close(nodes: list[Node]) -> _Result:
    walk = _worker[0]
    walk.failures, walk.leaves, walk.exactly = [], 0, 0
    walk.close(nodes)
    return walk.failures, walk.leaves, walk.exactly


__all__ = ["Files", "Report", "check"]
