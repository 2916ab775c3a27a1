"""The report in headless Chromium, from a file, as a user opens it; skipped where there is no Chromium.

On Debian, ``apt-get install chromium chromium-driver`` brings it.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_cases import HOSTILE, PLAIN, WRONG, folder_of, rows

from slir_milp.cli import main
from slir_milp.report.page.data import row_id
from slir_milp.report.page.figures import cactus, scatter
from slir_milp.report.results import Row

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None,
    reason="there is no Chromium with its driver: apt-get install chromium chromium-driver",
)
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
ROWS = rows(120)
MAP = {
    "picture": "decision map", "format": 1, "title": f"A map {HOSTILE}", "fixed": [], "least": True, "complete": True,
    "x": {"label": HOSTILE, "lower": 0.0, "upper": 1.0, "shown": [0, 1]},
    "y": {"label": "y", "lower": 0.0, "upper": 1.0, "shown": [0, 1]},
    "names": ["left", HOSTILE], "cells": [[0, 0, 1, 0, 1], [1, 0, 1, 1, 1], [0, 1, 1, 0, 0], [1, 1, 1, 1, 0]],
}  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}", "--window-size=1300,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 240 rows and a picture."""
    return page_of(tmp_path_factory.mktemp("report") / "results", ROWS, pictured=True)


