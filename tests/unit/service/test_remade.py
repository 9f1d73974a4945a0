"""An index that is made anew in the same folder while it is served: what it holds now is what is answered."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fakes import COLOURS, ColourEncoder, replace_models
from rsitr.index import LanceStore, Settings, ingest
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from servers import run_app


def make(folder: Path, encoder: ColourEncoder, *colours: str) -> Path:
    """An index of pictures of one colour each, in place of the one before, by as many commits."""
    for kind in ("index", "scenes"):
        shutil.rmtree(folder / kind, ignore_errors=True)
    (folder / "scenes").mkdir(parents=True)
    for colour in colours:
        pixels = np.full((64, 64, 3), COLOURS[colour], dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "scenes" / f"{colour}.png")
    ingest([folder / "scenes"], into=folder / "index", encoder=encoder, settings=Settings(tile_px=64))
    return folder / "index"


def found(url: str, words: str) -> list[str]:
    import httpx

    answer = httpx.get(f"{url}/api/search", params={"q": words, "k": 1})
    return [hit["scene"] for hit in answer.json()["hits"]] if answer.is_success else [answer.text]


def offered(url: str) -> list[str]:
    import httpx

    found: list[str] = httpx.get(f"{url}/api/index").json()["suggestions"]
    return found


def until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_store_notices_with_as_many_commits_as_before(tmp_path: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    path = make(tmp_path, encoder, "red", "green")
    store = LanceStore(path, dim=encoder.dim, must_exist=True)
    vector = encoder.encode_texts(["blue"]).global_emb[0]
    before = store.version
    assert [store.search(vector, k=1)[0].score < 0.9, store.scene_names()] == [True, ["green.png", "red.png"]]
    make(tmp_path, encoder, "blue", "yellow")
    assert store.version == before, "else this test would show nothing"
    assert store.scene_names() == ["blue.png", "yellow.png"]
    (hit,) = store.search(vector, k=1)
    assert (hit.tile.scene, round(hit.score, 3)) == ("blue.png", 1.0)
    make(tmp_path, encoder, "grey")
    assert (store.scene_names(), len(store)) == (["grey.png"], 1)


def test_a_service_answers_from_what_is_there_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = ColourEncoder(image_size_px=64)
    path = make(tmp_path, encoder, "red", "green")
    settings = ServiceSettings(index=path, rate_per_s=0, suggestions=("a red roof", "a blue pond"))
    with run_app(create_app(settings, index=Index.open(path, encoder=encoder))) as url:
        assert (found(url, "red"), offered(url)) == (["red.png"], ["a red roof"])
        make(tmp_path, encoder, "blue", "yellow")
        until(lambda: found(url, "blue") == ["blue.png"])
        until(lambda: offered(url) == ["a blue pond"])  # nothing is offered that this very index denies
        # By another model, whose vectors mean something else: it is loaded, and nothing is answered until it is.
        other = ColourEncoder(name="other", fingerprint="07he2" * 8, image_size_px=64)
        other.encode_texts = lambda texts, **_: ColourEncoder.encode_texts(  # type: ignore[method-assign]
            other, ["red" if text == "crimson" else text for text in texts]
        )
        replace_models(monkeypatch, lambda name, device: {"colour": encoder, "other": other}[name])
        make(tmp_path, other, "white", "red")
        until(lambda: found(url, "crimson") == ["red.png"])
        import httpx

        health = httpx.get(f"{url}/api/health").json()
        assert (health["status"], health["model"]["name"], health["index"]["n_tiles"]) == ("ready", "other", 2)


def test_an_index_that_is_gone_for_a_while_is_taken_up_again(tmp_path: Path) -> None:
    encoder = ColourEncoder(image_size_px=64)
    path = make(tmp_path, encoder, "red")
    with run_app(create_app(ServiceSettings(index=path, rate_per_s=0), index=Index.open(path, encoder=encoder))) as url:
        assert found(url, "red") == ["red.png"]
        aside = tmp_path / "aside"
        path.rename(aside)
        time.sleep(1.1)
        assert "Traceback" not in found(url, "red")[0]
        make(tmp_path, encoder, "blue")
        until(lambda: found(url, "blue") == ["blue.png"])
