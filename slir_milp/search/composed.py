"""Deciding a query over several models: searched on the composed network, told as the models themselves bear it out."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from slir_milp.compose import Assignment, Composition, Originals, apply, invert
from slir_milp.query import load_specification
from slir_milp.search.run import verify
from slir_milp.search.verdict import Options, ProgressCallback, Reason, Status, Verdict


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer to a query over several models.

    Attributes
    ----------
    verdict
        Its witness is in the inputs of the composed network.
    assignment
        After ``sat`` the value of every declared tensor; else ``None``.
    """

    verdict: Verdict
    assignment: Assignment | None = None


def verify_vnnlib(
    query: str | PathLike[str],
    networks: Mapping[str, str | PathLike[str]],
    options: Options | None = None,
    *,
    floats_as_real: bool = False,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
) -> Answer:
    """Decide a VNN-LIB 2 query about any number of models.

    Parameters
    ----------
    query
        The VNN-LIB 2 file.
    networks
        The ONNX file of every network of the query that is not equal to another, by its name there.
    options
        Limits, engine, threads; the time counts from when the files are read.
    floats_as_real
        Consent to read floating-point types as real numbers.
    progress, cancel
        As for :func:`slir_milp.verify`.

    Returns
    -------
    Answer
        The verdict, and after ``sat`` the value of every declared tensor.

    Raises
    ------
    QueryError
        The query is none, or has element types without consent.
    NetworkError
        A model cannot be read, does not fit its declaration, or is not supported.
    OptionError
        Models are missing or superfluous, or an option makes no sense.
    """
    files = {name: Path(path) for name, path in networks.items()}
    composition = apply(load_specification(query), files, floats_as_real=floats_as_real)
    return decide(composition, options, progress=progress, cancel=cancel)


def decide(
    composition: Composition,
    options: Options | None = None,
    *,
    progress: ProgressCallback | None = None,
    cancel: threading.Event | None = None,
) -> Answer:
    """Decide a composed query.

    ``sat`` is told only if the models, each by itself, confirm the condition as written; ``unsat`` only if the query
    bounds every input that matters: where bounds were assumed in their place, the answer is ``unknown``.
    """
    originals = Originals(composition)
    verdict = verify(
        composition.network, composition.query, options, progress=progress, cancel=cancel, runtime=originals
    )
    if verdict.witness is not None:
        assignment = invert(composition, verdict.witness.x, originals)
        verdict = _confirmed(verdict, assignment)
        return Answer(verdict, assignment if verdict.status is Status.SAT else None)
    if verdict.status is Status.UNSAT and composition.assumed:
        names = ", ".join(composition.assumed[:3]) + (", ..." if len(composition.assumed) > 3 else "")
        detail = f"These were searched near zero only: {names}; assert bounds of them."
        return Answer(replace(verdict, status=Status.UNKNOWN, reason=Reason.UNBOUNDED, detail=detail))
    return Answer(verdict)


def _confirmed(verdict: Verdict, assignment: Assignment) -> Verdict:
    """The verdict as the models themselves bear it out."""
    witness = verdict.witness
    assert witness is not None
    witness = replace(witness, holds_in_runtime=assignment.holds_in_runtime, holds_exactly=assignment.holds_exactly)
    if not assignment.holds_exactly:
        return replace(
            verdict,
            status=Status.UNKNOWN,
            reason=Reason.NOT_CONFIRMED,
            detail="This is a defect of this program; please report it with the files.",
            witness=None,
            near_miss=witness,
        )
    if not assignment.holds_in_runtime:
        detail = "ONNX Runtime computes other outputs there; see the witness."
        return replace(verdict, reason=Reason.EXACT_WITNESS, detail=detail, witness=witness)
    return replace(verdict, witness=witness)
