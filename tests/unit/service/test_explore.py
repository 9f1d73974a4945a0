"""The page of an index in a notebook, and in pages of others."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import rsitr
from fakes import ColourEncoder
from rsitr.errors import ConfigError
from rsitr.search import Index
from rsitr.service import load_settings


def get(url: str) -> Any:
    return urllib.request.urlopen(url, timeout=30)


def test_a_notebook_shows_the_page_of_the_index(archive: Path, encoder: ColourEncoder) -> None:
    index = Index.open(archive, encoder=encoder)
    with index.explore("red & blue", height_px=400) as shown:
        source = re.search(r'<iframe src="([^"]+)"', shown._repr_html_())
        assert source is not None
        assert 'height="400"' in shown._repr_html_()
        address, _, fragment = source[1].partition("#")
        assert fragment == "q=red+%26amp%3B+blue".replace("%26amp%3B", "%26")
        with get(address) as page:
            assert b'id="app"' in page.read() or b"has not been built" in page.read()
            policy = page.headers["Content-Security-Policy"]
            assert "frame-ancestors http://localhost:* " in policy
            assert page.headers["X-Frame-Options"] is None
        with get(shown.url) as page:
            assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"], "only what is embedded may be"
            assert page.headers["X-Frame-Options"] == "DENY"
        with get(f"http://127.0.0.1:{shown.port}/api/index") as told:
            assert json.load(told)["n_tiles"] == len(index)
        again = rsitr.explore(index, like=["a", "b"])
        assert again is shown, "an index is served once"
        assert again.url.endswith("#like=a&like=b")
    assert not shown.is_running
    with pytest.raises(urllib.error.URLError):
        get(shown.url)
    with rsitr.explore(archive) as anew:
        assert anew is not shown
        assert get(anew.url).status == 200


def test_what_begins_with_is_no_way_out_of_the_frame(archive: Path, encoder: ColourEncoder) -> None:
    with Index.open(archive, encoder=encoder).explore('"><script>alert(1)</script>') as shown:
        assert "<script" not in shown._repr_html_()


def test_a_page_is_embedded_where_it_is_allowed_alone(make_client: Any) -> None:
    closed = make_client().get("/embed")
    assert closed.status_code == 404
    assert "--embed" in closed.json()["error"]["detail"]
    client = make_client(embed_origins=("https://maps.example.org", "http://localhost:*"))
    shown = client.get("/embed")
    assert shown.status_code == 200
    assert "frame-ancestors https://maps.example.org http://localhost:*" in shown.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in shown.headers
    for path in ("/", "/api/index", "/api/search?q=red"):
        other = client.get(path)
        assert "frame-ancestors 'none'" in other.headers["Content-Security-Policy"]
        assert other.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "origin", ["maps.example.org", "https://a.b; script-src *", "https://a b", "*", "javascript:x"]
)
def test_what_is_no_site_is_refused(archive: Path, origin: str) -> None:
    with pytest.raises(ConfigError, match="embed"):
        load_settings(index=archive, embed_origins=origin)
