"""Reviewing results on the page: by key, with a note; what was said survives a reload, and the confirmed are saved."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode

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
