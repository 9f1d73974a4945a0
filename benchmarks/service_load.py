"""Claim: a hundred clients at once lose no answer, and over HTTP a search takes 5 ms more than in process at most.

    python benchmarks/service_load.py [--seconds 60] [--clients 100] [--rows 100000]

A synthetic index of `--rows` tiles with random vectors, made for the model `compact`, and one scene of 2,048 pixels a
side that can be looked at, is served by `rsitr serve` in a process of its own, on two cores (its clients share them).
First one client asks the service and this process the same new words in turn, and then for the scene's map tiles: each
once, which draws it with the scene open, and once more, when it is kept. Then `--clients` clients ask for `--seconds`
as fast as they are answered, who is answered 503 waits as Retry-After says. Half of what they ask are searches, each a
different one, one in four within a box; the rest is what the page and GIS programs ask beside: map tiles, colours for
the map, tiles under a click and a brush, pictures, what is saved and what it finds, comparisons, reviews, OGC and STAC,
probes. Every answer must be what its route gives, searches 24 hits, and bear the request id of its question. Status 1
if a target is missed: no status but 200 and 503, no answer lost, memory (VmRSS, medians of the second third and of the
last fifth of the time) flat within 10 %, 5 ms, a map tile in 50 ms (median), drawn or kept.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as `rsitr serve` sets it for itself, so that like is compared with like

import argparse
import asyncio
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from rasters import from_origin, write_raster
from rsitr.demo.drawing.scene import draw_scene
from rsitr.index import LanceStore, Manifest, Settings, ingest
from rsitr.index.manifest import write_manifest
from rsitr.models import load_model
from rsitr.search import Index
from rsitr.types import SceneEntry
from store_speed import SCENE_TILES, make_tile, make_vectors

MODEL = "compact"
K = 24
CORES = 2
PAIRS = 150
WARM_S = 5.0
MOST_ADDED_MS = 5.0
MOST_GROWTH = 0.10
MOST_TILE_MS = 50.0
SCENE, SCENE_PX, DRAWN_PX = "town_20200831.tif", 2048, 1024
COLOURS = ("white", "green", "blue", "grey", "red", "brown", "yellow", "dark", "bright", "old", "new", "large", "small")
THINGS = ("river", "bridge", "harbour", "roof", "field", "forest", "road", "airport", "pond", "beach", "square", "ship")


def make_index(folder: Path, *, rows: int, model: str = MODEL) -> None:
    """An index without scenes' files: nothing but its vectors and outlines is searched."""
    encoder = load_model(model, device="cpu")
    folder.mkdir(parents=True)
    store = LanceStore(folder, dim=encoder.dim)
    side = int(np.ceil(np.sqrt(rows)))
    tiles = [make_tile(number, side=side) for number in range(rows)]
    scenes = dict.fromkeys(tile.scene for tile in tiles)
    entries = [SceneEntry(scene, 1, 1, (7168, 7168), SCENE_TILES, 0) for scene in scenes]
    store.put(entries, tiles, make_vectors(rows, dim=encoder.dim, seed=0))
    store.tidy()
    write_manifest(folder, Manifest.create(folder, encoder=encoder, settings=Settings(), root=folder.parent))


