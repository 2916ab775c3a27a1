"""Networks of curves in the kernel: it equals the reference, and its bounds hold in ball arithmetic."""

from collections.abc import Iterator

import numpy as np
import pytest
from bounds_cases import BoundCase, bound_case, network_of
from flint import arb, ctx

from slir_milp.activations.catalogue import activation
from slir_milp.activations.curve import Curve
from slir_milp.bounding.kernel import End, Settings, variants
from slir_milp.bounding.reference import StepRule, analyse
from slir_milp.network.affine import Affine
from slir_milp.network.normal_form import Network

PALETTES = {
    "sigmoid": ("sigmoid",),
    "tanh": ("tanh",),
    "gelu and silu": ("gelu", "silu"),
    "waves and squares": ("sin", "square", "cos"),
    "jumps and corners": ("floor", "sign", "clip", "elu"),
    "many": ("mish", "softplus", "atan", "erf", "exp", "hard_swish", "selu"),
}
CONDITIONS = {"box": {}, "sides and half-space": {"sides": True, "half_space": True, "direct": True}}


def curves(palette: str) -> tuple[Curve, ...]:
    found = tuple(activation(name) for name in PALETTES[palette])
    return tuple(f for f in found if isinstance(f, Curve))


def case_of(palette: str, conditions: str, seed: int, widths: list[int]) -> BoundCase:
    rng = np.random.default_rng([seed, len(palette), len(conditions)])
    network = network_of(rng, widths, curves=curves(palette), sparse=seed % 4 == 3)
    width = float(rng.choice([0.03, 0.3, 1.5]))
    return bound_case(rng, network, rows=1 + seed % 3, width=width, **CONDITIONS[conditions])


def close(a: object, b: object, tolerance: float = 1e-7) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), rtol=tolerance, atol=tolerance))


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("palette", PALETTES)
def test_analysis_of_a_region(palette: str, conditions: str, variant: str) -> None:
    for seed in range(4):
        case = case_of(palette, conditions, seed, [3, 9, 8, 2])
        for steps in (0, 3):
            with_sides = case.region.sides is not None
            settings = Settings(ascent_steps=steps, split_activations=with_sides, report_tight=False)
            explorer = case.explorer(settings, variant)
            record, sides = explorer.record(case.region)
            end, value, row, _, _, weights = explorer.analyse(record, sides)
            found = analyse(case.problem, case.region, StepRule(steps))
            if found is None:
                assert end in (End.INHERITED, End.EMPTY)
                continue
            bounds = explorer.neurons(record)
            for k in range(len(case.network.layers)):
                assert close(bounds.lower[k], found.neurons.bounds.lower[k])
                assert close(bounds.upper[k], found.neurons.bounds.upper[k])
            # Where a derivative is zero but for rounding the two may step to either side.
            tolerance = 1e-7 if steps == 0 else 1e-3
            assert close(value, found.best.value, tolerance)
            assert close(weights, found.best.choice.weights, tolerance)
            if steps == 0:
                assert close(row, np.append(found.best.row.normals[0], found.best.row.offsets[0]))


def in_balls(network: Network, x: np.ndarray) -> tuple[list[list[arb]], list[arb]]:
    """Pre-activations and outputs at a float64 point."""

    def apply(affine: Affine, z: list[arb]) -> list[arb]:
        weight = affine.weight if isinstance(affine.weight, np.ndarray) else affine.weight.toarray()
        return [
            sum((arb(w) * v for w, v in zip(row, z, strict=True) if w), arb(b))
            for row, b in zip(weight.tolist(), affine.bias.tolist(), strict=True)
        ]

    pre, z = [], [arb(v) for v in x.tolist()]
    for layer in network.layers:
        values = apply(layer.affine, z)
        pre.append(values)
        z = []
        for i, v in enumerate(values):
            f = layer.functions[layer.function_index[i]]
            if isinstance(f, Curve):
                z.append(f.ball(v))
            else:
                z.append(v * (f.negative_slope if v < 0 else f.positive_slope))
    return pre, apply(network.output, z)


