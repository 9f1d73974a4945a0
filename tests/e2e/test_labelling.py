"""The page on which labels are given by key, in a real browser."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from rsitr.errors import SceneError
from rsitr.formats import make_label_page
from rsitr.search import read_marks
from rsitr.types import Hit, ImageArray, Tile

NAMES = ("a.tif", "<b>&\"'</script>.tif", "gone.tif", "d.tif")


class Pictures:
    def picture(self, tile: Tile, *, max_px: int) -> ImageArray:
        if tile.scene == "gone.tif":
            raise SceneError("gone.tif is not there")
        return np.full((20, 20, 3), 120, dtype=np.uint8)


def test_keys_give_labels_that_are_kept_and_read_back(chromium: Chrome, downloads: Path, tmp_path: Path) -> None:
    hits = [
        Hit(Tile(f"{name}:0,0,20,20", name, (0, 0, 20, 20)), score=0.5, rank=rank)
        for rank, name in enumerate(NAMES, start=1)
    ]
    html, missing = make_label_page([("“a, river”", hit, Pictures()) for hit in hits])
    assert len(missing) == 1
    (tmp_path / "labels.html").write_text(html, encoding="utf-8")
    chromium.get((tmp_path / "labels.html").as_uri())

    def shown() -> str:
        return chromium.find_element(By.ID, "about").text

    def press(*keys: str) -> None:
        for key in keys:
            chromium.find_element(By.TAG_NAME, "body").send_keys(key)

    assert chromium.find_element(By.ID, "query").text == "Is it “a, river”?"
    assert shown().startswith("1. a.tif:0,0,20,20")
    press("y", "n")
    assert shown().startswith("3. gone.tif")
    assert chromium.find_element(By.ID, "nopicture").is_displayed()
    press("s", Keys.BACKSPACE, "y")
    assert chromium.current_url.endswith("#yny-")
    chromium.refresh()
    assert shown().startswith("4. d.tif"), "labels outlive a reload"
    press("x")
    chromium.find_element(By.CSS_SELECTOR, "[data-key=n]").click()
    assert chromium.find_element(By.ID, "query").text == "All hits are labelled: save the labels."
    chromium.find_element(By.ID, "save").click()
    end = time.monotonic() + 20
    while not (downloads / "labels.csv").is_file() and time.monotonic() < end:
        time.sleep(0.05)
    marks = read_marks(downloads / "labels.csv")
    assert [(mark.tile, mark.right) for mark in marks] == [
        (f"{name}:0,0,20,20", right) for name, right in zip(NAMES, (True, False, True, False), strict=True)
    ]
    assert {mark.query for mark in marks} == {"“a, river”"}
    assert len(list(csv.reader((downloads / "labels.csv").read_text(encoding="utf-8").splitlines()))) == 5
