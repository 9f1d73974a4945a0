"""The map as a way to ask: areas that are dropped, pasted and opened, corners that are moved, a click on the ground."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import geopandas
import pytest
import shapely
from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

from browser import PHONE, Page

HOUSES = "a dense residential area"
TOAST = "return document.querySelector('.toast').textContent"  # which is gone from sight after a while
DROP = """
    const [name, content] = arguments, dataTransfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
    dataTransfer.items.add(new File([bytes], name));
    for (const kind of ['dragenter', 'dragover', 'drop'])
      document.body.dispatchEvent(new DragEvent(kind, {dataTransfer, bubbles: true, cancelable: true}));"""
PASTE = """
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', arguments[0]);
    const paste = new ClipboardEvent('paste', {clipboardData, bubbles: true, cancelable: true});
    document.activeElement.dispatchEvent(paste);"""


def parts(page: Page) -> dict[str, list[str]]:
    return parse_qs(page.fragment)


def outlines(page: Page) -> list[shapely.Polygon]:
    """The area that the address tells."""
    found = []
    for text in parts(page).get("area", []):
        rings = [[tuple(map(float, at.split(","))) for at in ring.split(";")] for ring in text.split("|")]
        found.append(shapely.Polygon(rings[0], rings[1:]))
    return found


@pytest.fixture
def quarter(page: Page) -> Any:
    """A part of the demo's ground that holds some of its houses, but not all."""
    page.open()
    page.search(HOUSES)
    script = """
      const done = arguments[arguments.length - 1];
      fetch('api/index').then(r => r.json()).then(index => done(index.bbox))"""
    west, south, east, north = page.driver.execute_async_script(script)  # type: ignore[no-untyped-call]
    return shapely.box(west, south, west + 0.4 * (east - west), south + 0.6 * (north - south))


def as_file(shape: Any, kind: str, folder: Path) -> Path:
    frame = geopandas.GeoDataFrame({"name": ["field"]}, geometry=[shape], crs="EPSG:4326")
    path = folder / f"field.{kind}"
    if kind == "wkt":
        path.write_text(shape.wkt)
    elif kind == "gpx":
        track = geopandas.GeoDataFrame(geometry=[shapely.LineString(shape.exterior.coords)], crs="EPSG:4326")
        track.to_file(path, driver="GPX", layer="routes")
    else:
        frame.to_file(path, driver={"geojson": "GeoJSON", "kml": "LIBKML", "gpkg": "GPKG"}[kind])
    return path


def test_a_file_that_is_dropped_limits_the_search(page: Page, quarter: Any, tmp_path: Path) -> None:
    everywhere = page.keys
    for kind in ("geojson", "kml", "gpx", "gpkg", "wkt"):
        file = as_file(quarter, kind, tmp_path)
        page.run(DROP, file.name, base64.b64encode(file.read_bytes()).decode())
        page.wait(lambda: parts(page).get("area"), f"the {kind} is no area")
        page.settle()
        (outline,) = outlines(page)
        assert outline.symmetric_difference(quarter).area < 1e-3 * quarter.area, kind
        page.wait(lambda: page.keys and page.keys != everywhere, f"nothing else is found in the {kind}")
        assert set(page.keys) != set(everywhere), kind
        assert f"{file.name}: 1 outline, 4 corners." in str(page.run(TOAST))
        assert "Drawn outline" in page.find("#area").text
        page.button("Search anywhere").click()
        page.wait(lambda: page.keys == everywhere, f"the {kind} is still searched in")
        page.settle()


def test_text_that_is_pasted_limits_the_search(page: Page, quarter: Any) -> None:
    page.find("#q").click()
    two = shapely.MultiPolygon(
        [
            quarter,
            shapely.transform(quarter, lambda xy: xy + 1)
            - shapely.transform(quarter.buffer(-0.002), lambda xy: xy + 1),
        ]
    )
    page.run(PASTE, json.dumps(shapely.geometry.mapping(two)))
    page.wait(lambda: len(outlines(page)) == 2, "the pasted text is no area")
    page.settle()
    assert page.find("#q").get_attribute("value") == HOUSES, "it is no words to search for"
    assert len(outlines(page)[1].interiors) == 1, "a hole stays a hole"
    assert "2 outlines" in page.find("#area").text
    link, keys = page.fragment, page.keys
    page.open(link)
    page.settle()
    assert page.keys == keys
    assert page.fragment.split("&at=")[0] == link.split("&at=")[0]


def test_a_file_can_be_opened_and_a_track_is_widened(page: Page, quarter: Any, tmp_path: Path) -> None:
    path = tmp_path / "walk.wkt"
    west, south, east, north = quarter.bounds
    path.write_text(f"LINESTRING ({west} {south}, {east} {north})")
    page.find("#area-file").send_keys(str(path))
    page.wait(lambda: parts(page).get("area"), "the file is no area")
    assert "walk.wkt: 1 outline" in page.find(".toast").text
    assert "250 m around" in page.find(".toast").text


def test_what_is_no_area_is_refused_in_words(page: Page) -> None:
    page.open()
    page.wait(lambda: page.find_all(".scene"), "the index is not shown")
    for number, content in enumerate(("<html></html>", "POLYGON ((1 2, 3", "{]", "POINT (400000 5000000)")):
        name = f"notes{number}.txt"
        page.run(DROP, name, base64.b64encode(content.encode()).decode())
        page.wait(lambda name=name: f"{name}: " in page.find(".trouble").text, f"nothing is said of {content}")
        assert "area" not in parts(page)
    assert sum("422" in said for said in page.complaints) == 4
    page._complaints.clear()  # the browser's own word on the refusals


