"""The page in the languages of those who look at it, chosen by the browser or by hand; none is left in English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium.webdriver.common.keys import Keys

from browser import Page, find_barriers

TANKS = "storage tanks"
HEADINGS = {
    "de": "Orte in Bilddaten finden",
    "es": "Encontrar lugares en imágenes",
    "fr": "Trouver des lieux dans l’imagerie",
    "zh": "在影像中查找地点",
}
# Words of the English page that none of the others has.
ENGLISH_WORDS = """
the with and for from this these your you what where close cancel copy search searched results tile tiles place
places scene scenes map filters anywhere without draw outline apply review undo clear marks show more relevance days
seen play compare nothing border surroundings why right wrong like coordinates score resolution measure move corners
layers longitude latitude hide help keys letters language theme light dark view
"""
ENGLISH = frozenset(ENGLISH_WORDS.split())
# All that is seen or read aloud, but what is marked as English, and names and values that are nobody's language.
SAID = """
const own = e => !e.closest('[lang=en], kbd, script, style, .index-name, .brand > span');
const found = [];
for (const e of document.querySelectorAll('body *')) {
  if (!own(e) || !(e.checkVisibility() || e.closest('.visually-hidden'))) continue;
  for (const name of ['aria-label', 'title', 'placeholder', 'alt', 'aria-valuetext']) {
    if (e.hasAttribute(name)) found.push(e.getAttribute(name));
  }
  for (const node of e.childNodes) if (node.nodeType === 3 && node.textContent.trim()) found.push(node.textContent);
}
return found
"""


@contextmanager
def speaking(page: Page, language: str) -> Iterator[None]:
    """A browser whose owner reads a language."""
    agent = page.run("return navigator.userAgent")
    override = {"userAgent": agent, "acceptLanguage": language}
    page.driver.execute_cdp_cmd("Network.setUserAgentOverride", override)
    try:
        yield
    finally:
        page.driver.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": ""})


def find_english(page: Page) -> list[str]:
    """What is said with English words in it, beside words to search for and names of files."""
    said = [re.sub(rf"{TANKS}|scene\.tif", "", text) for text in page.run(SAID)]
    return [text for text in said if ENGLISH & set(re.findall(r"[a-z]+", text.lower()))]


def language_of(page: Page) -> str:
    return str(page.run("return document.documentElement.lang"))


@pytest.mark.parametrize("language", sorted(HEADINGS))
def test_nothing_is_left_in_english(page: Page, language: str) -> None:
    with speaking(page, language):
        page.open()
        page.wait(lambda: page.find_all(".scene"), "the index is not shown")
        assert language_of(page).startswith(language)
        assert page.find(".start h2").text == HEADINGS[language]
        assert find_english(page) == [], "start"
        page.find("#q").send_keys(TANKS, Keys.ENTER)
        page.wait(lambda: TANKS in page.driver.title, "no results")
        page.settle()
        page.find(".card .vote.right").click()
        page.wait(lambda: page.find_all(".refined:not([hidden])"), "the search is not refined")
        page.settle()
        page.find(".card .open").click()
        page.wait(lambda: page.find_all(".detail:not([hidden])"), "no details")
        page.find("#why").click()
        page.find("#review").click()
        page.wait(lambda: page.find_all(".review:not([hidden])"), "no review")
        page.find("#layers").click()
        page.find("#heat").click()
        page.wait(lambda: page.find_all(".heat-legend:not([hidden])"), "no legend")
        page.find("#draw-polygon").click()
        assert find_english(page) == [], "results"
        page.find("#area").click()
        page.find("#area-panel form button").click()
        assert page.find(".problem").text
        assert find_english(page) == [], "area"
        page.press(Keys.ESCAPE, Keys.ESCAPE)
        page.run("document.activeElement?.blur()")
        page.press("k")
        page.wait(lambda: page.find_all(".kept:not([hidden]) h2"), "what is saved is not listed")
        assert find_english(page) == [], "saved"
        page.press("?")
        page.wait(lambda: page.find_all("dialog[open]"), "no help")
        assert find_english(page) == [], "help"


def test_days_and_numbers_are_written_as_the_language_does(page: Page) -> None:
    with speaking(page, "de"):
        page.open("q=storage+tanks")
        page.settle()
        assert page.find(".card .when").text.startswith("12. Feb. 2024")
        assert page.find(".card .number").text.endswith(" %"), "the sign stands apart"
        assert page.driver.title == f"„{TANKS}“ – rsitr"
        page.find(".card .open").click()
        page.wait(lambda: page.find_all(".fact-list dd"), "no details")
        place = page.find(".fact-list dd").text
        assert re.fullmatch(r"\d+,\d{5}° S, \d+,\d{5}° W", place), place
    with speaking(page, "it-IT,de-CH,en"):
        page.open("q=storage+tanks")
        page.settle()
        assert language_of(page) == "de", "the first of the languages that the page has"
        assert re.fullmatch(r"\d+%", page.find(".card .number").text), "Swiss people write no space there"


def test_another_language_can_be_chosen(page: Page) -> None:
    with speaking(page, "de"):
        page.open("q=storage+tanks")
        page.settle()
        page.find(".card .open").click()
        page.wait(lambda: page.find_all(".detail:not([hidden])"), "no details")
        keys, asked = page.keys, page.fragment
        page.find("#language").send_keys("Espa")
        page.wait(lambda: language_of(page) == "es", "the language is not taken")
        page.settle()
        page.wait(lambda: page.find(".detail h2").text == "Resultado 1", "what was open is not open again")
        assert (page.keys, page.fragment) == (keys, asked)
        page.open()
        assert language_of(page) == "es", "the choice is forgotten"
        page.run("localStorage.removeItem('rsitr-language')")
    page.open()
    assert language_of(page) == "en"


def test_words_that_the_model_does_not_know_are_offered_in_english(page: Page) -> None:
    with speaking(page, "de"):
        page.open(f"q={'Brücke über den Fluss'.replace(' ', '+')}")
        page.wait(lambda: page.find_all(".hint-words:not([hidden]) button"), "nothing is offered")
        assert "„brücke“" in page.find(".hint-words p").text
        assert "Englisch" in page.find(".hint-words p").text
        assert page.find(".banner:not(.trouble)").text.startswith("Kein sicherer Treffer für „Brücke über den Fluss“.")
        page.find(".hint-words button").click()
        page.wait(lambda: page.find("#q").get_attribute("value") == "bridge over river", "it is not searched for")
        page.settle()
        assert not page.find(".hint-words").is_displayed()


def test_what_the_service_says_is_marked_as_english(page: Page) -> None:
    with speaking(page, "fr"):
        page.open("q=storage+tanks&since=2030-01-01")
        page.wait(lambda: page.find_all(".banner [lang=en]"), "nothing is said of the days")
        assert page.find(".banner:not(.trouble)").text.startswith("Aucune tuile ne passe les filtres")
        assert "days run from" in page.find(".banner [lang=en]").text
        assert find_english(page) == []


def test_another_language_has_no_barriers(page: Page) -> None:
    with speaking(page, "fr"):
        page.open("q=storage+tanks&review=1")
        page.settle()
        page.wait(lambda: page.find_all(".review:not([hidden])"), "no review")
        assert find_barriers(page) == []
