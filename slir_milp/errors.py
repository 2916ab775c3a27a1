"""Everything the program can refuse, each with a sentence for the person who reads it.

Errors are about the input: they end the run with exit code 2.  A run that merely could not decide is no error: it ends
with a :class:`slir_milp.search.verdict.Verdict` that carries its reason.
"""

from __future__ import annotations

from dataclasses import dataclass


class SlirError(Exception):
    """Base of every error that is the caller's to mend; ``str(error)`` is one complete sentence."""


class NetworkError(SlirError):
    """A network cannot be read, or means something this program does not support.

    Parameters
    ----------
    message
        What is wrong and what to do, as a sentence.
    node
        Name of the graph node at fault, if there is one; it is put in front of the message.
    """

    def __init__(self, message: str, *, node: str | None = None) -> None:
        self.node = node
        super().__init__(f"node '{node}': {message}" if node else message)


class UnsupportedOperatorError(NetworkError):
    """An operator (or a use of it) that has no lowering; named, never guessed."""


class UndefinedValueError(NetworkError):
    """A network has no value at a point: it takes the logarithm of a negative number, divides by zero, and the like."""


@dataclass(frozen=True)
class Position:
    """A place in a text file; both numbers start at one."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class QueryError(SlirError):
    """A query cannot be read, or does not fit its network.

    Parameters
    ----------
    message
        What is wrong and what to do, as a sentence.
    position
        Where in the query's text, if it is one place.
    """

    def __init__(self, message: str, *, position: Position | None = None) -> None:
        self.position = position
        super().__init__(f"{position}: {message}" if position else message)


class OptionError(SlirError):
    """An option has a value that makes no sense."""


class ProofError(SlirError):
    """A proof cannot be written or read, or does not prove what it claims."""


class FetchError(SlirError):
    """A public file cannot be had, is not what it should be, or cannot be stored."""


class SlirWarning(UserWarning):
    """Something legal that the user most likely did not mean, such as a query that is empty by itself."""
