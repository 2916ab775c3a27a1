"""Reading a formula from text."""

from __future__ import annotations

import ast
from functools import lru_cache

from slir_milp.activations.formula import FUNCTIONS, PI, Formula, X, apply
from slir_milp.errors import OptionError

_OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.Pow: "__pow__",
}


_LONGEST_SHOWN = 80


@lru_cache(maxsize=1024)
def parse(text: str) -> Formula:
    """Read a formula of ``x`` in Python's syntax.

    Parameters
    ----------
    text
        Numbers (exact float64), ``x``, ``pi``, ``+ - * / **``, parentheses, the functions of
        :data:`~slir_milp.activations.formula.FUNCTIONS`, and ``where(a < b, c, d)`` (also with ``>``; at equality both
        give ``d``).

    Raises
    ------
    OptionError
        If it is anything else; names the column.
    """
    source = text.strip()
    shift = len(text) - len(text.lstrip())
    try:
        tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        column = (error.offset or len(source) + 1) + shift  # (no offset: the text ends too early)
        raise OptionError(f"formula '{_shown(text, column)}', column {column}: {error.msg}.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise OptionError(f"formula '{text[:80]}' cannot be read: {error}.") from None
    try:
        return _Reader(text, source, shift).read(tree.body)
    except RecursionError:
        raise OptionError(f"formula '{_shown(text, 1)}' is nested too deeply.") from None


def _shown(text: str, column: int) -> str:
    """A text, or what of a long one is near a column."""
    if len(text) <= _LONGEST_SHOWN:
        return text
    start = max(0, min(column - 1 - _LONGEST_SHOWN // 2, len(text) - _LONGEST_SHOWN))
    end = start + _LONGEST_SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")


class _Reader:
    def __init__(self, text: str, source: str, shift: int) -> None:
        self.text = text
        self.lines = source.splitlines(keepends=True)
        self.shift = shift

    def fail(self, node: ast.expr, message: str) -> OptionError:
        before = "".join(self.lines[: node.lineno - 1])
        inside = self.lines[node.lineno - 1].encode()[: node.col_offset].decode() if self.lines else ""
        column = len(before) + len(inside) + self.shift + 1
        return OptionError(f"formula '{_shown(self.text, column)}', column {column}: {message}")

    def read(self, node: ast.expr) -> Formula:
        match node:
            case ast.Constant(value=bool() | None):
                raise self.fail(node, "a formula has no truth values; write where(a < b, c, d).")
            case ast.Constant(value=int() | float() as value):
                try:
                    return Formula.constant(value)
                except OptionError:
                    written = _shown(ast.get_source_segment("".join(self.lines), node) or "this", 1)
                    message = f"{written} is no finite number that float64 holds: a formula cannot use it."
                    raise self.fail(node, message) from None
            case ast.Name(id="x"):
                return X
            case ast.Name(id="pi"):
                return PI
            case ast.Name(id=name):
                hint = f"a function needs its argument: {name}(x)" if name in FUNCTIONS else "the variable is x"
                raise self.fail(node, f"'{name}' means nothing here; {hint}.")
            case ast.UnaryOp(op=ast.USub()):
                return -self.read(node.operand)
            case ast.UnaryOp(op=ast.UAdd()):
                return self.read(node.operand)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                left, right = self.read(node.left), self.read(node.right)
                result: Formula = getattr(left, _OPERATORS[type(node.op)])(right)
                return result
            case ast.Call(func=ast.Name(id=name), keywords=[]):
                return self.call(node, name)
            case ast.Compare():
                raise self.fail(node, "a comparison belongs inside where(a < b, c, d).")
        raise self.fail(node, "only numbers, x, pi, + - * / **, parentheses and known functions make a formula.")

    def call(self, node: ast.Call, name: str) -> Formula:
        if name == "where":
            if len(node.args) == 3 and isinstance(node.args[0], ast.Compare) and len(node.args[0].ops) == 1:
                compare = node.args[0]
                sides = [self.read(compare.left), self.read(compare.comparators[0])]
                branches = [self.read(a) for a in node.args[1:]]
                if isinstance(compare.ops[0], ast.Lt | ast.Gt):
                    sides = sides if isinstance(compare.ops[0], ast.Lt) else sides[::-1]
                    return apply("where_less", *sides, *branches)
                if isinstance(compare.ops[0], ast.LtE | ast.GtE):
                    sides = sides[::-1] if isinstance(compare.ops[0], ast.LtE) else sides
                    return apply("where_less", *sides, *branches[::-1])
            raise self.fail(node, "where takes a comparison and two values: where(a < b, c, d).")
        if name not in FUNCTIONS or name == "where_less":
            known = ", ".join(sorted((set(FUNCTIONS) - {"where_less"}) | {"where"}))
            raise self.fail(node, f"there is no function '{name}'; known: {known}.")
        arguments = [self.read(a) for a in node.args]
        if name in ("max", "min") and len(arguments) > 2:
            result = apply(name, *arguments[:2])
            for extra in arguments[2:]:
                result = apply(name, result, extra)
            return result
        if len(arguments) != FUNCTIONS[name]:
            raise self.fail(node, f"{name} takes {FUNCTIONS[name]} argument(s), not {len(arguments)}.")
        return apply(name, *arguments)
