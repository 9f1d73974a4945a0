"""What lies on the map: the scene that is spoken of, not another day's, its own pixels closer up, and what is below."""

from __future__ import annotations

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image
from pyproj import Geod, Transformer
from rasterio import Affine
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from browser import Page, visit
from rasters import write_raster
from rsitr.index import Settings, ingest
from rsitr.models import load_model
from serving import serve

SIDE_PX = 3072
RED, BLUE = (200, 40, 40), (40, 40, 200)
MIDDLE = (-99.0, 47.02)


def checks(colour: tuple[int, int, int]) -> np.ndarray:
    """A colour with a pattern of single pixels, which no reduced picture shows."""
    rows, cols = np.mgrid[0:SIDE_PX, 0:SIDE_PX]
    light = ((rows + cols) % 2 * 110 - 55).astype(np.int16)
    return np.stack([np.clip(value + light, 0, 255) for value in colour]).astype(np.uint8)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serves one ground in red (2010) and in blue (2020)."""
    folder = tmp_path_factory.mktemp("ground")
    place = {"crs": "EPSG:32614", "transform": _around(MIDDLE)}
    write_raster(folder / "ground_20100629.tif", checks(RED), **place)
    write_raster(folder / "ground_20200831.tif", checks(BLUE), **place)
    ingest([folder], into=folder / "index", encoder=load_model("compact"), settings=Settings(tile_px=1024))
    with serve(str(folder / "index"), log=folder / "serve.log") as address:
        yield address


def _around(middle: tuple[float, float]) -> Affine:
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32614", always_xy=True).transform(*middle)
    return Affine(1, 0, x - SIDE_PX / 2, 0, -1, y + SIDE_PX / 2)


@pytest.fixture
def page(chromium: Chrome, archive: str) -> Iterator[Page]:
    with visit(chromium, archive, sharp=True) as page:
        yield page


def look(page: Page) -> np.ndarray:
    """The part of the map around its middle, a bit below where outlines and pins are."""
    page.wait_for_map()
    picture = np.asarray(Image.open(io.BytesIO(page.find("#map").screenshot_as_png)).convert("RGB"))
    row, col = picture.shape[0] // 2 + 40, picture.shape[1] // 2 + 40
    return picture[row : row + 60, col : col + 60]


def shows(page: Page, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(look(page).reshape(-1, 3).mean(axis=0) - colour).max() < 45)


def shows_beside(page: Page, colour: tuple[int, int, int], across: float) -> bool:
    """Whether the map has a colour at a part of its width, above its middle."""
    picture = np.asarray(Image.open(io.BytesIO(page.find("#map").screenshot_as_png)).convert("RGB"))
    row, col = round(0.33 * picture.shape[0]), round(across * picture.shape[1])
    part = picture[row - 15 : row + 15, col - 15 : col + 15].reshape(-1, 3).mean(axis=0)
    return bool(np.abs(part - colour).max() < 45)


def set_range(page: Page, selector: str, value: int) -> None:
    script = "const [s, v] = arguments, i = document.querySelector(s); i.value = v; i.dispatchEvent(new Event('input'))"
    page.run(script, selector, value)


def choose_scene(page: Page, name: str) -> None:
    (entry,) = [scene for scene in page.find_all(".scene") if name in scene.text]
    entry.click()


def test_the_scene_that_was_chosen_is_on_top(page: Page) -> None:
    page.open()
    page.wait(lambda: len(page.find_all(".scene")) == 2, "the scenes are not listed")
    page.wait(lambda: shows(page, BLUE), "the latest scene is not on top at first")
    choose_scene(page, "20100629")
    page.wait(lambda: shows(page, RED), "the scene of 2010 is hidden by that of 2020")
    choose_scene(page, "20200831")
    page.wait(lambda: shows(page, BLUE), "the scene of 2020 is hidden by that of 2010")


def test_days_that_the_search_leaves_out_are_not_on_the_map(page: Page) -> None:
    page.open("q=water&until=2012-01-01")
    page.wait(lambda: page.find_all(".summary"), "nothing was answered")
    page.wait(lambda: shows(page, RED), "the map shows a day that the search leaves out")
    page.open("q=water&since=2012-01-01")
    page.wait(lambda: shows(page, BLUE), "the map shows a day that the search leaves out")


def test_a_large_scene_is_sharp_closer_up(page: Page) -> None:
    page.open(f"at={MIDDLE[0]},{MIDDLE[1]},17.2")
    page.wait(lambda: look(page).std() > 40, "single pixels cannot be told apart")
    page.collect()
    assert any("/tiles/" in request["url"] and request["url"].endswith(".webp") for request in page.requests)


def test_scenes_are_hidden_and_faded_one_by_one(page: Page) -> None:
    page.open()
    page.wait(lambda: len(page.find_all(".scene")) == 2, "the scenes are not listed")
    page.wait(lambda: shows(page, BLUE), "the latest scene is not on top at first")
    page.find("#layers").click()
    latest, _ = page.find_all(".layer")
    blue = latest.get_attribute("data-scene")
    assert "ground_20200831.tif" in latest.text
    latest.find_element("css selector", "input[type=checkbox]").click()
    page.wait(lambda: shows(page, RED), "the scene of 2020 is not hidden")
    assert parse_qs(page.fragment)["off"] == [blue]
    page.open(page.fragment)
    page.wait(lambda: shows(page, RED), "the address does not tell what is hidden")
    page.find("#layers").click()
    page.button("Show all").click()
    page.wait(lambda: shows(page, BLUE), "it is not shown again")
    set_range(page, f".layer[data-scene='{blue}'] input[type=range]", 50)
    half = tuple((a + b) // 2 for a, b in zip(RED, BLUE, strict=True))
    page.wait(lambda: shows(page, (half[0], half[1], half[2])), "it does not let the other through")
    assert parse_qs(page.fragment)["opacity"] == [f"{blue}:50"]
    page.press(Keys.ESCAPE)
    assert not page.find(".layers-panel").is_displayed()
    page.find("#layers").click()
    page.button(f"Show all of {earlier_name(page)}").click()
    page.wait(lambda: shows(page, RED), "what is asked for by name is not on top")


def earlier_name(page: Page) -> str:
    return str(page.run("return document.querySelectorAll('.layer .what')[1].textContent"))


def test_lines_of_longitude_and_latitude(page: Page) -> None:
    page.open(f"at={MIDDLE[0]},{MIDDLE[1]},9&ground=graticule")
    page.wait(lambda: page.find_all(".graticule .meridian"), "there are no lines")
    assert "99° W" in {label.text for label in page.find_all(".graticule .meridian")}
    assert "47° N" in {label.text for label in page.find_all(".graticule .parallel")}
    page.find("#layers").click()
    assert page.find("#background").get_attribute("value") == "graticule"
    assert page.find_all("#background option[value=tiles]") == [], "no tiles are offered where none are set"
    page.find("#background").send_keys("Nothing")
    page.wait(lambda: not page.find_all(".graticule .meridian"), "the lines stay")
    assert parse_qs(page.fragment)["ground"] == ["none"]


def test_the_cursor_tells_where_it_is(page: Page) -> None:
    page.open(f"at={MIDDLE[0]},{MIDDLE[1]},15")
    page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
    page.wait_for_overviews()
    ActionChains(page.driver).move_to_element(page.find("#map")).perform()
    page.wait(lambda: page.find(".map-cursor").text.startswith("47.0"), "the cursor tells nothing")
    lat, lon = (float(part.split("°")[0]) for part in page.find(".map-cursor").text.split(", "))
    assert (lon, lat) == pytest.approx((-MIDDLE[0], MIDDLE[1]), abs=1e-4)
    assert page.find(".maplibregl-ctrl-scale").text.endswith("m")


def test_ways_and_ground_are_measured(page: Page) -> None:
    page.open(f"at={MIDDLE[0]},{MIDDLE[1]},14")
    page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
    page.wait_for_overviews()
    page.find("#measure").click()
    points = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7))
    places = []
    for at in points:
        page.click_map(at)
        lat, lon = (float(part.split("°")[0]) for part in page.find(".map-cursor").text.split(", "))
        places.append((-lon, lat))
    said = page.find(".measured").text
    way, closed = said.split(" · closed ")
    around, ground = closed.split(" around ")
    geod = Geod(ellps="WGS84")
    lons, lats = zip(*places, strict=True)
    assert metres(way) == pytest.approx(geod.line_length(lons, lats), rel=0.006)
    area_m2, around_m = geod.polygon_area_perimeter(lons, lats)
    assert metres(around) == pytest.approx(around_m, rel=0.006)
    assert metres(ground) == pytest.approx(abs(area_m2), rel=0.012)
    assert not page.find_all(".detail:not([hidden])"), "a click that measures opens nothing"
    page.press(Keys.BACKSPACE)
    page.wait(lambda: page.find(".measured").text != said, "Backspace takes nothing back")
    page.press(Keys.ESCAPE)
    assert not page.find(".measured").is_displayed()


def metres(said: str) -> float:
    """A length or an area, in metres or square metres."""
    number, unit = said.replace(",", "").split(" ")
    return float(number) * {"m": 1, "km": 1e3, "m²": 1, "ha": 1e4, "km²": 1e6}[unit]


def test_the_ground_is_no_void(page: Page) -> None:
    page.open("at=10,20,1")
    page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
    page.wait_for_overviews()
    page.wait(lambda: np.asarray(screenshot(page)).reshape(-1, 3).std(axis=0).max() > 5, "there are no coasts")
    page.collect()
    assert any("/static/world-" in request["url"] for request in page.requests)


def screenshot(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.find("#map").screenshot_as_png)).convert("RGB").crop((100, 300, 600, 500))


def test_tiles_of_ones_own_lie_below(chromium: Chrome, tmp_path: Path) -> None:
    """They come from another site: the one that the service was told, and nothing else does."""
    green = io.BytesIO()
    Image.new("RGB", (256, 256), (40, 200, 40)).save(green, "PNG")

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(green.getvalue())

        def log_message(self, *_: object) -> None:
            pass

    write_raster(tmp_path / "scenes" / "a_20200831.tif", checks(RED), crs="EPSG:32614", transform=_around(MIDDLE))
    ingest(
        [tmp_path / "scenes"], into=tmp_path / "index", encoder=load_model("compact"), settings=Settings(tile_px=1024)
    )
    with HTTPServer(("127.0.0.1", 0), Tiles) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        with serve(
            str(tmp_path / "index"), "--background", f"{host}/{{z}}/{{x}}/{{y}}.png", log=tmp_path / "log"
        ) as address:
            page = Page(chromium, address)
            page.open("at=10,20,4")
            page.wait(lambda: shows(page, (40, 200, 40)), "the tiles are not shown")
            assert page.foreign
            assert all(url.startswith(host) for url in page.foreign)
            assert page.complaints == []
            page.requests.clear()
            page.open("at=30,40,4&ground=none")
            page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
            page.wait_for_overviews()
            assert page.foreign == [], "who chooses nothing below asks nobody"
            page.leave()
        server.shutdown()


@pytest.fixture
def opened(page: Page) -> Page:
    """The details of a result, whose ground fills the map."""
    page.open(f"q=water&at={MIDDLE[0]},{MIDDLE[1]},14.5")
    page.settle()
    page.find(".card .open").click()
    page.wait(lambda: len(page.find_all(".sighting")) == 2, "the days of the ground are not shown")
    return page


def day_of(page: Page, when: str) -> WebElement:
    (found,) = [day for day in page.find_all(".sighting") if when in day.text]
    return found


def test_the_map_shows_the_day_that_is_chosen(opened: Page) -> None:
    page = opened
    assert page.find(".timeline h3").text == "Seen on 2 days"
    for when, colour in (("29 Jun 2010", RED), ("31 Aug 2020", BLUE), ("29 Jun 2010", RED)):
        day_of(page, when).click()
        page.wait(lambda when=when: day_of(page, when).get_attribute("aria-pressed") == "true", "it is not chosen")
        page.wait(lambda colour=colour: shows_beside(page, colour, 0.5), f"the map does not show {when}")
        assert parse_qs(page.fragment)["day"] == [day_of(page, when).get_attribute("data-scene")]
        assert when in page.find(".fact-list").text
    link = page.fragment
    page.open(link)
    page.wait(lambda: page.find_all(".sighting"), "the link opens no details")
    page.wait(lambda: day_of(page, "29 Jun 2010").get_attribute("aria-pressed") == "true", "nor the day")
    page.wait(lambda: shows_beside(page, RED, 0.5), "nor does the map show it")
    page.run("document.activeElement.blur()")
    page.press(".")
    page.wait(lambda: shows_beside(page, BLUE, 0.5), "the key for the day after does nothing")
    page.driver.back()
    page.wait(lambda: shows_beside(page, RED, 0.5), "Back does not lead to the day before")


def test_two_days_are_compared(opened: Page) -> None:
    page = opened
    day_of(page, "29 Jun 2010").click()
    page.wait(lambda: page.find_all("#against option"), "nothing to compare with is offered")
    page.find("#against").send_keys("31 Aug 2020")
    page.wait(lambda: page.find_all(".border"), "there is no border on the map")
    page.wait(lambda: shows_beside(page, BLUE, 0.75) and shows_beside(page, RED, 0.25), "both days are not shown")
    assert page.find(".figure .other").is_displayed()
    width = page.find("#map").size["width"]
    ActionChains(page.driver, duration=50).click_and_hold(page.find(".border")).move_by_offset(
        round(-0.4 * width), 0
    ).release().perform()
    page.wait(lambda: shows_beside(page, BLUE, 0.25), "the border cannot be dragged")
    assert int(parse_qs(page.fragment)["split"][0]) == pytest.approx(10, abs=2)
    set_range(page, "#split", 90)
    page.wait(lambda: shows_beside(page, RED, 0.75), "the slider does not move the border")
    set_range(page, "#split", 0)
    set_range(page, "#fade", 50)
    half = tuple((a + b) // 2 for a, b in zip(RED, BLUE, strict=True))
    page.wait(lambda: shows_beside(page, (half[0], half[1], half[2]), 0.75), "the other day lets nothing through")
    page.open(page.fragment)
    page.wait(lambda: page.find_all(".border"), "the link does not compare")
    page.wait(lambda: shows_beside(page, (half[0], half[1], half[2]), 0.75), "nor by the same opacity")
    page.button("Close details").click()
    page.wait(lambda: not page.find_all(".border"), "the border stays")
    assert "with" not in parse_qs(page.fragment)


def test_the_days_are_played(opened: Page) -> None:
    page = opened
    shown = page.run("return document.querySelector('.sighting[aria-pressed=true]').dataset.scene")
    entries = page.run("return history.length")
    page.find("#play").click()
    other = "return document.querySelector('.sighting[aria-pressed=true]').dataset.scene !== arguments[0]"
    page.wait(lambda: page.run(other, shown), "the next day does not come")
    page.wait(lambda: not page.run(other, shown), "and after the last not the first")
    assert page.run("return document.getElementById('play').ariaPressed") == "true"
    assert page.run("return history.length") == entries, "Back would lead through every day that was played"
    # At once, in the page: the strip is drawn anew with every day, and what was found in it may be gone.
    page.run("[...document.querySelectorAll('.sighting')].find(day => day.textContent.includes('29 Jun 2010')).click()")
    page.wait(
        lambda: page.run("return document.getElementById('play').ariaPressed") == "false",
        "it plays on over what was chosen",
    )


def test_all_tiles_are_coloured_by_how_well_they_fit(page: Page) -> None:
    def cells() -> int:
        return int(page.find("#map").get_attribute("data-heat") or 0)

    page.open(f"q=water&at={MIDDLE[0]},{MIDDLE[1]},13")
    page.settle()
    page.find("#layers").click()
    page.find("#heat").click()
    page.wait(cells, "nothing is coloured")
    page.find("#layers").click()
    by_itself = cells()
    assert page.find(".heat-legend .note").text == f"{by_itself} tiles in view"
    assert parse_qs(page.fragment)["heat"] == ["1"]
    page.open(f"q=water&heat=1&at={MIDDLE[0]},{MIDDLE[1]},7")
    page.settle()
    page.wait(cells, "the address does not tell that tiles are coloured")
    assert cells() < by_itself
    assert "joined in hexagons" in page.find(".heat-legend .note").text
    page.find("#layers").click()
    page.find("#heat").click()
    page.wait(lambda: not page.find(".heat-legend").is_displayed(), "the colours stay")
    assert "heat" not in parse_qs(page.fragment)
