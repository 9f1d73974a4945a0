"""Room for everything: many results on the map, middling screens, and how much the first visit loads."""

from __future__ import annotations

from urllib.parse import urlsplit

from browser import PHONE, Page

CODE_MB, SENT_MB = 1.8, 0.6
PHONE_CODE_MB = 0.2


def sizes(page: Page) -> tuple[float, float]:
    """Megabytes of the page's own code, as it is and as it was sent."""
    script = """return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))
      .filter(e => e.name.includes('/static/') || e.entryType === 'navigation')
      .map(e => [e.decodedBodySize, e.encodedBodySize])"""
    found = page.run(script)
    return sum(each[0] for each in found) / 1e6, sum(each[1] for each in found) / 1e6


def test_the_code_of_the_page_is_small(page: Page) -> None:
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.open()
    page.wait(lambda: page.find_all(".scene"), "the index is not shown")
    page.wait(lambda: page.find_all(".maplibregl-canvas"), "there is no map")
    page.wait_for_overviews()
    whole, sent = sizes(page)
    print(f"first visit, code alone: {whole:.2f} MB, {sent:.2f} MB as it is sent")
    assert whole < CODE_MB
    assert sent < SENT_MB


def test_a_phone_loads_the_map_when_it_is_looked_at(page: Page) -> None:
    page.driver.execute_cdp_cmd("Network.clearBrowserCache", {})
    page.look(PHONE)
    page.open("q=storage+tanks")
    page.settle()
    whole, sent = sizes(page)
    print(f"first visit on a phone, code alone: {whole:.2f} MB, {sent:.2f} MB as it is sent")
    assert whole < PHONE_CODE_MB
    page.button("Map").click()
    page.wait(lambda: page.find_all(".pin"), "the map does not come")
    page.button("List").click()
    page.open("q=storage+tanks")
    page.settle()
    page.button("Filters").click()
    page.find("#area").click()
    page.button("Draw a box on the map").click()
    page.wait(lambda: page.find("#draw-box").get_attribute("aria-pressed") == "true", "nothing can be drawn")


def test_details_leave_the_map_its_room(page: Page) -> None:
    page.look((1024, 768))
    page.open("q=storage+tanks")
    page.settle()
    page.find(".card .open").click()
    page.wait(lambda: page.find_all(".detail:not([hidden])"), "no details")
    for part, least in (("#map", 300), (".detail", 290), (".results", 180)):
        assert page.find(part).is_displayed(), part
        assert page.find(part).size["width"] >= least, part
    assert page.run("return document.documentElement.scrollWidth") <= 1024


def test_many_results_do_not_pile_up(page: Page) -> None:
    page.open("q=houses&k=200&tiles=1")
    page.settle()
    assert len(page.keys) > 100
    page.button("Show the whole index").click()
    page.wait_for_overviews()
    numbered = page.find_all(".pin:not(.crowded)")
    overlaps = """
      const boxes = [...document.querySelectorAll('.pin:not(.crowded)')].map(p => p.getBoundingClientRect());
      return boxes.some((a, i) => boxes.some((b, j) => i < j &&
        a.left < b.right - 2 && b.left < a.right - 2 && a.top < b.bottom - 2 && b.top < a.bottom - 2))"""
    assert numbered[0].text == "1", "the best keep their numbers"
    assert not page.run(overlaps)
    canvas = page.find(".maplibregl-canvas")
    for _ in range(6):
        page.run("arguments[0].click()", page.find(".maplibregl-ctrl-zoom-out"))
        page.wait_for_overviews()
    page.wait(lambda: len(page.find_all(".pin.crowded")) > 90, "from afar nothing is thinned")
    assert not page.run(overlaps)
    assert canvas.is_displayed()
    drawn = "return [...document.querySelectorAll('.card img')].filter(i => i.complete && i.naturalWidth).length"
    assert page.run(drawn) < 100, "pictures far below are not fetched"
    assert urlsplit(page.driver.current_url).fragment
