"""Told to stop, a server first says that it is not ready, and ends connections, so that clients look elsewhere."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app
from rsitr.service.server import Server


@pytest.mark.parametrize("hands_over", [False, True])
def test_what_is_under_way_is_finished_and_connections_end(
    archive: Path, encoder: ColourEncoder, *, hands_over: bool
) -> None:
    settings = ServiceSettings(index=archive, rate_per_s=0, drain_s=1.0, shutdown_s=5)
    app = create_app(settings, index=Index.open(archive, encoder=encoder))
    settled: list[bool] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        server = Server(app, at_once=False, settled=settled.append)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening.dup()]})
        thread.start()
        with httpx.Client(base_url=url, timeout=30) as client:
            ready = client.get("/api/ready")
            assert (ready.status_code, ready.headers.get("connection")) == (200, None), (
                "it was answered once it is ready"
            )
            assert settled == [True]
            begun = time.monotonic()
            if hands_over:
                server.retire()
            else:
                server.should_exit = True
            while not app.state.engine.is_draining:
                time.sleep(0.01)
            draining = client.get("/api/ready")
            assert (draining.status_code, draining.headers["connection"]) == (503, "close")
            assert draining.json() == {"ready": False, "detail": "the service was told to stop"}
            if not hands_over:  # others may still come, until load balancers have seen that
                assert httpx.get(f"{url}/api/search?q=red").status_code == 200
                assert httpx.get(f"{url}/api/live").status_code == 200
            thread.join(timeout=30)
            took_s = time.monotonic() - begun
        assert not thread.is_alive()
        assert took_s < 5.0, "nobody was connected any more"
        assert hands_over or took_s >= 1.0
