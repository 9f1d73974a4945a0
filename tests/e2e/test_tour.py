"""The page from beginning to end: one browser, one service, all that a person does in a day, on a desk and on a phone.

In every state axe-core finds nothing serious, in light and dark; nothing is complained about, and nobody else is asked.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from browser import DESKTOP, PHONE, Page, find_barriers
from rsitr.demo.raster import write_scene
from rsitr.index import Settings, ingest
from rsitr.models.zoo import load_encoder
from serving import serve

TANKS, HOUSES = "storage tanks", "a dense residential area"
BANNER, DETAIL = ".banner:not(.trouble)", ".detail:not([hidden])"
HEAT = "const i = document.querySelector('.figure .heat'); return !!i && !i.hidden && i.naturalWidth > 0"
TOAST = "return document.querySelector('.toast').textContent"  # which is gone from sight after a while
DROP = """
    const [name, content] = arguments, dataTransfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
    dataTransfer.items.add(new File([bytes], name));
    for (const kind of ['dragenter', 'dragover', 'drop'])
      document.body.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory, demo_service: str) -> Path:
    """An index of one ground on two days: the demo's, half as fine, which need not be drawn again."""
    folder = tmp_path_factory.mktemp("tour")
    scenes = folder / "scenes"
    scenes.mkdir()
    with urllib.request.urlopen(f"{demo_service}/api/scenes") as answer:
        (scene,) = json.load(answer)["scenes"]
    with urllib.request.urlopen(f"{demo_service}{scene['overview']}?max_px=1536") as answer:
        pixels = np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB"))
    write_scene(pixels, scenes / "town-2024.tif", seed=0)
    with rasterio.open(scenes / "town-2024.tif") as recent:
        profile = {name: recent.profile[name] for name in ("width", "height", "count", "dtype", "crs", "transform")}
    with rasterio.open(scenes / "town-2021.tif", "w", driver="GTiff", **profile) as earlier:
        earlier.write(np.moveaxis(pixels // 10 * 9, 2, 0))
        earlier.update_tags(ACQUISITION_DATE="2021-05-14")
    settings = Settings(tile_px=128)
    assert not ingest([scenes], into=folder / "index", encoder=load_encoder("lookout"), settings=settings).failures
    return folder / "index"


@dataclass
class Tour:
    """A visit, and where its files lie."""

    page: Page
    downloads: Path
    size: tuple[int, int] = DESKTOP

    def parts(self) -> dict[str, list[str]]:
        """What the address says."""
        return parse_qs(self.page.fragment)

    def ask(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.page.address}/api/{path}") as answer:
            return bytes(answer.read())

    def check(self, state: str) -> None:
        """Nothing is in anybody's way; colours alone differ in the dark."""
        assert find_barriers(self.page) == [], state
        self.page.look(self.size, dark=True)
        assert find_barriers(self.page, only="color-contrast") == [], f"{state}, dark"
        self.page.look(self.size)

    def downloaded(self, name: str) -> Path:
        file = self.downloads / name
        self.page.wait(lambda: file.exists() and file.stat().st_size, f"{name} is not downloaded")
        return file

    def focus_card(self, at: int) -> None:
        self.page.run("document.querySelectorAll('.card .open')[arguments[0]].focus()", at)

    def open_first(self) -> None:
        self.page.find(".card .open").click()
        self.page.wait(lambda: self.page.find_all(DETAIL), "no details")


def search_by_words(tour: Tour) -> None:
    page = tour.page
    page.open()
    page.wait(lambda: page.find_all(".scene"), "the index is not shown")
    tour.check("start")
    page.search("an elephant riding a bicycle")
    assert page.find(BANNER).text.startswith("Nothing here matches “an elephant riding a bicycle”.")
    assert page.find(BANNER).text in page.status
    tour.check("nothing")
    page.run("location.hash = 'q=storage+tanks&since=2030-01-01'")
    page.wait(lambda: "No tile passes the filters" in page.find(BANNER).text, "a later day still finds tiles")
    tour.check("empty")
    page.button("Clear filters").click()
    page.wait(lambda: "since" not in tour.parts(), "the filter stays")
    page.settle()
    page.search(TANKS)
    ranks = [str(rank) for rank in range(1, len(page.keys) + 1)]
    assert len(ranks) > 2
    assert [rank.text for rank in page.find_all(".card .rank")] == ranks
    assert {pin.get_attribute("textContent") for pin in page.find_all(".pin")} == set(ranks)
    page.wait(lambda: page.find_all(".card .picture.loaded"), "no picture is shown")
    assert f"for “{TANKS}”" in page.status
    assert tour.parts()["q"] == [TANKS]
    tour.check("results")


def search_by_picture(tour: Tour, folder: Path) -> None:
    page, tile = tour.page, tour.page.keys[0]
    (folder / "mine.jpg").write_bytes(tour.ask(f"tiles/{quote(tile)}/picture.jpg?size=256"))
    page.find("#q").clear()
    page.find("#q").send_keys(Keys.ENTER)
    page.wait(lambda: page.find_all(".start:not([hidden])"), "the words are still searched for")
    page.driver.back()
    page.wait(lambda: page.find_all(".card:not(.skeleton)"), "Back does not lead back")
    page.driver.forward()
    page.wait(lambda: page.find_all(".start:not([hidden])"), "Forward does not lead to the start")
    page.find("#picture-file").send_keys(str(folder / "mine.jpg"))
    page.wait(lambda: page.find_all(".card:not(.skeleton)"), "the picture finds nothing")
    page.settle()
    assert page.keys[0] == tile
    assert page.find(".chip img").get_attribute("src")
    page.button("Remove your picture").click()
    page.wait(lambda: page.find_all(".start:not([hidden])"), "the picture is still searched for")


def search_in_a_box_and_an_outline(tour: Tour) -> None:
    page = tour.page
    page.search(HOUSES)
    everywhere = page.keys
    page.find("#draw-box").click()
    page.drag((0.2, 0.2), (0.5, 0.85))
    (bbox,) = page.wait(lambda: tour.parts().get("bbox"), "no box")
    west, south, east, north = map(float, bbox.split(","))
    page.settle()
    assert page.keys
    assert page.keys != everywhere
    assert "Box" in page.find("#area").text
    for key in page.keys:
        left, below, right, above = json.loads(tour.ask(f"tiles/{quote(key)}"))["bbox"]
        assert left <= east, key
        assert right >= west, key
        assert below <= north, key
        assert above >= south, key
    page.button("Search anywhere").click()
    page.wait(lambda: "bbox" not in tour.parts() and page.keys == everywhere, "the box is still there")
    page.find("#measure").click()
    tour.check("measuring")
    page.find("#draw-polygon").click()
    page.click_map((0.3, 0.3), (0.6, 0.3), (0.5, 0.7))
    page.press(Keys.ENTER)
    (area,) = page.wait(lambda: tour.parts().get("area"), "no outline")
    assert len(area.split(";")) == 3
    page.settle()
    assert "Drawn outline" in page.find("#area").text
    page.find("#move-corners").click()
    page.wait(lambda: page.find_all(".corner"), "no corners")
    tour.check("corners")
    page.press(Keys.ESCAPE)
    page.button("Search anywhere").click()
    page.wait(lambda: "area" not in tour.parts() and page.keys == everywhere, "the outline is still there")


def search_in_a_file(tour: Tour) -> None:
    page = tour.page
    everywhere = page.keys
    west, south, east, north = json.loads(tour.ask("index"))["bbox"]
    part = shapely.box(west, south, west + 0.4 * (east - west), south + 0.8 * (north - south))
    content = json.dumps(shapely.geometry.mapping(part)).encode()
    page.run(DROP, "field.geojson", base64.b64encode(content).decode())
    page.wait(lambda: tour.parts().get("area"), "the file is no area")
    page.settle()
    assert page.keys
    assert page.keys != everywhere
    assert "field.geojson: 1 outline, 4 corners." in str(page.run(TOAST))
    page.find("#area").click()
    assert page.find("#area-panel").is_displayed()
    tour.check("area")
    page.press(Keys.ESCAPE)
    page.find("#layers").click()
    tour.check("layers")
    page.press(Keys.ESCAPE)
    page.button("Search anywhere").click()
    page.wait(lambda: page.keys == everywhere, "the area is still there")


def look_at_days(tour: Tour) -> None:
    page = tour.page
    page.search(TANKS)
    tour.open_first()
    page.wait(lambda: len(page.find_all(".sighting")) == 2, "the days of the ground are not shown")
    (earlier,) = [day for day in page.find_all(".sighting") if "14 May 2021" in day.text]
    scene = str(earlier.get_attribute("data-scene"))
    earlier.click()
    page.wait(lambda: tour.parts().get("day") == [scene], "the day is not chosen")
    assert "14 May 2021" in page.find(".fact-list").text
    page.find("#against").send_keys("12 Feb 2024")
    page.wait(lambda: page.find_all(".border"), "nothing is laid over the map")
    page.wait(lambda: page.find(".figure .other").is_displayed(), "nor over the picture")
    assert tour.parts()["with"]
    tour.check("comparison")
    page.find("#why").click()
    page.wait(lambda: page.run(HEAT), "there is no heat map")
    tour.check("details")
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.find_all(DETAIL), "Escape closes nothing")


def mark_and_undo(tour: Tour) -> None:
    page = tour.page
    before, (right, *_) = page.keys, page.keys
    tour.focus_card(0)
    page.press("y")
    page.wait(lambda: "Refined by 1 right" in page.find(".refined").text, "the search is not refined")
    page.settle()
    assert page.keys[0] == right
    wrong = page.keys[-1]
    page.find(f".card[data-key='{wrong}'] .vote.wrong").click()
    page.wait(lambda: "1 right, 1 wrong" in page.find(".refined").text, "the second mark refines nothing")
    assert (tour.parts()["right"], tour.parts()["wrong"]) == ([right], [wrong])
    page.settle()
    page.find("#paint").click()
    page.drag((0.4, 0.5), (0.6, 0.5))
    page.wait(lambda: int(page.find(".painted").get_attribute("data-n") or 0) > 1, "the brush gathers nothing")
    tour.check("painting")
    page.press(Keys.ESCAPE)
    page.button("Undo").click()
    page.wait(lambda: "1 wrong" not in page.find(".refined").text, "the mark is not taken back")
    page.settle()
    tour.check("marked")
    page.button("Clear marks").click()
    page.wait(lambda: page.keys == before, "the marks are still there")
    assert "right" not in tour.parts()
    page.settle()


def review_and_export(tour: Tour) -> None:
    page = tour.page
    page.find("#review").click()
    page.wait(lambda: page.find_all(".review:not([hidden])"), "no review begins")
    page.wait(lambda: page.find(".detail h2").text == "Result 1", "the first result is not open")
    assert f"0 of {len(page.keys)} reviewed" in page.find("#review-told").text
    tour.check("review")
    page.find("#reviewer").send_keys("Ada", Keys.TAB)
    page.run("document.activeElement.blur()")
    keys = page.keys
    for number, (key, told) in enumerate((("y", "1 yes"), ("n", "1 yes, 1 no")), 2):
        page.press(key)
        page.wait(lambda told=told: told in page.find("#review-told").text, f"it does not tell {told}")
        page.wait(lambda number=number: page.find(".detail h2").text == f"Result {number}", "it does not go on")
    page.press("e")
    assert page.focused("e.id") == "review-note"
    page.press("half a tank", Keys.ENTER)
    page.press("u")
    page.wait(lambda: "1 yes, 1 no, 1 unsure" in page.find("#review-told").text, "it does not tell all three")
    kept = json.loads(tour.ask("reviews"))["reviews"]
    assert {one["tile"]: (one["verdict"], one["note"], one["who"]) for one in kept} == {
        keys[0]: ("yes", "", "Ada"),
        keys[1]: ("no", "", "Ada"),
        keys[2]: ("unsure", "half a tank", "Ada"),
    }
    assert all(one["when"] for one in kept)
    for form in ("GeoJSON", "GeoPackage", "KML", "CSV"):
        page.run("arguments[0].click()", page.button(f"Save the confirmed as {form}"))
    for name in ("geojson", "gpkg", "kml"):
        assert list(geopandas.read_file(tour.downloaded(f"confirmed.{name}"))["tile"]) == [keys[0]], name
    assert keys[0] in tour.downloaded("confirmed.csv").read_text()
    assert keys[1] not in tour.downloaded("confirmed.csv").read_text()
    page.button("GeoJSON", inside=".toolbar").click()
    collection = json.loads(tour.downloaded("places.geojson").read_text())
    assert [feature["id"] for feature in collection["features"]] == keys
    assert {feature["geometry"]["type"] for feature in collection["features"]} <= {"Polygon", "MultiPolygon"}
    assert (collection["query"], collection["model"], collection["state"]) == (f"“{TANKS}”", "lookout", "matches")
    assert {feature["properties"]["suitability"] for feature in collection["features"]} == {"good"}
    page.button("CSV", inside=".toolbar").click()
    rows = list(csv.DictReader(tour.downloaded("places.csv").read_text().splitlines()))
    assert [row["tile"] for row in rows] == keys
    assert all(-90 <= float(row["latitude"]) <= 90 for row in rows)


def follow_a_link(tour: Tour) -> None:
    """All of it again from the address alone, as after a reload or for a colleague."""
    page = tour.page
    keys, link = page.keys, page.fragment
    assert tour.parts()["review"] == ["1"]
    page.open(link)
    page.settle()
    page.wait(lambda: page.find_all(".review:not([hidden])"), "the review is not taken up")
    page.wait(lambda: "1 yes, 1 no, 1 unsure" in page.find("#review-told").text, "what was said is forgotten")
    assert page.keys == keys
    assert page.find("#q").get_attribute("value") == TANKS
    verdicts = [page.find(f".card[data-key='{key}']").get_attribute("data-verdict") for key in keys[:3]]
    assert verdicts == ["yes", "no", "unsure"]
    page.wait(lambda: page.run(HEAT), "the heat map is not shown again")
    assert page.find("#reviewer").get_attribute("value") == "Ada"
    assert tour.parts()["at"] == parse_qs(link)["at"], "the map shows something else"
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.find_all(DETAIL), "Escape closes nothing")


