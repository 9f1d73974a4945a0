"""A Ray cluster of two nodes on this machine, for tests: processes of their own, all of which end for certain."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fakes import COLOURS, ColourEncoder
from rsitr.types import EncodedImages, ImageArray

__all__ = ["DeadlyEncoder", "SlowEncoder", "TwoNodes"]

START_S = 90
STORE_BYTES = 80_000_000
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_prestart_worker_first_driver": "0",  # no process before it is needed: each takes seconds to start
    "RAY_ENABLE_WORKER_PRESTART": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "120000",  # and is used again
    "RAY_health_check_period_ms": "500",  # a node that was killed is missed within seconds
    "RAY_health_check_failure_threshold": "3",
}


class SlowEncoder(ColourEncoder):
    """Takes its time, so that something can happen meanwhile."""

    def __init__(self, *, batch_s: float) -> None:
        super().__init__(image_size_px=64)
        self.batch_s = batch_s

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        time.sleep(self.batch_s)
        return super().encode_images(images, batch_size=batch_size)


class DeadlyEncoder(ColourEncoder):
    """A picture that is yellow all over ends the process, as running out of memory does; it is never seen by tests."""

    def encode_images(self, images: Sequence[ImageArray], *, batch_size: int = 64) -> EncodedImages:
        if any((image == COLOURS["yellow"]).all() for image in images):
            os._exit(1)
        return super().encode_images(images, batch_size=batch_size)


class TwoNodes:
    """A first node and a second one, with a CPU each. To be used as a context manager."""

    def __init__(self) -> None:
        # Neither below pytest's folders: Ray makes sockets in it, whose paths must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="ray-"))
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        self.port, self.client_port = _free_port(), _free_port()
        tests = Path(__file__).parent
        # A package that checks addresses for jsonschema takes each process two seconds to import, and is optional.
        (self._folder / "rfc3987_syntax.py").write_text("raise ImportError('not wanted')\n")
        self.settings = dict(ENVIRONMENT)
        self.environment = {**os.environ, **ENVIRONMENT}
        self.environment["PYTHONPATH"] = os.pathsep.join([str(self._folder), str(tests.parent / "src"), str(tests)])

    @property
    def address(self) -> str:
        """Of its first node."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> TwoNodes:
        try:
            head = ["--head", f"--port={self.port}", f"--ray-client-server-port={self.client_port}", "--no-monitor"]
            self._start("first", *head, f"--temp-dir={self._folder}", "--include-dashboard=false")
            self._start("second", f"--address={self.address}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in list(self._nodes):
            self.kill(name)
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self, name: str) -> None:
        """End a node with all of its processes, as a power cut does."""
        node = self._nodes.pop(name)
        while found := _processes_of(node.pid):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        node.wait()

    def _start(self, name: str, *options: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, "--num-cpus=1", "--block"]
        command += [f"--object-store-memory={STORE_BYTES}", "--disable-usage-stats", "--include-log-monitor=false"]
        log = self._folder / f"{name}.log"
        with log.open("wb") as out:
            node = subprocess.Popen(command, env=self.environment, stdout=out, stderr=out, start_new_session=True)
        self._nodes[name] = node
        until = time.monotonic() + START_S
        while b"Ray runtime started" not in log.read_bytes():
            assert node.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)


def _processes_of(session: int) -> list[int]:
    """Those of a session that run: Ray gives its processes groups of their own, but no sessions."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, own = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            if int(own) == session and state not in "ZX":
                found.append(int(entry.name))
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
