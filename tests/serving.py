"""`rsitr serve` as a process of its own, as people start it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["serve"]

START_S = 600.0  # drawing and indexing the demo takes half a minute, and much longer on a busy machine


@contextmanager
def serve(*args: str, log: Path, port: int = 0) -> Iterator[str]:
    """Run `rsitr serve` until it is ready; gives its address. Without a port it takes a free one."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "rsitr", "serve", *args, "--port", str(port), "--rate", "0"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RSITR_")}
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            end = time.monotonic() + START_S
            while not _is_ready(address):
                if process.poll() is not None or time.monotonic() > end:
                    raise AssertionError(f"rsitr serve {' '.join(args)} does not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _is_ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/health", timeout=5) as answer:
            return json.load(answer)["status"] == "ready"
    except OSError:
        return False
