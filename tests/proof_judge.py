"""What a checker must make of a spoilt proof: reject it with a sentence, or accept what proves its claim all the same.

That the claim happens to be true is not enough.  An accepted proof is checked again in rational arithmetic, and its
tree is walked by points of the input set, with plain numbers: each must come to a leaf that refutes it.  And no proof
may be accepted for the twin, which an input meets.
"""

import gzip
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType

import numpy as np
from numpy.typing import NDArray
from proof_cases import Case, box_of
from proof_mutations import readdressed

from slir_milp.certificate.check import Files, check
from slir_milp.certificate.check.query import Question, read_query
from slir_milp.certificate.file import open_proof
from slir_milp.certificate.format import Combination, Entry, Kind, unpack
from slir_milp.errors import ProofError
from slir_milp.network import load_network
from slir_milp.query import And, Atom, Formula

_POINTS, _CLOSE = 3000, 1e-7
REJECTED, SAME, VALID, UNEVEN = "rejected", "same proof", "still a proof", "in float64"


class WrongError(Exception):
    """The checker accepted what proves nothing, failed, or did not end."""


@dataclass(frozen=True)
class Outcome:
    """What became of a spoilt proof.

    Attributes
    ----------
    verdict
        ``REJECTED``; ``SAME``: what the file says is as before; ``VALID``: it proves the claim in another way;
        ``UNEVEN``: it does, but rational arithmetic gives up (on a number beyond float64).
    reason
        What the checker says against it.
    seconds
        The longest time that a check took.
    """

    verdict: str
    reason: str
    seconds: float


