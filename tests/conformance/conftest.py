"""Every back end that is installed, and what was left out of its tests, said aloud."""

from collections import defaultdict

import pytest

from slir_milp.solvers import Feature, Solver, available_solvers, solver
from slir_milp.solvers.registry import BACK_ENDS

_LEFT_OUT = pytest.StashKey[dict[str, set[str]]]()


@pytest.fixture(params=available_solvers())
def backend(request: pytest.FixtureRequest) -> Solver:
    return solver(request.param)


@pytest.fixture
def needs_of(request: pytest.FixtureRequest):
    """Skip where a back end lacks a feature, and keep in mind what was skipped."""

    def check(backend: Solver, *features: Feature) -> None:
        if missing := set(features) - backend.features:
            request.config.stash.setdefault(_LEFT_OUT, defaultdict(set))[backend.name] |= {f.name for f in missing}
            pytest.skip(f"{backend.name} does not offer {' and '.join(sorted(missing))}")

    return check


@pytest.fixture
def needs(needs_of, backend: Solver):
    return lambda *features: needs_of(backend, *features)


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    """List what is not installed, and the features that the others lack."""
    lines = [
        f"{name}: not installed; it needs {' and '.join(back_end.packages)}"
        for name, back_end in BACK_ENDS.items()
        if not back_end.is_installed
    ]
    lines += [f"{name}: without {', '.join(sorted(left))}" for name, left in config.stash.get(_LEFT_OUT, {}).items()]
    if lines:
        terminalreporter.section("solvers that were not, or not wholly, tested")
        for line in lines:
            terminalreporter.line(line)
