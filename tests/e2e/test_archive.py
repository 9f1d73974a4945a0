"""What the demo's index lacks: the same ground on several days, a picture without a place, and a key to ask for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import rasterio
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from browser import Page, visit
from rsitr.demo.drawing.scene import draw_scene
from rsitr.demo.raster import write_scene
from rsitr.index import Settings, ingest
from rsitr.models import load_model
from rsitr.service import add_key
from serving import serve

DAYS = ("12 Feb 2024", "14 May 2021")


@dataclass(frozen=True)
class Archive:
    """A service that asks for a key."""

    address: str
    key: str


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """Serves two scenes of one place, and a photograph."""
    folder = tmp_path_factory.mktemp("archive")
    scenes = folder / "scenes"
    scenes.mkdir()
    pixels = draw_scene(seed=0, size_px=1024).pixels
    write_scene(pixels, scenes / "town-2024.tif", seed=0)
    with rasterio.open(scenes / "town-2024.tif") as recent:
        profile = {name: recent.profile[name] for name in ("width", "height", "count", "dtype", "crs", "transform")}
    with rasterio.open(scenes / "town-2021.tif", "w", driver="GTiff", **profile) as earlier:
        earlier.write(np.moveaxis(pixels // 10 * 9, 2, 0))
        earlier.update_tags(ACQUISITION_DATE="2021-05-14")
    Image.fromarray(pixels[300:556, 300:556]).save(scenes / "photograph.jpg")
    report = ingest([scenes], into=folder / "index", encoder=load_model("compact"), settings=Settings(tile_px=256))
    assert not report.failures
    key = add_key("read", folder / "keys")
    with serve(str(folder / "index"), "--keys", str(folder / "keys"), log=folder / "serve.log") as address:
        yield Archive(address, key)


@pytest.fixture
def page(chromium: Chrome, archive: Archive) -> Iterator[Page]:
    """The page with a key."""
    with visit(chromium, archive.address, expected="401") as page:
        page.open()
        answer(page, archive.key)
        page.wait(lambda: len(page.find_all(".scene")) == 3, "the scenes are not shown")
        yield page


def answer(page: Page, key: str) -> None:
    """Give a key when asked."""
    page.wait(lambda: page.find_all("dialog[open] #answer"), "no key is asked for")
    page.find("#answer").send_keys(key, Keys.ENTER)
    given = "return ![...document.querySelectorAll('#answer')].some(input => input.value)"
    page.wait(lambda: page.run(given), "the dialog stays")


def test_a_wrong_key_is_asked_for_again(chromium: Chrome, archive: Archive) -> None:
    with visit(chromium, archive.address, expected="401") as page:
        page.open()
        answer(page, "wrong")
        answer(page, archive.key)
        page.wait(lambda: page.find_all(".scene"), "the right key opens nothing")


def test_pictures_are_shown_with_a_key(page: Page) -> None:
    page.search("houses")
    page.wait(lambda: page.find_all(".card .picture.loaded"), "no picture is shown")
    assert str(page.find(".card img").get_attribute("src")).startswith("blob:")


def test_a_place_that_was_seen_twice_has_a_time_line(page: Page) -> None:
    page.search("houses")
    (card, *_) = [card for card in page.find_all(".card") if "2 days" in card.text]
    card.find_element("css selector", ".open").click()
    page.wait(lambda: page.find_all(".timeline"), "there is no time line")
    assert page.find(".timeline h3").text == "Seen on 2 days"
    sightings = page.find_all(".sighting")
    assert {sighting.find_element("css selector", ".when").text for sighting in sightings} == set(DAYS)
    other = next(sighting for sighting in sightings if sighting.get_attribute("aria-pressed") == "false")
    day = other.find_element("css selector", ".when").text
    other.click()
    page.wait(lambda: day in str(page.find(".figure .base").get_attribute("alt")), "the other day is not shown")
    assert day in page.find(".fact-list").text


def test_a_picture_without_a_place_says_so(page: Page) -> None:
    page.search("houses")
    page.button("Tiles").click()
    page.wait(lambda: len(page.keys) == 24, "not every tile is shown by itself")
    page.button("Show more").click()
    page.wait(lambda: len(page.keys) == 33, "not all tiles are shown")
    card = page.find(".card[data-key^='photograph.jpg']")
    assert "no place on Earth" in card.text
    page.wait(lambda: len(page.find_all(".pin")) == 32, "the map shows what has no place")
    page.run("arguments[0].click()", card.find_element("css selector", ".open"))
    page.wait(lambda: "no place on Earth" in page.find(".fact-list").text, "the details do not say so")
    offered = [button.text for button in page.find_all(".detail .actions button") if button.is_displayed()]
    assert offered == ["More like this", "Copy link"]


def test_who_may_only_read_is_offered_no_saving(page: Page) -> None:
    page.search("houses")
    page.find(".card .vote.right").click()
    page.wait(lambda: "Refined by 1 right" in page.find(".refined").text, "the search is not refined")
    assert "Save as detector" not in page.find(".refined").text
