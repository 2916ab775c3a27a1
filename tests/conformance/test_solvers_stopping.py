"""How every back end is stopped: by a deadline, by a flag, by Ctrl-C."""

import _thread
import signal
import threading
import time

import numpy as np
import pytest
from solver_cases import diet, hard, program

from slir_milp.solvers import Feature, Solver, Status

SLOW_TO_LOOK = {"highs-ipm": 1.0, "highs-pdlp": 3.0, "scipy": 3.0, "pyomo": 1.0}
"""Seconds for which some solvers do not look at the clock: while they presolve, or while a program is handed over."""


def test_a_time_limit_is_kept_in_every_solve_of_a_session(backend: Solver, needs) -> None:
    needs(Feature.INTEGER, Feature.TIME_LIMIT)
    session = backend.open(hard())
    for _ in range(2):
        begun = time.monotonic()
        solution = session.solve(deadline=begun + 0.4)
        assert solution.status is Status.TIME_LIMIT
        assert 0.3 < time.monotonic() - begun < 0.9


def test_a_time_limit_is_kept_by_a_large_linear_program(backend: Solver, needs) -> None:
    needs(Feature.TIME_LIMIT)
    rng = np.random.default_rng(1)
    large = program(rng.normal(size=(700, 700)), rng.normal(size=700), rows=(-1, 1), columns=(-10, 10))
    session = backend.open(large)
    begun = time.monotonic()
    assert session.solve(deadline=begun + 0.05).status is Status.TIME_LIMIT
    assert time.monotonic() - begun < 0.55 + SLOW_TO_LOOK.get(backend.name.split(":")[0], 0.0)


def test_a_deadline_that_has_passed(backend: Solver) -> None:
    solution = backend.solve(diet(), deadline=time.monotonic())
    assert (solution.status, solution.x) == (Status.TIME_LIMIT, None)


def test_a_flag_stops_from_another_thread(backend: Solver, needs) -> None:
    needs(Feature.INTEGER, Feature.INTERRUPTION)
    cancel = threading.Event()
    timer = threading.Timer(0.3, cancel.set)
    timer.start()
    begun = time.monotonic()
    assert backend.solve(hard(), cancel=cancel).status is Status.INTERRUPTED
    assert time.monotonic() - begun < 0.8
    assert backend.solve(diet(), cancel=cancel).status is Status.INTERRUPTED
    timer.join()


def test_control_c_stops_and_comes_through(backend: Solver, needs) -> None:
    needs(Feature.INTEGER, Feature.INTERRUPTION)
    session = backend.open(hard())
    timer = threading.Timer(0.3, _thread.interrupt_main)
    timer.start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        session.solve(deadline=begun + 5)
    assert time.monotonic() - begun < 0.8
    timer.join()
    assert session.solve(deadline=time.monotonic() + 0.1).status is Status.TIME_LIMIT  # still usable
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_that_raises_leaves_a_usable_session(backend: Solver, needs) -> None:
    needs(Feature.INTEGER, Feature.INTERRUPTION)

    def give_up(*_: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGINT, give_up)
    timer = threading.Timer(0.2, _thread.interrupt_main)
    timer.start()
    session = backend.open(hard())
    try:
        with pytest.raises(ZeroDivisionError):
            session.solve(deadline=time.monotonic() + 5)
    finally:
        signal.signal(signal.SIGINT, before)
    timer.join()
    assert session.solve(deadline=time.monotonic() + 0.1).status is Status.TIME_LIMIT
