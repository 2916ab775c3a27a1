"""The compiled kernel equals the reference within rounding, in every instruction set."""

from dataclasses import replace

import numpy as np
import pytest
from bounds_cases import BoundCase, bound_case, network_of

from slir_milp.bounding.attribution import attribute_gap
from slir_milp.bounding.kernel import End, Settings, variants
from slir_milp.bounding.lines import Slopes
from slir_milp.bounding.reference import Choice, StepRule, analyse, evaluate

SHAPES = {
    "no hidden layer": [3, 2],
    "one neuron": [1, 1, 1],
    "narrow": [2, 7, 9, 3],
    "a vector and one": [8, 8, 9, 1],
    "deep": [4, 10, 10, 10, 10, 10, 2],
    "more rows than a block": [5, 50, 40, 5],
    "wide inputs": [150, 30, 20, 3],
    "sparse": [40, 60, 50, 4],
}

CONDITIONS = {
    "box": {},
    "input terms": {"direct": True},
    "half-space": {"half_space": True},
    "sides": {"sides": True},
    "half-space and sides": {"half_space": True, "sides": True},
}


def case_of(shape: str, conditions: dict[str, bool], seed: int, *, rows: int = 3) -> BoundCase:
    rng = np.random.default_rng([seed, len(shape), len(conditions)])
    network = network_of(rng, SHAPES[shape], sparse=shape == "sparse", relu=seed % 3 == 0)
    width = float(rng.choice([0.03, 0.3, 1.0])) / (10 if shape == "wide inputs" else 1)
    return bound_case(rng, network, rows=rows, width=width, **conditions)


def close(a: object, b: object) -> bool:
    return bool(np.allclose(np.asarray(a), np.asarray(b), rtol=1e-8, atol=1e-8))


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("conditions", CONDITIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_analysis_of_a_region(shape: str, conditions: str, variant: str) -> None:
    for seed in range(3):
        case = case_of(shape, CONDITIONS[conditions], seed, rows=1 + seed)
        with_sides = "sides" in conditions
        settings = Settings(ascent_steps=8, split_activations=with_sides, report_tight=False)
        explorer = case.explorer(settings, variant)
        assert explorer.variant == variant
        record, sides = explorer.record(case.region)
        end, value, row, point, slopes, weights = explorer.analyse(record, sides)
        found = analyse(case.problem, case.region)
        if found is None:
            assert end in (End.INHERITED, End.EMPTY)
            continue
        assert (end is End.BOUND) == case.problem.refuted_by(found.best)
        bounds = explorer.neurons(record)
        for k in range(len(case.network.layers)):
            assert close(bounds.lower[k], found.neurons.bounds.lower[k])
            assert close(bounds.upper[k], found.neurons.bounds.upper[k])
        assert close(value, found.best.value)
        assert close(weights, found.best.choice.weights)
        assert close(row, np.append(found.best.row.normals[0], found.best.row.offsets[0]))
        assert close(point, found.best.minimiser)
        if not with_sides:
            # What the kernel says it chose gives what it says it found.
            ends = np.cumsum([layer.size for layer in case.network.layers])[:-1]
            chosen = tuple(map(Slopes, np.split(slopes[0], ends), np.split(slopes[1], ends)))
            choice = Choice(chosen[: len(case.network.layers)], found.best.choice.multipliers, weights)
            again = evaluate(case.problem, case.region, found.neurons, choice)
            assert close(again.value, value)


@pytest.mark.parametrize("steps", [0, 1, 30])
def test_step_rules(steps: int) -> None:
    rule = StepRule(steps, 0.8, 0.9)
    for seed in range(10):
        case = case_of("deep", {}, seed)
        explorer = case.explorer(Settings(ascent_steps=steps, first_step=0.8, decay=0.9))
        _, value, *_ = explorer.analyse(*explorer.record(case.region))
        found = analyse(case.problem, case.region, rule)
        assert found is not None
        assert close(value, found.best.value)


def test_more_steps_never_loosen() -> None:
    for seed in range(10):
        case = case_of("narrow", CONDITIONS["half-space and sides"], seed)
        found = [analyse(case.problem, case.region, StepRule(steps)) for steps in (0, 1, 2, 4, 8)]
        values = [f.best.value for f in found if f is not None]
        assert values == sorted(values)


def left_open(case: BoundCase) -> BoundCase:
    """The case with its rows shifted so that the bound is a little below zero."""
    found = analyse(case.problem, case.region)
    if found is None:
        return case
    rows = case.problem.rows
    lowered = replace(rows, constants=rows.constants - found.best.value - 0.02)
    return replace(case, problem=replace(case.problem, rows=lowered))


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("conditions", ["box", "half-space", "sides"])
def test_gap_attribution_decides_the_split(conditions: str, variant: str) -> None:
    """The kernel splits what the reference holds to be worth most."""
    splits = 0
    for seed in range(24):
        case = left_open(case_of("narrow" if seed % 2 else "deep", CONDITIONS[conditions], seed, rows=1 + seed % 3))
        by_activation = conditions == "sides"
        settings = Settings(split_inputs=not by_activation, split_activations=by_activation, report_tight=False)
        explorer = case.explorer(settings, variant)
        record, sides = explorer.record(case.region)
        records, new_sides, _, _, candidate, _ = explorer.explore(
            record[None, :], sides[None, :], budget=1, deadline=np.inf, cancel=np.zeros(1, np.int32)
        )
        if len(records) < 2 or (candidate is not None and len(case.problem.rows) > 1):
            continue  # a candidate ends the work before the row to help is chosen
        found = analyse(case.problem, case.region)
        assert found is not None
        scores = attribute_gap(case.problem, case.region, found)
        if by_activation:
            flat = np.concatenate(scores.neurons)
            (split,) = np.flatnonzero(new_sides[0] != new_sides[1])
            assert sides[split] == 0
            assert set(new_sides[:, split].tolist()) == {-1, 1}
        else:
            flat, n = scores.inputs, case.network.input_size
            (split,) = np.flatnonzero(records[0, :n] != records[1, :n])
        assert flat[split] >= flat.max() * (1 - 1e-6)
        splits += 1
    assert splits >= 6
