"""Texts, the JSON document and the progress display."""

import io
import json
import math
import os
import stat
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from stand_in import TIMEOUT, UNSAT

from slir_milp.errors import OptionError
from slir_milp.report.document import document, peak_memory, write_json
from slir_milp.report.progress import (
    LiveDisplay,
    PlainDisplay,
    SilentDisplay,
    choose_display,
    live_lines,
    plain_line,
)
from slir_milp.report.text import answer, explanation
from slir_milp.search.verdict import OpenRegion, Options, Progress, Reason, Status, Verdict, Witness

SNAPSHOT = Progress(12.0, 60.0, 0.9996, 1204, -0.1534567, 38_201, "branch and bound")


def test_plain_line_has_everything() -> None:
    line = plain_line(SNAPSHOT, 12.04, 60.0)
    for part in ("12.0 s of 60.0 s", "branch and bound", "99.9 %", "1,204 open", "38,201", "3,183 a second", "-0.1535"):
        assert part in line


def test_before_the_first_snapshot() -> None:
    assert "reading" in plain_line(None, 3.0, None)
    live_lines(None, 3.0, None)


@pytest.mark.parametrize("width", [30, 80, 200])
def test_live_lines_fit_the_terminal(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True, force_terminal=True)
    console.print(live_lines(SNAPSHOT, 12.04, 60.0))
    lines = console.export_text().rstrip("\n").split("\n")
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)


def test_plain_display_waits_between_lines() -> None:
    stream = io.StringIO()
    with PlainDisplay(stream) as display:
        for tick in range(100):
            display.show(SNAPSHOT, tick / 10, 60.0)
    assert len(stream.getvalue().splitlines()) == 2


def test_live_display_cleans_up_behind_itself() -> None:
    stream = io.StringIO()
    with LiveDisplay(stream) as display:
        display.show(SNAPSHOT, 0.1, 60.0)
        assert stream.getvalue() == ""
        display.show(SNAPSHOT, 5.0, 60.0)


def test_the_display_suits_the_stream() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert isinstance(choose_display(Terminal(), quiet=False), LiveDisplay)
    assert isinstance(choose_display(io.StringIO(), quiet=False), PlainDisplay)
    assert type(choose_display(Terminal(), quiet=True)) is SilentDisplay


def test_a_long_list_of_outputs_is_cut() -> None:
    verdict = Verdict(Status.UNKNOWN, Reason.TOO_SMALL, output_bounds=((0.0, 1.0),) * 25)
    text = explanation(verdict, 1.0)
    assert "Y_9" in text
    assert "Y_10" not in text
    assert "15 more outputs" in text


def test_what_is_too_small_is_shown_with_its_nearest_point() -> None:
    region = OpenRegion((0.0,) * 7, (1e-6,) * 7, -1e-12, (1e-6,) + (0.0,) * 6, 2.5e-13)
    verdict = Verdict(Status.UNKNOWN, Reason.TOO_SMALL, worst_bound=-1e-12, open_regions=(region,))
    text = explanation(verdict, 1.0)
    for part in ("0 <= X_0 <= 1e-06", "2 more inputs", "X_0 = 9.9999999999999995e-07", "2.5e-13", "-1e-12"):
        assert part in text
    content = document(verdict, options=Options(), network=("n", ""), query=("q", ""), elapsed=1.0)
    assert isinstance(content, dict)
    assert content["open_regions"] == [
        {
            "lower": [0.0] * 7,
            "upper": [1e-6] * 7,
            "bound": -1e-12,
            "point": [1e-6] + [0.0] * 6,
            "margin": 2.5e-13,
        }
    ]


def test_a_witness_whose_outputs_overflow_is_written_with_exact_ones() -> None:
    large = Fraction(10) ** 40
    witness = Witness((Fraction(1),), (math.inf,), ((large, large),), False, True)
    verdict = Verdict(Status.SAT, Reason.EXACT_WITNESS, witness=witness, near_miss=witness)
    assert "near miss" not in explanation(verdict, 1.0)
    assert answer(verdict) == "sat\n((X_0 1.0)\n (Y_0 1.0e40))\n"


def test_a_near_miss_is_shown() -> None:
    witness = Witness((Fraction(1, 2),), (1.0,), ((Fraction(0), Fraction(0)),), True, False)
    text = explanation(Verdict(Status.UNKNOWN, Reason.TOO_SMALL, near_miss=witness, worst_bound=-math.inf), 1.0)
    assert "X_0 = 0.5" in text
    assert "may be undefined, or overflow" in text


def test_counts_read_as_sentences() -> None:
    text = explanation(UNSAT, 0.25)
    assert text.splitlines()[0] == "Every region of the input set is closed by a sound bound."
    assert text.splitlines()[-1] == "0.25 s: 7 regions; closed 4 by bounds."


@given(st.floats())
def test_any_float_makes_valid_json(value: float) -> None:
    verdict = Verdict(Status.UNKNOWN, Reason.TOO_SMALL, worst_bound=value, output_bounds=((value, value),))
    content = document(verdict, options=Options(), network=("n", ""), query=("q", ""), elapsed=1.0)
    read = json.loads(json.dumps(content, allow_nan=False))["worst_bound"]
    assert float(read) == value or math.isnan(value)


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    content = document(TIMEOUT, options=Options(), network=("n", ""), query=("q", ""), elapsed=1.0)
    write_json(path, content)
    assert json.loads(path.read_text()) == json.loads(json.dumps(content))
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, float("nan"))
    with pytest.raises(OptionError, match="cannot be written"):
        write_json(tmp_path / "absent" / "result.json", content)
    assert list(tmp_path.iterdir()) == [path]
    assert json.loads(path.read_text())["verdict"] == "timeout"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="needs names for open files")
def test_json_may_go_to_a_pipe() -> None:
    reading, writing = os.pipe()
    write_json(Path(f"/dev/fd/{writing}"), {"verdict": "unsat"})
    os.close(writing)
    with os.fdopen(reading) as stream:
        assert json.load(stream) == {"verdict": "unsat"}


def test_peak_memory_is_in_bytes() -> None:
    peak = peak_memory()
    assert peak is not None
    assert 10_000_000 < peak < 100_000_000_000