def drag(page: Page, start: Any, dx: int, dy: int) -> None:
    actions = ActionChains(page.driver, duration=50)
    actions.click_and_hold(start).move_by_offset(dx // 2, dy // 2).move_by_offset(dx - dx // 2, dy - dy // 2)
    actions.release().perform()


def test_corners_are_dragged_added_and_removed(page: Page) -> None:
    page.open()
    page.search(HOUSES)
    page.find("#draw-polygon").click()
    page.click_map((0.3, 0.3), (0.7, 0.3), (0.5, 0.7))
    page.press(Keys.ENTER)
    page.wait(lambda: outlines(page), "no outline")
    page.find("#move-corners").click()
    before = outlines(page)[0]
    drag(page, page.find_all(".corner:not(.middle)")[2], 60, 40)
    page.wait(lambda: outlines(page)[0] != before, "the corner stays")
    after = outlines(page)[0]
    assert list(after.exterior.coords)[:2] == list(before.exterior.coords)[:2]
    assert len(page.find_all(".corner.middle")) == 3
    drag(page, page.find_all(".corner.middle")[0], 0, -40)
    page.wait(lambda: len(outlines(page)[0].exterior.coords) == 5, "no corner is added")
    assert len(page.find_all(".corner:not(.middle)")) == 4
    page.run("arguments[0].focus()", page.find_all(".corner:not(.middle)")[1])
    page.press(Keys.DELETE)
    page.wait(lambda: len(outlines(page)[0].exterior.coords) == 4, "the corner is not removed")
    assert outlines(page)[0].equals(after)
    page.driver.back()
    page.wait(lambda: len(outlines(page)[0].exterior.coords) == 5, "Back does not take the step back")
    page.wait(lambda: len(page.find_all(".corner:not(.middle)")) == 4, "the handles do not follow")
    page.press(Keys.ESCAPE)
    assert not page.find_all(".corner")
    assert page.find("#move-corners").get_attribute("aria-pressed") == "false"


def test_a_corner_moves_by_key_and_a_box_stays_a_box(page: Page) -> None:
    page.open()
    page.search(HOUSES)
    page.find("#draw-box").click()
    page.drag((0.3, 0.3), (0.6, 0.6))
    page.wait(lambda: parts(page).get("bbox"), "no box")
    west, south, east, north = map(float, parts(page)["bbox"][0].split(","))
    page.find("#move-corners").click()
    assert len(page.find_all(".corner")) == 4
    page.run("arguments[0].focus()", page.find_all(".corner")[2])
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    page.wait(
        lambda: (
            parts(page)["bbox"][0] != f"{west:g},{south:g},{east:g},{north:g}"
            and float(parts(page)["bbox"][0].split(",")[2]) > east
        ),
        "the corner stays",
    )
    moved = list(map(float, parts(page)["bbox"][0].split(",")))
    assert moved[:2] == pytest.approx([west, south], abs=2e-6)
    assert moved[2] > east
    assert moved[3] > north
    assert "Corner 3 of 4" in str(page.focused("e.getAttribute('aria-label')")), "the handle keeps the focus"


def test_an_outline_is_not_dragged_across_itself(page: Page) -> None:
    page.open()
    page.search(HOUSES)
    page.find("#draw-polygon").click()
    page.click_map((0.3, 0.3), (0.6, 0.3), (0.6, 0.6), (0.3, 0.6))
    page.press(Keys.ENTER)
    page.wait(lambda: outlines(page), "no outline")
    before = outlines(page)
    page.find("#move-corners").click()
    width = page.find("#map").size["width"]
    drag(page, page.find_all(".corner:not(.middle)")[0], round(0.45 * width), 60)
    page.wait(lambda: "cross itself" in page.find(".toast").text, "nothing is said")
    assert outlines(page) == before
    page.wait(lambda: len(page.find_all(".corner:not(.middle)")) == 4, "the handles are gone")


def test_a_click_on_the_ground_shows_its_tile_or_says_that_there_is_none(page: Page) -> None:
    page.open()
    page.wait(lambda: page.find_all(".scene"), "the index is not shown")
    page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
    page.wait_for_overviews()
    page.click_map((0.02, 0.5))
    page.wait(lambda: "No tile of this index lies at" in page.find(".toast").text, "nothing is said")
    assert not page.find_all(".detail:not([hidden])")
    page.click_map((0.5, 0.5))
    page.wait(lambda: page.find_all(".detail:not([hidden])"), "a click on the ground shows nothing")
    (tile,) = parts(page)["show"]
    assert tile.startswith("scene.tif:")
    assert page.find(".detail h2").text == "scene.tif"
    page.run("arguments[0].click()", page.button("More like this"))
    page.wait(lambda: parts(page).get("like") == [tile], "it is not searched for")
    page.settle()


def test_an_area_can_be_given_on_a_phone(page: Page, tmp_path: Path) -> None:
    page.look(PHONE)
    page.open(f"q={HOUSES.replace(' ', '+')}")
    page.settle()
    page.button("Filters").click()
    page.find("#area").click()
    assert page.button("Open a file").is_displayed()
