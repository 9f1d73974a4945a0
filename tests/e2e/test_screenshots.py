"""The pictures of the page in docs/images: `make screenshots` writes them there, a test run into a temporary folder."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver import Chrome

from browser import DESKTOP, PHONE, Page, visit

MOST_BYTES = 300_000
QUALITY = 82
# Those below the fold are loaded when they are scrolled to.
PICTURES = """
    const isSeen = i => { const r = i.getBoundingClientRect(); return r.top < innerHeight && r.bottom > 0; };
    return [...document.querySelectorAll('.results img, .detail img')].filter(isSeen).every(i => i.complete);
"""


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Where the pictures go: RSITR_SCREENSHOTS, else nowhere that lasts."""
    named = os.environ.get("RSITR_SCREENSHOTS")
    return Path(named) if named else tmp_path


@pytest.fixture
def page(chromium: Chrome, demo_service: str) -> Iterator[Page]:
    with visit(chromium, demo_service, sharp=True) as page:
        yield page


def keep(page: Page, path: Path) -> None:
    """Save what the page shows, once its pictures are there."""
    page.wait(lambda: page.run(PICTURES), "pictures are missing")
    page.wait_for_overviews()
    page.run("document.activeElement?.blur()")
    picture = Image.open(io.BytesIO(page.driver.get_screenshot_as_png())).convert("RGB")
    assert np.asarray(picture).std() > 20, "there is nothing to see"
    picture.save(path, quality=QUALITY, method=6)
    assert path.stat().st_size < MOST_BYTES


def test_results_on_the_map(page: Page, album: Path) -> None:
    page.look(DESKTOP)
    page.open()
    page.search("storage tanks")
    keep(page, album / "page.webp")


def test_why_a_place_was_found(page: Page, album: Path) -> None:
    page.look(DESKTOP, dark=True)
    page.open("q=storage+tanks&why=1")
    page.settle()
    page.find(".card .open").click()
    heat = "const i = document.querySelector('.figure .heat'); return i.complete && i.naturalWidth > 0"
    page.wait(lambda: page.run(heat), "there is no heat map")
    keep(page, album / "page-why.webp")


def test_a_phone(page: Page, album: Path) -> None:
    page.look(PHONE)
    page.open()
    page.search("storage tanks")
    keep(page, album / "page-phone.webp")


def test_nothing_matches(page: Page, album: Path) -> None:
    page.look(DESKTOP)
    page.open()
    page.search("an elephant in the savanna")
    keep(page, album / "page-nothing.webp")
