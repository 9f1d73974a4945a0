"""Claim: ten thousand hostile requests get client errors and nothing else, and leave no trace.

    python benchmarks/service_hostile.py [--requests 10000] [--seed 0]

`rsitr serve` serves a small index with its scenes in a process of its own, and is sent what `tests/hostile.py` makes
up, at every route that takes anything: wrong types, broken JSON, bad geometries, path traversal, oversized and
malformed pictures, decompression bombs, forms, methods, marks, map tiles, views, brushes, reviews, and names of
detectors and saved searches that are none; some of it over raw sockets, as no HTTP client would send it. Status 1
unless every answer is 4xx (over a raw socket, a closed connection will do), the log has no traceback and no error, the
index and its scenes are as they were, memory (VmRSS) after the last request is at most 10 % more than after the first
fifth, and a search is answered as before.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from archives import write_archive
from hostile import HostileRequest, hostile_requests
from rsitr.models import load_model
from service_load import MODEL, Server

MOST_GROWTH = 0.10
UNDERSTOOD_BY_NOBODY = "Invalid HTTP request received."
RAW = (
    b"GET /static/../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET /api/tiles/../../../../etc/passwd/picture.jpg HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET //etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET /api/health HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n",
    b"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n",
    b"POST /api/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\nConnection: close\r\n\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 70_000 + b"\r\nConnection: close\r\n\r\n",
    b"nonsense\r\n\r\n",
    bytes(range(256)),
)


def send_raw(port: int, content: bytes) -> int:
    """The status of the answer to some bytes; 0 where the connection was closed without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            head = connection.recv(65_536)
        except ConnectionError:
            return 0
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/") else 0


def send(client: httpx.Client, asked: HostileRequest) -> int | str:
    """The status of an answer, or what is wrong with it."""
    try:
        answer = client.request(asked.method, asked.path, content=asked.content, headers=asked.headers)
    except httpx.HTTPError as error:
        return f"no answer ({type(error).__name__})"
    if answer.text == UNDERSTOOD_BY_NOBODY:  # the server's own word on what is no HTTP
        return answer.status_code
    try:
        is_ours = set(answer.json()["error"]) == {"status", "title", "detail", "request_id"}
    except (ValueError, KeyError, TypeError):
        is_ours = False
    return (
        answer.status_code
        if is_ours and "Traceback" not in answer.text
        else f"{answer.status_code} {answer.text[:200]}"
    )


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every file of a folder with its size."""
    return sorted((path.as_posix(), path.stat().st_size) for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    answers: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name) / "archive", Path(name) / "log"
        index = write_archive(folder, load_model(MODEL, device="cpu"))
        server = Server(index, log)
        url = f"http://127.0.0.1:{server.port}"
        with contextlib.closing(server), httpx.Client(base_url=url, timeout=60) as client:
            probe = {"text": "a red field", "k": 5}
            before, files = client.post("/api/search", json=probe).json()["hits"], listing(folder)
            begun, early_mb = time.perf_counter(), 0.0
            for number, asked in enumerate(itertools.islice(hostile_requests(options.seed), options.requests)):
                status = send(client, asked)
                answers[f"{str(status)[:3]}"] += 1
                if not (isinstance(status, int) and 400 <= status < 500):
                    wrong.append(f"{asked.kind}: {asked.method} {asked.path[:80]} {asked.content[:80]!r}: {status}")
                if number % 100 == 0:
                    raw = RAW[number // 100 % len(RAW)]
                    status = send_raw(server.port, raw)
                    answers[f"raw {status}"] += 1
                    if not (status == 0 or 400 <= status < 500):
                        wrong.append(f"raw: {raw[:80]!r}: {status}")
                if number == options.requests // 5:
                    early_mb = server.rss_mb()
            took_s, late_mb = time.perf_counter() - begun, server.rss_mb()
            after = client.post("/api/search", json=probe).json()["hits"]
        exit_status = server.stop()
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]
        unchanged = listing(folder) == files and before == after
    faults = [line for line in lines if line["level"] == "error" or "traceback" in line]
    growth = late_mb / early_mb - 1
    shown = ", ".join(f"{status}: {count:,}" for status, count in sorted(answers.items()))
    print(
        f"{options.requests:,} hostile requests, seed {options.seed}, load {os.getloadavg()[0]:.1f}: {took_s:.0f} s; "
        f"{shown}; {len(wrong)} not 4xx, {len(faults)} faults logged; memory {early_mb:.0f} MB after a fifth, "
        f"{late_mb:.0f} MB at the end ({growth:+.1%}); index and answers {'as before' if unchanged else 'CHANGED'}; "
        f"exit status {exit_status}"
    )
    for said in [*wrong[:10], *map(str, faults[:3])]:
        print(said)
    sys.exit(0 if not wrong and not faults and unchanged and growth <= MOST_GROWTH and exit_status == 0 else 1)


if __name__ == "__main__":
    main()
