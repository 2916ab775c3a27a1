"""From a query over several models to one network and one query (``apply``), and back with a witness (``invert``).

The inputs of the composed network are those input elements that are free, in the file's order (see
:mod:`slir_milp.compose.inputs`); its outputs are, network by network, the hidden tensors and the outputs, and after all
of them the products that the condition needs.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slir_milp.compose.graph import Builder, Part, add_network, computed_names, model_of, new_builder, reconciled
from slir_milp.compose.inputs import Inputs, assumed_bounds, free_inputs, implied_bounds
from slir_milp.compose.isomorphism import are_isomorphic
from slir_milp.compose.models import Model, check_shape, read_model
from slir_milp.compose.products import add_products
from slir_milp.errors import NetworkError, OptionError, SlirWarning
from slir_milp.network.cache import recall, remember
from slir_milp.network.normal_form import Network
from slir_milp.query import And, Atom, Declared, Formula, NetworkDeclaration, Query, Relation, Role, Specification
from slir_milp.query.elements import REAL
from slir_milp.query.polynomial import substituted
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
            model = self.models[base(network)]
            places = {value.name: place for place, value in enumerate(model.proto.graph.output)}
            yield (
                base(network),
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
    inputs = free_inputs(specification)
    query, monomials, assumed = _query(specification, inputs, models)
    proto = _composed(specification, models, inputs, monomials)
    content = proto.SerializeToString(deterministic=True)
    network, fresh = _network(content)
    _check_outputs(specification, models, network)
    names = tuple(specification.variable_name(inputs.free[i]) for i in assumed if _matters(i, network, query))
    composition = Composition(specification, models, inputs, content, network, query, monomials, names)
    if check and fresh:
        _compare(composition)
        remember(content, "composed.onnx", network)
    return composition


def _check_isomorphisms(specification: Specification, models: Mapping[str, Model]) -> None:
    for network in specification.networks:
        if network.relation is Relation.ISOMORPHIC and not are_isomorphic(models[network.name], models[network.other]):
            raise NetworkError(
                f"{models[network.name].path} and {models[network.other].path} have different graphs, but "
                f"{network.name} is declared isomorphic to {network.other}; leave the declaration out."
            )


def base(network: NetworkDeclaration) -> str:
    """Name of the network whose model a network has."""
    return network.name if network.needs_model else network.other


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
    return [tensor for network in specification.networks if base(network) == name for tensor in network.hidden]


# --- the model -----------------------------------------------------------------------------------------------------


def _composed(
    specification: Specification, models: Mapping[str, Model], inputs: Inputs, monomials: Sequence[tuple[int, ...]]
) -> ModelProto:
    protos, opset, ir_version = reconciled(dict(models))
    parts = {
        network.name: Part(
            network.name,
            base(network),
            protos[base(network)],
            computed_names(protos[base(network)], models[base(network)].inputs),
        )
        for network in specification.networks
    }
    builder = new_builder()
    given = _add_inputs(builder, specification, models, inputs)
    results: list[tuple[str, int]] = []
    for network in specification.networks:
        part, model = parts[network.name], models[base(network)]
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
        model = models[base(network)]
        types = {value.name: value.type.tensor_type for value in model.proto.graph.input}
        for tensor, name in zip(network.inputs, model.inputs, strict=True):
            kind, own = types[name], f"{network.name}/{name}"
            element = _wider(kind.elem_type)
            shape = [dim.dim_value for dim in kind.shape.dim]
            numbers = [inputs.number[v] for v in range(start, start + tensor.size)]
            first = sum(size for _, size in given)
            free = [number for number in numbers if number >= first]
            if len(free) == tensor.size:
                builder.add_input(own, element, shape)
                given.append((own, tensor.size))
            else:
                if free:
                    builder.add_input(f"{own}/free", element, [len(free)])
                    given.append((f"{own}/free", len(free)))
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


# --- the query -----------------------------------------------------------------------------------------------------


def _query(
    specification: Specification, inputs: Inputs, models: Mapping[str, Model]
) -> tuple[Query, tuple[tuple[int, ...], ...], tuple[int, ...]]:
    """The query over the composed network, its monomials, and the inputs whose bounds are assumed."""
    number = dict(inputs.number)
    count = len(inputs.free)
    for _, tensor, start in specification.tensors():
        if tensor.role is not Role.INPUT:
            number.update({start + offset: count + offset for offset in range(tensor.size)})
            count += tensor.size
    products = [tuple(sorted(number[v] for v in factors)) for factors in specification.monomials]
    monomials = {factors: count + place for place, factors in enumerate(dict.fromkeys(products))}
    for offset, factors in enumerate(products):
        number[specification.variables + offset] = monomials[factors]
    formula = substituted(specification.formula, lambda variable: ((number[variable], Fraction(1)),))
    extra = [*_defaults(specification, inputs, models), *implied_bounds(formula, len(inputs.free))]
    formula = _with(formula, extra)
    assumed = assumed_bounds(formula, len(inputs.free))
    formula = _with(formula, assumed)
    query = Query(
        len(inputs.free), count - len(inputs.free) + len(monomials), formula, specification.sha256, specification.source
    )
    if not query.mentions_outputs:
        warnings.warn(
            SlirWarning("the query says nothing of the outputs: every input of its set meets it."), stacklevel=4
        )
    return query, tuple(monomials), tuple(sorted({atom.terms[0][0] for atom in assumed}))


def _with(formula: Formula, atoms: Sequence[Atom]) -> Formula:
    return And((*(formula.parts if isinstance(formula, And) else (formula,)), *atoms)) if atoms else formula


def _matters(i: int, network: Network, query: Query) -> bool:
    """Whether an input whose bounds are assumed can make a difference."""
    first = network.affines[0]
    used = [abs(first.weight)[:, [i]].sum()] + [abs(r)[:, [i]].sum() for r in (first.weight_radius,) if r is not None]
    if any(used):
        return True
    return sum(any(variable == i for variable, _ in atom.terms) for atom in _atoms(query.formula)) > 2


def _atoms(formula: Formula) -> Iterator[Atom]:
    todo = [formula]
    while todo:
        part = todo.pop()
        if isinstance(part, Atom):
            yield part
        else:
            todo += part.parts


def _defaults(specification: Specification, inputs: Inputs, models: Mapping[str, Model]) -> list[Atom]:
    """Inputs that are declared ``initialized`` have the value that the model gives them."""
    found: list[Atom] = []
    for network, tensor, start in specification.tensors():
        if tensor.initialized:
            model = models[base(network)]
            values = model.defaults[model.inputs[network.inputs.index(tensor)]]
            for offset, value in enumerate(np.asarray(values).ravel().tolist()):
                variable = inputs.number[start + offset]
                found.append(Atom(((variable, Fraction(1)),), -Fraction(value)))
                found.append(Atom(((variable, Fraction(-1)),), Fraction(value)))
    return found


# --- the network ---------------------------------------------------------------------------------------------------


def _network(content: bytes) -> tuple[Network, bool]:
    """The composed network, and whether it is read for the first time."""
    network = recall(content, "composed.onnx")
    if network is not None:
        return network, False
    from slir_milp.network.graph import parse_onnx, read_graph
    from slir_milp.network.lowering import lower

    return lower(read_graph(parse_onnx(content, Path()).proto)), True


def _check_outputs(specification: Specification, models: Mapping[str, Model], network: Network) -> None:
    """Hold shapes and element types of what the models give against the declarations."""
    results = iter(network.outputs)
    for declaration in specification.networks:
        model = models[base(declaration)]
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
    from slir_milp.network.compare import compare
    from slir_milp.network.intermediates import OpenModel
    from slir_milp.network.runtime import Runtime

    originals = Originals(composition)
    if originals.rounds_to_half:  # the composed model does not
        compare(composition.network, Runtime.in_memory(composition.content, "the composed model"))
        return
    compare(composition.network, originals, lambda: OpenModel(composition.content, Path()))


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
