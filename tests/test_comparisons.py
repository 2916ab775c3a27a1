"""The scripts in benchmarks/ that compare lines: a small run of each."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

FOLDER = Path(__file__).parent.parent / "benchmarks"

if not FOLDER.is_dir():
    pytest.skip("the scripts are in the repository only", allow_module_level=True)


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"comparison_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


ACTIVATIONS, PRODUCTS, CONTROLLERS = script("activations"), script("products"), script("controllers")


def test_every_setting_decides_an_easy_question(tmp_path: Path) -> None:
    settings = tuple(setting for setting in ACTIVATIONS.SETTINGS if not setting.apart)
    results = list(ACTIVATIONS.run(["tanh"], settings, [0.01], 1, 10.0, tmp_path))
    assert [(r.setting, r.status) for r in results] == [(setting.name, "unsat") for setting in settings]
    assert not ACTIVATIONS.contradictions(results)
    assert "| tanh | hand | 1 + 0 | 1 of 1 |" in ACTIVATIONS.table(results, (0.01,))


def test_gates_that_are_apart_are_products(tmp_path: Path) -> None:
    (apart,) = (setting for setting in ACTIVATIONS.SETTINGS if setting.apart)
    for name in ACTIVATIONS.GATED:
        together = ACTIVATIONS.network_for(name, ACTIVATIONS.SETTINGS[0], tmp_path)
        product = ACTIVATIONS.network_for(name, apart, tmp_path)
        assert [layer.size for layer in together.layers] == [64] * 4
        assert len(product.layers) > 4
        x = np.random.default_rng(0).random((5, 64))
        assert together(x) == pytest.approx(product(x), abs=1e-9)


def test_settings_that_contradict_each_other_are_noticed() -> None:
    results = [
        ACTIVATIONS.Result("tanh", s, 0.1, 3, status, 0.0, 1, "") for s, status in (("a", "sat"), ("b", "unsat"))
    ]
    assert len(ACTIVATIONS.contradictions(results)) == 1
    assert not ACTIVATIONS.contradictions(results[:1])


@given(st.sampled_from(PRODUCTS.GATED), st.floats(-8, 8), st.floats(1e-3, 8))
def test_lines_of_every_way_enclose_the_function(name: str, low: float, width: float) -> None:
    x = low + width * np.linspace(0, 1, 200)
    value = PRODUCTS.SMOOTH[name].value(x)
    for enclose in PRODUCTS.ways(name).values():
        slope_low, offset_low, slope_high, offset_high = enclose(np.array([low]), np.array([low + width]))
        assert (slope_low * x + offset_low <= value + 1e-12).all()
        assert (slope_high * x + offset_high >= value - 1e-12).all()


def test_a_verdict_that_a_sample_refutes_is_called_wrong() -> None:
    wrong = CONTROLLERS.Result("c", "range", 0.5, "sat", "unsat", 0.1, "")
    assert wrong.is_wrong
    assert "WRONG" in wrong.cell
    assert not CONTROLLERS.Result("c", "range", 1.5, "", "unsat", 0.1, "").is_wrong


def test_questions_about_a_public_controller_are_decided(benchmarks: Path, tmp_path: Path) -> None:
    """Two copies of a network may take longer than a test should: the questions about them may stay open."""
    options = CONTROLLERS.Options(timeout=3, jobs=1)
    results = CONTROLLERS.run(benchmarks, "sig_2x16", options, tmp_path)
    assert len(results) == 12
    for result in results:
        wanted = "unsat" if result.factor > 1 else "sat"
        assert result.status == wanted or (result.status == "timeout" and result.kind.startswith("change"))
    assert sum(result.status != "timeout" for result in results) >= 8
