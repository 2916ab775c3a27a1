"""Reader of VNN-LIB 2.x: declared networks, and conditions on the elements of their tensors."""

from __future__ import annotations

import re
import warnings
from math import prod

from slir_milp.errors import Position, QueryError, SlirWarning
from slir_milp.query.elements import KNOWN, REAL, canonical
from slir_milp.query.numbers import shorten
from slir_milp.query.polynomial import PolynomialReader
from slir_milp.query.scan import Scanner
from slir_milp.query.specification import Declared, NetworkDeclaration, Relation, Role, Specification, element_name

# As in VNN-LIB 1.0, the first alternative takes whole inequalities of the commonest shape.  A variable and its indices
# are one word, and so are an element type and a shape.
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<simple>\(\s*(?P<relation><=|>=|<|>)\s+
        (?P<left>[A-Za-z]\w*(?:\[[\d,]*\])?)\s+(?P<right>[^\s();"\[\]]+(?:\[[\d,]*\])?)\s*\))
    | (?P<open>\()
    | (?P<close>\))
    | (?P<comment>;[^\n]*)
    | (?P<word>[^\s();"\[\]]+(?:\s*\[[^\[\]();"]*\])?)
    | (?P<quoted>"(?:[^"\\]|\\.)*")
    | (?P<end>\Z)
    | (?P<bad>.)
    )""",
    re.VERBOSE | re.ASCII,
)
_START = re.compile(r"(?:\s++|;[^\n]*+)*+\(\s*+(?:vnnlib-version|declare-network)\b")  # possessive: never tried twice
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
_VERSION = re.compile(r"<(\d{1,4})\.(\d{1,4})>", re.ASCII)
_INDEXED = re.compile(r"([A-Za-z]\w*)\s*(?:\[([^\]]*)\])?", re.ASCII)
_TENSOR = re.compile(r"(\S+)\s+([^\s\[\]]+)\s*\[([^\]]*)\]\s*(.*)", re.ASCII | re.DOTALL)
_EXTENT = re.compile(r"\d{1,9}", re.ASCII)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ROLES = {f"declare-{role}": role for role in Role}
_RELATIONS = {str(relation): relation for relation in Relation}
_NEWEST = (2, 1)
_MOST_ELEMENTS = 2**23


def is_version_2(text: str) -> bool:
    """Whether a text begins as VNN-LIB 2.x does."""
    return _START.match(text) is not None


def parse_specification(text: str, *, source: str = "", sha256: str = "") -> Specification:
    """Read a query from VNN-LIB 2.x text.

    Parameters
    ----------
    text
        The whole file.
    source, sha256
        Passed on to the specification.

    Returns
    -------
    Specification
        Every number exact (``0.1`` is one tenth).

    Raises
    ------
    QueryError
        The text is no VNN-LIB 2.x, or breaks the standard's rules of scope and typing; with line and column.
    """
    return _Reader(text).specification(source, sha256)


class _Reader:
    """State of one reading: what is declared and asserted so far."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text, _TOKEN)
        self.version: tuple[int, int] | None = None
        self.networks: dict[str, NetworkDeclaration] = {}
        self.places: dict[str, Position] = {}  # of every name
        self.tensors: dict[str, tuple[Declared, int]] = {}
        self.variables = 0
        self.conditions: PolynomialReader | None = None

    def specification(self, source: str, sha256: str) -> Specification:
        for match in self.scanner.tokens:
            kind = match.lastgroup or ""
            if kind == "open":
                self.command(match.start("open"))
            elif kind == "close":
                raise self.scanner.error(
                    "this closing parenthesis has no opening one; remove it.", match.start("close")
                )
            elif kind not in {"comment", "end"}:
                raise self.scanner.error(
                    f"{shorten(match.group().strip())} stands outside of a command; write (assert ...) around it.",
                    match.start(kind),
                )
        if self.version is None:
            raise QueryError("the query is empty; it begins with (vnnlib-version <2.0>).")
        if self.conditions is None:
            raise QueryError("the query asserts nothing; it needs lines such as (assert (<= X[0] 1.0)).")
        formula, monomials = self.conditions.condition()
        return Specification(self.version, tuple(self.networks.values()), formula, monomials, sha256, source)

    def command(self, start: int) -> None:
        name = self.scanner.head(start)
        if self.version is None and name != "vnnlib-version":
            raise self.scanner.error("a query of VNN-LIB 2 begins with (vnnlib-version <2.0>).", start)
        if name == "vnnlib-version":
            self.read_version(start)
        elif name == "declare-network":
            if self.conditions is not None:
                raise self.scanner.error("all networks are to be declared before the first assertion.", start)
            self.read_network(start)
        elif name == "assert":
            if not self.networks:
                raise self.scanner.error("declare a network before the first assertion.", start)
            if self.conditions is None:
                self.conditions = PolynomialReader(self.scanner, self.resolve, self.variables)
            self.conditions.read(start)
        else:
            raise self.scanner.error(
                f"the command '{shorten(name)}' is not known; vnnlib-version, declare-network and assert are.", start
            )

    def read_version(self, start: int) -> None:
        contents = self.scanner.contents(start)
        match = _VERSION.fullmatch(contents[0]) if len(contents) == 1 else None
        if match is None:
            raise self.scanner.error("the version has the form (vnnlib-version <2.0>).", start)
        if self.version is not None:
            raise self.scanner.error("the version is given twice.", start)
        self.version = int(match.group(1)), int(match.group(2))
        if self.version[0] != 2:
            raise self.scanner.error(
                f"this is VNN-LIB {match.group()[1:-1]}; versions 2.0 and 2.1 are read, and files of version 1.0, "
                "which have no such line.",
                start,
            )
        if self.version > _NEWEST:
            warnings.warn(
                SlirWarning(f"the query has version {match.group()[1:-1]}; it is read as version 2.1."), stacklevel=6
            )

    # --- declarations ----------------------------------------------------------------------------------------------

    def read_network(self, start: int) -> None:
        name = ""
        related: tuple[Relation, str, int] | None = None
        found: dict[Role, list[Declared]] = {role: [] for role in Role}
        for match in self.scanner.tokens:
            kind = match.lastgroup or ""
            if kind == "close":
                break
            if kind == "word" and not name:
                name = self.new_name(match.group("word"), start)
            elif kind == "open" and name:
                at = match.start("open")
                head = self.scanner.head(at)
                if head in _RELATIONS:
                    if related is not None or any(found.values()):
                        raise self.scanner.error(
                            f"one {head} at most, and before the tensors, is allowed in a network.", at
                        )
                    related = (_RELATIONS[head], self.read_other(head, at), at)
                elif head in _ROLES:
                    role = _ROLES[head]
                    if any(found[later] for later in Role if _order(later) > _order(role)):
                        raise self.scanner.error(
                            "a network's inputs come first, hidden tensors next, outputs last.", at
                        )
                    found[role].append(self.read_tensor(role, at))
                else:
                    raise self.scanner.error(
                        f"'{shorten(head)}' has no place in a network; declare-input, declare-hidden, declare-output, "
                        "equal-to and isomorphic-to have.",
                        at,
                    )
            elif kind == "end":
                raise self.scanner.error("this parenthesis is never closed.", start)
            elif kind != "comment":
                raise self.scanner.error(
                    f"{shorten(match.group().strip())} has no place in a network.", match.start(kind)
                )
        if not name:
            raise self.scanner.error("a network needs a name: (declare-network f ...).", start)
        if not found[Role.INPUT] or not found[Role.OUTPUT]:
            missing = Role.OUTPUT if found[Role.INPUT] else Role.INPUT
            raise self.scanner.error(f"the network {name} needs at least one (declare-{missing} ...).", start)
        network = NetworkDeclaration(
            name,
            tuple(found[Role.INPUT]),
            tuple(found[Role.HIDDEN]),
            tuple(found[Role.OUTPUT]),
            related[0] if related else None,
            related[1] if related else "",
            self.scanner.position(start),
        )
        if related:
            self.check_relation(network, self.networks[related[1]], related[2])
        self.networks[name] = network
        for tensor in network.tensors:
            self.tensors[tensor.name] = (tensor, self.variables)
            self.variables += tensor.size
        self.check_elements(start)

    def new_name(self, name: str, start: int) -> str:
        if not _NAME.fullmatch(name):
            raise self.scanner.error(
                f"{shorten(name)} is no name; names are letters, digits and underscores, a letter first.", start
            )
        if name in self.places:
            raise self.scanner.error(f"the name {name} is given twice, first at {self.places[name]}.", start)
        self.places[name] = self.scanner.position(start)
        return name

    def read_other(self, relation: str, start: int) -> str:
        contents = self.scanner.contents(start)
        if len(contents) != 1:
            raise self.scanner.error(f"a relation has the form ({relation} f).", start)
        other = self.networks.get(contents[0])
        if other is None:
            raise self.scanner.error(f"no network {shorten(contents[0])} is declared before this one.", start)
        if other.relation is not None:
            raise self.scanner.error(
                f"{other.name} is itself declared {other.relation} {other.other}; name {other.other} here.", start
            )
        return other.name

    def read_tensor(self, role: Role, start: int) -> Declared:
        match = _TENSOR.fullmatch(" ".join(self.scanner.contents(start)))
        onnx_name, flag = "", False
        if match is not None:
            rest = match.group(4)
            if role is Role.HIDDEN and len(rest) > 2 and rest[0] == rest[-1] == '"':
                onnx_name = _ESCAPE.sub(lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), rest[1:-1])
            elif role is Role.INPUT and rest == "initialized":
                flag = True
            elif rest or role is Role.HIDDEN:
                match = None
        if match is None:
            form = {Role.HIDDEN: ' "name in the model"'}.get(role, "")
            raise self.scanner.error(f"a tensor is declared by (declare-{role} X real [1,5]{form}).", start)
        name, element = self.new_name(match.group(1), start), match.group(2)
        if canonical(element) not in KNOWN:
            raise self.scanner.error(
                f"the element type {shorten(element)} of {name} is not known, or has no arithmetic; real is.", start
            )
        return Declared(
            role, name, element, self.shape(match.group(3), name, start), onnx_name, flag, self.scanner.position(start)
        )

    def shape(self, text: str, name: str, start: int) -> tuple[int, ...]:
        extents = [extent.strip() for extent in text.split(",")] if text.strip() else []
        if not all(_EXTENT.fullmatch(extent) and int(extent) for extent in extents):
            raise self.scanner.error(
                f"the shape [{shorten(text)}] of {name} is none; it lists positive whole numbers, as in [1,5].", start
            )
        shape = tuple(map(int, extents))
        if prod(shape) + self.variables > _MOST_ELEMENTS:
            raise self.scanner.error(f"the tensors have more than the {_MOST_ELEMENTS} elements supported.", start)
        return shape

    def check_relation(self, network: NetworkDeclaration, other: NetworkDeclaration, start: int) -> None:
        """The standard's rules for equal and isomorphic networks."""
        equal = network.relation is Relation.EQUAL
        for own, others in ((network.inputs, other.inputs), (network.outputs, other.outputs)):
            alike = [tensor.kind if equal else tensor.shape for tensor in own]
            if alike != [tensor.kind if equal else tensor.shape for tensor in others]:
                what = "shapes and element types" if equal else "shapes"
                raise self.scanner.error(
                    f"{network.name} is {network.relation} {other.name}, but their {own[0].role}s differ in number, or "
                    f"in {what}.",
                    start,
                )
        kinds = {tensor.onnx_name: tensor.kind for tensor in other.hidden}
        for tensor in network.hidden if equal else ():
            if kinds.get(tensor.onnx_name, tensor.kind) != tensor.kind:
                raise self.scanner.error(
                    f'the hidden tensor "{shorten(tensor.onnx_name)}" is declared here otherwise than in {other.name}.',
                    start,
                )

    def check_elements(self, start: int) -> None:
        kinds = {tensor.element for tensor, _ in self.tensors.values()}
        if REAL in kinds and len(kinds) > 1:
            raise self.scanner.error(
                f"the query uses real and {min(kinds - {REAL})}; where one tensor is real, all must be.", start
            )

    # --- variables -------------------------------------------------------------------------------------------------

    def resolve(self, word: str, start: int) -> tuple[int, str] | None:
        """Number and element type of a variable, ``None`` if the word is no name."""
        match = _INDEXED.fullmatch(word)
        if match is None:
            return None
        name, indices = match.group(1, 2)
        if name not in self.tensors:
            raise self.scanner.error(f"{shorten(name)} is not declared.", start)
        tensor, first = self.tensors[name]
        given = [index.strip() for index in indices.split(",")] if indices is not None else []
        if len(given) != len(tensor.shape):
            raise self.scanner.error(
                f"{name} has {len(tensor.shape)} dimensions, but is given {len(given)} indices; "
                f"its first element is {element_name(tensor, 0)}.",
                start,
            )
        offset = 0
        for index, extent in zip(given, tensor.shape, strict=True):
            if not _EXTENT.fullmatch(index) or int(index) >= extent:
                raise self.scanner.error(
                    f"{shorten(word)} is beyond {name}, whose last element is "
                    f"{element_name(tensor, tensor.size - 1)}; indices count from 0.",
                    start,
                )
            offset = offset * extent + int(index)
        return first + offset, tensor.element


def _order(role: Role) -> int:
    return list(Role).index(role)
