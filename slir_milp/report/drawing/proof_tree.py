"""The picture of a tree of splits: an icicle, the root on top, each node as wide as it has leaves below it."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any
from xml.etree.ElementTree import Element

from slir_milp.report.drawing.svg import PALETTE, document, element, text
from slir_milp.report.drawing.values import Values
from slir_milp.report.proof_tree import Node, ProofTree
from slir_milp.report.text import number as four_digits
from slir_milp.report.text import plural

_KINDS = ("input", "neuron", "cases", "refuted", "empty", "implied", "part")
_WIDTH, _LEFT, _TOP, _LEGEND = 960.0, 46.0, 44.0, 30.0
_TALLEST, _HIGHEST, _LOWEST = 520.0, 26.0, 3.0
_LEAF = {"refuted": "#69717b", "empty": "#b3473a", "implied": "#b59f8f"}
_CLOSED = {
    "refuted": "refuted by a bound", "empty": "empty: its conditions contradict each other",
    "implied": "closed by its parent's split alone",
}  # fmt: skip
_HINT = 0.45
"""Width below which a node gets no words of its own: nobody can point at it."""


@dataclass(frozen=True)
class TreePicture:
    """All that is drawn.

    Attributes
    ----------
    title
        The heading.
    nodes
        Of the tree, cut down; see :class:`slir_milp.report.proof_tree.ProofTree`.
    total
        Nodes of the whole tree.
    layers
        Neurons of each layer.
    """

    title: str
    nodes: tuple[Node, ...] = field(repr=False)
    total: int
    layers: tuple[int, ...]

    @staticmethod
    def of(tree: ProofTree, title: str) -> TreePicture:
        """The picture of a tree."""
        return TreePicture(title, tree.nodes, tree.total, tree.layers)

    @property
    def about(self) -> str:
        """What the picture shows, in a few sentences."""
        root = self.nodes[0]
        parts = sum(node.kind == "part" for node in self.nodes)
        sentences = [
            f"{plural(self.total, 'node')}, {plural(root.leaves, 'leaf', 'leaves')}, at most "
            f"{plural(root.deepest, 'split')} deep. The root is on top, and a node is as wide as it has leaves below "
            "it; its colour tells what is split there."
        ]
        if parts:
            sentences.append(f"{plural(parts, 'part')} too small to be shown are pale, as far down as they reach.")
        return " ".join(sentences)

    def svg(self) -> str:
        """The picture."""
        root = self.nodes[0]
        high = min(max(_TALLEST / (root.deepest + 1), _LOWEST), _HIGHEST)
        colours = self._colours()
        starts = self._starts()
        scale = _WIDTH / root.leaves
        parts: list[Element] = []
        for node, start in zip(self.nodes, starts, strict=True):
            wide = node.leaves * scale
            tall = high * (node.deepest - node.depth + 1) if node.kind == "part" else high
            hint = element("title", self._words(node)) if wide >= _HINT else None
            gap = 0.5 if wide > 3 else 0.0
            parts.append(
                element("rect", hint, x=_LEFT + start * scale, y=_TOP + node.depth * high, width=max(wide - gap, 0.1),
                        height=tall - (0.5 if high > 5 else 0.0), fill=colours[self._key(node)],
                        fill_opacity=0.35 if node.kind == "part" else None)
            )  # fmt: skip
        height = _TOP + high * (root.deepest + 1) + 14
        parts += self._legend(colours)
        parts += self._depths(high)
        return document(_LEFT + _WIDTH + 4, height, self.title, self.about, *parts)

    def _starts(self) -> list[int]:
        """Leaves to the left of each node."""
        starts, filled = [0] * len(self.nodes), [0] * len(self.nodes)
        for place, node in enumerate(self.nodes):
            if node.parent >= 0:
                starts[place] = filled[place] = filled[node.parent]
                filled[node.parent] += node.leaves
        return starts

    def _key(self, node: Node) -> str:
        """What decides a node's colour."""
        if node.kind == "input":
            return f"X_{node.index}"
        return f"layer {self._layer(node.index)[0] + 1}" if node.kind == "neuron" else node.kind

    def _colours(self) -> dict[str, str]:
        """A colour for everything that is split, the most frequent first; and for leaves."""
        counts = Counter(self._key(node) for node in self.nodes if node.kind in ("input", "neuron", "cases"))
        frequent = sorted(counts, key=lambda key: -counts[key])[: len(PALETTE) - 1]
        order = PALETTE[1:] + PALETTE[:1]
        colours = {key: order[k] for k, key in enumerate(sorted(frequent, key=_natural))}
        return {**dict.fromkeys(counts, PALETTE[0]), **colours, **_LEAF, "part": "#7d858e"}

    def _words(self, node: Node) -> str:
        below = f"{plural(node.leaves, 'leaf', 'leaves')} below, to depth {node.deepest}"
        if node.kind == "part":
            return f"a part of the tree at depth {node.depth}: {below}"
        if node.kind in _CLOSED:
            return f"leaf at depth {node.depth}, {_CLOSED[node.kind]}"
        if node.kind == "cases":
            return f"depth {node.depth}: the query's alternative {node.index}, one case after the other; {below}"
        what = f"X_{node.index}" if node.kind == "input" else self._neuron(node.index)
        return f"depth {node.depth}: {what} is split at {four_digits(node.value)}; {below}"

    def _neuron(self, index: int) -> str:
        layer, place = self._layer(index)
        return f"neuron {place} of layer {layer + 1}"

    def _layer(self, index: int) -> tuple[int, int]:
        ends = list(accumulate(self.layers))
        layer = min(bisect_right(ends, index), len(ends) - 1)
        return layer, index - (ends[layer - 1] if layer else 0)

    def _legend(self, colours: dict[str, str]) -> list[Element]:
        used = dict.fromkeys(self._key(node) for node in self.nodes)
        names = {"refuted": "refuted", "empty": "empty", "implied": "implied", "part": "too small to show",
                 "cases": "cases of the query"}  # fmt: skip
        parts, x = [], _LEFT
        for key in sorted(used, key=lambda key: (key in names, _natural(key))):
            label = names.get(key, f"splits {key}")
            parts.append(element("rect", x=x, y=6, width=14, height=11, rx=2, fill=colours[key],
                                 fill_opacity=0.35 if key == "part" else None))  # fmt: skip
            parts.append(text(x + 20, 16, label))
            x += 36 + 6.6 * len(label)
        return parts

    def _depths(self, high: float) -> list[Element]:
        deepest = self.nodes[0].deepest
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9) if step * high >= 22)
        parts = [
            text(_LEFT - 8, _TOP + (depth + 0.5) * high + 4, str(depth), anchor="end", soft=True)
            for depth in range(0, deepest + 1, step)
        ]
        return [text(_LEFT - 8, _TOP - 8, "depth", anchor="end", soft=True), *parts]

    def to_json(self) -> dict[str, Any]:
        """The picture's data, for a file."""
        return {
            "picture": "proof tree", "format": 1, "title": self.title, "total": self.total, "layers": list(self.layers),
            "nodes": [[n.parent, _KINDS.index(n.kind), n.index, n.leaves, n.deepest] for n in self.nodes],
            "values": [n.value for n in self.nodes],
        }  # fmt: skip

    @staticmethod
    def from_json(values: Values) -> TreePicture:
        """The picture of a file's data.

        Raises
        ------
        OptionError
            A field is missing or is not what it should be.
        """
        rows = values.rows("nodes", 5)
        cuts = values.numbers("values", len(rows))
        layers = values.content.get("layers")
        if not isinstance(layers, list) or not layers or not all(type(size) is int and size > 0 for size in layers):
            raise values.error("layers", "a list of positive whole numbers")
        nodes: list[Node] = []
        for place, ((parent, kind, index, leaves, deepest), value) in enumerate(zip(rows, cuts, strict=True)):
            fits = -1 <= parent < place and (parent == -1) == (place == 0) and 0 <= kind < len(_KINDS) and leaves > 0
            depth = nodes[parent].depth + 1 if fits and place else 0
            if not fits or not depth <= deepest <= 10**6:
                raise values.error("nodes", "the nodes of a tree, parents first")
            nodes.append(Node(parent, _KINDS[kind], index, value, depth, leaves, deepest))
        if not nodes:
            raise values.error("nodes", "the nodes of a tree, parents first")
        return TreePicture(values.text("title"), tuple(nodes), values.whole("total"), tuple(layers))


def _natural(key: str) -> tuple[int, str, int]:
    """Order of names that end in numbers."""
    digits = key[len(key.rstrip("0123456789")) :]
    return len(key) > 40, key.removesuffix(digits) if digits else key, int(digits or 0)
