"""Detectors and saved searches on the page: saved, found again with what is new, gone on with, compared, let go."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import numpy as np
import pytest
import rasterio
from affine import Affine
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from browser import DESKTOP, PHONE, Page, find_barriers, visit
from rsitr.demo.drawing.scene import draw_scene
from rsitr.demo.raster import write_scene
from rsitr.index import Settings, ingest
from rsitr.models.zoo import load_encoder
from serving import serve

TANKS, CUT = "storage tanks", Settings(tile_px=128)


@dataclass(frozen=True)
class Place:
    """A service on an index that may grow."""

    address: str
    folder: Path

    def ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.address}/api/{quote(path, safe='/?=&:')}") as answer:
            return json.load(answer)

    def grow(self) -> None:
        """Index a second scene: some of the tanks of the first, somewhere else."""
        with rasterio.open(self.folder / "scenes" / "town.tif") as town:
            column, row, *_ = self.ask(f"search?q={TANKS}&k=1&places=false")["hits"][0]["window_px"]
            pixels = town.read()[:, row : row + 128, column : column + 128]
            profile = {name: town.profile[name] for name in ("count", "dtype", "crs")}
            moved = Affine.translation(5000.0, 0.0) @ town.transform
        path = self.folder / "scenes" / "later.tif"
        with rasterio.open(path, "w", driver="GTiff", width=256, height=128, transform=moved, **profile) as later:
            later.write(np.concatenate([pixels, pixels[:, ::-1]], axis=2))
        report = ingest([path.parent], into=self.folder / "index", encoder=load_encoder("lookout"), settings=CUT)
        assert not report.failures


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("kept")
    (folder / "scenes").mkdir()
    write_scene(draw_scene(seed=0, size_px=1024).pixels, folder / "scenes" / "town.tif", seed=0)
    ingest([folder / "scenes"], into=folder / "index", encoder=load_encoder("lookout"), settings=CUT)
    with serve(str(folder / "index"), log=folder / "serve.log") as address:
        yield Place(address, folder)


@pytest.fixture
def page(chromium: Chrome, place: Place) -> Iterator[Page]:
    with visit(chromium, place.address) as page:
        yield page


def name_it(page: Page, name: str, title: str) -> None:
    page.wait(lambda: page.find_all("dialog[open]") and page.find("dialog h2").text == title, f"nobody asks: {title}")
    page.find("dialog input").clear()
    page.find("dialog input").send_keys(name, Keys.ENTER)
    page.wait(lambda: not page.find_all("dialog input"), "the dialog stays")


def row(page: Page, reference: str) -> str:
    script = "return document.querySelector(`.kept-row[data-kept='${arguments[0]}']`).innerText"
    return str(page.run(script, reference))


def wait_for_rows(page: Page, *references: str) -> None:
    def names() -> list[str]:
        return list(page.run("return [...document.querySelectorAll('.kept-row')].map(row => row.dataset.kept)"))

    page.wait(lambda: names() == list(references), f"the list does not have {references}")
    page.wait(lambda: not page.find_all(".kept-row[aria-busy]"), "what they find does not come")


def test_detectors_and_saved_searches_are_things(page: Page, place: Place) -> None:
    page.open()
    page.search(TANKS)
    assert not [asked for asked in page.requests if "/kept-" in asked["url"]], "its code comes when it is used"
    page.find("#save-search").click()
    name_it(page, "tanks", "Save this search")
    page.wait(lambda: page.status == "Saved as “tanks”.", "it is not saved")
    found = place.ask("saved/tanks/finds")
    assert (found["n_new"], found["query"]) == (0, "“storage tanks”")
    assert found["n_finds"] > 8
    page.find("#save-search").click()  # the same name again is asked about first
    name_it(page, "tanks", "Save this search")
    page.wait(lambda: page.find_all("dialog[role=alertdialog]"), "it is replaced without asking")
    page.button("Replace", inside="dialog").click()
    page.wait(lambda: not page.find_all("dialog"), "the dialog stays")

    page.button("Tiles").click()
    page.wait(lambda: parse_qs(page.fragment).get("tiles"), "no tiles")
    page.settle()
    keys = page.keys
    for tile, key in ((keys[-1], "n"), (keys[0], "y"), (keys[1], "y")):
        page.run("document.querySelector(`.card[data-key='${arguments[0]}'] .open`).focus()", tile)
        page.press(key)
    page.wait(lambda: page.find(".refined").text.startswith("Refined by 2 right, 1 wrong"), "nothing is marked")
    page.settle()
    page.button("Save as detector").click()
    name_it(page, "round things", "Save as a detector")
    page.wait(lambda: page.status == "Saved as detector “round things”.", "it is not saved")
    assert place.ask("detectors/round things/finds")["n_new"] == 0

    place.grow()
    page.run("document.activeElement.blur()")
    page.press("k")
    wait_for_rows(page, "detectors:round things", "saved:tanks")
    assert page.focused("e.textContent") == "Saved"
    assert not page.find("#grid").is_displayed()
    assert "2 right, 1 wrong · precision" in row(page, "detectors:round things")
    assert "each was judged by what the others teach" in row(page, "detectors:round things")
    page.wait(lambda: "2 new" in row(page, "saved:tanks"), "nothing is new")
    page.wait(lambda: len(page.find_all(".thumbs img")) == 2 + 4, "no pictures")
    assert parse_qs(page.fragment)["kept"] == ["1"]
    for size, dark in ((DESKTOP, False), ((1024, 768), True), (PHONE, False), (PHONE, True)):
        page.look(size, dark=dark)
        assert page.find(".kept-row").is_displayed()
        assert page.run("return document.documentElement.scrollWidth") <= size[0]
        assert find_barriers(page) == [], f"{size}, dark: {dark}"
    page.look()

    page.open(page.fragment)  # a reload: the panel is a view
    wait_for_rows(page, "detectors:round things", "saved:tanks")
    page.button("Show new: tanks").click()
    page.wait(lambda: page.find(".finds-bar").is_displayed(), "nothing says whose finds they are")
    page.settle()
    assert page.find(".finds-bar").text.startswith("New finds of “tanks”")
    assert {key.split(":")[0] for key in page.keys} == {"later.tif"}
    assert parse_qs(page.fragment)["finds"] == ["new,saved:tanks"]
    assert find_barriers(page) == []
    page.find(".card .open").click()
    page.wait(lambda: page.find(".detail").is_displayed(), "no details")
    page.open(page.fragment)
    page.settle()
    assert len(page.keys) == 2
    page.press(Keys.ESCAPE)
    page.button("All looked at").click()
    wait_for_rows(page, "detectors:round things", "saved:tanks")
    page.wait(lambda: "0 new" in row(page, "saved:tanks"), "they are new still")
    assert place.ask("saved/tanks/finds")["n_new"] == 0

    new = place.ask("detectors/round things/finds")
    page.button("Show new: round things").click()  # what is new is marked, and learned from
    page.wait(lambda: page.find(".finds-bar").is_displayed(), "nothing says whose finds they are")
    page.wait(lambda: page.keys == [hit["tile"] for hit in new["new"]], "not the new ones")
    page.run("document.querySelector('.card .open').focus()")
    page.press("y")
    page.wait(lambda: page.find(".refined").text.startswith("Refined by 3 right, 1 wrong"), "nothing is marked")
    assert len(page.keys) == new["n_new"], "they stay"
    page.button("Save as detector").click()
    page.wait(lambda: page.find_all("dialog[open]"), "nobody asks for a name")
    assert page.find("dialog input").get_attribute("value") == "round things"
    page.press(Keys.ENTER)
    page.wait(lambda: place.ask("detectors/round things")["n_right"] == 3, "it has not learned")
    page.wait(lambda: place.ask("detectors/round things/finds")["n_new"] == 0, "they are still new")
    page.button("Back to what is saved").click()
    wait_for_rows(page, "detectors:round things", "saved:tanks")

    page.button("Go on marking: round things").click()
    page.wait(lambda: page.find(".refined").text.startswith("Refined by 3 right, 1 wrong"), "its marks are not back")
    page.settle()
    assert page.find("#q").get_attribute("value") == TANKS
    assert parse_qs(page.fragment)["as"] == ["round things"]
    page.button("Undo").click()
    page.wait(lambda: page.find(".refined").text.startswith("Refined by 2 right, 1 wrong"), "no mark is taken back")
    page.settle()
    page.button("Save as detector").click()
    page.wait(lambda: page.find_all("dialog[open]"), "nobody asks for a name")
    page.press(Keys.ENTER)
    page.wait(lambda: place.ask("detectors/round things")["n_right"] == 2, "a mark cannot be taken back")

    page.find("#open-kept").click()
    wait_for_rows(page, "detectors:round things", "saved:tanks")
    for box in page.find_all(".kept-row input"):
        box.click()
    page.wait(lambda: "Both:" in page.find(".comparison-of-two").text, "nothing is compared")
    told = place.ask("compare?first=detectors:round things&second=saved:tanks")
    assert f"Both: {told['n_both']}" in page.find(".comparison-of-two").text
    assert f"Only round things: {told['n_first']}" in page.find(".comparison-of-two").text
    assert parse_qs(page.fragment)["kept"] == ["detectors:round things,saved:tanks"]
    assert find_barriers(page) == []
    page.button(f"Both: {told['n_both']}").click()
    page.wait(lambda: page.find(".finds-bar").is_displayed(), "nothing says whose finds they are")
    page.wait(lambda: page.keys == [hit["tile"] for hit in told["both"]], "not what both find")
    page.open(page.fragment)
    page.wait(lambda: page.keys == [hit["tile"] for hit in told["both"]], "a link does not lead there")
    page.settle()
    page.button("Back to what is saved").click()
    wait_for_rows(page, "detectors:round things", "saved:tanks")
    assert page.find(".comparison-of-two").is_displayed()

    page.button("Rename: tanks").click()
    name_it(page, "all tanks", "Rename the saved search")
    wait_for_rows(page, "detectors:round things", "saved:all tanks")
    assert parse_qs(page.fragment)["kept"] == ["detectors:round things,saved:all tanks"], "it is compared still"
    page.button("Run: all tanks").click()
    page.wait(lambda: page.described == f"“{TANKS}”", "it does not run")
    page.settle()
    assert not page.find(".kept").is_displayed()
    page.driver.back()
    wait_for_rows(page, "detectors:round things", "saved:all tanks")
    page.button("Run: round things").click()
    page.wait(lambda: page.described == "detector round things", "it does not run")
    page.find("#open-kept").click()
    wait_for_rows(page, "detectors:round things", "saved:all tanks")
    page.button("Delete: round things").click()
    page.wait(lambda: page.find_all("dialog[role=alertdialog]"), "it is deleted without asking")
    assert page.focused("e.textContent") == "Cancel"
    assert find_barriers(page) == []
    page.press(Keys.ESCAPE)
    page.button("Delete: round things").click()
    page.button("Delete", inside="dialog").click()
    wait_for_rows(page, "saved:all tanks")
    assert place.ask("detectors") == {"detectors": []}
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.find(".kept").is_displayed(), "it does not close")
    assert page.focused("e.id") == "open-kept"
    assert page.complaints == []
