"""Formulas rewritten as equal ones in which nothing cancels.

Graphs spell ``sigmoid`` as ``1/(1 + exp(−x))``, and GELU with ``1 + erf(x/√2)``: exact, but far out the one swallows
all that is left of the other term.  The identities here hold for every real number.
"""

from __future__ import annotations

from slir_milp.activations.formula import Formula, apply, rebuild


def is_one(node: Formula) -> bool:
    """Whether a formula is the number one."""
    return node.operator == "constant" and node.value == 1.0


def beyond_one(node: Formula) -> Formula | None:
    """The other term of a sum with one, or nothing."""
    if node.operator != "add":
        return None
    a, b = node.arguments
    return b if is_one(a) else a if is_one(b) else None


def stable(formula: Formula) -> Formula:
    """An equal formula made of functions that are accurate in their tails."""
    return formula.fold(lambda node, arguments: _rewrite(rebuild(node, arguments)))


def _rewrite(node: Formula) -> Formula:
    match node.operator:
        case "add" if (rest := beyond_one(node)) is not None:
            return _one_plus(rest, 1) or node
        case "sub" if is_one(node.arguments[0]):
            return _one_plus(node.arguments[1], -1) or node
        case "log" if (rest := beyond_one(node.arguments[0])) is not None and rest.operator == "exp":
            return apply("softplus", rest.arguments[0])
        case "div" if (rest := beyond_one(node.arguments[1])) is not None and rest.operator == "exp":
            return apply("sigmoid", -rest.arguments[0]) * node.arguments[0]
        case "div" if beyond_one(node.arguments[1]) == node.arguments[0]:
            return 1 - 1 / node.arguments[1]
        case "div" if beyond_one(node.arguments[1]) == -node.arguments[0]:
            return 1 / node.arguments[1] - 1
    return node


def _one_plus(term: Formula, sign: int) -> Formula | None:
    """``1 + sign·term`` for an odd function that tends to ±1."""
    if term.operator == "tanh":
        return 2 * apply("sigmoid", 2 * sign * term.arguments[0])
    if term.operator == "erf":
        return 2 * apply("normal_cdf", apply("sqrt", 2) * (sign * term.arguments[0]))
    return None
