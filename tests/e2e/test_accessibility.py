"""What axe-core finds wrong with the page, in light and dark, on a desk and on a phone."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from browser import DESKTOP, PHONE, Page, find_barriers

STATES = {
    "start": "",
    "results": "q=storage+tanks",
    "nothing": "q=an+elephant",
    "empty": "q=storage+tanks&since=2030-01-01",
    "details": "q=storage+tanks&why=1",
    "review": "q=storage+tanks&review=1",
}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_state_of_the_page_has_barriers(page: Page, size: tuple[int, int], *, dark: bool) -> None:
    page.look(size, dark=dark)
    for name, fragment in STATES.items():
        page.open(fragment)
        if fragment:
            page.settle()
        else:
            page.wait(lambda: page.find_all(".scene"), "the index is not shown")
        if name == "review":
            page.wait(lambda: page.find_all(".review:not([hidden])"), "no review")
        if name == "details":
            page.find(".card .open").click()
            page.wait(lambda: page.find_all(".detail:not([hidden])"), "no details")
        assert find_barriers(page) == [], name
    page.button("Close details").click()
    if size == PHONE:
        page.button("Map").click()
    page.wait(lambda: page.find_all(".pin"), "the map does not come")
    page.find("#layers").click()
    assert find_barriers(page) == [], "layers"
    page.press(Keys.ESCAPE)
    page.find("#measure").click()
    assert find_barriers(page) == [], "measuring"
    page.find("#draw-polygon").click()
    page.click_map((0.3, 0.4), (0.6, 0.4), (0.5, 0.7))
    page.press(Keys.ENTER)
    page.find("#move-corners").click()
    page.wait(lambda: page.find_all(".corner"), "no corners")
    assert find_barriers(page) == [], "corners"
    page.press(Keys.ESCAPE)
    if size == PHONE:
        page.button("Filters").click()
    page.find("#area").click()
    assert find_barriers(page) == [], "area"
    page.button("Help and keys").click()
    assert find_barriers(page) == [], "help"
