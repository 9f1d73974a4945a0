"""A real `rsitr serve` on the demo index, and a real browser in front of it: one of each for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from browser import Page, open_browser, visit
from rsitr.files import locked
from serving import serve


@pytest.fixture(scope="session")
def demo_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `rsitr serve --demo`; RSITR_TEST_SERVICE names one that is running already."""
    running = os.environ.get("RSITR_TEST_SERVICE")
    if running:
        yield running
        return
    folder = tmp_path_factory.mktemp("demo")
    _copy_demo(tmp_path_factory.getbasetemp().parent / "demo-of-all", into=folder)
    with serve("--demo", "--demo-dir", str(folder), log=folder / "serve.log") as address:
        yield address


def _copy_demo(common: Path, *, into: Path) -> None:
    """The demo's index, which takes half a minute: made by whichever process of the tests asks first."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return  # the service makes its own
    common.mkdir(exist_ok=True)
    with locked(common / "lock"):
        if not (common / "made").is_file():
            with serve("--demo", "--demo-dir", str(common / "demo"), log=common / "serve.log"):
                pass
            (common / "made").touch()
    shutil.copytree(common / "demo", into, dirs_exist_ok=True)


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
