"""What the page does when something goes wrong: the service dies, limits leave nothing, words are too many."""

from __future__ import annotations

from selenium.webdriver import Chrome

from browser import Page, visit


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
