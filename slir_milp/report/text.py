"""A verdict in words: what goes to stdout, and what is said about it on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from math import isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

    from slir_milp.search.verdict import OpenRegion, Verdict, Witness

_SHOWN_OUTPUTS = 10
_SHOWN_INPUTS = 5
_DOWN, _UP = Context(prec=6, rounding=ROUND_FLOOR), Context(prec=6, rounding=ROUND_CEILING)
_NAMES = {"bound": "by bounds", "lp": "by linear programs", "milp": "by MILP claims", "inherited": "with their parents"}


def answer(verdict: Verdict) -> str:
    """What goes to stdout: the verdict in one line and, for ``sat``, the witness in VNN-LIB form."""
    if verdict.witness is None:
        return f"{verdict.status.value}\n"
    from slir_milp.query import format_witness

    text = format_witness(verdict.witness.x, _shown_outputs(verdict.witness))
    return f"{verdict.status.value}\n{text.rstrip()}\n"


def _shown_outputs(witness: Witness) -> list[Fraction | float]:
    """Outputs as ONNX Runtime computes them; where that is no finite number, as exact arithmetic does."""
    pairs = zip(witness.outputs, witness.exact_outputs, strict=True)
    return [value if isfinite(value) else (low + high) / 2 for value, (low, high) in pairs]


def explanation(verdict: Verdict, elapsed: float) -> str:
    """What is said of a verdict: its reason, what is known where nothing is decided, and counts.

    Parameters
    ----------
    verdict
        Any verdict.
    elapsed
        Seconds of the whole run.
    """
    lines = [f"{_sentence(verdict.reason.value)}{' ' + _sentence(verdict.detail) if verdict.detail else ''}"]
    if verdict.witness is not None:
        lines += _one_arithmetic("The witness", verdict.witness)
    if verdict.near_miss is not None and verdict.near_miss != verdict.witness:
        lines += _one_arithmetic("A near miss was seen: it", verdict.near_miss)
        if verdict.witness is None:
            lines.append(f"  {_point([float(value) for value in verdict.near_miss.x])}")
    if not verdict.status.decided:
        lines += _partial(verdict)
    if verdict.proof is not None:
        lines.append(f"The proof is in {verdict.proof}.")
    lines.append(_counts(verdict, elapsed))
    return "\n".join(lines)


def number(value: float) -> str:
    """A number for people: four significant digits."""
    return f"{value:.4g}"


def seconds(value: float) -> str:
    """A duration for people."""
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 100 else f"{value:,.0f} s"


def plural(count: int, one: str, many: str | None = None) -> str:
    """A count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _one_arithmetic(subject: str, witness: Witness) -> list[str]:
    if witness.holds_exactly and witness.holds_in_runtime:
        return []
    if witness.holds_exactly:
        return [f"{subject} meets the query in exact arithmetic, but not as ONNX Runtime computes."]
    if witness.holds_in_runtime:
        return [f"{subject} meets the query as ONNX Runtime computes, but not in exact arithmetic."]
    return [f"{subject} meets the query in neither arithmetic."]


def _partial(verdict: Verdict) -> list[str]:
    # Rounded down: what is not all closed must not read as 100 %.
    lines = [f"Closed: {int(verdict.closed_fraction * 10_000) / 100:.2f} % of the input set's volume."]
    if verdict.worst_bound is not None:
        lines.append(f"Worst open bound: {number(verdict.worst_bound)} (the query is refuted where it is positive).")
        if verdict.worst_bound == -float("inf"):
            lines.append("No bound is finite there: a function of the network may be undefined, or overflow.")
    given_up = next((region for region in verdict.open_regions if region.point is not None), None)
    if given_up is not None:
        lines += _given_up(given_up)
    for j, (lower, upper) in enumerate(verdict.output_bounds[:_SHOWN_OUTPUTS]):
        # Rounded outward, so that what is shown is a bound as well.
        lines.append(f"  {_DOWN.create_decimal(lower):g} <= Y_{j} <= {_UP.create_decimal(upper):g}")
    hidden = len(verdict.output_bounds) - _SHOWN_OUTPUTS
    if hidden > 0:
        lines.append(f"  (and bounds on {plural(hidden, 'more output')})")
    return lines


def _given_up(region: OpenRegion) -> list[str]:
    """A region that is too small to be split, and how near to a witness it comes."""
    ends = list(zip(region.lower, region.upper, strict=True))
    box = [f"{low:.9g} <= X_{i} <= {high:.9g}" for i, (low, high) in enumerate(ends)]
    lines = [f"Not decided, for one: {_cut(box)}", f"  bound {number(region.bound)}"]
    if region.point is not None and region.margin is not None:
        lines[-1] += f"; nearest to a witness: {_point(region.point)}"
        lines.append(f"  the largest row is {number(region.margin)} there (a witness makes all rows at most 0)")
    return lines


def _point(x: Sequence[float]) -> str:
    return _cut([f"X_{i} = {value:.17g}" for i, value in enumerate(x)])


def _cut(parts: list[str]) -> str:
    hidden = len(parts) - _SHOWN_INPUTS
    more = f", and {plural(hidden, 'more input')} (all are in the JSON document)" if hidden > 0 else ""
    return ", ".join(parts[:_SHOWN_INPUTS]) + more


def _counts(verdict: Verdict, elapsed: float) -> str:
    statistics = verdict.statistics
    parts = [plural(statistics.regions, "region")]
    closed = [f"{count:,} {_NAMES.get(stage, stage)}" for stage, count in statistics.closed_by.items() if count]
    if closed:
        parts.append(f"closed {', '.join(closed)}")
    if statistics.falsifier_points:
        parts.append(f"{plural(statistics.falsifier_points, 'point')} tried")
    if statistics.linear_programs:
        parts.append(plural(statistics.linear_programs, "linear program"))
    return f"{seconds(elapsed)}: {'; '.join(parts)}."
