"""What processes and hosts have in common: pictures and rates, in files and in a real Redis, which may go away."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archives import picture_file
from caches import RedisServer, run_redis
from fakes import ColourEncoder
from rsitr.errors import ConfigError, MissingError, StoreError
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app, load_settings
from rsitr.service.admission import RateLimit
from rsitr.service.errors import RateError
from rsitr.service.shared_state import Common
from rsitr.service.uploads import PictureFolder, PictureStore, pack_picture, unpack_picture
from rsitr.types import ImageArray
from servers import run_app


def picture(value: int, *, side_px: int = 8) -> ImageArray:
    return np.full((side_px, side_px, 3), value, dtype=np.uint8)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with run_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def settings_of(**given: Any) -> ServiceSettings:
    return ServiceSettings(index=Path("none"), **given)


def test_pictures_in_a_folder_expire_and_make_room(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    mine, theirs = (PictureFolder(folder, limit=2, expiry_s=100.0) for _ in range(2))
    names = []
    for value in range(3):
        names.append(mine.put(picture(value)))
        os.utime(folder / names[-1], (time.time() - 10 + value,) * 2)
    assert len(theirs) == 2
    with pytest.raises(MissingError, match="send it again"):
        theirs.get(names[0])
    np.testing.assert_array_equal(theirs.get(names[2]), picture(2))
    assert (folder.stat().st_mode & 0o777) == 0o700
    os.utime(folder / names[2], (time.time() - 101,) * 2)
    with pytest.raises(MissingError):
        mine.get(names[2])
    theirs.put(picture(4))
    assert len(theirs) == 2


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_pictures_are_bounded_in_bytes(tmp_path: Path, kind: str) -> None:
    bounds = {"limit": 100, "expiry_s": 100.0, "most_bytes": 3 * (3 * 64 * 64 + 128)}
    store = PictureFolder(tmp_path, **bounds) if kind == "folder" else PictureStore(**bounds)  # type: ignore[arg-type]
    names = [store.put(picture(value, side_px=64)) for value in range(5)]
    assert len(store) == 3
    np.testing.assert_array_equal(store.get(names[-1]), picture(4, side_px=64))


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    store = PictureFolder(tmp_path / "pictures", limit=2, expiry_s=100.0)
    name = store.put(picture(1))
    (tmp_path / "elsewhere-elsew").write_bytes(pack_picture(picture(1)))
    for other in ("../elsewhere-elsew", "", ".", "a" * 16, "\0" * 16, f"{name}/"):
        with pytest.raises(MissingError):
            store.get(other)
    (tmp_path / "pictures" / name).write_bytes(pack_picture(picture(1))[:-5])
    with pytest.raises(MissingError):
        store.get(name)
    for content in (b"", b"\x93NUMPY", pack_picture(np.zeros((2, 2), np.uint8)), b"\x80\x04K\x01."):
        with pytest.raises(MissingError):
            unpack_picture(content)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="pictures cannot be kept"):
        PictureFolder(tmp_path / "file" / "pictures", limit=2, expiry_s=1.0).put(picture(1))


def test_without_redis_each_process_admits_its_share() -> None:
    async def ask() -> int:
        common = Common(settings_of(processes=4, rate_per_s=0.001, rate_burst=10))
        for admitted in range(20):
            try:
                await common.check_rate("a")
            except RateError:
                return admitted
        return 20

    assert asyncio.run(ask()) == 3


def test_the_rate_in_redis_is_that_of_a_bucket_and_exact_over_all(redis: RedisServer) -> None:
    """As many at once as one bucket holds, however many ask; and then as `RateLimit` fills it."""

    async def ask() -> tuple[int, int, str, int]:
        given = {"redis_url": redis.url, "redis_prefix": "rate:", "rate_per_s": 2.0, "rate_burst": 30, "processes": 4}
        hosts = [Common(settings_of(**given)) for _ in range(3)]

        async def take(number: int, client: str) -> str:
            try:
                await hosts[number % 3].check_rate(client)
            except RateError as error:
                return str(error)
            return ""

        begun = time.monotonic()
        said = await asyncio.gather(*(take(number, "a") for number in range(90)))
        filled = int(2.0 * (time.monotonic() - begun)) + 1
        other = await take(0, "b")
        await asyncio.sleep(0.6)
        again = [await take(number, "a") for number in range(3)]
        for host in hosts:
            await host.close()
        assert other == ""
        return said.count(""), filled, next(filter(None, said)), again.count("")

    admitted, filled, message, again = asyncio.run(ask())
    assert 30 <= admitted < 30 + filled
    assert message.startswith("more than 2 requests per second; try again in 0.")
    assert again >= 1
    now = [0.0]
    alone = RateLimit(per_s=2.0, burst=30, clock=lambda: now[0])
    for _ in range(30):
        alone.check("a")
    with pytest.raises(RateError, match=r"more than 2 requests per second; try again in 0\.5 s"):
        alone.check("a")


def test_pictures_in_redis_are_everybodys_bounded_and_expire(redis: RedisServer) -> None:
    async def ask() -> None:
        given = {"redis_url": redis.url, "max_pictures": 3, "redis_prefix": "pictures:"}
        here, there = Common(settings_of(**given)), Common(settings_of(**given))
        names = [await here.keep_picture(picture(value)) for value in range(5)]
        found = await there.find_pictures([*names, "nobody-knows-it!"])
        assert list(found) == names[2:]
        np.testing.assert_array_equal(found[names[4]], picture(4))
        assert [await here.where(), await there.where()] == ["redis", "redis"]
        other = Common(settings_of(redis_url=redis.url, redis_prefix="others:", picture_expiry_s=0.05))
        assert await other.find_pictures(names) == {}
        gone = await other.keep_picture(picture(9))
        await asyncio.sleep(0.2)
        assert await other.find_pictures([gone]) == {}
        remote = other._remote
        assert remote is not None
        left = [key async for key in remote._redis.scan_iter("others:*")]
        assert left == [], "nothing stays of what has expired"
        await remote.keep("big", bytes(600), expiry_s=60, limit=9, most_bytes=1000)
        await remote.keep("bigger", bytes(700), expiry_s=60, limit=9, most_bytes=1000)
        assert (await remote.find("big"), await remote.find("bigger")) == (None, bytes(700))
        for one in (here, there, other):
            await one.close()

    asyncio.run(ask())


def until(is_so: Callable[[], bool], timeout_s: float = 30.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_service_does_without_redis_while_it_is_gone(
    archive: Path, encoder: ColourEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import httpx

    with run_redis(tmp_path) as redis, caplog.at_level(logging.INFO, logger="rsitr.service"):
        settings = ServiceSettings(index=archive, redis_url=redis.url, rate_per_s=1000)
        app = create_app(settings, index=Index.open(archive, encoder=encoder))
        with run_app(app) as url, httpx.Client(base_url=url, timeout=30) as client:

            def send() -> str:
                sent = client.post("/api/pictures", content=picture_file("red"), headers={"Content-Type": "image/png"})
                assert sent.status_code == 201, sent.text
                return str(sent.json()["picture"])

            def search(name: str) -> int:
                return client.post("/api/search", json={"pictures": [name], "k": 1}).status_code

            def common() -> str:
                return str(client.get("/api/health").json()["common"])

            before = send()
            assert (common(), search(before)) == ("redis", 200)
            redis.stop()
            meanwhile = send()
            assert (search(meanwhile), search(before)) == (200, 404)
            assert common() == "redis is gone"
            assert client.get("/api/ready").status_code == 200
            redis.start()
            until(lambda: common() == "redis")
            assert (search(meanwhile), search(send())) == (200, 200)
    said = [record.getMessage() for record in caplog.records if "Redis" in record.getMessage()]
    assert said == ["Redis is gone; this service does without it", "Redis is back"]


def test_a_redis_that_does_not_answer_is_waited_for_once() -> None:
    """Connections are taken and nothing is said: the worst way to be gone."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"

        async def ask() -> list[float]:
            common = Common(settings_of(redis_url=url, rate_per_s=1000))
            took_s = []
            for _ in range(5):
                begun = time.monotonic()
                await common.check_rate("a")
                took_s.append(time.monotonic() - begun)
            await common.close()
            return took_s

        took_s = asyncio.run(ask())
    assert 0.5 < took_s[0] < 10.0
    assert max(took_s[1:]) < 0.5


def test_what_is_no_address_of_a_redis_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="RSITR_REDIS_URL"):
        load_settings(index=tmp_path, redis_url="http://cache:6379")
    assert load_settings(index=tmp_path, redis_url=" ").redis_url is None
    secret = load_settings(index=tmp_path, redis_url="redis://:secret@cache:6379/0")
    assert "secret" not in repr(secret)
    monkeypatch.setattr("rsitr.extras.has_package", lambda _package: False)
    with pytest.raises(ConfigError, match=r'RSITR_REDIS_URL needs redis, .* pip install "rsitr\[redis\]"'):
        Common(secret)