def go_back(tour: Tour) -> None:
    page, first = tour.page, tour.page.keys
    page.search(HOUSES)
    second = page.keys
    tour.open_first()
    page.driver.back()
    page.wait(lambda: not page.find_all(DETAIL), "Back leaves the details open")
    page.driver.back()
    page.wait(lambda: page.keys == first, "Back does not lead back")
    assert page.find("#q").get_attribute("value") == TANKS
    page.driver.forward()
    page.wait(lambda: page.keys == second, "Forward does not lead forward")
    page.settle()


def lose_the_service(tour: Tour) -> None:
    page = tour.page
    page.find("#q").send_keys(" with trees", Keys.ENTER)
    page.wait(lambda: "cannot be reached" in page.find(".banner.trouble").text, "nothing is said of the dead service")
    assert not any(card.is_displayed() for card in page.find_all(".card")), "no result, and no skeleton, is left"
    assert page.find_all(".pin") == [], "nor on the map"
    assert not page.find(".toolbar").is_displayed(), "nothing old can be exported"
    tour.check("trouble")


def find_it_again(tour: Tour) -> None:
    page = tour.page
    page.wait(lambda: page.described == f"“{HOUSES} with trees”", "the page does not recover by itself")
    page.settle()
    assert not page.find(".banner.trouble").is_displayed()
    assert len(json.loads(tour.ask("reviews"))["reviews"]) == 3, "what was said is kept"
    expected = ("ERR_CONNECTION", "503")  # nobody is there, and then a service that loads its model
    assert [said for said in page.complaints if not any(one in said for one in expected)] == []
    page._complaints.clear()


