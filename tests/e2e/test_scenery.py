"""What lies on the map: the scene that is spoken of, not another day's, and its own pixels closer up."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pyproj import Transformer
from rasterio import Affine
from selenium.webdriver import Chrome

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
    with visit(chromium, archive) as page:
        yield page


def look(page: Page) -> np.ndarray:
    """The part of the map around its middle, a bit below where outlines and pins are."""
    page.wait_for_map()
    picture = np.asarray(Image.open(io.BytesIO(page.find("#map").screenshot_as_png)).convert("RGB"))
    row, col = picture.shape[0] // 2 + 40, picture.shape[1] // 2 + 40
    return picture[row : row + 60, col : col + 60]


def shows(page: Page, colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(look(page).reshape(-1, 3).mean(axis=0) - colour).max() < 45)


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
