"""From a query over several models to one network and one query (``apply``), and back with a witness (``invert``).

The inputs of the composed network are those input elements that are free, in the file's order (see
:mod:`slir_milp.compose.inputs`); its outputs are, network by network, the hidden tensors and the outputs, and after all
of them the products that the condition needs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.compose.assemble import composed_model
from slir_milp.compose.inputs import Inputs, free_inputs
from slir_milp.compose.isomorphism import are_isomorphic
from slir_milp.compose.models import Model, check_shape, read_model
from slir_milp.compose.translate import composed_query, matters
from slir_milp.errors import NetworkError, OptionError, SlirWarning
from slir_milp.network.cache import recall, remember
from slir_milp.network.load import load_network
from slir_milp.network.normal_form import Network
from slir_milp.query import Declared, Query, Relation, Role, Specification
from slir_milp.query.elements import REAL
from slir_milp.query.single import check_reals

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True, eq=False)
class Composition:
    """A query over several models as one over one network.

    Attributes
    ----------
    specification
        What is asked.
    models
        The model of every network that has one of its own, by the network's name.
    inputs
        Which input elements are inputs of the composed network.
    content
        The composed ONNX model.
    network, query
        The composed network and its query.
    monomials
        The variables of the query whose product each of its last outputs is.
    assumed
        Names of input elements that the query does not bound although they matter: the composed query bounds them all
        the same, so that it may have no answer where the query has one.
    """

    specification: Specification
    models: Mapping[str, Model]
    inputs: Inputs
    content: bytes
    network: Network
    query: Query
    monomials: tuple[tuple[int, ...], ...]
    assumed: tuple[str, ...] = ()

    def layout(self) -> Iterator[tuple[str, list[int], list[int]]]:
        """For every network the name of its model, its inputs among those of the composed one, and its results.

        The last are places among the outputs of the model.
        """
        start = 0
        for network in self.specification.networks:
            size = sum(tensor.size for tensor in network.inputs)
            model = self.models[network.base]
            places = {value.name: place for place, value in enumerate(model.proto.graph.output)}
            yield (
                network.base,
                [self.inputs.number[v] for v in range(start, start + size)],
                [places[name] for _, name in model.shown(network)],
            )
            start += sum(tensor.size for tensor in network.tensors)


def apply(
    specification: Specification,
    files: Mapping[str, Path],
    *,
    floats_as_real: bool = False,
    check: bool = True,
) -> Composition:
    """Compose the models of a query.

    Parameters
    ----------
    specification
        The query.
    files
        ONNX file of every network that is not equal to another.
    floats_as_real
        Consent to read floating-point types as real numbers.
    check
        Compare the composed network with every model alone, at random points.

    Raises
    ------
    OptionError
        Files are missing or superfluous.
    QueryError
        The query has element types without consent, or leaves an input unbounded.
    NetworkError
        A model cannot be read, does not fit its declaration, or is not supported.
    """
    check_reals(specification, floats_as_real)
    _check_files(specification, files)
    models = {
        declared.name: read_model(files[declared.name], declared, _hidden(specification, declared.name))
        for declared in specification.networks
        if declared.needs_model
    }
    _check_isomorphisms(specification, models)
    _check_defaults(specification, models)
    inputs = free_inputs(specification)
    query, monomials, assumed = composed_query(specification, inputs, models)
    proto = composed_model(specification, models, inputs, monomials)
    content = bytes(proto.SerializeToString(deterministic=True))
    network = _as_it_is(specification, models, inputs, monomials, check=check)
    key = _compared(content, models, inputs)
    fresh = False
    if network is None:
        network, fresh = _network(content, key)
    _check_outputs(specification, models, network)
    typed = _with_types(proto, network)
    names = tuple(specification.variable_name(inputs.free[i]) for i in assumed if matters(i, network, query))
    composition = Composition(specification, models, inputs, typed, network, query, monomials, names)
    if check and fresh:
        _compare(composition)
        remember(key, "composed.onnx", network)
    return composition


def _check_isomorphisms(specification: Specification, models: Mapping[str, Model]) -> None:
    for network in specification.networks:
        if network.relation is Relation.ISOMORPHIC and not are_isomorphic(models[network.name], models[network.other]):
            raise NetworkError(
                f"{models[network.name].path} and {models[network.other].path} have different graphs, but "
                f"{network.name} is declared isomorphic to {network.other}; leave the declaration out."
            )


def _check_defaults(specification: Specification, models: Mapping[str, Model]) -> None:
    for network, tensor, _ in specification.tensors():
        if tensor.initialized:
            model = models[network.base]
            name = model.inputs[network.inputs.index(tensor)]
            if name not in model.defaults:
                raise NetworkError(
                    f"{model.path} has no initial value for its input '{name}', so {tensor.name} has none."
                )
            if not np.isfinite(model.defaults[name]).all():
                raise NetworkError(
                    f"{model.path} has an initial value for its input '{name}' that is not finite, so {tensor.name} "
                    "has no value."
                )


def _check_files(specification: Specification, files: Mapping[str, Path]) -> None:
    for network in specification.networks:
        if network.needs_model and network.name not in files:
            raise OptionError(
                f"the network {network.name} of the query has no model; add --network {network.name}=FILE."
            )
    declared = {network.name: network for network in specification.networks}
    for name in files:
        if name not in declared:
            raise OptionError(
                f"--network {name}=... names no network of the query, which declares {', '.join(declared)}."
            )
        if not declared[name].needs_model:
            raise OptionError(
                f"--network {name}=... is not needed: {name} is declared equal to {declared[name].other}, and has its "
                "model."
            )


def _hidden(specification: Specification, name: str) -> list[Declared]:
    return [tensor for network in specification.networks if network.base == name for tensor in network.hidden]


def _as_it_is(
    specification: Specification,
    models: Mapping[str, Model],
    inputs: Inputs,
    monomials: tuple[tuple[int, ...], ...],
    *,
    check: bool,
) -> Network | None:
    """The network of the one model, if the composed one would not differ from it; it may be remembered."""
    declaration, *others = specification.networks
    model = models[declaration.base]
    if others or declaration.hidden or monomials or not model.is_as_stored or model.is_half:
        return None
    network = load_network(model.path, check=check)
    return network if network.input_size == len(inputs.free) else None


def _compared(content: bytes, models: Mapping[str, Model], inputs: Inputs) -> bytes:
    """Digest of all that the comparison of a composed model with its models is about."""
    from hashlib import sha256

    parts = [content, repr(inputs).encode()]
    for name, model in models.items():
        parts += [name.encode(), model.proto.SerializeToString(deterministic=True)]
    return b"".join(sha256(part).digest() for part in parts)


def _network(content: bytes, key: bytes) -> tuple[Network, bool]:
    """The composed network, and whether it is read for the first time; ``key`` is what it is remembered by."""
    network = recall(key, "composed.onnx")
    if network is not None:
        return network, False
    from slir_milp.network.graph import parse_onnx, read_graph
    from slir_milp.network.lowering import lower

    return lower(read_graph(parse_onnx(content, Path()).proto)), True


def _with_types(proto: ModelProto, network: Network) -> bytes:
    """The composed model with the element types and shapes of its outputs, which ONNX's checker asks for."""
    from onnx import helper

    for value, spec in zip(proto.graph.output, network.outputs, strict=True):
        element = helper.np_dtype_to_tensor_dtype(np.dtype(spec.dtype))
        value.CopyFrom(helper.make_tensor_value_info(value.name, element, list(spec.shape)))
    return bytes(proto.SerializeToString(deterministic=True))


