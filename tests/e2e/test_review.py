"""Reviewing results on the page: by key, with a note; what was said survives a reload, and the confirmed are saved."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlencode

import geopandas
import pytest
from selenium.webdriver.common.keys import Keys

from browser import PHONE, Page

TANKS = "storage tanks"


@pytest.fixture
def reviewing(page: Page) -> Iterator[Page]:
    """A review that has begun; what is said is forgotten afterwards."""
    page.open()
    page.search(TANKS)
    page.find("#review").click()
    page.wait(lambda: page.find_all(".review:not([hidden])"), "no review begins")
    page.wait(lambda: page.find(".detail h2").text == "Result 1", "the first result is not open")
    yield page
    for review in said(page):
        gone = urlencode({"query": review["query"], "tile": review["tile"]})
        urllib.request.urlopen(urllib.request.Request(f"{page.address}/api/reviews?{gone}", method="DELETE"))


def said(page: Page) -> list[dict[str, str]]:
    """What the service keeps."""
    with urllib.request.urlopen(f"{page.address}/api/reviews") as answer:
        return list(json.load(answer)["reviews"])


def wait_for(page: Page, told: str) -> None:
    page.wait(lambda: told in page.find("#review-told").text, f"it does not tell {told}")


def test_results_are_reviewed_by_key(reviewing: Page, downloads: Path) -> None:
    page = reviewing
    keys = page.keys
    wait_for(page, f"0 of {len(keys)} reviewed")
    page.find("#reviewer").send_keys("Ada", Keys.TAB)
    page.run("document.activeElement.blur()")
    page.press("y")
    wait_for(page, f"1 of {len(keys)} reviewed: 1 yes")
    page.wait(lambda: page.find(".detail h2").text == "Result 2", "it does not go on")
    page.press("n")
    wait_for(page, "1 yes, 1 no")
    page.wait(lambda: page.find(".detail h2").text == "Result 3", "it does not go on")
    page.press("e")
    assert page.focused("e.id") == "review-note"
    page.press("half a tank", Keys.ENTER)
    page.press("u")
    wait_for(page, "1 yes, 1 no, 1 unsure")
    kept = {review["tile"]: (review["verdict"], review["note"], review["who"]) for review in said(page)}
    assert kept == {
        keys[0]: ("yes", "", "Ada"),
        keys[1]: ("no", "", "Ada"),
        keys[2]: ("unsure", "half a tank", "Ada"),
    }
    assert all(review["when"] for review in said(page))
    assert page.find(f".card[data-key='{keys[1]}']").get_attribute("data-verdict") == "no"
    assert parse_qs(page.fragment)["review"] == ["1"]

    page.open(page.fragment)  # a reload, or a colleague with the link
    page.settle()
    wait_for(page, "1 yes, 1 no, 1 unsure")
    assert page.find(f".card[data-key='{keys[0]}']").get_attribute("data-verdict") == "yes"
    assert page.find("#reviewer").get_attribute("value") == "Ada"

    for form in ("GeoJSON", "GeoPackage", "KML", "CSV"):
        page.run("arguments[0].click()", page.button(f"Save the confirmed as {form}"))
    files = {name: downloads / f"confirmed.{name}" for name in ("geojson", "gpkg", "kml", "csv")}
    end = time.monotonic() + 20
    while not all(file.exists() for file in files.values()):
        assert time.monotonic() < end, f"only {sorted(downloads.iterdir())} were downloaded"
        time.sleep(0.1)
    for name in ("geojson", "gpkg", "kml"):
        assert list(geopandas.read_file(files[name])["tile"]) == [keys[0]], name
    assert keys[0] in files["csv"].read_text()
    assert keys[1] not in files["csv"].read_text()


def test_a_verdict_can_be_changed_and_taken_back(reviewing: Page) -> None:
    page = reviewing
    page.press("y")
    wait_for(page, "1 yes")
    page.run("arguments[0].click()", page.button("Previous result"))
    page.wait(lambda: page.find(".detail h2").text == "Result 1", "it does not go back")
    pressed = ".choice.yes[aria-pressed=true]"
    page.wait(lambda: page.find_all(pressed), "what was said of it is not shown")
    page.press("n")
    wait_for(page, "0 yes, 1 no")
    page.run("arguments[0].click()", page.button("Previous result"))
    page.wait(lambda: page.find_all(".choice.no[aria-pressed=true]"), "it does not go back")
    page.press("n")
    wait_for(page, "0 of")
    assert said(page) == []
    assert "right" not in parse_qs(page.fragment), "no verdict refines the search"
    page.press(Keys.ESCAPE)
    assert not page.find_all(".detail:not([hidden])")
    assert "review" not in parse_qs(page.fragment)


def test_a_review_on_a_phone(page: Page) -> None:
    page.look(PHONE)
    page.open("q=storage+tanks&review=1")
    page.settle()
    page.wait(lambda: page.find_all(".review:not([hidden])"), "no review begins")
    page.wait(lambda: page.find(".detail").is_displayed(), "no result is open")
    assert page.find(".choice.yes").is_displayed()
    assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]
