"""What the page does when something goes wrong: the service dies, limits leave nothing, words are too many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from browser import Page, visit
from rsitr.demo.raster import write_scene
from rsitr.index import ingest
from rsitr.models import load_model
from serving import serve


def test_a_service_that_died_and_came_back(chromium: Chrome, tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), dtype=np.uint8)
    write_scene(noise, tmp_path / "scenes" / "noise.tif", seed=0)
    ingest([tmp_path / "scenes"], into=tmp_path / "index", encoder=load_model("lookout"))
    index, log = str(tmp_path / "index"), tmp_path / "serve.log"
    with serve(index, log=log) as address:
        page = Page(chromium, address)  # a dead service is complained about in many ways: none is counted here
        page.open()
        page.search("a river")
        assert len(page.find_all(".card:not(.skeleton)")) == 1
    page.find("#q").send_keys(" with trees", Keys.ENTER)
    page.wait(lambda: "cannot be reached" in page.find(".banner.trouble").text, "nothing is said of the dead service")
    assert not any(card.is_displayed() for card in page.find_all(".card")), "no result, and no skeleton, is left"
    assert page.find_all(".pin") == [], "nor on the map"
    assert not page.find(".toolbar").is_displayed(), "nothing old can be exported"
    with serve(index, log=log, port=int(address.rpartition(":")[2])):
        page.wait(lambda: page.described == "“a river with trees”", "the page does not recover by itself")
        page.settle()
        assert not page.find(".banner.trouble").is_displayed()
        page.leave()


def test_limits_that_leave_nothing_say_what_there_is(chromium: Chrome, demo_service: str) -> None:
    with visit(chromium, demo_service, expected="422") as page:
        page.open("q=storage+tanks&since=2030-01-01")
        banner = ".banner:not(.trouble)"
        page.wait(lambda: "days run from 2024-02-12 to 2024-02-12" in page.find(banner).text, "the days are not told")
        page.open("q=storage+tanks&since=2024-03-01&until=2024-02-01")
        page.wait(lambda: "exchange the two" in page.find(".banner.trouble").text, "nothing is said of the days")
        assert "Try now" not in page.find(".banner.trouble").text, "what is wrong stays wrong"


def test_words_are_not_cut_without_a_word(page: Page) -> None:
    page.open()
    page.run("const q = document.querySelector('#q'); q.value = 'a'.repeat(999)")
    page.find("#q").send_keys("bcd")
    assert len(page.find("#q").get_attribute("value") or "") == 1000
    page.wait(lambda: "at most 1,000 characters" in page.find("body").text, "nothing is said of what was cut off")
