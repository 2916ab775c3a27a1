"""The JSON document of a run; its fields are described in ``docs/command-line.md``."""

from __future__ import annotations

import json
import math
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from slir_milp._version import __version__
from slir_milp.report.files import write_whole

if TYPE_CHECKING:
    from slir_milp.search.verdict import Options, Verdict, Witness

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

FORMAT = 1
"""Raised by one whenever a field changes its meaning or goes away."""

_LIBRARIES = {
    **{name: name for name in ("numpy", "scipy", "highspy", "networkx", "onnx", "onnxruntime", "rich")},
    "flint": "python-flint",
}
"""Names of modules and of the libraries that hold them."""


def document(
    verdict: Verdict,
    *,
    options: Options,
    network: tuple[str, str],
    query: tuple[str, str],
    elapsed: float,
    activations: tuple[str, str] | None = None,
) -> dict[str, Json]:
    """Everything about a run, as JSON values.

    Parameters
    ----------
    verdict, options
        The answer, and what was asked.
    network, query
        Path and SHA-256 of each file, ``""`` for a digest that is not known.
    elapsed
        Seconds of the whole run.
    activations
        Path and SHA-256 of the file that declares activations, if there is one.
    """
    return {
        "format": FORMAT,
        "verdict": verdict.status.value,
        "reason": {"code": verdict.reason.name.lower(), "text": verdict.reason.value, "detail": verdict.detail},
        "witness": _witness(verdict.witness),
        "near_miss": _witness(verdict.near_miss),
        "closed_fraction": json_number(verdict.closed_fraction),
        "worst_bound": None if verdict.worst_bound is None else json_number(verdict.worst_bound),
        "output_bounds": [[json_number(lower), json_number(upper)] for lower, upper in verdict.output_bounds],
        "open_regions": [
            {
                "lower": _numbers(region.lower),
                "upper": _numbers(region.upper),
                "bound": json_number(region.bound),
                "point": None if region.point is None else _numbers(region.point),
                "margin": None if region.margin is None else json_number(region.margin),
            }
            for region in verdict.open_regions
        ],
        "statistics": asdict(verdict.statistics),
        "seconds": elapsed,
        "peak_memory_bytes": peak_memory(),
        "options": {
            "timeout": options.timeout,
            "memory_limit": options.memory_limit,
            "engine": options.engine.value,
            "splitting": options.splitting.value,
            "slopes": options.slopes.value,
            "delta": options.delta,
            "solver": options.solver,
            "jobs": options.jobs,
            "seed": options.seed,
        },
        "network": {"path": network[0], "sha256": network[1]},
        "query": {"path": query[0], "sha256": query[1]},
        "activations": None if activations is None else {"path": activations[0], "sha256": activations[1]},
        "proof": None if verdict.proof is None else _file(verdict.proof),
        "versions": versions(),
    }


def write_json(path: Path, content: Json) -> None:
    """Write a JSON file as a whole or not at all; a path that is no UTF-8 is written with escapes.

    Raises
    ------
    OptionError
        The file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, text.encode("utf-8", errors="backslashreplace"))


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, in bytes; ``None`` where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _file(path: str) -> Json:
    """Path, size and SHA-256 of a file that was written; the path alone of a pipe or a device."""
    import hashlib

    if not Path(path).is_file():
        return {"path": path, "bytes": None, "sha256": ""}
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": path, "bytes": file.tell(), "sha256": digest}


def _witness(witness: Witness | None) -> Json:
    if witness is None:
        return None
    return {
        "x": _numbers(tuple(float(value) for value in witness.x)),
        "x_exact": [str(value) for value in witness.x],
        "outputs": _numbers(witness.outputs),
        "exact_outputs": [[str(lower), str(upper)] for lower, upper in witness.exact_outputs],
        "holds_in_runtime": witness.holds_in_runtime,
        "holds_exactly": witness.holds_exactly,
    }


def json_number(value: float) -> Json:
    """JSON has no infinity and no NaN: they become the strings ``inf``, ``-inf`` and ``nan``."""
    return float(value) if math.isfinite(value) else str(float(value))


def _numbers(values: tuple[float, ...]) -> list[Json]:
    return [json_number(value) for value in values]


def versions() -> dict[str, Json]:
    """Versions of this program, of Python and of the libraries that this run has loaded."""
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, Json] = {"slir_milp": __version__, "python": platform.python_version()}
    for module, library in _LIBRARIES.items():
        if module in sys.modules:
            try:
                found[library] = version(library)
            except PackageNotFoundError:
                found[library] = "unknown"
    return found
