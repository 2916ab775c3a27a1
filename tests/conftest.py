"""Fixtures that several test files share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from stand_in import BOX, DECLARATIONS, TINY, FakeSearch

from slir_milp.search.verdict import Verdict

# A test that is slow for once says nothing of the program: speed is measured by benchmarks.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network of two inputs and one output, the sum of their rectified values."""
    path = tmp_path / "tiny.nnet"
    path.write_text(TINY)
    return path


@pytest.fixture
def query(tmp_path: Path) -> Path:
    """A query that fits it: can the output be 3 or more?  (No: at most 2.)"""
    path = tmp_path / "tiny.vnnlib"
    path.write_text(f"{DECLARATIONS}{BOX}(assert (>= Y_0 3))\n")
    return path


@pytest.fixture
def searching(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeSearch]:
    """Replace the search by one that gives some answers in turn, the last for ever."""

    def replace(*answers: Verdict | Exception) -> FakeSearch:
        fake = FakeSearch(list(answers))
        monkeypatch.setattr("slir_milp.search.verify", fake, raising=False)
        return fake

    return replace


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    """The folder of real benchmarks; the test is skipped where there is none."""
    folder = os.environ.get("SLIR_MILP_BENCHMARKS", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SLIR_MILP_BENCHMARKS names no folder of benchmarks")
    return Path(folder)
