"""A service on an index of four scenes, with an encoder of colours."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from archives import write_archive
from fakes import ColourEncoder
from rsitr.search import Index
from rsitr.service import ServiceSettings, create_app

MakeClient = Callable[..., TestClient]


@pytest.fixture(scope="session")
def encoder() -> ColourEncoder:
    return ColourEncoder(image_size_px=64)


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory, encoder: ColourEncoder) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"), encoder)


@pytest.fixture
def make_client(archive: Path, encoder: ColourEncoder) -> Iterator[MakeClient]:
    """Starts services on the archive, each with settings of its own, and waits until they are ready."""
    with ExitStack() as running:

        def make(
            *,
            wait: bool = True,
            headers: dict[str, str] | None = None,
            peer: tuple[str, int] = ("127.0.0.1", 50000),
            **settings: Any,
        ) -> TestClient:
            settings = {"index": archive, "rate_per_s": 0, **settings}
            app = create_app(ServiceSettings(**settings), index=Index.open(archive, encoder=encoder))
            client = TestClient(
                app, base_url="http://127.0.0.1", headers=headers, raise_server_exceptions=False, client=peer
            )
            running.enter_context(client)
            if wait:
                until_ready(app.state.engine)
            return client

        yield make


def until_ready(engine: Any, *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while engine.status == "warming" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert engine.status == "ready", engine.detail


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    return make_client()
