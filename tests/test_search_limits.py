"""Limits end a run cleanly and in time, and one job explores the same regions every time."""

import os
import threading
import time
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from bounds_cases import network_of
from tiny_cases import tiny_case

from slir_milp.network.normal_form import Network
from slir_milp.query import And, Atom, Query
from slir_milp.search import Engine, Options, Progress, Reason, Splitting, Statistics, Status, Verdict, verify
from slir_milp.search.limits import resident_memory

ONE = Fraction(1)


def hard_query(network: Network, *, radius: float, threshold: float) -> Query:
    """Whether the first output exceeds its value at the centre by a threshold."""
    n = network.input_size
    bounds = [Atom(((q, sign * ONE),), -Fraction(radius)) for q in range(n) for sign in (1, -1)]
    centre = float(network(np.zeros(n))[0])
    return Query(n, network.output_size, And((*bounds, Atom(((n, -ONE),), Fraction(centre + threshold)))))


@pytest.fixture(scope="module")
def narrow() -> tuple[Network, Query]:
    """Undecided for minutes: the threshold is just above what can be found."""
    network = network_of(np.random.default_rng(7), [10, 60, 60, 60, 2], relu=True)
    return network, hard_query(network, radius=3.0, threshold=3.42)


@pytest.fixture(scope="module")
def wide() -> tuple[Network, Query]:
    network = network_of(np.random.default_rng(3), [784, 400, 400, 400, 10], relu=True)
    return network, hard_query(network, radius=0.1, threshold=3.0)


def check_partial(verdict: Verdict, query: Query) -> None:
    """What an undecided verdict tells is consistent."""
    assert not verdict.status.decided
    assert verdict.witness is None
    assert 0.0 <= verdict.closed_fraction < 1.0
    for region in verdict.open_regions:
        assert len(region.lower) == len(region.upper) == query.inputs
        assert all(a <= b for a, b in zip(region.lower, region.upper, strict=True))
    if verdict.output_bounds:
        assert len(verdict.output_bounds) == query.outputs


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(splitting=Splitting.ACTIVATION),
        Options(engine=Engine.LP),
        Options(engine=Engine.MILP),
    ],
    ids=["auto", "activations", "lp", "milp"],
)
@pytest.mark.parametrize("timeout", [0.05, 0.5])
def test_deadline(narrow: tuple[Network, Query], timeout: float, options: Options) -> None:
    network, query = narrow
    start = time.monotonic()
    verdict = verify(network, query, replace(options, timeout=timeout))
    assert time.monotonic() - start < timeout + 0.5
    assert (verdict.status, verdict.reason) == (Status.TIMEOUT, Reason.TIME_LIMIT)
    check_partial(verdict, query)


def test_deadline_of_a_wide_network(wide: tuple[Network, Query]) -> None:
    network, query = wide
    start = time.monotonic()
    verdict = verify(network, query, Options(timeout=1.0))
    assert time.monotonic() - start < 2.0
    assert verdict.reason is Reason.TIME_LIMIT
    check_partial(verdict, query)


@pytest.mark.parametrize("jobs", [1, 2])
def test_cancel(narrow: tuple[Network, Query], jobs: int) -> None:
    network, query = narrow
    cancel, seen = threading.Event(), []

    def progress(snapshot: Progress) -> None:
        seen.append(snapshot)
        cancel.set()

    start = time.monotonic()
    verdict = verify(network, query, Options(jobs=jobs, timeout=30.0), progress=progress, cancel=cancel)
    assert time.monotonic() - start < 1.0
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.INTERRUPTED)
    assert seen
    assert all(0.0 <= snapshot.closed_fraction <= 1.0 for snapshot in seen)
    check_partial(verdict, query)


def test_cancelled_before_it_starts(narrow: tuple[Network, Query]) -> None:
    cancel = threading.Event()
    cancel.set()
    verdict = verify(*narrow, Options(jobs=1), cancel=cancel)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.INTERRUPTED)


def test_memory_limit(narrow: tuple[Network, Query]) -> None:
    network, query = narrow
    start = time.monotonic()
    verdict = verify(network, query, Options(jobs=2, timeout=30.0, memory_limit=resident_memory() // 2))
    assert time.monotonic() - start < 1.0
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.MEMORY_LIMIT)
    check_partial(verdict, query)


def test_no_threads_are_left_behind(narrow: tuple[Network, Query]) -> None:
    before = threading.active_count()
    verify(*narrow, Options(jobs=4, timeout=0.1))
    assert threading.active_count() == before


def test_an_error_in_a_worker_is_raised(narrow: tuple[Network, Query], monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that fails inside raises: it never answers ``unsat`` because its workers are gone."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("made up")

    monkeypatch.setattr("slir_milp.search.explore.Search._advance", broken)
    with pytest.raises(ZeroDivisionError, match="made up"):
        verify(*narrow, Options(jobs=2, timeout=5.0))


def test_progress_that_raises_ends_the_run(narrow: tuple[Network, Query]) -> None:
    def progress(_: Progress) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        verify(*narrow, Options(jobs=2, timeout=20.0), progress=progress)
    assert threading.active_count() == before


# --- reproducibility --------------------------------------------------------------------------------------------------


def counts_of(verdict: Verdict) -> Statistics:
    return replace(verdict.statistics, seconds=0.0)


@pytest.mark.filterwarnings("ignore:the query is empty:slir_milp.errors.SlirWarning")
@pytest.mark.parametrize("splitting", list(Splitting))
def test_one_job_is_reproducible(splitting: Splitting) -> None:
    decided = 0
    for seed in range(20):
        case = tiny_case(seed)
        options = Options(jobs=1, timeout=0.2, splitting=splitting)
        first, second = (verify(case.network, case.query, options) for _ in range(2))
        if max(first.statistics.seconds, second.statistics.seconds) > 0.15:
            continue  # ended by the clock, perhaps
        decided += 1
        assert counts_of(first) == counts_of(second)
        assert first.witness == second.witness
    assert decided >= 10


def test_one_job_is_reproducible_on_a_longer_search() -> None:
    """Some thousand regions and several attacks."""
    network = network_of(np.random.default_rng(7), [6, 40, 40, 40, 2], relu=True)
    query = hard_query(network, radius=3.0, threshold=4.2)
    first, second = (verify(network, query, Options(jobs=1, timeout=30.0)) for _ in range(2))
    assert first.status is Status.UNSAT
    assert first.statistics.regions > 1000
    assert first.statistics.falsifier_points > 1000
    assert counts_of(first) == counts_of(second)
    several = verify(network, query, Options(jobs=3, timeout=30.0))
    assert several.status is Status.UNSAT


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the number of usable cores is not known here")
def test_all_cores_by_default() -> None:
    from slir_milp.search.run import available_cores

    assert available_cores() == len(os.sched_getaffinity(0))
