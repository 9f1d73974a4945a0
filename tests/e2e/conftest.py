"""A real `rsitr serve` on the demo index, and a real browser in front of it: one of each for all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from browser import Page, open_browser, visit
from serving import serve


@pytest.fixture(scope="session")
def demo_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `rsitr serve --demo`; RSITR_TEST_SERVICE names one that is running already."""
    running = os.environ.get("RSITR_TEST_SERVICE")
    if running:
        yield running
        return
    folder = tmp_path_factory.mktemp("demo")
    with serve("--demo", "--demo-dir", str(folder), log=folder / "serve.log") as address:
        yield address


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser. Where there is none, the tests of the page fail: a page that nobody has opened is not tested."""
    try:
        with open_browser(tmp_path_factory.mktemp("browser")) as driver:
            yield driver
    except LookupError as error:
        pytest.fail(str(error))


@pytest.fixture
def downloads(chromium: Chrome) -> Path:
    """Where the browser puts what is downloaded; empty."""
    folder = Path(chromium.capabilities["chrome"]["userDataDir"]).parent / "downloads"
    for file in folder.iterdir():
        file.unlink()
    return folder


@pytest.fixture
def page(chromium: Chrome, demo_service: str) -> Iterator[Page]:
    """The page of the demo's service; whatever a test does with it, nothing is complained about or asked elsewhere."""
    with visit(chromium, demo_service) as page:
        yield page