def _check_outputs(specification: Specification, models: Mapping[str, Model], network: Network) -> None:
    """Hold shapes and element types of what the models give against the declarations."""
    results = iter(network.outputs)
    for declaration in specification.networks:
        model = models[declaration.base]
        kinds = {value.name: value.type.tensor_type.elem_type for value in model.proto.graph.input}
        for tensor, name in zip(declaration.inputs, model.inputs, strict=True):
            _check_element(model, tensor, name, _element_name(kinds[name]))
        for tensor, name in model.shown(declaration):
            spec = next(results)
            check_shape(model.path, tensor, name, spec.shape)
            _check_element(model, tensor, name, spec.dtype)


def _element_name(element: int) -> str:
    from onnx import helper

    return np.dtype(helper.tensor_dtype_to_np_dtype(element)).name


def _check_element(model: Model, tensor: Declared, name: str, element: str) -> None:
    if tensor.element not in (REAL, element) and not (tensor.element == "float16" and model.is_half):
        warnings.warn(
            SlirWarning(
                f"{tensor.name} is declared as {tensor.element}, but '{name}' in {model.path} is {element}; both are "
                "read as real numbers."
            ),
            stacklevel=2,
        )


def _compare(composition: Composition) -> None:
    from slir_milp.compose.originals import Originals
    from slir_milp.network.compare import Opened, compare
    from slir_milp.network.intermediates import OpenModel
    from slir_milp.network.runtime import Runtime

    originals = Originals(composition)
    if originals.rounds_to_half:  # the composed model does not
        compare(composition.network, Runtime.in_memory(composition.content, "the composed model"))
        return

    def opened() -> Opened:
        # The values are the models' own: those of the composed one tell nothing of how it was composed.
        plain, inside = Originals(composition, optimized=False), OpenModel(composition.content, Path())
        return lambda point: (plain.outputs(point), inside(point)[1])

    compare(composition.network, originals, opened)


def variables(composition: Composition) -> Iterator[tuple[str, str]]:
    """What every variable of the composed query is in the query as written: ``X_0`` and ``X[0,0]``, and so on."""
    specification, query = composition.specification, composition.query
    for i, element in enumerate(composition.inputs.free):
        yield query.variable_name(i), specification.variable_name(element)
    names = [specification.variable_name(element) for element in composition.inputs.free]
    for _, tensor, start in specification.tensors():
        if tensor.role is not Role.INPUT:
            for offset in range(tensor.size):
                name = specification.variable_name(start + offset)
                yield query.variable_name(len(names)), name
                names.append(name)
    for place, factors in enumerate(composition.monomials):
        yield query.variable_name(len(names) + place), " * ".join(names[factor] for factor in factors)