class Judge:
    """Tries spoilt proofs of one case.

    Parameters
    ----------
    case
        The case.
    folder
        Where files may be written.
    limit
        Seconds that a check may take.
    """

    def __init__(self, case: Case, folder: Path, limit: float) -> None:
        self.case, self.limit = case, limit
        self._path = folder / "spoilt.proof"

    def outcome(self, stored: bytes, *, exact: bool = False, again: bool = True) -> Outcome:
        """Try a proof, also as one of the twin.

        Parameters
        ----------
        stored
            The file.
        exact
            Whether to use rational arithmetic throughout besides.
        again
            Whether to check what is accepted in that arithmetic.

        Raises
        ------
        WrongError
            The checker is wrong.
        """
        case, seconds, claims = self.case, list[float](), list[str]()
        for mode in (False, True) if exact else (False,):
            if (other := readdressed(stored, case)) is not None:
                found, reason, spent = self._checked(other, case.twin.network, case.twin.query, mode)
                seconds.append(spent)
                if found == "unsat":
                    raise WrongError("a false claim is accepted.")
            found, reason, spent = self._checked(stored, case.problem.network, case.problem.query, mode)
            seconds.append(spent)
            claims.append(found)
            if found == "sat":
                raise WrongError("a witness is accepted that is none.")
        if not any(claims):
            return Outcome(REJECTED, reason, max(seconds))
        if gzip.decompress(stored) == gzip.decompress(case.stored):
            return Outcome(SAME if all(claims) else UNEVEN, reason, max(seconds))
        self.walk(stored)
        if again and not exact:
            found, reason, _ = self._checked(stored, case.problem.network, case.problem.query, exact=True)
            claims.append(found)
        return Outcome(VALID if all(claims) else UNEVEN, reason, max(seconds))

    def _checked(self, stored: bytes, network: Path, query: Path, exact: bool) -> tuple[str, str, float]:
        """The claim if it is accepted, else why not; and the time."""
        self._path.write_bytes(stored)
        started = time.monotonic()
        try:
            with _at_most(self.limit):
                report = check(Files(self._path, network, query), exact=exact)
        except ProofError as error:
            failures: tuple[str, ...] = (str(error),)
        except Exception as error:
            raise WrongError(f"the checker failed: {error!r}") from error
        else:
            if report.accepted:
                return report.claim, "", time.monotonic() - started
            failures = report.failures
        spent = time.monotonic() - started
        if not all(text.endswith(".") and "\n" not in text and len(text) < 1000 for text in failures):
            raise WrongError(f"these are no sentences: {failures}")
        return "", failures[0], spent

    # --- points that walk down a tree --------------------------------------------------------------------------------

    @cached_property
    def _question(self) -> Question:
        return read_query(self.case.problem.query)

    @cached_property
    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Inputs, pre-activations of all neurons, and values of all atoms, a row for each point."""
        network, question = load_network(self.case.problem.network), self._question
        x = np.random.default_rng(3).uniform(*box_of(question.formula, question.inputs), (_POINTS, question.inputs))
        pre, z = [np.zeros((len(x), 0))], x
        for layer in network.layers:
            pre.append(layer.affine(z))
            z = layer.activate(pre[-1])
        values = np.hstack([x, network.output(z)])
        atoms = np.zeros((len(x), len(question.atoms)))
        for i, atom in enumerate(question.atoms):
            atoms[:, i] = float(atom.constant)
            for variable, factor in atom.terms:
                atoms[:, i] += float(factor) * values[:, variable]
        return x, np.hstack(pre), atoms

    def walk(self, stored: bytes) -> None:
        """Let every point find its leaf, along half-spaces that it lies in for sure."""
        self._path.write_bytes(stored)
        with open_proof(self._path) as (header, raw):
            entries: dict[int, list[Entry]] = {}
            for entry in raw:
                if entry.kind != Kind.REWRITE:
                    entries.setdefault(entry.node, []).append(unpack(entry, header.index))
        todo = [(0, self._meeting(self._question.formula, np.arange(_POINTS)))]
        while todo:
            node, here = todo.pop()
            if not len(here):
                continue
            end = next((e for e in entries.get(node, ()) if e.kind not in (Kind.TIGHTEN, Kind.NEURON)), None)
            if end is None or end.kind is Kind.EMPTY:
                raise WrongError(f"accepted, but {len(here)} points lie in node {node}.")
            todo += self._further(end, here)

    def _further(self, end: Entry, here: NDArray[np.intp]) -> Iterator[tuple[int, NDArray[np.intp]]]:
        x, z, _ = self._points
        if end.kind is Kind.CASES:
            for j, part in enumerate(self._question.alternatives[end.index].parts):
                yield end.first + j, self._meeting(part, here)
            return
        if end.combination is not None:
            total, size = self._combined(end.combination, here)
            if end.kind is Kind.REFUTED:
                if not (total > -_CLOSE * size).all():
                    raise WrongError(f"accepted, but points of node {end.node} are not refuted.")
                return
            here = here[total < -_CLOSE * size]
        values = (x if end.kind is Kind.SPLIT_INPUT else z)[here, end.index]
        yield end.first, here[values < end.value - _CLOSE]
        yield end.first + 1, here[values > end.value + _CLOSE]

    def _combined(self, given: Combination, here: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Value of the weighted atoms at points (the largest weight is made one), and of their magnitudes."""
        weights = np.zeros(self._points[2].shape[1])
        weights[given.weights.index] = given.weights.value
        weights[given.weight_fractions.index] = given.weight_fractions.p / given.weight_fractions.q
        weights = weights / (weights.max(initial=0.0) or 1.0)
        atoms = self._points[2][here]
        return atoms @ weights, abs(atoms) @ weights + weights.sum() + 1e-300

    def _meeting(self, formula: Formula, here: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of some points that surely meet what a formula asserts of the inputs."""
        if isinstance(formula, And):
            for part in formula.parts:
                here = self._meeting(part, here)
        elif isinstance(formula, Atom) and all(variable < self._question.inputs for variable, _ in formula.terms):
            number = next(i for i, atom in enumerate(self._question.atoms) if atom is formula)
            here = here[self._points[2][here, number] < 0]
        return here


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"no answer after {seconds:.3g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
