"""Several tiles at once: painted over on the map, to be examples of a search, or marked right or wrong in one go."""

from __future__ import annotations

import json
import urllib.request
from urllib.parse import parse_qs

from selenium.webdriver.common.keys import Keys

from browser import PHONE, Page, find_barriers

HOUSES = "a dense residential area"
TOUCH = "Emulation.setTouchEmulationEnabled"


def parts(page: Page) -> dict[str, list[str]]:
    return parse_qs(page.fragment)


def gathered(page: Page) -> int:
    return int(page.find(".painted").get_attribute("data-n") or 0)


def wait_for(page: Page, ready: bool, what: str) -> int:
    page.wait(lambda: (gathered(page) > 0) == ready, what)
    return settled(page)


def settled(page: Page) -> int:
    """How many tiles are gathered once all that a stroke met is told."""
    before = -1
    while before != (before := gathered(page)):
        page.driver.execute_async_script("setTimeout(arguments[0], 400)")  # type: ignore[no-untyped-call]
    return before


def paint(page: Page, start: tuple[float, float], end: tuple[float, float]) -> int:
    before = gathered(page)
    page.drag(start, end)
    page.wait(lambda: gathered(page) > before, "the brush gathers nothing")
    return settled(page)


def test_tiles_are_gathered_marked_and_searched_by(page: Page) -> None:
    page.open()
    page.search(HOUSES)
    page.wait_for_overviews()
    page.run("document.activeElement.blur()")
    page.press("p")
    assert page.find("#paint").get_attribute("aria-pressed") == "true"
    assert page.find(".painted").is_displayed()
    assert not page.button("Right", inside=".painted").is_enabled(), "nothing is gathered"
    view = parts(page).get("at")
    first = paint(page, (0.4, 0.45), (0.6, 0.45))
    assert first >= 2
    assert page.find("#painted").text == f"{first} tiles gathered"
    both = paint(page, (0.4, 0.6), (0.6, 0.6))
    assert both > first
    assert parts(page).get("at") == view, "the map stays where it is"
    assert not page.find_all(".detail:not([hidden])"), "nothing is opened"
    assert find_barriers(page) == []

    page.press(Keys.BACKSPACE)  # the last stroke
    assert gathered(page) == first
    page.click_map((0.5, 0.45))
    page.wait(lambda: gathered(page) == first - 1, "a click takes no tile out")
    page.click_map((0.5, 0.45))
    page.wait(lambda: gathered(page) == first, "a click takes no tile in")

    before = page.keys
    page.button("Right", inside=".painted").click()
    page.wait(lambda: f"Refined by {first} right" in page.find(".refined").text, "the search is not refined")
    right = parts(page)["right"]
    assert (len(right), gathered(page)) == (first, 0)
    page.settle()
    wrong = paint(page, (0.45, 0.8), (0.55, 0.8))
    page.button("Wrong", inside=".painted").click()
    page.wait(lambda: f"{first} right, {wrong} wrong" in page.find(".refined").text, "the search is not refined")
    assert not set(parts(page)["wrong"]) & set(right)
    page.settle()
    page.button("Undo", inside=".refined").click()
    page.wait(lambda: page.find(".refined").text.startswith(f"Refined by {first} right\n"), "nothing is taken back")
    assert "wrong" not in parts(page), "one step takes back what was marked in one go"
    page.driver.back()
    page.wait(lambda: len(parts(page).get("wrong", [])) == wrong, "Back does not bring it again")

    link = page.fragment
    page.open(link)  # what is marked lives in the address, as of single tiles
    page.settle()
    assert f"{first} right, {wrong} wrong" in page.find(".refined").text
    assert parts(page)["right"] == right
    page.button("Clear marks").click()
    page.wait(lambda: page.keys == before, "the marks are still there")

    page.find("#paint").click()
    some = paint(page, (0.4, 0.45), (0.6, 0.45))
    page.button("Like these", inside=".painted").click()
    page.wait(lambda: len(parts(page).get("like", [])) == some, "they are not searched for")
    page.settle()
    assert not page.find(".painted").is_displayed()
    assert "q" not in parts(page)
    assert set(parts(page)["like"]) == set(right)
    chips = page.find_all(".chip")
    assert len(chips) == (some if some <= 3 else 1)
    page.drag((0.5, 0.5), (0.4, 0.5))
    page.wait(lambda: parts(page)["at"] != view, "the map cannot be moved any more")


