"""A service of two processes: each sees what the other was told, and no request is lost when they are renewed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from archives import picture_file
from fakes import ColourEncoder
from rasters import write_utm
from rsitr.errors import StoreError
from rsitr.index import Settings, ingest
from rsitr.service.processes import make_environment, run_processes
from rsitr.service.settings import load_settings
from rsitr.service.supervisor import READY

TESTS = Path(__file__).resolve().parents[2]
SUMS = "rsitr_requests_total"


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RSITR_")}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(TESTS), kept.get("PYTHONPATH", "")]), "OMP_NUM_THREADS": "1"}


@dataclass
class Service:
    """`rsitr serve --processes 2` as people start it."""

    process: subprocess.Popen[bytes]
    url: str
    index: Path
    log: Path

    def client(self, pid: int) -> httpx.Client:
        """A client whose connection is to this process."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            client = httpx.Client(base_url=self.url, timeout=60, verify=False)
            if client.get("/api/health").json()["pid"] == pid:
                return client
            client.close()
        raise AssertionError(f"no connection came to {pid}")

    def pids(self) -> set[int]:
        return {get(f"{self.url}/api/health")["pid"] for _ in range(20)}

    def said(self, message: str) -> list[dict[str, Any]]:
        lines = [line for line in self.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        return [told for told in map(json.loads, lines) if told["message"] == message]


def until(is_so: Callable[[], bool], timeout_s: float = 120.0) -> None:
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def get(url: str) -> Any:
    """Over a connection of its own."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.load(answer)


def answers(url: str) -> bool:
    try:
        return bool(get(f"{url}/api/ready")["ready"])
    except OSError:
        return False


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    shutil.copytree(archive.parent, folder / "archive")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rsitr", "--import", "colours", "serve", str(folder / "archive" / "index")]
    log = folder / "log"
    (folder / "tmp").mkdir()
    with log.open("wb") as written:
        process = subprocess.Popen(
            [*command, "--processes", "2", "--port", str(port), "--rate", "0"],
            stderr=written,
            env={**environment(), "TMPDIR": str(folder / "tmp"), "RSITR_SHUTDOWN_S": "5"},
        )
    running = Service(process, f"http://127.0.0.1:{port}", folder / "archive" / "index", log)
    try:
        until(lambda: process.poll() is not None or len(running.said("ready")) == 2)
        until(lambda: process.poll() is not None or answers(running.url))
        assert process.poll() is None, log.read_text(encoding="utf-8")
        yield running
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert "Traceback" not in log.read_text(encoding="utf-8")
        assert list((folder / "tmp").iterdir()) == [], "what they had in common has gone with them"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def both(service: Service) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """A client of each process."""
    pids: set[int] = set()  # whichever process takes a connection answers: of twenty, all may be one's

    def have_both_answered() -> bool:
        pids.update(service.pids())
        return len(pids) == 2

    until(have_both_answered)
    first, second = (service.client(pid) for pid in sorted(pids))
    with closing(first), closing(second):
        yield first, second


Both = tuple[httpx.Client, httpx.Client]


def test_a_picture_that_one_was_sent_is_found_by_the_other(service: Service, both: Both) -> None:
    for sent_to, asked in (both, both[::-1]):
        sent = sent_to.post("/api/pictures", content=picture_file("red"), headers={"Content-Type": "image/png"})
        picture = sent.json()["picture"]
        body = {"pictures": [picture], "k": 1}
        found, same = (client.post("/api/search", json=body) for client in (asked, sent_to))
        assert found.is_success, found.text
        assert found.json()["hits"] == same.json()["hits"] != []
        part = {"parts": [{"kind": "picture", "value": picture}], "k": 1}
        assert asked.post("/api/search", json=part).json()["hits"] == found.json()["hits"]
    assert both[0].post("/api/search", json={"pictures": ["../../etc/passwd"]}).status_code == 404
    (common,) = (service.log.parent / "tmp").iterdir()
    assert [entry.stat().st_mode & 0o777 for entry in (common, common / "pictures")] == [0o700, 0o700]
    assert both[0].get("/api/health").json()["common"] == "folder"


def test_what_people_say_in_one_is_seen_in_the_other(both: Both) -> None:
    first, second = both
    tile = first.post("/api/search", json={"text": "red", "k": 1}).json()["hits"][0]["tile"]
    said = first.post("/api/reviews", json={"query": "red", "tile": tile, "verdict": "yes"})
    assert said.is_success, said.text
    assert [review["tile"] for review in second.get("/api/reviews").json()["reviews"]] == [tile]
    learned = {"name": "reds", "search": {"text": "red"}, "marks": [{"tile": tile, "right": True}]}
    made = second.post("/api/detectors", json=learned)
    assert made.is_success, made.text
    assert [one["name"] for one in first.get("/api/detectors").json()["detectors"]] == ["reds"]
    assert first.post("/api/search", json={"detector": "reds", "k": 1}).json()["hits"][0]["tile"] == tile
    assert first.delete("/api/detectors/reds").is_success
    assert second.post("/api/search", json={"detector": "reds"}).status_code == 422


def test_both_see_new_scenes_without_being_started_anew(service: Service, both: Both, encoder: ColourEncoder) -> None:
    before = [client.get("/api/health").json()["index"]["n_tiles"] for client in both]
    scenes = service.index.parent / "scenes"
    write_utm(scenes / "south_20230503.tif", tags={"SENSOR": "NEW"})
    ingest([scenes], into=service.index, encoder=encoder, settings=Settings(tile_px=64))
    for client, n_tiles in zip(both, before, strict=True):
        assert client.get("/api/health").json()["index"]["n_tiles"] > n_tiles
        found = client.get("/api/search", params={"q": "red", "sensor": "NEW"}).json()["hits"]
        assert {hit["scene"] for hit in found} == {"south_20230503.tif"}


def test_metrics_are_of_both_whoever_is_asked(both: Both) -> None:
    def count(client: httpx.Client) -> float:
        lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{SUMS}{{") and "/api/live" in line)

    before = count(both[0])
    for _ in range(3):
        for client in both:
            assert client.get("/api/live").json()["ready"] is True
    # A request is counted when its answer is out, which the other process may be quicker to tell.
    until(lambda: [count(client) - before for client in both] == [6.0, 6.0])
    assert all("\nrsitr_ready 2.0\n" in client.get("/metrics").text for client in both)


def test_no_request_is_lost_when_all_are_renewed(service: Service, both: Both) -> None:
    """Clients keep their connections, as browsers and proxies do; each answer may end one."""
    old = service.pids()
    for client in both:
        client.close()  # an idle one is waited for, for five seconds
    stop = threading.Event()
    seen: list[Any] = []

    def ask() -> None:
        with httpx.Client(base_url=service.url, timeout=60, verify=False) as client:
            while not stop.is_set():
                try:
                    answer = client.get("/api/search?q=red&k=1&places=false")
                    seen.append(answer.status_code)
                except httpx.HTTPError as error:
                    seen.append(repr(error))
                time.sleep(0.2)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    counted = httpx.get(f"{service.url}/metrics").text
    service.process.send_signal(signal.SIGHUP)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in old))
    n_then = len(seen)
    until(lambda: len(seen) > n_then + 12)
    stop.set()
    for thread in threads:
        thread.join(timeout=60)
    assert set(seen) == {200}
    assert service.pids().isdisjoint(old)
    assert not service.said("a process has ended by itself")
    # What the old ones counted stays in the sum.
    route = 'rsitr_requests_total{method="GET",route="/api/live",status="200"}'
    before, after = (
        float(next(line for line in text.splitlines() if line.startswith(route)).split()[-1])
        for text in (counted, httpx.get(f"{service.url}/metrics").text)
    )
    assert before == after == 6.0


def test_a_process_whose_supervisor_is_gone_ends_and_tidies_up(archive: Path, tmp_path: Path) -> None:
    common = tmp_path / "common"
    common.mkdir()
    heard, told = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        settings = load_settings(index=archive, port=listening.getsockname()[1]).model_dump(mode="json")
        fd = listening.fileno()
        task = {"number": 1, "status": told, "at_once": False, "settings": settings, "sockets": [fd]}
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rsitr.service.member"],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=[told, fd], env=environment(),
        )  # fmt: skip
        os.close(told)
        assert process.stdin is not None
        process.stdin.write(json.dumps({**task, "common": str(common), "imports": ["colours"]}).encode() + b"\n")
        process.stdin.flush()
        assert os.read(heard, 64) == READY
        os.close(heard)
        assert answers(f"http://127.0.0.1:{listening.getsockname()[1]}")
        _, logged = process.communicate(timeout=60)  # closes its standard input
    assert process.returncode == 0, logged.decode()
    assert b"Fatal" not in logged
    assert not common.exists()


def test_processes_share_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("RSITR_MEMORY_GB", "6")
    settings = load_settings(index=tmp_path, processes=4)
    assert settings.share().workers == 2
    assert load_settings(index=tmp_path, processes=4, workers=5).share().workers == 5
    given = make_environment({"A": "b"}, processes=4, counters=tmp_path)
    assert given == {"A": "b", "PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "RSITR_MEMORY_GB": "1.500000"}


def test_what_can_be_told_without_starting_any_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such index"):
        run_processes(load_settings(index=tmp_path / "none", processes=2), [])
    assert list(tmp_path.iterdir()) == []
