"""Element types of VNN-LIB 2.x, and the consent to read them as real numbers.

A query may declare its tensors ``real``: then the answer is about real arithmetic, which is what this program verifies.
Any other type asks for an answer about the roundings of that type, which it does not give; who wants the answer about
real arithmetic all the same says so.
"""

from __future__ import annotations

import os

from slir_milp.errors import QueryError, SlirError

REAL = "real"
DECIMAL = "a number with a fraction"
"""What a constant such as ``0.5`` is before a variable tells its type; it may be no integer."""

INTEGERS = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (2, 4, 8, 16, 32, 64))
FLOATS = frozenset(
    {"float16", "float32", "float64", "bfloat16"}
    | {"float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "float4e2m1"}
)
KNOWN = FLOATS | INTEGERS | {REAL}

CONSENT = "SLIR_MILP_FLOATS"
"""The environment variable that consents if it is ``real``."""


def canonical(written: str) -> str:
    """An element type as the rest of the program knows it: ``Real``, too, is ``real``."""
    return REAL if written == "Real" else written


def common(one: str, other: str) -> str:
    """Element type of an expression of two parts; either may be ``""`` (an integer constant) or :data:`DECIMAL`.

    Raises
    ------
    QueryError
        There is none: the standard has no conversions.
    """
    if one == other or not other:
        return one
    if not one:
        return other
    if DECIMAL in (one, other):
        known = other if one == DECIMAL else one
        if known in INTEGERS:
            raise QueryError(f"a number with a fraction has no place among variables of type {known}; write 1 for 1.0.")
        return known
    raise QueryError(f"this mixes variables of the types {one} and {other}; a comparison has one element type.")


def consents_to_reals() -> bool:
    """Whether the environment says that floating-point types may be read as real numbers.

    Raises
    ------
    SlirError
        It says something else.
    """
    said = os.environ.get(CONSENT, "")
    if said not in ("", "real"):
        raise SlirError(f"the environment variable {CONSENT} is '{said}'; the one value that it may have is 'real'.")
    return said == "real"
