"""What is too much is refused, what is not ready says so, and what is under way is finished."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from archives import picture_file
from fakes import ColourEncoder
from rsitr.errors import MissingError
from rsitr.geo import read_picture
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from rsitr.service.batching import RememberingEncoder, TextQueue
from rsitr.service.errors import TooLargeError, UnsupportedError, status_of
from rsitr.service.logs import JsonFormatter
from rsitr.service.metrics import Metrics
from rsitr.service.rendering import ByteCache
from rsitr.service.uploads import PictureStore, decode_upload
from rsitr.types import EncodedTexts
from servers import run_app

MakeClient = Callable[..., TestClient]


class SlowEncoder(ColourEncoder):
    """Encodes texts only when it is let go, and notes how many came at once."""

    def __init__(self) -> None:
        super().__init__(image_size_px=64)
        self.go = threading.Event()
        self.go.set()
        self.asked = threading.Event()
        self.sizes: list[int] = []

    def encode_texts(self, texts: list[str], *, batch_size: int = 256) -> EncodedTexts:  # type: ignore[override]
        self.asked.set()
        assert self.go.wait(timeout=30)
        self.sizes.append(len(texts))
        return super().encode_texts(texts)


def test_texts_that_arrive_together_are_encoded_together() -> None:
    encoder = SlowEncoder()
    queue = TextQueue(RememberingEncoder(encoder), batch=64, metrics=Metrics())

    async def ask() -> None:
        encoder.go.clear()
        first = asyncio.create_task(queue.prepare(["red"]))
        while not encoder.asked.is_set():
            await asyncio.sleep(0.01)
        others = [asyncio.create_task(queue.prepare([f"{i % 20} green"])) for i in range(40)]
        await asyncio.sleep(0.05)
        encoder.go.set()
        await asyncio.gather(first, *others)

    asyncio.run(ask())
    queue.close()
    assert encoder.sizes == [1, 20]  # the same words once


def test_remembered_texts_are_what_the_encoder_says() -> None:
    plain = ColourEncoder()
    encoder = RememberingEncoder(plain, remembered=2)
    encoder.encode_batch(["red", "a green thing", "blue"])
    assert encoder.recall("red") is None
    for text in ("blue", "red"):
        found, expected = encoder.encode_texts([text]), plain.encode_texts([text])
        np.testing.assert_array_equal(found.global_emb, expected.global_emb)
        np.testing.assert_array_equal(found.tokens, expected.tokens)
        np.testing.assert_array_equal(found.token_mask, expected.token_mask)
    assert (encoder.name, encoder.dim, encoder.mixture) == (plain.name, plain.dim, plain.mixture)


def test_an_encoder_that_fails_tells_everyone_who_waits() -> None:
    class Broken(ColourEncoder):
        def encode_texts(self, texts: list[str], *, batch_size: int = 256) -> EncodedTexts:  # type: ignore[override]
            raise RuntimeError("out of memory")

    queue = TextQueue(RememberingEncoder(Broken()), batch=8, metrics=Metrics())

    async def ask() -> list[BaseException | None]:
        return await asyncio.gather(*(queue.prepare([word]) for word in ("a", "b")), return_exceptions=True)

    assert [str(error) for error in asyncio.run(ask())] == ["out of memory"] * 2
    queue.close()


def test_a_full_queue_answers_503_and_loses_nothing(archive: Path) -> None:
    encoder = SlowEncoder()
    settings = ServiceSettings(index=archive, rate_per_s=0, queue_size=4, workers=1)
    app = create_app(settings, index=Index.open(archive, encoder=encoder))
    with run_app(app) as url, ThreadPoolExecutor(12) as pool:
        import httpx

        encoder.go.clear()
        asked = [pool.submit(httpx.get, f"{url}/api/search?q=red+{i}", timeout=30) for i in range(12)]
        deadline = time.monotonic() + 30
        while sum(one.done() for one in asked) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        encoder.go.set()
        answers = [one.result() for one in asked]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert (len(refused), sum(answer.status_code == 200 for answer in answers)) == (8, 4)
        assert all(answer.headers["retry-after"] == "1" for answer in refused)
        assert refused[0].json()["error"]["title"] == "Busy"
        assert httpx.get(f"{url}/api/search?q=red").status_code == 200
        assert 'rsitr_refused_total{reason="busy"} 8.0' in httpx.get(f"{url}/metrics").text


def test_what_is_under_way_is_finished_when_the_service_stops(archive: Path) -> None:
    import httpx

    encoder = SlowEncoder()
    app = create_app(ServiceSettings(index=archive, rate_per_s=0), index=Index.open(archive, encoder=encoder))
    with ThreadPoolExecutor(1) as pool:
        with run_app(app) as url:
            encoder.asked.clear()
            encoder.go.clear()
            asked = pool.submit(httpx.get, f"{url}/api/search?q=red+and+more", timeout=30)
            assert encoder.asked.wait(timeout=30)
            threading.Timer(0.3, encoder.go.set).start()
        assert asked.result().status_code == 200


def test_a_service_that_warms_up_says_so(archive: Path) -> None:
    encoder = SlowEncoder()
    encoder.go.clear()
    app = create_app(ServiceSettings(index=archive), index=Index.open(archive, encoder=encoder))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert client.get("/api/health").json()["status"] == "warming"
        answer = client.get("/api/search?q=red")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert "not be answered yet" in answer.json()["error"]["detail"].replace("cannot", "not")
        assert client.get("/api/scenes").status_code == 200  # a map needs no model
        encoder.go.set()
        while app.state.engine.status == "warming":
            time.sleep(0.01)
        assert client.get("/api/health").json()["status"] == "ready"


def test_a_model_that_is_gone_is_a_failed_service_that_still_shows_scenes(archive: Path) -> None:
    app = create_app(ServiceSettings(index=archive, model="gone"))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        while app.state.engine.status == "warming":
            time.sleep(0.01)
        health = client.get("/api/health").json()
        assert health["status"] == "failed"
        assert str(archive) not in json.dumps(health)
        assert client.get("/api/search?q=red").status_code == 503
        assert len(client.get("/api/scenes").json()["scenes"]) == 4


def test_uploads_are_bounded_in_bytes_and_pixels(make_client: MakeClient) -> None:
    client = make_client(max_upload_bytes=20_000, max_upload_px=5_000)
    assert client.post("/api/pictures", content=picture_file("red", size_px=(70, 70))).status_code == 201
    assert client.post("/api/pictures", content=picture_file("red", size_px=(90, 70))).status_code == 413
    long = client.post("/api/pictures", content=picture_file("red") + bytes(30_000))
    assert long.status_code == 413
    chunked = client.post("/api/pictures", content=iter([bytes(10_000)] * 10))
    assert chunked.status_code == 413
    assert client.post("/api/search", content=iter([b" " * 500_000] * 4)).status_code == 413


def test_only_pictures_of_few_formats_are_decoded() -> None:
    def decode(content: bytes) -> tuple[int, ...]:
        return decode_upload(content, max_px=10_000, keep_px=20).image.shape

    for form in ("PNG", "JPEG", "WEBP"):
        assert decode(picture_file("red", form)) == (15, 20, 3)
    for form in ("GIF", "BMP", "TIFF"):
        with pytest.raises(UnsupportedError, match="no JPEG, PNG or WebP"):
            decode(picture_file("red", form))
    for form in ("PNG", "JPEG", "WEBP"):
        with pytest.raises(UnsupportedError):
            decode(picture_file("red", form)[:60])
    with pytest.raises(TooLargeError):
        decode(picture_file("red", size_px=(200, 60)))


def test_transparent_and_turned_pictures_are_shown_upright_in_rgb() -> None:
    turned = Image.new("RGB", (40, 20), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    turned.save(file, "JPEG", exif=exif)
    upload = decode_upload(file.getvalue(), max_px=10_000, keep_px=100)
    assert (upload.image.shape, upload.size_px) == ((40, 20, 3), (40, 20))
    clear = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 255, 0)).save(clear, "PNG")
    assert decode_upload(clear.getvalue(), max_px=10_000, keep_px=100).image.shape == (8, 8, 3)


def test_sixteen_bits_are_shown_as_an_index_shows_them(tmp_path: Path) -> None:
    values = np.linspace(0, 4000, 256 * 256).astype(np.uint16).reshape(256, 256)
    path = tmp_path / "grey16.png"
    Image.fromarray(values).save(path)
    uploaded = decode_upload(path.read_bytes(), max_px=100_000, keep_px=256).image
    assert (uploaded.min(), uploaded.max()) == (0, 255)
    as_example = read_picture(path, max_px=256)
    assert np.abs(uploaded.astype(int) - as_example.astype(int)).max() <= 1


def test_pictures_expire_and_make_room() -> None:
    now = [0.0]
    store = PictureStore(limit=2, expiry_s=10.0, clock=lambda: now[0])
    image = np.zeros((1, 1, 3), dtype=np.uint8)
    first, second, third = store.put(image), store.put(image), store.put(image)
    assert len({first, second, third}) == 3
    with pytest.raises(MissingError):
        store.get(first)
    assert store.get(second) is image
    now[0] = 11.0
    with pytest.raises(MissingError):
        store.get(third)
    assert len(store) == 0


def test_rendered_pictures_are_kept_within_a_number_of_bytes() -> None:
    made: list[str] = []

    def make(name: str) -> bytes:
        made.append(name)
        return bytes(40)

    cache = ByteCache(100)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert len(cache.get((name,), lambda name=name: make(name))) == 40
    assert made == ["a", "b", "c", "b"]
    assert cache.size_bytes == 80
    nothing = ByteCache(0)
    assert nothing.get(("a",), lambda: b"x") == b"x"
    assert nothing.size_bytes == 0


def test_a_fault_is_500_without_a_traceback_and_with_one_in_the_log(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    client = make_client()

    def fail(_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(client.app.state.engine.catalogue, "show", fail.__get__(0))  # type: ignore[attr-defined]
    with caplog.at_level(logging.ERROR, logger="rsitr.service"):
        answer = client.get("/api/scenes")
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]
    assert any(record.exc_info for record in caplog.records)
    assert status_of(ZeroDivisionError()) == 500


def test_a_log_record_is_one_line_of_json() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        import sys

        record = logging.LogRecord("rsitr.service", logging.ERROR, "", 0, "oh %s", ("no",), sys.exc_info())
    record.fields = {"request_id": "a", "path": Path("x")}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    found = json.loads(line)
    assert (found["message"], found["request_id"], found["level"]) == ("oh no", "a", "error")
    assert "ValueError" in found["traceback"]


def test_every_request_is_counted_and_logged(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="rsitr.service"):
        client.get("/api/search?q=red", headers={"X-Request-ID": "mine"})
        client.get("/nothing")
    fields = [record.fields for record in caplog.records if record.getMessage() == "request"]
    assert [(one["path"], one["status"]) for one in fields] == [("/api/search", 200), ("/nothing", 404)]
    assert fields[0]["request_id"] == "mine"
    text = client.get("/metrics").text
    assert 'rsitr_requests_total{method="GET",route="/api/search",status="200"} 1.0' in text
    assert 'rsitr_requests_total{method="GET",route="none",status="404"} 1.0' in text
    assert "rsitr_ready 1.0" in text
    assert "rsitr_index_tiles 13.0" in text


def test_warnings_of_pillow_about_bombs_are_refusals() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        huge = Image.new("1", (10_000, 9_500))
        file = io.BytesIO()
        huge.save(file, "PNG")
        with pytest.raises(TooLargeError):
            decode_upload(file.getvalue(), max_px=1_000, keep_px=10)
