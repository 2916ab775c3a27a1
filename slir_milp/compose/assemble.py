"""The composed model: every network's own inputs made of the free ones, its nodes, its results, and the products."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.compose.graph import Builder, Part, add_network, computed_names, model_of, new_builder, reconciled
from slir_milp.compose.inputs import Inputs
from slir_milp.compose.models import Model
from slir_milp.compose.products import add_products
from slir_milp.query import Specification

if TYPE_CHECKING:
    from onnx import ModelProto


def composed_model(
    specification: Specification, models: Mapping[str, Model], inputs: Inputs, monomials: Sequence[tuple[int, ...]]
) -> ModelProto:
    """Build the composed model.

    Parameters
    ----------
    specification, models
        The query, and the model of every network that has one of its own.
    inputs
        Its free inputs.
    monomials
        Products that are to be outputs, of elements of the composed inputs and outputs.

    Raises
    ------
    NetworkError
        The models cannot be brought together.
    """
    protos, opset, ir_version = reconciled(dict(models))
    parts = {
        network.name: Part(
            network.name,
            network.base,
            protos[network.base],
            computed_names(protos[network.base], models[network.base].inputs),
        )
        for network in specification.networks
    }
    builder = new_builder()
    given = _add_inputs(builder, specification, models, inputs)
    results: list[tuple[str, int]] = []
    for network in specification.networks:
        part, model = parts[network.name], models[network.base]
        add_network(builder, part)
        for tensor, name in model.shown(network):
            results.append((part.prefixed(name), tensor.size))
    for name, _ in results:
        builder.add_output(name)
    if monomials:
        builder.add_output(add_products(builder, [*given, *results], monomials))
    return model_of(builder, opset, ir_version)


def _add_inputs(
    builder: Builder, specification: Specification, models: Mapping[str, Model], inputs: Inputs
) -> list[tuple[str, int]]:
    """Add the free inputs, and make every network's inputs of them; names and sizes of what was added as inputs."""
    given: list[tuple[str, int]] = []
    start = 0
    for network in specification.networks:
        model = models[network.base]
        types = {value.name: value.type.tensor_type for value in model.proto.graph.input}
        for tensor, name in zip(network.inputs, model.inputs, strict=True):
            kind, own = types[name], f"{network.name}/{name}"
            element = _wider(kind.elem_type)
            shape = [dim.dim_value for dim in kind.shape.dim]
            numbers = [inputs.number[v] for v in range(start, start + tensor.size)]
            first = sum(size for _, size in given)
            free = len({number for number in numbers if number >= first})  # several elements may have one value
            if free == tensor.size:
                builder.add_input(own, element, shape)
                given.append((own, free))
            else:
                if free:
                    part = f"/{own}"  # no tensor of a network has a name like this
                    builder.add_input(part, element, [free])
                    given.append((part, free))
                _assemble(builder, own, element, shape, given, numbers)
            start += tensor.size
        start += sum(tensor.size for tensor in (*network.hidden, *network.outputs))
    return given


def _assemble(
    builder: Builder,
    name: str,
    element: int,
    shape: Sequence[int],
    given: Sequence[tuple[str, int]],
    numbers: Sequence[int],
) -> None:
    """Make an input of a network of elements of the composed inputs."""
    vectors, places, start, length = [], {}, 0, 0
    wanted = set(numbers)
    for source, size in given:
        here = [number for number in range(start, start + size) if number in wanted]
        if here:
            flat = builder.flat(source)
            vectors.append(flat if builder.types[source] == element else builder.apply("Cast", flat, to=element))
            places.update({number: length + number - start for number in range(start, start + size)})
            length += size
        start += size
    vector = builder.picked(builder.joined(vectors), [places[number] for number in numbers])
    builder.apply("Reshape", vector, builder.store(np.array(shape, dtype=np.int64)), name=name)


def _wider(element: int) -> int:
    from onnx import TensorProto

    return int(TensorProto.FLOAT if element == TensorProto.FLOAT16 else element)
