"""Witnesses of other verifiers, replayed by the rules for our own."""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np

from slir_milp.errors import SlirError
from slir_milp.query import Box, Query, format_witness

_NEAR = Fraction(1, 1_000_000)
"""How far from the input set, relative to the value, a printed input may be: decimals are rounded."""


def replayed(network: Path, query: Path, x: tuple[Fraction, ...]) -> tuple[str, str, str]:
    """Replay an input that somebody calls a witness.

    Parameters
    ----------
    network, query
        The two files.
    x
        The input as it was printed; it is moved to the nearest float32 numbers within the input set if it is near.

    Returns
    -------
    tuple
        Where it holds (``both``, ``exact``, ``runtime`` or ``none``), the witness in VNN-LIB form if it does, and a
        sentence.
    """
    from slir_milp.network import load_network
    from slir_milp.query import load_query
    from slir_milp.search.replay import Replayer

    try:
        loaded, question = load_network(network, check=False), load_query(query)
        question.check_fits(loaded.input_size, loaded.output_size)
    except SlirError as error:
        return "", "", f"its witness cannot be replayed: {error}"
    if len(x) != question.inputs:
        return "none", "", f"its witness has {len(x)} inputs in place of {question.inputs}"
    replayer, inside = Replayer(loaded, question), False
    for box in _boxes(question):
        if _is_near(x, box):
            inside = True
            witness = replayer.try_point(np.array([float(value) for value in x]), box)
            if witness is not None:
                return "both", format_witness(witness.x, witness.outputs) + "\n", "its witness holds"
    near = replayer.near_miss
    if near is not None:
        where = "exact" if near.holds_exactly else "runtime"
        text = "exact arithmetic" if near.holds_exactly else "the network's own arithmetic"
        return where, format_witness(near.x, near.outputs) + "\n", f"its witness holds in {text} only"
    return "none", "", f"its witness {'does not hold' if inside else 'lies outside of the input set'}"


def _boxes(query: Query) -> list[Box]:
    from slir_milp.query import grouped_clauses

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [box for box, _ in grouped_clauses(query)]


def _is_near(x: tuple[Fraction, ...], box: Box) -> bool:
    return all(
        low - _NEAR * (1 + abs(value)) <= value <= high + _NEAR * (1 + abs(value))
        for value, (low, _), (high, _) in zip(x, box.lower_ends, box.upper_ends, strict=True)
    )
