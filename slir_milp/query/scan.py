"""Tokens of S-expressions, and their places in the text."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

from slir_milp.errors import Position, QueryError

# The first alternative takes whole inequalities of the commonest shape, which are nearly all of a large file.
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<simple>\(\s*(?P<relation><=|>=|<|>)\s+(?P<left>[XY]_\d+)\s+(?P<right>[^\s();"|]+)\s*\))
    | (?P<open>\()
    | (?P<close>\))
    | (?P<comment>;[^\n]*)
    | (?P<word>[^\s();"|]+)
    | (?P<quoted>"[^"]*"|\|[^|]*\|)
    | (?P<end>\Z)
    | (?P<bad>.)
    )""",
    re.VERBOSE | re.ASCII,
)


class Scanner:
    """Gives a text's tokens one after another and turns offsets into positions.

    Parameters
    ----------
    text
        The text.
    token
        What a token is; those of VNN-LIB 1.0 by default.

    Attributes
    ----------
    tokens
        Matches of which ``lastgroup`` is the kind: ``simple`` (a whole inequality between a variable and a variable or
        number), ``open``, ``close``, ``comment``, ``word``, ``quoted``, ``end`` or ``bad``; that group's text is the
        token.
    """

    def __init__(self, text: str, token: re.Pattern[str] = _TOKEN) -> None:
        self.tokens: Iterator[re.Match[str]] = token.finditer(text)
        self._newlines = [match.start() for match in re.finditer("\n", text)]

    def head(self, start: int) -> str:
        """Word after an opening parenthesis."""
        for match in self.tokens:
            if match.lastgroup == "word":
                return match.group("word")
            if match.lastgroup == "end":
                raise self.error("this parenthesis is never closed.", start)
            if match.lastgroup != "comment":
                break
        raise self.error("after this parenthesis a command or operator is missing.", start)

    def contents(self, start: int) -> list[str]:
        """Tokens up to the parenthesis that closes the current one."""
        found: list[str] = []
        depth = 1
        for match in self.tokens:
            kind = match.lastgroup
            if kind == "end":
                break
            if kind == "open":
                depth += 1
            elif kind == "close":
                depth -= 1
                if depth == 0:
                    return found
            if kind != "comment":
                found.append(match.group().strip())
        raise self.error("this parenthesis is never closed.", start)

    def position(self, offset: int) -> Position:
        """Line and column of an offset."""
        line = bisect_right(self._newlines, offset - 1)
        before = self._newlines[line - 1] if line else -1
        return Position(line + 1, offset - before)

    def error(self, message: str, offset: int) -> QueryError:
        """Make an error at an offset, for the caller to raise."""
        return QueryError(message, position=self.position(offset))
