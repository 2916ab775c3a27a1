"""Take the picture of a report that the documentation shows (needs Chromium with its driver, selenium and Pillow).

    slir-milp bench problems --timeout 5 --results results
    slir-milp bench problems --timeout 5 --slopes hand-crafted --results results
    python docs/pictures/report.py results [FILE]

Chromium is looked for on the path, as Debian's packages ``chromium`` and ``chromium-driver`` install it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from slir_milp.cli import main as slir_milp

WIDTH, HEIGHT = 1240, 1500
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip


def picture(page: Path) -> bytes:
    """The top of a page as PNG."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            driver.get(page.as_uri())
            return bytes(driver.get_screenshot_as_png())
        finally:
            driver.quit()


def main() -> None:
    """Write the report of a folder of results, and take its picture."""
    from PIL import Image

    results = Path(sys.argv[1])
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(__file__).with_suffix(".png")
    page = (results / "report.html").absolute()
    if slir_milp(["report", str(results), "--out", str(page), "--title", "The problems that come with slir-milp"]):
        raise SystemExit(2)
    image = Image.open(BytesIO(picture(page)))
    image.convert("RGB").quantize(96).save(target, optimize=True)


if __name__ == "__main__":
    main()
