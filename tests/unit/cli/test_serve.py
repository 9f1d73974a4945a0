"""`rsitr serve`: keys, refusals, the demo that is drawn once, and a server that ends when it is told to."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rsitr.cli import serve
from rsitr.cli.app import app
from rsitr.cli.serve import build_demo, demo_folder, listen, run_serve
from rsitr.errors import ConfigError, StoreError
from rsitr.search import Index

RUN = CliRunner()


def test_a_new_key_is_printed_once_and_its_hash_kept(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    made = RUN.invoke(app, ["serve", "--new-key", "read", "--keys", str(file)])
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert re.fullmatch(r"rsitr_[\w-]{43}", key)
    assert key not in file.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="--keys FILE"):
        run_serve(new_key="read")


def test_what_cannot_be_served_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RSITR_INDEX", raising=False)
    with pytest.raises(ConfigError, match="rsitr serve --demo"):
        run_serve()
    with pytest.raises(ConfigError, match="not both"):
        run_serve(tmp_path, demo=True)
    with pytest.raises(StoreError, match="no such index"):
        run_serve(tmp_path / "none")
    with pytest.raises(ConfigError, match="--insecure"):
        run_serve(tmp_path / "none", host="0.0.0.0")


def test_the_demo_is_drawn_once_and_again_when_it_is_spoilt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = build_demo(tmp_path / "demo", device="cpu", size_px=512)
    assert "drawing" in capsys.readouterr().err
    assert len(Index.open(path)) > 0
    before = (tmp_path / "demo" / "scene.tif").stat().st_mtime_ns
    assert build_demo(tmp_path / "demo", device="cpu", size_px=512) == path
    assert capsys.readouterr().err == ""
    assert (tmp_path / "demo" / "scene.tif").stat().st_mtime_ns == before
    (path / "rsitr-index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(StoreError, match="not from a demo"):
        build_demo(tmp_path / "demo", device="cpu", size_px=512)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert demo_folder().is_relative_to(tmp_path / "cache" / "rsitr")


def test_settings_reach_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[object] = []
    monkeypatch.setattr(serve, "_run", lambda app, settings, listening: served.append(settings))
    monkeypatch.setattr(serve, "build_demo", lambda folder, device=None: _index(tmp_path))
    assert run_serve(demo=True, port=0, rate_per_s=7.0) == 0
    (settings,) = served
    assert (settings.port, settings.rate_per_s) == (0, 7.0)  # type: ignore[attr-defined]
    assert "127.0.0.1" in settings.allowed_hosts  # type: ignore[attr-defined]
    assert "many white storage tanks" in settings.suggestions  # type: ignore[attr-defined]


def test_a_served_index_answers_and_ends_with_status_0(tmp_path: Path) -> None:
    index = _index(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "rsitr", "serve", str(index), "--port", str(port), "--device", "cpu"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        text = _get(f"http://127.0.0.1:{port}/api/health", process)
        assert min(_ask_again(port, times=30)[10:]) < 0.03  # 40 ms where the end of each answer waits for the client
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=60)
    finally:
        process.kill()
    assert '"n_tiles":1' in text
    assert process.returncode == 0, logged
    assert f"http://127.0.0.1:{port}" in logged
    assert "Traceback" not in logged


def _ask_again(port: int, *, times: int) -> list[float]:
    """Seconds until each of some answers over one connection."""
    connection, spent = http.client.HTTPConnection("127.0.0.1", port, timeout=60), []
    for _ in range(times):
        begun = time.perf_counter()
        connection.request("GET", "/api/live")
        connection.getresponse().read()
        spent.append(time.perf_counter() - begun)
    connection.close()
    return spent


def test_a_port_in_use_is_told_at_once_and_nothing_is_said_to_be_served(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1, port {port}: it is in use"):
            run_serve(tmp_path / "never-opened", port=port)


def test_a_free_port_is_found_for_all_addresses_of_a_host() -> None:
    listening = listen("localhost", 0)
    try:
        ports = {one.getsockname()[1] for one in listening}
        assert len(ports) == 1
        assert ports != {0}
        with pytest.raises(ConfigError, match="it is in use"):
            listen("localhost", ports.pop())
    finally:
        for one in listening:
            one.close()


def test_a_host_that_is_not_this_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigError, match="cannot listen on nowhere, port 80: Name or service not known; choose"):
        listen("nowhere", 80)


def _index(folder: Path) -> Path:
    """An index of one picture, made with the default model."""
    from generators import draw_scene, save_picture
    from rsitr.defaults import DEFAULT_MODEL
    from rsitr.index import ingest
    from rsitr.models import load_model

    save_picture(draw_scene(1, size_px=224)[0], folder / "scenes" / "photograph.png")
    ingest([folder / "scenes"], into=folder / "index", encoder=load_model(DEFAULT_MODEL, device="cpu"))
    return folder / "index"


def _get(url: str, process: subprocess.Popen[str], *, timeout_s: float = 120.0) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    pytest.fail("the service did not answer")
