"""Claim: a hundred clients at once lose no answer, and over HTTP a search takes 5 ms more than in process at most.

    python benchmarks/service_load.py [--seconds 60] [--clients 100] [--rows 100000]

A synthetic index of `--rows` tiles with random vectors, made for the model `compact`, is served by `rsitr serve` in a
process of its own, on two cores (its clients share them). First one client asks the service and this process the same
new words in turn. Then `--clients` clients ask for `--seconds` as fast as they are answered, each a different query,
one in four within a box; who is answered 503 waits as Retry-After says. Every answer must be JSON of 24 hits and bear
the request id of its question. Status 1 if a target is missed: no status but 200 and 503, no answer lost, memory
(VmRSS, medians of the first and the last fifth of the time) flat within 10 %, 5 ms.
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
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rsitr.index import LanceStore, Manifest, Settings
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
    times_s: list[float] = field(default_factory=list)
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


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, object], name: str
) -> tuple[int, dict[str, str], bytes]:
    """One request on a connection that stays open."""
    content = json.dumps(body).encode()
    writer.write(
        b"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        + f"X-Request-ID: {name}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        + content
    )
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def run_client(number: int, port: int, tally: Tally, *, until: float) -> None:
    """Ask as fast as answers come."""
    chance = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        body, name = make_body(chance), f"{number}-{tally.sent}"
        tally.sent += 1
        begun = time.perf_counter()
        status, headers, content = await asyncio.wait_for(ask(reader, writer, body, name), timeout=120)
        if headers["x-request-id"] != name:
            tally.wrong.append(f"the answer to {headers['x-request-id']} came to {name}")
        elif status == 200:
            tally.times_s.append(time.perf_counter() - begun)
            if len(json.loads(content)["hits"]) != K:
                tally.wrong.append(f"{name}: {content[:200]!r}")
        elif status == 503:
            tally.busy += 1
            await asyncio.sleep(float(headers["retry-after"]))
        else:
            tally.wrong.append(f"{name}: {status} {content[:200]!r}")
    writer.close()


async def run_load(server: Server, *, clients: int, seconds: float) -> tuple[Tally, list[float]]:
    """All clients at once; what they saw, and the server's memory over the time."""
    tally, memory_mb = Tally(), []

    async def watch(until: float) -> None:
        while time.monotonic() < until:
            memory_mb.append(server.rss_mb())
            await asyncio.sleep(0.5)

    until = time.monotonic() + seconds
    await asyncio.gather(watch(until), *(run_client(i, server.port, tally, until=until) for i in range(clients)))
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
        server = Server(path, log)
        try:
            index = Index.open(path, device="cpu")
            index.search("a first search loads what later ones need", k=K)
            load = os.getloadavg()[0]
            http_ms, process_ms = asyncio.run(compare(server, index))
            asyncio.run(run_load(server, clients=options.clients, seconds=min(WARM_S, options.seconds)))
            tally, memory_mb = asyncio.run(run_load(server, clients=options.clients, seconds=options.seconds))
        finally:
            status = server.stop()
        logged = log.read_text(encoding="utf-8")
    fifth = max(1, len(memory_mb) // 5)
    first_mb, last_mb = float(np.median(memory_mb[:fifth])), float(np.median(memory_mb[-fifth:]))
    answered = len(tally.times_s)
    lost = tally.sent - answered - tally.busy - len(tally.wrong)
    p50, p99 = np.percentile(tally.times_s, [50, 99]) if tally.times_s else (np.nan, np.nan)
    print(
        f"{options.rows:,} tiles, {options.clients} clients for {options.seconds:g} s on {CORES} cores, load before "
        f"{load:.1f}: {answered:,} answers ({answered / options.seconds:.0f} per s), p50 {p50 * 1e3:.0f} ms, p99 "
        f"{p99 * 1e3:.0f} ms; {tally.busy} times 503; {lost} lost, {len(tally.wrong)} wrong; memory {first_mb:.0f} MB, "
        f"at the end {last_mb:.0f} MB ({last_mb / first_mb - 1:+.1%}); one client: {http_ms:.1f} ms over HTTP, "
        f"{process_ms:.1f} ms in process ({http_ms - process_ms:+.1f} ms); exit status {status}"
    )
    for said in tally.wrong[:5]:
        print(said)
    sound = not lost and not tally.wrong and answered and status == 0 and "Traceback" not in logged
    flat = abs(last_mb / first_mb - 1) <= MOST_GROWTH
    sys.exit(0 if sound and flat and http_ms - process_ms <= MOST_ADDED_MS else 1)


if __name__ == "__main__":
    main()
