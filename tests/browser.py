"""The web page in a real Chromium without a window, driven as a person would."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

__all__ = ["DESKTOP", "PHONE", "Page", "find_barriers", "open_browser", "visit"]

DESKTOP, PHONE = (1440, 900), (390, 844)
COARSE = 0.5
"""Pixels of the screen to one of the page where nobody looks at them: software renders a fourth in half of the time."""
PATIENCE_S = 30.0
AXE = Path(__file__).resolve().parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
HARMLESS = ("GL Driver Message",)  # software rendering says how slow it is

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic",
    "--disable-default-apps", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--lang=en-GB",
)  # fmt: skip

T = TypeVar("T")


@contextmanager
def open_browser(folder: Path) -> Iterator[Chrome]:
    """A browser with a profile of its own, whose downloads land in `folder`/downloads.

    Raises:
        LookupError: Chromium or its driver is not installed.
    """
    programs = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    missing = [name for name, path in programs.items() if path is None]
    if missing:
        raise LookupError(
            f"{' and '.join(missing)} not found: the page is tested in a real browser. `make browser` installs it, or "
            "`apt-get install chromium chromium-driver`."
        )
    options = ChromeOptions()
    options.binary_location = str(programs["chromium"])
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = Chrome(options=options, service=Service(str(programs["chromedriver"])))
    try:
        downloads = folder / "downloads"
        downloads.mkdir(parents=True, exist_ok=True)
        driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(downloads), "eventsEnabled": True}
        )
        yield driver
    finally:
        driver.quit()


class Page:
    """One visit to the page of one service."""

    def __init__(self, driver: Chrome, address: str, *, sharp: bool = False) -> None:
        self.driver = driver
        self.address = address
        self._scale = 1.0 if sharp else COARSE
        self.requests: list[dict[str, Any]] = []
        self.transferred_bytes = 0
        self._complaints: list[str] = []
        self.look()
        self.collect()  # what happened before is not this page's
        self.requests.clear()
        self._complaints.clear()

    def look(self, size: tuple[int, int] = DESKTOP, *, dark: bool = False) -> None:
        """Take the size and the colours of a screen."""
        width, height = size
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": self._scale, "mobile": size == PHONE},
        )
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, fragment: str = "") -> None:
        """Load the page anew, with a fragment that says what to look for."""
        self.collect()
        self.driver.get("about:blank")
        self.driver.get(f"{self.address}/{'#' if fragment else ''}{fragment}")

    def leave(self) -> None:
        """Forget everything that the page has stored, and the size of the screen."""
        if self.driver.current_url.startswith(self.address):
            self.run("localStorage.clear(); sessionStorage.clear()")
        self.driver.get("about:blank")

    def run(self, script: str, *args: Any) -> Any:
        """Run a function body in the page."""
        return self.driver.execute_script(script, *args)  # type: ignore[no-untyped-call]

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def find_all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def button(self, name: str, inside: str = "body") -> WebElement:
        """The visible button of that name."""
        script = """return [...document.querySelectorAll(arguments[0] + ' button')].filter(b => b.checkVisibility()
          && (b.getAttribute('aria-label') ?? b.textContent) === arguments[1])"""
        (found,) = self.run(script, inside, name)
        return found

    def wait(self, ready: Callable[[], T], what: str) -> T:
        """Wait until something is so; returns what made it so."""
        end = time.monotonic() + PATIENCE_S
        while True:
            found = ready()
            if found:
                return found
            if time.monotonic() > end:
                raise AssertionError(f"after {PATIENCE_S:.0f} s: {what}; the page says {self.status!r}")
            time.sleep(0.05)

    def search(self, text: str) -> None:
        """Type words into the search box, press Enter, and wait for the results."""
        box = self.find("#q")
        box.clear()
        box.send_keys(text, Keys.ENTER)
        self.wait(lambda: self.described == f"“{text}”", f"no results for {text}")
        self.settle()

    def settle(self) -> None:
        """Wait until results are shown, and the map shows them as well."""
        self.wait(lambda: self.find_all(".card:not(.skeleton)") or self.find_all(".banner:not([hidden])"), "no results")
        self.wait(lambda: not self.find_all(".results[aria-busy]"), "the page is still searching")
        self.wait_for_map()

    def wait_for_map(self) -> None:
        if self.run("return innerWidth <= 760 && document.getElementById('app').dataset.pane === 'list'"):
            return  # a phone that shows the list has no map yet
        placed = """return [...document.querySelectorAll('.card:not(.skeleton)')]
          .filter(card => !('unplaced' in card.dataset)).length"""
        self.wait(lambda: len(self.find_all(".pin")) == self.run(placed), "the map does not show the results")

    def wait_for_overviews(self) -> None:
        """Wait until the map has all of its pictures."""
        self.wait(lambda: self.find_all("#map:not([aria-busy])"), "the map is still loading")

    @property
    def described(self) -> str:
        """What the title of the page says was searched for."""
        return self.driver.title.removesuffix(" – rsitr")

    @property
    def status(self) -> str:
        """What was said last to assistive technology."""
        found = self.find_all("#status")
        return str(self.run("return arguments[0].textContent", found[0])) if found else ""

    @property
    def keys(self) -> list[str]:
        """The tiles of the results, in their order."""
        return list(self.run("return [...document.querySelectorAll('.card[data-key]')].map(c => c.dataset.key)"))

    @property
    def fragment(self) -> str:
        return urlsplit(self.driver.current_url).fragment

    def press(self, *keys: str) -> None:
        """Press keys where the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self, script: str) -> Any:
        """Something about the focused element, `e`."""
        return self.run(f"const e = document.activeElement; return {script}")

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag on the map, from one point to another in parts of its width and height."""
        canvas = self.find("#map")
        width, height = canvas.size["width"], canvas.size["height"]

        def offset(at: tuple[float, float]) -> tuple[int, int]:
            return round((at[0] - 0.5) * width), round((at[1] - 0.5) * height)

        actions = ActionChains(self.driver, duration=50)
        actions.move_to_element_with_offset(canvas, *offset(start)).click_and_hold()
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
        actions.move_to_element_with_offset(canvas, *offset(middle)).move_to_element_with_offset(canvas, *offset(end))
        actions.release().perform()

    def click_map(self, *points: tuple[float, float]) -> None:
        """Click on the map, at points in parts of its width and height."""
        canvas = self.find("#map")
        for x, y in points:
            dx, dy = round((x - 0.5) * canvas.size["width"]), round((y - 0.5) * canvas.size["height"])
            ActionChains(self.driver, duration=50).move_to_element_with_offset(canvas, dx, dy).click().perform()
            time.sleep(0.35)  # two clicks in a shorter time would be one double click

    def collect(self) -> None:
        """Note what the browser asked for and complained about since it was last asked."""
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"])
            elif message["method"] == "Network.loadingFinished":
                self.transferred_bytes += int(message["params"]["encodedDataLength"])
        for entry in self.driver.get_log("browser"):  # type: ignore[no-untyped-call]
            if not any(known in entry["message"] for known in HARMLESS):
                self._complaints.append(f"{entry['level']}: {entry['message']}")

    @property
    def complaints(self) -> list[str]:
        """What stands in the browser's console."""
        self.collect()
        return self._complaints

    @property
    def foreign(self) -> list[str]:
        """Requests that went anywhere but to the service."""
        self.collect()
        own = ("data:", "blob:", "about:", self.address)
        return [request["url"] for request in self.requests if not request["url"].startswith(own)]