def test_a_search_takes_no_more_than_its_examples(page: Page) -> None:
    page.open()
    page.wait(lambda: page.find_all(".scene"), "the index is not shown")
    page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
    page.wait_for_overviews()
    page.find("#paint").click()
    for y in (0.3, 0.4, 0.5, 0.6):
        many = paint(page, (0.2, y), (0.8, y))
    assert many > 16
    assert not page.button("Right", inside=".painted").is_enabled(), "there is no search to refine"
    page.button("Like these", inside=".painted").click()
    page.wait(lambda: len(parts(page).get("like", [])) == 16, "they are not searched for")
    assert page.find(".toast").text == f"A search takes 16 examples: they were taken evenly from {many}."
    page.settle()
    (chip,) = page.find_all(".chip")
    assert page.described == "like 16 tiles"
    page.button("Remove like these tiles").click()
    page.wait(lambda: page.find_all(".start:not([hidden])"), "they are still searched for")
    assert chip


def test_painting_by_key_and_where_nothing_is(page: Page) -> None:
    page.open()
    page.search(HOUSES)
    page.find("#paint").click()
    page.run("document.querySelector('.maplibregl-canvas').focus()")
    page.press(" ")
    assert wait_for(page, True, "a blank gathers nothing") == 1
    page.press(Keys.BACKSPACE)
    assert gathered(page) == 0
    page.click_map((0.02, 0.5))
    page.wait(lambda: "No tile of this index lies at" in page.find(".toast").text, "nothing is said")
    assert not page.button("Take the last stroke back").is_enabled(), "what changes nothing is no stroke"
    page.find("#draw-box").click()
    assert not page.find(".painted").is_displayed(), "another tool ends it"
    page.find("#paint").click()
    assert page.find("#draw-box").get_attribute("aria-pressed") == "false"
    page.press(Keys.ESCAPE)
    assert page.find("#paint").get_attribute("aria-pressed") == "false"
    assert not page.find(".painted").is_displayed()


def test_what_a_detector_finds_is_marked_by_going_on_with_it(page: Page) -> None:
    page.open()
    page.search(HOUSES)
    first = page.keys[0]
    body = {"name": "painted", "search": {"text": HOUSES}, "marks": [{"tile": first, "right": True}]}
    headers = {"Content-Type": "application/json"}
    kept = f"{page.address}/api/detectors"
    urllib.request.urlopen(urllib.request.Request(kept, json.dumps(body).encode(), headers))
    try:
        page.open("detector=painted")
        page.settle()
        page.find("#paint").click()
        n = paint(page, (0.3, 0.2), (0.4, 0.2))
        page.button("Wrong", inside=".painted").click()
        page.wait(lambda: f"Refined by 1 right, {n} wrong" in page.find(".refined").text, "it does not go on")
        assert page.find("#q").get_attribute("value") == HOUSES
        assert (parts(page)["as"], parts(page)["right"], len(parts(page)["wrong"])) == (["painted"], [first], n)
        page.settle()
    finally:
        urllib.request.urlopen(urllib.request.Request(f"{kept}/painted", method="DELETE"))


def test_fingers_paint_on_a_phone(page: Page) -> None:
    page.look(PHONE)
    page.driver.execute_cdp_cmd(TOUCH, {"enabled": True, "maxTouchPoints": 2})
    try:
        page.open(f"q={HOUSES.replace(' ', '+')}")
        page.settle()
        page.button("Map").click()
        page.wait_for_map()
        page.wait_for_overviews()
        page.find("#paint").click()
        frame = page.find("#map").rect
        x, y = frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2

        def touch(kind: str, *points: tuple[float, float]) -> None:
            told = [{"x": at[0], "y": at[1], "id": number} for number, at in enumerate(points)]
            page.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

        touch("touchStart", (x - 60, y))
        for step in range(-50, 70, 10):
            touch("touchMove", (x + step, y))
        touch("touchEnd")
        n = wait_for(page, True, "a finger gathers nothing")
        assert n >= 2
        touch("touchStart", (x, y))
        touch("touchStart", (x, y), (x + 40, y + 40))
        for step in range(0, 60, 10):
            touch("touchMove", (x - step, y - step), (x + 40 + step, y + 40 + step))
        touch("touchEnd")
        assert settled(page) == n, "two fingers move the map"
        panel = page.find(".painted")
        assert panel.is_displayed()
        assert panel.size["width"] <= PHONE[0]
        assert page.run("return document.documentElement.scrollWidth") <= PHONE[0]
        assert find_barriers(page) == []
        page.button("Right", inside=".painted").click()
        page.wait(lambda: len(parts(page).get("right", [])) == n, "they are not marked")
        page.wait(lambda: not page.find_all(".results[aria-busy]"), "the page is still searching")
    finally:
        page.driver.execute_cdp_cmd(TOUCH, {"enabled": False})
