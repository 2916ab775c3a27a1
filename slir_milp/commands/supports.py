"""``slir-milp-vnnlib supports``: what this solver can do, in the words of the VNN-LIB 2 standard.

Every answer is derived from what the program has, or is a sentence that tests hold it to; tools read these lines to
decide which queries to send.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from slir_milp.commands.exit_code import ExitCode
from slir_milp.commands.output import write_stdout

OLDEST_OPSET = 7
"""The oldest that ONNX Runtime, the arbiter of what a network computes, gives any guarantee for."""


def _opset_versions() -> tuple[str, ...]:
    return str(OLDEST_OPSET), str(newest_opset())


def newest_opset() -> int:
    """Newest version of the operator set that both the installed ONNX and its runtime have released."""
    from onnx import TensorProto, defs, helper

    from slir_milp.network.runtime import open_session

    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", kinds[:1], kinds[1:])
    for version in range(defs.onnx_opset_version(), OLDEST_OPSET, -1):
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)
        try:
            open_session(model.SerializeToString())
        except Exception:  # not released yet, says the runtime in an exception of its own
            continue
        return version
    return OLDEST_OPSET


def _element_types() -> tuple[str, ...]:
    from slir_milp.query.elements import consents_to_reals

    return ("real", "float64", "float32") if consents_to_reals() else ("real",)


def _operators() -> tuple[str, ...]:
    from slir_milp.network.lowering import OF_SHAPES
    from slir_milp.network.operators import MAKING_CONSTANTS, OPERATORS

    return tuple(sorted({*OPERATORS, *OF_SHAPES, *MAKING_CONSTANTS}))


def _always(*lines: str) -> Callable[[], tuple[str, ...]]:
    return lambda: lines


@dataclass(frozen=True)
class Capability:
    """One thing that may be asked.

    Attributes
    ----------
    name
        The option without its dashes.
    meaning
        What the answer says, for the help and for people.
    answer
        Its lines.
    """

    name: str
    meaning: str
    answer: Callable[[], tuple[str, ...]]


CAPABILITIES = (
    Capability("onnx-opset-versions", "oldest and newest version of the ONNX operator set", _opset_versions),
    Capability("onnx-element-types", "element types that verdicts are sound for", _element_types),
    Capability("onnx-operators", "ONNX operators", _operators),
    Capability("vnnlib-versions", "oldest and newest version of VNN-LIB", _always("2.0", "2.1")),
    Capability("hidden-node-theories", "theories of hidden nodes", _always("NH", "H")),
    Capability("multiple-input-output-theories", "theories of inputs and outputs", _always("SIO", "MIO")),
    Capability("multiple-network-theories", "theories of several networks", _always("SNET", "MENET", "MINET", "MNET")),
    Capability("multiple-node-comparison-theories", "theories of comparisons between nodes", _always("SNC", "MNC")),
    Capability("arithmetic-complexity-theories", "theories of arithmetic", _always("BND", "OUTC", "LIN", "POLY")),
    Capability("optimised-disjunctive-reasoning", "whether (or ...) is best left to this solver", _always("true")),
    Capability("serialise-assignments", "whether verify has --serialise-assignments", _always("true")),
)
"""All that the standard names, in its order."""


def run(name: str | None) -> ExitCode:
    """Print the answer to one question, as the standard wants it, or to all, for people.

    Parameters
    ----------
    name
        A name of :data:`CAPABILITIES`; ``None`` for all.
    """
    if name is not None:
        lines = next(entry for entry in CAPABILITIES if entry.name == name).answer()
    else:
        lines = tuple(f"--{entry.name}: {entry.meaning}\n{_wrapped(entry.answer())}" for entry in CAPABILITIES)
    write_stdout("\n".join(lines) + "\n")
    return ExitCode.DECIDED


def _wrapped(words: tuple[str, ...]) -> str:
    import textwrap

    return textwrap.fill(", ".join(words), width=100, initial_indent="    ", subsequent_indent="    ")