@contextmanager
def visit(driver: Chrome, address: str, *, expected: str = "", sharp: bool = False) -> Iterator[Page]:
    """A page, and after its use the checks that hold for every use.

    Args:
        driver: the browser.
        address: of the service.
        expected: complaints that contain it are expected.
        sharp: every pixel of the page is one of the screen; for tests that look at pixels.
    """
    page = Page(driver, address, sharp=sharp)
    try:
        yield page
        assert [said for said in page.complaints if not expected or expected not in said] == []
        assert page.foreign == []
    finally:
        page.leave()


def find_barriers(page: Page, *, only: str = "") -> list[str]:
    """What axe-core calls serious or critical: of all rules, or of one alone.

    Raises:
        LookupError: it is not installed.
    """
    if not AXE.is_file():
        raise LookupError("axe-core is not there: run `npm install` in web/ (`make page` does)")
    if not page.run("return !!window.axe"):
        page.run(AXE.read_text(encoding="utf-8"))
    script = """const [only, done] = arguments, rules = only ? {runOnly: {type: 'rule', values: [only]}} : {};
        axe.run(document, {resultTypes: ['violations'], ...rules}).then(done)"""
    found = page.driver.execute_async_script(script, only)  # type: ignore[no-untyped-call]
    return [
        f"{violation['id']}: {node['html']} {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