def members(case: BoundCase, rng: np.random.Generator, count: int) -> Iterator[tuple[np.ndarray, list, list[arb]]]:
    """Points of the region, with what the network computes there."""
    region = case.region
    assert region.neurons is not None
    for _ in range(count):
        x = rng.uniform(region.lower, region.upper)
        if len(region.half_spaces) and (region.half_spaces.normals @ x + region.half_spaces.offsets > 0).any():
            continue
        pre, y = in_balls(case.network, x)
        low, high = region.neurons.lower, region.neurons.upper
        sides = region.sides
        inside = all(
            low[k][i] <= v <= high[k][i]
            and (sides is None or case.network.layers[k].is_curved[i] or float(sides[k][i]) * v >= 0)
            for k, layer in enumerate(pre)
            for i, v in enumerate(layer)
        )
        if inside:
            yield x, pre, y


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("palette", PALETTES)
def test_bounds_hold(palette: str, conditions: str, variant: str) -> None:
    ctx.prec, precision = 120, ctx.prec
    try:
        for seed in range(6):
            case = case_of(palette, conditions, 100 + seed, [3, 7, 6, 2])
            divided = case.region.sides is not None
            settings = Settings(split_activations=divided, ascent_steps=seed, hand_crafted=seed == 1)
            explorer = case.explorer(settings, variant)
            record, sides = explorer.record(case.region)
            end, value, row, _, _, weights = explorer.analyse(record, sides)
            bounds = explorer.neurons(record)
            rows = case.problem.rows
            for x, pre, y in members(case, np.random.default_rng(seed), 30):
                assert end not in (End.EMPTY, End.INHERITED)
                for k, layer in enumerate(pre):
                    assert all(not v < b for v, b in zip(layer, bounds.lower[k].tolist(), strict=True))
                    assert all(not v > b for v, b in zip(layer, bounds.upper[k].tolist(), strict=True))
                direct = rows.inputs @ x if rows.inputs is not None else np.zeros(len(rows))
                total = arb(0)
                for r, weight in enumerate(weights.tolist()):
                    exact = sum((arb(c) * v for c, v in zip(rows.coefficients[r].tolist(), y, strict=True)), arb(0))
                    if rows.inputs is not None:
                        pairs = zip(rows.inputs[r].tolist(), x.tolist(), strict=True)
                        exact = sum((arb(c) * v for c, v in pairs), exact)
                    total += weight * (exact + rows.constants[r])
                    assert abs(direct[r]) < np.inf
                assert not total < value
                if np.isfinite(row).all():
                    plane = sum((arb(c) * v for c, v in zip(row[:-1].tolist(), x.tolist(), strict=True)), arb(row[-1]))
                    assert not total < plane
    finally:
        ctx.prec = precision


@pytest.mark.parametrize("activations", [False, True])
@pytest.mark.parametrize("palette", PALETTES)
def test_children_cover_their_parent(palette: str, activations: bool) -> None:
    """Every point of a region that may be a counterexample stays in an open region below it."""
    for seed in range(4):
        case = case_of(palette, "box", 200 + seed, [2, 6, 5, 2])
        settings = Settings(split_inputs=not activations, split_activations=activations, ascent_steps=2)
        explorer = case.explorer(settings)
        record, sides = explorer.record(case.region)
        records, new_sides, leaves, leaf_sides, _, _ = explorer.explore(
            record[None, :], sides[None, :], budget=40, deadline=np.inf, cancel=np.zeros(1, np.int32)
        )
        regions = [explorer.region(r, s) for r, s in zip((*records, *leaves), (*new_sides, *leaf_sides), strict=True)]
        rows = case.problem.rows
        for x, pre, y in members(case, np.random.default_rng(seed), 40):
            values = [
                sum((arb(c) * v for c, v in zip(row.tolist(), y, strict=True)), arb(k))
                for row, k in zip(rows.coefficients, rows.constants.tolist(), strict=True)
            ]
            if not all(v < 0 for v in values):
                continue

            def holds(region: object, x: np.ndarray = x, pre: list = pre) -> bool:
                return bool(((region.lower <= x) & (x <= region.upper)).all()) and all(
                    low <= v <= high
                    for k, layer in enumerate(pre)
                    for v, low, high in zip(layer, region.neurons.lower[k], region.neurons.upper[k], strict=True)
                )

            assert any(map(holds, regions))