def add_scene(folder: Path) -> None:
    """A scene that can be looked at: the demo's drawing, side by side."""
    drawn = draw_scene(seed=0, size_px=DRAWN_PX).pixels
    pixels = np.tile(np.moveaxis(drawn, 2, 0), (1, SCENE_PX // DRAWN_PX, SCENE_PX // DRAWN_PX))
    path = folder.parent / "scenes" / SCENE
    place = {"crs": "EPSG:32614", "transform": from_origin(500_000.0, 5_209_245.0, 1.0, 1.0)}
    write_raster(path, pixels, **place, tiled=True, blockxsize=256, blockysize=256)
    report = ingest([path.parent], into=folder, encoder=load_model(MODEL, device="cpu"), settings=Settings())
    assert not report.failures, report.failures


class Server:
    """`rsitr serve` in a process of its own."""

    def __init__(self, index: Path, log: Path, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        command = [sys.executable, "-m", "rsitr", "serve", str(index), "--port", str(self.port), "--rate", "0"]
        with log.open("wb") as written:
            self.process = subprocess.Popen(
                [*command, "--device", "cpu", *options],
                stderr=written,
                env={**os.environ, "RSITR_LOG_LEVEL": "warning"},
            )
        self.wait()

    def wait(self, timeout_s: float = 180.0) -> None:
        """Wait until it is ready."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/health") as answer:
                    if json.load(answer)["status"] == "ready":
                        return
            except OSError:
                pass
            time.sleep(0.2)
        raise SystemExit("the service did not start")

    def get(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """An answer as JSON."""
        content = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", content, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked) as answer:
            return json.load(answer)

    def rss_mb(self) -> float:
        """Memory it holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def stop(self) -> int:
        """Tell it to end, as a supervisor would; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def close(self) -> None:
        """Stop it, whatever became of it."""
        self.stop()


@dataclass
class Tally:
    """What the clients saw."""

    sent: int = 0
    times_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    busy: int = 0
    wrong: list[str] = field(default_factory=list)


def make_words(chance: random.Random) -> str:
    """A query that hardly any other request asks."""
    first, second = chance.sample(THINGS, 2)
    return f"a {chance.choice(COLOURS)} {first} beside the {chance.choice(COLOURS)} {second} {chance.randrange(10**6)}"


def make_body(chance: random.Random) -> dict[str, object]:
    body: dict[str, object] = {"text": make_words(chance), "k": K}
    if chance.random() < 0.25:
        west, south = chance.uniform(-90, 60), chance.uniform(-60, 30)
        body["bbox"] = [west, south, west + 30, south + 30]
    return body


def has(name: str) -> Callable[[bytes], bool]:
    """Whether an answer is JSON with a member of that name."""
    return lambda content: name in json.loads(content)


@dataclass(frozen=True)
class Request:
    """What is asked, and how its answer is known."""

    kind: str
    path: str
    body: dict[str, Any] | None = None
    is_answered: Callable[[bytes], bool] = lambda content: len(json.loads(content)["hits"]) == K


@dataclass(frozen=True)
class Ground:
    """What is asked for beside words: the map tiles of the scene, ids of its tiles, and a point in each."""

    web_tiles: list[str]
    tiles: list[str]
    points: list[tuple[float, float]]

    @classmethod
    def read(cls, server: Server) -> Ground:
        """Ask the service, and keep two searches there."""
        (scene,) = [one for one in server.get("scenes")["scenes"] if one["scene"].endswith(SCENE)]
        west, south, east, north = scene["bbox"]
        found = server.get("search", {"text": "a town", "bbox": [west, south, east, north], "k": 100, "places": False})
        tiles = [hit for hit in found["hits"] if hit["scene"] == scene["scene"]]
        for name in ("one", "two"):
            server.get("saved", {"name": name, "search": {"text": f"harbour {name}"}})
        squares = [
            scene["tiles"].format(z=zoom, x=x, y=y)
            for zoom in range(12, 17)
            for x in range(column(west, zoom), column(east, zoom) + 1)
            for y in range(row(north, zoom), row(south, zoom) + 1)
        ]
        points = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (tile["bbox"] for tile in tiles)]
        return cls(squares, [tile["tile"] for tile in tiles], points)


def column(lon: float, zoom: int) -> int:
    return int((lon + 180) / 360 * 2**zoom)


def row(lat: float, zoom: int) -> int:
    return int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)


def make_request(chance: random.Random, ground: Ground) -> Request:
    """A search, or something that is asked beside."""
    words = quote(make_words(chance))
    lon, lat = chance.choice(ground.points)
    beside = chance.random()
    if beside < 0.5:
        return Request("search", "/api/search", make_body(chance))
    if beside < 0.7:
        return Request("map tile", chance.choice(ground.web_tiles), None, lambda content: content[8:12] == b"WEBP")
    if beside < 0.8:
        west, south = chance.uniform(-90, 60), chance.uniform(-60, 30)
        view = {"view": [west, south, west + 5, south + 5], "zoom": 7}
        return Request("heat", "/api/heat", {"search": {"text": make_words(chance)}, **view}, has("cells"))
    others = (
        Request("click", f"/api/tiles?lon={lon}&lat={lat}", None, has("tiles")),
        Request("brush", "/api/tiles", {"way": [[lon, lat], [lon + 0.01, lat]], "radius_m": 20}, has("tiles")),
        Request("picture", f"/api/tiles/{quote(chance.choice(ground.tiles))}/picture.jpg", None, is_jpeg),
        Request("days", f"/api/tiles/{quote(chance.choice(ground.tiles))}/days", None, has("days")),
        Request("saved", "/api/saved", None, has("searches")),
        Request("finds", "/api/saved/one/finds", None, has("n_new")),
        Request("compare", "/api/compare?first=saved:one&second=saved:two", None, has("n_both")),
        Request("detectors", "/api/detectors", None, has("detectors")),
        Request("reviews", "/api/reviews", None, has("reviews")),
        Request("ready", chance.choice(["/api/ready", "/api/live"]), None, has("ready")),
        Request("OGC", "/ogc/collections/tiles/items?limit=10", None, has("features")),
        Request("OGC search", f"/ogc/collections/search/items?q={words}&limit=10", None, has("features")),
        Request("STAC", f"/stac/search?q={words}&collections=tiles&limit=10", None, has("features")),
    )
    return chance.choice(others)


def is_jpeg(content: bytes) -> bool:
    return content[:2] == b"\xff\xd8"


async def send(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, name: str
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection that stays open."""
    content = b"" if request.body is None else json.dumps(request.body).encode()
    writer.write(
        f"{'GET' if request.body is None else 'POST'} {request.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: application/json\r\nX-Request-ID: {name}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
    )
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, object], name: str
) -> tuple[int, dict[str, str], bytes]:
    """A search on a connection that stays open."""
    return await send(reader, writer, Request("search", "/api/search", body), name)


async def run_client(number: int, port: int, tally: Tally, ground: Ground, *, until: float) -> None:
    """Ask as fast as answers come."""
    chance = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        request, name = make_request(chance, ground), f"{number}-{tally.sent}"
        tally.sent += 1
        begun = time.perf_counter()
        status, headers, content = await asyncio.wait_for(send(reader, writer, request, name), timeout=120)
        if headers["x-request-id"] != name:
            tally.wrong.append(f"the answer to {headers['x-request-id']} came to {name}")
        elif status == 200 and request.is_answered(content):
            tally.times_s[request.kind].append(time.perf_counter() - begun)
        elif status == 503:
            tally.busy += 1
            await asyncio.sleep(float(headers["retry-after"]))
        else:
            tally.wrong.append(f"{request.path}: {status} {content[:200]!r}")
    writer.close()


async def run_load(server: Server, ground: Ground, *, clients: int, seconds: float) -> tuple[Tally, list[float]]:
    """All clients at once; what they saw, and the server's memory over the time."""
    tally, memory_mb = Tally(), []

    async def watch(until: float) -> None:
        while time.monotonic() < until:
            memory_mb.append(server.rss_mb())
            await asyncio.sleep(0.5)

    until = time.monotonic() + seconds
    await asyncio.gather(
        watch(until), *(run_client(i, server.port, tally, ground, until=until) for i in range(clients))
    )
    return tally, memory_mb


async def compare(server: Server, index: Index) -> tuple[float, float]:
    """Milliseconds of one client's search over HTTP and in this process, medians, asked in turn."""
    chance = random.Random(-1)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    over_http, in_process = [], []
    for number in range(PAIRS):
        begun = time.perf_counter()
        status, _, content = await ask(reader, writer, {"text": make_words(chance), "k": K}, f"one-{number}")
        json.loads(content)
        over_http.append(time.perf_counter() - begun)
        assert status == 200, content
        begun = time.perf_counter()
        index.search(make_words(chance), k=K).places()
        in_process.append(time.perf_counter() - begun)
    writer.close()
    return 1e3 * float(np.median(over_http)), 1e3 * float(np.median(in_process))


async def draw_tiles(server: Server, ground: Ground) -> tuple[float, float]:
    """Milliseconds until one client has a map tile that is drawn, and one that is kept: medians."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    drawn, kept = [], []
    for times in (drawn, kept):
        for number, path in enumerate(ground.web_tiles):
            begun = time.perf_counter()
            status, _, content = await send(reader, writer, Request("map tile", path), f"tile-{number}")
            times.append(time.perf_counter() - begun)
            assert status == 200, content
    writer.close()
    return 1e3 * float(np.median(drawn[1:])), 1e3 * float(np.median(kept))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as name:
        path, log = Path(name) / "index", Path(name) / "log"
        make_index(path, rows=options.rows)
        add_scene(path)
        server = Server(path, log)
        try:
            index = Index.open(path, device="cpu")
            index.search("a first search loads what later ones need", k=K)
            load = os.getloadavg()[0]
            http_ms, process_ms = asyncio.run(compare(server, index))
            ground = Ground.read(server)
            drawn_ms, kept_ms = asyncio.run(draw_tiles(server, ground))
            asyncio.run(run_load(server, ground, clients=options.clients, seconds=min(WARM_S, options.seconds)))
            tally, memory_mb = asyncio.run(run_load(server, ground, clients=options.clients, seconds=options.seconds))
        finally:
            status = server.stop()
        logged = log.read_text(encoding="utf-8")
    third, fifth = max(1, len(memory_mb) // 3), max(1, len(memory_mb) // 5)
    first_mb, last_mb = float(np.median(memory_mb[third : 2 * third])), float(np.median(memory_mb[-fifth:]))
    times_s = [one for times in tally.times_s.values() for one in times]
    answered = len(times_s)
    lost = tally.sent - answered - tally.busy - len(tally.wrong)
    searches = tally.times_s["search"] or [np.nan]
    p50, p99 = np.percentile(searches, [50, 99])
    print(
        f"{options.rows:,} tiles, {options.clients} clients for {options.seconds:g} s on {CORES} cores, load before "
        f"{load:.1f}: {answered:,} answers ({answered / options.seconds:.0f} per s), searches p50 {p50 * 1e3:.0f} ms, "
        f"p99 {p99 * 1e3:.0f} ms; {tally.busy} times 503; {lost} lost, {len(tally.wrong)} wrong; memory in the second "
        f"third {first_mb:.0f} MB, at the end {last_mb:.0f} MB ({last_mb / first_mb - 1:+.1%}); one client: "
        f"{http_ms:.1f} ms over HTTP, {process_ms:.1f} ms in process ({http_ms - process_ms:+.1f} ms), a map tile "
        f"{drawn_ms:.1f} ms drawn, {kept_ms:.1f} ms kept (of {len(ground.web_tiles)}); exit status {status}"
    )
    told = [f"{kind} {1e3 * np.median(times):.0f} ms ({len(times):,})" for kind, times in sorted(tally.times_s.items())]
    print(f"medians under this load: {', '.join(told)}")
    for said in tally.wrong[:5]:
        print(said)
    sound = not lost and not tally.wrong and answered and status == 0 and "Traceback" not in logged
    flat = abs(last_mb / first_mb - 1) <= MOST_GROWTH
    is_quick = http_ms - process_ms <= MOST_ADDED_MS and max(drawn_ms, kept_ms) <= MOST_TILE_MS
    sys.exit(0 if sound and flat and is_quick else 1)


if __name__ == "__main__":
    main()
