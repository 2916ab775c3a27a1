"""Remembering networks that were read and compared with ONNX Runtime before, because doing both takes half a second.

An entry is one ``.npz`` file in ``$SLIR_MILP_CACHE``, else ``$XDG_CACHE_HOME/slir_milp``, else ``~/.cache/slir_milp``;
``SLIR_MILP_CACHE=off`` turns the cache off.  Its name is a digest of the network file's bytes together with the source
code that turns files into networks, so that neither another file nor another version of this program finds it.

What is trusted: the folder.  An entry carries a digest of its own contents, which guards against damage, not against
somebody who can write there; an entry that belongs to another user, or that others may write to, is therefore ignored.
Whatever is wrong with an entry, the network is read from its file again; failing to write one is no error.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slir_milp.activations import Curve, Hinge
from slir_milp.network.affine import Affine, Matrix, Vector
from slir_milp.network.normal_form import Layer, Network, TensorSpec
from slir_milp.network.storage import csr_from_parts

if TYPE_CHECKING:
    from slir_milp.activations.registry import Registry

_FORMAT = 2


def folder() -> Path | None:
    """Where entries are kept, ``None`` if nowhere."""
    chosen = os.environ.get("SLIR_MILP_CACHE", "")
    if chosen == "off":
        return None
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "slir_milp"
    except RuntimeError:  # no home folder
        return None


@cache
def _program_digest() -> bytes:
    """Digest of the source code that makes networks from files."""
    package = Path(__file__).parent
    digest = hashlib.sha256(str(_FORMAT).encode())
    for source in sorted([*package.rglob("*.py"), *(package.parent / "activations").rglob("*.py")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.digest()


def _path(stored: bytes, name: str) -> Path | None:
    where = folder()
    if where is None:
        return None
    kind = "".join(Path(name).suffixes[-2:]).encode()
    digest = hashlib.sha256(_program_digest() + kind + b"\0" + hashlib.sha256(stored).digest())
    return where / f"{digest.hexdigest()}.npz"


def recall(stored: bytes, name: str, activations: Registry | None = None) -> Network | None:
    """Network remembered for a file with these bytes and a name that ends like this one, if there is one.

    Functions that are among the user's own become those.
    """
    try:
        path = _path(stored, name)
        if path is None or not _is_ours(path):
            return None
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as entry:
            return unpack(entry, activations)
    except Exception:  # a damaged entry can make NumPy raise anything; the file itself is still there
        return None


def remember(stored: bytes, name: str, network: Network) -> None:
    """Write an entry, in one step, for a network that was compared with its runtime."""
    import tempfile

    scratch = None
    try:
        path = _path(stored, name)
        if path is None or not can_be_packed(network):
            return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, scratch = tempfile.mkstemp(dir=path.parent, suffix=".part")
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **pack(network))
        os.replace(scratch, path)
    except OSError:
        if scratch is not None and os.path.exists(scratch):
            os.unlink(scratch)


def pack(network: Network) -> dict[str, Any]:
    """A network as arrays; its activations must be such as can be written down (:func:`can_be_packed`)."""
    writer = _Writer()
    header = np.frombuffer(json.dumps(writer.describe(network)).encode(), dtype=np.uint8)
    floats = np.concatenate([np.zeros(0), *writer.floats])
    integers = np.concatenate([np.zeros(0, dtype=np.int32), *writer.integers])
    digest = np.frombuffer(_digest(header, floats, integers), dtype=np.uint8)
    return {"header": header, "floats": floats, "integers": integers, "digest": digest}


def unpack(entry: Mapping[str, NDArray[Any]], activations: Registry | None = None) -> Network | None:
    """The network that :func:`pack` made arrays of; ``None`` if they are damaged."""
    header, floats, integers = entry["header"], entry["floats"], entry["integers"]
    if entry["digest"].tobytes() != _digest(header, floats, integers):
        return None
    return _Reader(floats, integers, activations).network(json.loads(header.tobytes()))


def _is_ours(path: Path) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _digest(*arrays: NDArray[Any]) -> bytes:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.size} ".encode() + array.tobytes())
    return digest.digest()


def _described(function: Hinge | Curve) -> list[float] | list[str]:
    """Slopes of a hinge, text and name of a curve."""
    if isinstance(function, Hinge):
        return [function.negative_slope, function.positive_slope]
    assert function.formula is not None  # others are not remembered
    return [function.formula.text, function.name]


def _function(described: list[Any], activations: Registry | None) -> Hinge | Curve:
    if isinstance(described[0], str):
        from slir_milp.activations.catalogue import curve_of
        from slir_milp.activations.parse import parse

        formula = parse(described[0])
        own = activations.curves.values() if activations is not None else ()
        return next((curve for curve in own if curve.formula == formula), None) or curve_of(formula, described[1])
    return Hinge(*described)


def can_be_packed(network: Network) -> bool:
    """Whether every activation can be written down; what is known by samples alone cannot."""
    return all(curve.formula is not None for layer in network.layers for curve, _ in layer.curves)


@dataclass
class _Writer:
    """Collects the numbers of a network; its description tells where they begin."""

    floats: list[Vector] = field(default_factory=list)
    integers: list[NDArray[np.int32]] = field(default_factory=list)

    def describe(self, network: Network) -> dict[str, Any]:
        return {
            "layers": [self._layer(layer) for layer in network.layers],
            "output": self._affine(network.output),
            "inputs": [asdict(spec) for spec in network.inputs],
            "outputs": [asdict(spec) for spec in network.outputs],
        }

    def _layer(self, layer: Layer) -> dict[str, Any]:
        functions = [_described(function) for function in layer.functions]
        self.integers.append(layer.function_index)
        return {"affine": self._affine(layer.affine), "functions": functions}

    def _affine(self, affine: Affine) -> dict[str, Any]:
        radius = affine.weight_radius
        self.floats.append(affine.bias)
        if affine.bias_radius is not None:
            self.floats.append(affine.bias_radius)
        return {
            "bias_radius": affine.bias_radius is not None,
            "weight": self._matrix(affine.weight),
            "weight_radius": None if radius is None else self._matrix(radius),
        }

    def _matrix(self, matrix: Matrix) -> dict[str, Any]:
        shape = [int(extent) for extent in matrix.shape]
        if isinstance(matrix, np.ndarray):
            self.floats.append(matrix.ravel())
            return {"shape": shape, "nonzeros": None}
        self.floats.append(matrix.data)
        self.integers += [matrix.indices, matrix.indptr]
        return {"shape": shape, "nonzeros": int(matrix.data.size)}


@dataclass
class _Reader:
    """Takes the numbers out again, in the order in which they were put in."""

    floats: Vector
    integers: NDArray[np.int32]
    activations: Registry | None = None
    float_position: int = 0
    integer_position: int = 0

    def network(self, header: dict[str, Any]) -> Network:
        layers = tuple(self._layer(entry) for entry in header["layers"])
        output = self._affine(header["output"])
        inputs, outputs = (
            tuple(TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in header[side])
            for side in ("inputs", "outputs")
        )
        return Network(layers, output, inputs, outputs)

    def _layer(self, entry: dict[str, Any]) -> Layer:
        index = self._integers(entry["affine"]["weight"]["shape"][0])
        affine = self._affine(entry["affine"])
        return Layer(affine, tuple(_function(described, self.activations) for described in entry["functions"]), index)

    def _affine(self, entry: dict[str, Any]) -> Affine:
        rows = entry["weight"]["shape"][0]
        bias = self._floats(rows)
        bias_radius = self._floats(rows) if entry["bias_radius"] else None
        weight = self._matrix(entry["weight"])
        radius = entry["weight_radius"]
        return Affine(weight, bias, None if radius is None else self._matrix(radius), bias_radius)

    def _matrix(self, entry: dict[str, Any]) -> Matrix:
        rows, columns = entry["shape"]
        count = entry["nonzeros"]
        if count is None:
            return self._floats(rows * columns).reshape(rows, columns)
        values = self._floats(count)
        indices = self._integers(count)
        return csr_from_parts(values, indices, self._integers(rows + 1), (rows, columns))

    def _floats(self, count: int) -> Vector:
        self.float_position += count
        return self.floats[self.float_position - count : self.float_position].copy()

    def _integers(self, count: int) -> NDArray[np.int32]:
        self.integer_position += count
        return self.integers[self.integer_position - count : self.integer_position].copy()