@pytest.fixture
def visit(driver: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; at the end nothing may be on the console, and nothing may have been asked of a network."""

    def open_page(path: Path, fragment: str = "", *, size: tuple[int, int] = (1300, 1000), dark: bool = False) -> Any:
        # A page of another address first: a mere change of the fragment would not load the page again.
        driver.get("about:blank")
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
                    {"name": "prefers-reduced-motion", "value": "reduce"}]  # fmt: skip
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        driver.get(f"{path.as_uri()}{fragment}")
        return driver

    driver.get_log("browser"), driver.get_log("performance")
    yield open_page
    assert driver.get_log("browser") == []
    asked = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    addresses = [one["params"]["request"]["url"] for one in asked if one["method"] == "Network.requestWillBeSent"]
    assert addresses
    assert [url for url in addresses if not url.startswith(("file://", "data:", "about:"))] == []


def page_of(folder: Path, some: list[Row], *, pictured: bool = False) -> Path:
    folder_of(folder, some)
    if pictured:
        (folder / "pictures").mkdir()
        (folder / "pictures" / "map.json").write_text(json.dumps(MAP))
    out = folder / "report.html"
    assert main(["report", str(folder), "--out", str(out), "--title", "A campaign"]) == 0
    return out


def texts(driver: Any, selector: str) -> list[str]:
    found: list[str] = driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent.trim())", selector
    )
    return found


def choose(driver: Any, selector: str, value: str) -> None:
    driver.execute_script(
        "const node = document.querySelector(arguments[0]); node.value = arguments[1];"
        "for (const kind of ['input', 'change']) node.dispatchEvent(new Event(kind, {bubbles: true}))",
        selector, value,
    )  # fmt: skip


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + 10
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.02)
    assert found
    return found


def press(driver: Any, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(driver).send_keys(key).perform()


def focused(driver: Any) -> str:
    found: str = driver.execute_script("const at = document.activeElement; return at.id || at.textContent.trim()")
    return found


def test_it_renders(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report)
    assert driver.title == "A campaign"
    assert texts(driver, "#count") == ["All 240 rows"]
    assert len(texts(driver, "#rows tbody tr.row")) == 120
    for chart in ("cactus", "scatter", "stages"):
        box = driver.execute_script(
            f"return document.querySelector('#{chart} .plot svg').getBoundingClientRect().toJSON()"
        )
        assert box["width"] > 300
        assert box["height"] > 40
    assert len(texts(driver, "#pictures svg")) == 1
    assert HOSTILE in texts(driver, "#pictures text")


def test_its_curves_are_those_of_the_figures(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report)
    solved = {
        path["tool"]: int(path["solved"])
        for path in driver.execute_script(
            "return [...document.querySelectorAll('path[data-tool]')].map((p) => ({...p.dataset}))"
        )
    }
    assert solved == {tool: len(times) for tool, times in cactus(ROWS).items()}
    assert len(texts(driver, "#scatter .plot path.p")) == len(scatter(ROWS, "slir-milp", "other"))
    driver.execute_script("document.querySelector('#cactus .data').open = true")
    table = wait_for(lambda: texts(driver, "#cactus .data tbody tr:first-child td"))
    assert table[-1] == str(solved["slir-milp"])


def test_it_filters_and_remembers_in_the_address(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report)
    choose(driver, "#f-outcome", "error")
    wanted = [row for row in ROWS if row.outcome == "error"]
    assert texts(driver, "#count") == [f"{len(wanted)} of 240 rows"]
    choose(driver, "#f-q", "query_5 other")
    assert set(texts(driver, "#rows tbody .k-tool")) <= {"other"}
    assert "outcome=error" in driver.current_url
    assert "q=query_5+other" in driver.current_url
    count = texts(driver, "#count")
    visit(report, driver.current_url[driver.current_url.index("#") :])
    assert texts(driver, "#count") == count
    driver.execute_script("document.querySelector('#filters').reset()")
    assert texts(driver, "#count") == ["All 240 rows"]
    choose(driver, "#f-q", "no such thing")
    assert texts(driver, "#count") == ["No row matches; clear a filter or two."]


def test_figures_of_the_summary_lead_to_their_rows(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report)
    link = driver.execute_script(
        "const links = [...document.querySelectorAll('#summary td a')];"
        "const link = links.find((a) => a.hash.includes('outcome=undecided'));"
        "link.click(); return link.textContent"
    )
    wait_for(lambda: texts(driver, "#count") == [f"{link} of 240 rows"])


def test_it_sorts(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report)
    press_sort = "document.querySelector('#rows th.w-seconds button').click()"
    driver.execute_script(press_sort)
    driver.execute_script(f"{press_sort};")
    shown = [float(text) for text in texts(driver, "#rows tbody .k-seconds")]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == round(max(row.seconds for row in ROWS), 2)
    assert driver.execute_script("return document.querySelector('#rows th.w-seconds').ariaSort") == "descending"
    driver.execute_script(press_sort)
    assert driver.execute_script("return document.querySelectorAll('th[aria-sort]').length") == 0
    assert texts(driver, "#rows tbody .k-tool")[:2] == ["slir-milp", "other"]


def test_a_link_opens_its_row(visit: Callable[..., Any], report: Path) -> None:
    row = ROWS[-2]
    driver = visit(report, f"#row={row_id(row)}")
    (detail,) = texts(driver, "#rows tr.detail")
    assert row.vnnlib in detail
    assert f"slir-milp verify /benchmarks/{row.set}/{row.onnx}" in detail
    place = driver.execute_script("return document.querySelector('tr.row.open').getBoundingClientRect().top")
    assert 0 <= place <= 1000
    assert texts(driver, "tr.open .open-row")[0] == row.set


def test_documents_and_witnesses_are_linked(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report, "#verdict=sat&tool=slir-milp")
    links = driver.execute_script("return [...document.querySelectorAll('#rows td a')].slice(0, 2).map((a) => a.href)")
    assert [Path(link.removeprefix("file://")).is_file() for link in links] == [True, True]


def test_the_theme_is_switched_and_remembered(visit: Callable[..., Any], report: Path) -> None:
    def paper() -> str:
        colour: str = driver.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        return colour

    driver = visit(report)
    light = paper()
    driver = visit(report, dark=True)
    dark = paper()
    assert dark != light
    driver.execute_script("document.querySelector('#theme input[value=light]').click()")
    assert paper() == light
    driver = visit(report, dark=True)
    assert paper() == light
    driver.execute_script("document.querySelector('#theme input[value=auto]').click()")
    assert paper() == dark


def test_the_keyboard_suffices(visit: Callable[..., Any], report: Path) -> None:
    tab, enter, space = "\ue004", "\ue007", " "
    driver = visit(report)
    press(driver, tab)
    assert focused(driver) == "Skip to the instances"
    press(driver, enter, tab)
    assert focused(driver) == "f-q"
    press(driver, *"query_7")
    assert "q=query_7" in driver.current_url
    driver.execute_script("document.querySelector('#rows th button').focus()")
    press(driver, enter)
    assert focused(driver) == "Set"
    assert driver.execute_script("return document.querySelector('th.w-set').ariaSort") == "ascending"
    driver.execute_script("document.querySelector('.open-row').focus()")
    press(driver, space)
    assert driver.execute_script("return document.activeElement.ariaExpanded") == "true"
    assert len(texts(driver, "tr.detail")) == 1
    press(driver, enter)
    assert texts(driver, "tr.detail") == []
    driver.execute_script("document.querySelector('#scatter .plot svg').focus()")
    press(driver, "\ue014", "\ue014")
    assert "slir-milp:" in texts(driver, "#said")[0]
    press(driver, enter)
    assert len(texts(driver, "tr.detail")) == 1
    driver.execute_script("document.querySelector('#cactus .plot svg').focus()")
    press(driver, "\ue012", "\ue013")
    assert "solved within" in texts(driver, "#said")[0]


def test_the_command_is_copied(visit: Callable[..., Any], report: Path) -> None:
    driver = visit(report, f"#row={row_id(ROWS[0])}")
    driver.execute_cdp_cmd("Browser.setPermission", {"permission": {"name": "clipboard-write"}, "setting": "granted"})
    driver.execute_script("document.querySelector('.copy').click()")
    wait_for(lambda: texts(driver, ".copy")[0] == "Copied")


@pytest.mark.parametrize("size", [(360, 740), (768, 1024), (1300, 1000)])
def test_nothing_sticks_out(visit: Callable[..., Any], report: Path, size: tuple[int, int]) -> None:
    driver = visit(report, f"#row={row_id(ROWS[1])}", size=size)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= size[0]


def test_hostile_names_do_nothing(visit: Callable[..., Any], tmp_path: Path) -> None:
    bad = replace(
        PLAIN, set=HOSTILE, onnx=HOSTILE, vnnlib=HOSTILE, tool=HOSTILE, reason=HOSTILE, closed_by={HOSTILE: 2},
        document="javascript:alert(1)",
    )  # fmt: skip
    driver = visit(page_of(tmp_path / "results", [bad, replace(bad, tool="other")]), f"#row={row_id(bad)}")
    assert driver.title == "A campaign"
    assert driver.execute_script("return document.querySelectorAll('img, #rows script').length") == 0
    links = driver.execute_script("return [...document.querySelectorAll('a')].map((a) => a.protocol)")
    assert set(links) == {"file:"}


@pytest.mark.parametrize("some", [[], [PLAIN], [WRONG], [replace(PLAIN, seconds=0.0, regions=0, closed_by={})]])
def test_few_rows_or_none(visit: Callable[..., Any], tmp_path: Path, some: list[Row]) -> None:
    driver = visit(page_of(tmp_path / "results", some))
    assert len(texts(driver, "#rows tbody tr.row")) == len(some)
    if some:
        assert "one tool only" in texts(driver, "#scatter .empty")[0]


def test_five_thousand_rows_are_quick(visit: Callable[..., Any], tmp_path: Path) -> None:
    driver = visit(page_of(tmp_path / "results", rows(2500)))
    shown = len(texts(driver, "#rows tbody tr.row"))
    assert shown <= 240
    driver.execute_script("scrollTo(0, document.documentElement.scrollHeight)")
    wait_for(lambda: len(texts(driver, "#rows tbody tr.row")) > shown)
    choose(driver, "#f-q", "query_2499")
    assert texts(driver, "#count") == ["2 of 5,000 rows"]


@pytest.mark.parametrize(("width", "dark"), [(1300, False), (390, True)])
def test_it_is_accessible(visit: Callable[..., Any], tmp_path: Path, width: int, dark: bool) -> None:
    axe = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    path = page_of(tmp_path / "results", [*ROWS[:8], *([WRONG] if dark else [])], pictured=True)
    driver = visit(path, f"#row={row_id(ROWS[1])}", size=(width, 1000), dark=dark)
    driver.set_script_timeout(120)
    driver.execute_script((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = driver.execute_async_script("axe.run(document).then(arguments[arguments.length - 1])")
    said = [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]]
    assert said == []
    assert len(found["passes"]) > 20
