"""Pictures, scenes, heat maps, and the page."""

from __future__ import annotations

import gzip
import io
import math
import os
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fakes import COLOURS
from rsitr.service.page import Assets
from rsitr.service.rendering import draw_similarity


def load(content: bytes, mode: str = "RGB") -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert(mode))


def first_hit(client: TestClient, words: str, scene: str) -> dict[str, object]:
    found = client.post("/api/search", json={"text": words, "k": 13, "scene": scene}).json()
    return found["hits"][0]


def test_a_tile_is_shown_and_its_surroundings(client: TestClient) -> None:
    hit = first_hit(client, "red", "north*")
    answer = client.get(str(hit["picture"]), params={"size": 64})
    assert answer.headers["content-type"] == "image/jpeg"
    picture = load(answer.content)
    assert picture.shape == (64, 64, 3)
    assert np.abs(picture[32, 32].astype(int) - COLOURS["red"]).max() < 10
    around = load(client.get(str(hit["picture"]), params={"size": 128, "context": 1}).content)
    assert around.shape == (128, 128, 3)
    assert np.abs(around[96, 96].astype(int) - COLOURS["dark"]).max() < 10
    again = client.get(str(hit["picture"]), params={"size": 64}, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_tile_tells_what_is_known_of_it(client: TestClient) -> None:
    hit = first_hit(client, "red", "deep/*")
    path = str(hit["picture"]).removesuffix("/picture.jpg")
    tile = client.get(path).json()
    assert tile == {name: hit[name] for name in tile}
    assert "%2F" in path
    assert client.get(f"/api/tiles/{hit['tile']}").json() == tile  # a slash may also stand as it is


def test_a_heat_map_lies_over_the_picture(client: TestClient) -> None:
    hit = first_hit(client, "red", "north*")
    path = str(hit["picture"]).replace("picture.jpg", "explanation.png")
    answer = client.get(path, params={"q": "red", "size": 64})
    assert answer.headers["content-type"] == "image/png"
    assert load(answer.content, "RGBA").shape == (64, 64, 4)
    assert client.get(path, params={"q": " "}).status_code == 422
    assert client.get(path).status_code == 422


def test_a_heat_map_is_strongest_where_the_words_fit_best() -> None:
    similarity = np.zeros((2, 2), dtype=np.float32)
    similarity[1, 0] = 0.3
    alpha = load(draw_similarity(similarity, size_px=(40, 20)), "RGBA")[..., 3]
    assert alpha.shape == (20, 40)
    assert alpha[-1, 0] == alpha.max() > 150
    assert alpha[0, -1] == 0


def test_scenes_lie_where_their_corners_say(client: TestClient) -> None:
    scenes = {scene["scene"]: scene for scene in client.get("/api/scenes").json()["scenes"]}
    north = scenes["north_20160816.tif"]
    west, south, east, top = north["bbox"]
    (left, upper), (right, _), (_, lower), _ = north["corners"]
    assert left == pytest.approx(west, abs=1e-4)
    assert right == pytest.approx(east, abs=1e-4)
    assert upper == pytest.approx(top, abs=1e-4)
    assert lower == pytest.approx(south, abs=1e-4)
    assert "/" not in north["id"]
    dateline = scenes["<b>dateline.tif"]["corners"]
    assert max(lon for lon, _ in dateline) - min(lon for lon, _ in dateline) < 1.0
    assert scenes["photo.png"]["corners"] is None
    overview = client.get(north["overview"], params={"max_px": 32})
    assert load(overview.content).shape == (32, 32, 3)
    clear = client.get(north["overview"].replace(".jpg", ".png"), params={"max_px": 32})
    assert load(clear.content, "RGBA")[..., 3].min() == 255


def test_a_scene_is_drawn_square_by_square(client: TestClient) -> None:
    scenes = {scene["scene"]: scene for scene in client.get("/api/scenes").json()["scenes"]}
    north = scenes["north_20160816.tif"]
    assert scenes["photo.png"]["tiles"] is None
    zoom, (west, south, east, north_edge) = 14, north["bbox"]
    across = ((west + east) / 2 + 180) / 360 * 2**zoom
    down = (1 - math.asinh(math.tan(math.radians((south + north_edge) / 2))) / math.pi) / 2 * 2**zoom

    def ask(x: int, y: int, at: int = zoom) -> httpx.Response:
        return client.get(north["tiles"].format(z=at, x=x, y=y))

    answer = ask(int(across), int(down))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    tile = load(answer.content, "RGBA")
    assert tile.shape == (512, 512, 4)
    assert set(np.unique(tile[..., 3])) == {0, 255}
    assert tile[int(down % 1 * 512), int(across % 1 * 512), 3] == 255
    beside = ask(int(across) + 5, int(down))
    assert load(beside.content, "RGBA").shape == (1, 1, 4)
    assert load(beside.content, "RGBA")[0, 0, 3] == 0
    assert ask(2**zoom, 0).status_code == 422
    assert ask(0, 0, at=25).status_code == 422
    assert client.get("/api/scenes/0000000000000000/tiles/0/0/0.webp").status_code == 404


def test_a_scene_that_is_gone_is_404_without_its_folder(
    client: TestClient, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenes = archive.parent / "scenes"
    hit = first_hit(client, "red", "north*")
    (scenes / "north_20160816.tif").rename(scenes / "away.tif")
    try:
        answer = client.get(str(hit["picture"]), params={"size": 77})
    finally:
        (scenes / "away.tif").rename(scenes / "north_20160816.tif")
    assert answer.status_code == 404
    assert answer.json()["error"]["detail"] == "north_20160816.tif: no such file"


def test_sizes_are_bounded(client: TestClient) -> None:
    hit = first_hit(client, "red", "north*")
    for params in ({"size": 5000}, {"size": 0}, {"size": "x"}, {"context": 2}):
        assert client.get(str(hit["picture"]), params=params).status_code == 422
    assert client.get("/api/scenes/0000000000000000/overview.jpg").status_code == 404
    assert client.get("/api/scenes/nothex/overview.jpg").status_code == 422


def test_the_page_is_one_of_the_files_that_are_there(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    assert b"Node" in Assets(folder).page().content
    folder.mkdir()
    (folder / "index.html").write_text("<p>page</p>" * 100, encoding="utf-8")
    (folder / "app-0123ABCD.js").write_text("1", encoding="utf-8")
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    assets = Assets(folder)
    page = assets.page()
    assert page.gzipped is not None
    assert gzip.decompress(page.gzipped) == page.content
    assert assets.get("app-0123ABCD.js").media_type == "text/javascript; charset=utf-8"  # type: ignore[union-attr]
    for name in ("../secret.txt", "/etc/passwd", str(tmp_path / "secret.txt"), "", ".", "none.js"):
        assert assets.get(name) is None
    (folder / "index.html").write_text("<p>another</p>", encoding="utf-8")
    os.utime(folder / "index.html", ns=(1, 1))
    assets.refresh()
    assert assets.page().content == b"<p>another</p>"


def test_the_page_is_sent_compressed_and_kept(client: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.html").write_text("<p>page</p>" * 100, encoding="utf-8")
    (folder / "app-0123ABCD.js").write_text("1;" * 1000, encoding="utf-8")
    client.app.state.assets = Assets(folder)  # type: ignore[attr-defined]
    page = client.get("/", headers={"Accept-Encoding": "gzip"})
    assert page.headers["content-encoding"] == "gzip"
    assert page.headers["cache-control"] == "no-cache"
    assert page.text.startswith("<p>page</p>")
    plain = client.get("/", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    script = client.get("/static/app-0123ABCD.js")
    assert "immutable" in script.headers["cache-control"]
    assert client.get("/static/app-0123ABCD.js", headers={"If-None-Match": script.headers["etag"]}).status_code == 304
    assert client.get("/static/none.js").status_code == 404
    assert client.get("/favicon.ico").status_code == 204


def test_health_and_index_say_what_is_served(client: TestClient) -> None:
    health = client.get("/api/health").json()
    assert health["model"] == {"name": "colour", "fingerprint": "c0104r" * 8, "dim": 28, "image_size_px": 64}
    assert health["index"] == {"name": "index", "n_tiles": 13, "n_scenes": 4}
    assert {"torch", "fastapi", "lancedb"} <= set(health["versions"])
    index = client.get("/api/index").json()
    assert (index["since"], index["until"], index["sensors"]) == ("2016-08-16", "2020-01-01", ["NAIP"])
    assert index["limits"]["max_k"] == 200
    assert index["suggestions"] == [], "what is offered by default is not in this index"