def use_a_phone(tour: Tour) -> None:
    page = tour.page
    tour.size = PHONE
    page.look(PHONE)
    page.open()
    page.wait(lambda: page.find_all(".scene"), "the index is not shown")
    tour.check("start on a phone")
    page.search("an elephant")
    tour.check("nothing on a phone")
    page.search(TANKS)
    assert page.find(".card").is_displayed()
    tour.check("results on a phone")
    page.find(".switch button:last-child").click()
    page.wait(lambda: page.find_all(".pin"), "the map, which comes when it is looked at, does not come")
    assert page.find(".pin").is_displayed()
    assert not page.find(".card").is_displayed()
    for opener, state in (("#layers", "layers"), ("#measure", "measuring"), ("#paint", "painting")):
        page.find(opener).click()
        tour.check(f"{state} on a phone")
        page.press(Keys.ESCAPE)
    page.find("#draw-polygon").click()
    page.click_map((0.3, 0.4), (0.6, 0.4), (0.5, 0.7))
    page.press(Keys.ENTER)
    page.wait(lambda: tour.parts().get("area"), "no outline")
    page.find("#move-corners").click()
    page.wait(lambda: page.find_all(".corner"), "no corners")
    tour.check("corners on a phone")
    page.press(Keys.ESCAPE)
    page.button("Search anywhere").click()
    page.wait(lambda: "area" not in tour.parts(), "the outline is still there")
    page.button("Filters").click()
    assert page.find("#since").is_displayed()
    page.find("#area").click()
    tour.check("area on a phone")
    page.press(Keys.ESCAPE)
    page.button("Filters").click()
    page.find(".switch button:first-child").click()
    page.search(TANKS)
    tour.open_first()
    assert page.find(".detail").size["width"] == PHONE[0]
    tour.check("details on a phone")
    page.button("Close details").click()
    page.find("#review").click()
    page.wait(lambda: page.find_all(".review:not([hidden])"), "no review")
    assert page.find(".choice.yes").is_displayed()
    tour.check("review on a phone")
    assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]
    page.button("Close details").click()
    page.button("Help and keys").click()
    tour.check("help on a phone")
    page.press(Keys.ESCAPE)


@pytest.fixture
def tour(chromium: Chrome, downloads: Path) -> Tour:
    return Tour(Page(chromium, ""), downloads)


def test_a_whole_tour(tour: Tour, index: Path, tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    with serve(str(index), log=log) as address:
        page = tour.page = Page(tour.page.driver, address)
        begun = time.monotonic()
        search_by_words(tour)
        search_by_picture(tour, tmp_path)
        search_in_a_box_and_an_outline(tour)
        search_in_a_file(tour)
        look_at_days(tour)
        mark_and_undo(tour)
        review_and_export(tour)
        follow_a_link(tour)
        go_back(tour)
        page.button("Help and keys").click()
        tour.check("help")
        page.press(Keys.ESCAPE)
        assert page.complaints == []
    lose_the_service(tour)
    with serve(str(index), log=log, port=int(address.rpartition(":")[2])):
        find_it_again(tour)
        use_a_phone(tour)
        print(f"the tour took {time.monotonic() - begun:.0f} s")
        assert page.complaints == []
        assert page.foreign == []
        page.leave()
