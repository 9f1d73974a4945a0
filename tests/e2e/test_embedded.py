"""The page within a page of somebody else's, as in a notebook."""

from __future__ import annotations

from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from archives import write_archive
from browser import PATIENCE_S
from fakes import ColourEncoder
from rsitr.search import Index
from servers import serving

FRAMES = """<!doctype html><meta charset="utf-8"><title>host</title>
<iframe id="allowed" width="1200" height="600" src="{embedded}"></iframe>
<iframe id="refused" width="300" height="300" src="{whole}"></iframe>"""


def test_a_notebook_shows_the_page_and_no_other_address_of_it(chromium: Chrome, tmp_path: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    index = Index.open(write_archive(tmp_path / "archive", encoder), encoder=encoder)
    host = tmp_path / "host"
    host.mkdir()
    with index.explore("red") as shown, serving(host) as address:
        embedded = shown.url.replace("/#", "/embed#")
        (host / "notebook.html").write_text(FRAMES.format(embedded=embedded, whole=shown.url))
        chromium.get(f"{address}/notebook.html")
        wait = WebDriverWait(chromium, PATIENCE_S)
        try:
            chromium.switch_to.frame("allowed")
            wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".card:not(.skeleton)"))
            wait.until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".maplibregl-canvas"))
            brand = chromium.find_element(By.CSS_SELECTOR, ".brand")
            chromium.execute_script("arguments[0].focus()", brand)  # type: ignore[no-untyped-call]
            href = str(brand.get_attribute("href"))
            assert href.startswith(f"http://127.0.0.1:{shown.port}/#q=red"), "a tab of its own shows the same search"
            assert brand.get_attribute("target") == "_blank"
            chromium.switch_to.default_content()
            chromium.switch_to.frame("refused")
            assert chromium.find_elements(By.ID, "app") == [], "another site shows what only /embed may show"
        finally:
            chromium.switch_to.default_content()
            chromium.get("about:blank")
            chromium.get_log("browser")  # type: ignore[no-untyped-call]
