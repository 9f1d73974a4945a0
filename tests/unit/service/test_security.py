"""Who may ask what, and what every answer says to browsers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rsitr.errors import ConfigError
from rsitr.service import ServiceSettings, add_key, create_app, load_keys, load_settings
from rsitr.service.admission import RateLimit
from rsitr.service.errors import RateError
from rsitr.service.guard import SECURITY_HEADERS

MakeClient = Callable[..., TestClient]
DETECTOR = {"name": "reds", "search": {"text": "red"}, "marks": []}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """A read and a write key, and the file of their hashes."""
    file = tmp_path / "keys"
    return {"file": str(file), "read": add_key("read", file), "write": add_key("write", file)}


def test_a_key_file_holds_no_key_and_is_its_owners_alone(keys: dict[str, str]) -> None:
    file = Path(keys["file"])
    text = file.read_text(encoding="utf-8")
    assert keys["read"] not in text
    assert hashlib.sha256(keys["write"].encode()).hexdigest() in text
    assert file.stat().st_mode & 0o777 == 0o600
    ring = load_keys(file)
    found = ring.find(keys["write"])
    assert found is not None
    assert found.role == "write"
    assert ring.find("rsitr_wrong") is None
    assert ring.find("\ud800") is None


@pytest.mark.parametrize("line", ["read", "admin " + "0" * 64, "read 123", "read:" + "g" * 64])
def test_a_line_that_is_no_key_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "keys").write_text(f"# mine\n\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="keys, line 3"):
        load_keys(tmp_path / "keys")


def test_keys_that_are_missing_or_of_no_role(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--new-key"):
        load_keys(tmp_path / "none")
    with pytest.raises(ConfigError, match="read or write"):
        add_key("admin", tmp_path / "keys")
    with pytest.raises(ConfigError, match="cannot be written"):
        add_key("read", tmp_path / "nowhere" / "keys")


def test_with_keys_only_who_has_one_may_ask(make_client: MakeClient, keys: dict[str, str]) -> None:
    client = make_client(keys_file=keys["file"])
    for path in ("/api/scenes", "/api/index", "/api/search?q=red", "/metrics", "/api/tiles/x", "/api/detectors"):
        answer = client.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get(path, headers={"Authorization": "Bearer rsitr_wrong"}).status_code == 401
    for path in ("/", "/api/health", "/api/openapi.json"):
        assert client.get(path).status_code == 200, path
    assert client.get("/api/index", headers={"Authorization": f"Bearer {keys['read']}"}).json()["can_write"] is False
    assert client.get("/api/index", headers={"X-API-Key": keys["write"]}).json()["can_write"] is True


def test_only_a_write_key_makes_and_deletes_detectors(
    make_client: MakeClient, keys: dict[str, str], archive: Path
) -> None:
    client = make_client(keys_file=keys["file"])
    reader, writer = {"X-API-Key": keys["read"]}, {"X-API-Key": keys["write"]}
    tile = client.get("/api/search?q=red&k=1", headers=reader).json()["hits"][0]["tile"]
    body = {**DETECTOR, "marks": [{"tile": tile, "right": True}]}
    assert client.post("/api/detectors", json=body, headers=reader).status_code == 403
    made = client.post("/api/detectors", json=body, headers=writer)
    assert made.status_code == 201
    told = {"name": "reds", "query": "“red”", "n_right": 1, "n_wrong": 0, "n_gone": 0, "precision": None}
    assert made.json() == told
    damaged = archive / "detectors" / "bad.json"
    damaged.write_text("{", encoding="utf-8")
    assert client.get("/api/detectors", headers=reader).json()["detectors"] == [made.json()]  # the others work on
    damaged.unlink()
    found = client.post("/api/search", json={"detector": "reds", "k": 3}, headers=reader).json()
    assert found["hits"][0]["tile"] == tile
    another = {"name": "dark reds"}
    assert client.patch("/api/detectors/reds", json=another, headers=reader).status_code == 403
    assert client.patch("/api/detectors/blues", json=another, headers=writer).status_code == 404
    taken = client.patch("/api/detectors/reds", json={"name": "reds"}, headers=writer)
    assert taken.status_code == 422
    assert "already" in taken.text
    assert str(archive) not in taken.text
    assert client.patch("/api/detectors/reds", json=another, headers=writer).json() == {**told, **another}
    assert client.get("/api/detectors", headers=reader).json()["detectors"] == [{**told, **another}]
    assert client.patch("/api/detectors/dark reds", json={"name": "reds"}, headers=writer).status_code == 200
    assert client.delete("/api/detectors/reds", headers=reader).status_code == 403
    assert client.delete("/api/detectors/reds", headers=writer).status_code == 204
    assert client.delete("/api/detectors/reds", headers=writer).status_code == 404


def test_without_keys_this_machine_alone_may_write(make_client: MakeClient) -> None:
    assert make_client().get("/api/index").json()["can_write"] is True
    assert make_client(host="0.0.0.0", insecure=True).get("/api/index").json()["can_write"] is False


def test_other_machines_want_a_key_or_a_word(archive: Path, keys: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="--insecure"):
        create_app(ServiceSettings(index=archive, host="0.0.0.0"))
    create_app(ServiceSettings(index=archive, host="0.0.0.0", keys_file=Path(keys["file"])))


def test_every_answer_bears_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/api/health", "/nothing", "/api/tiles/x", "/static/none.js"):
        answer = client.get(path)
        assert {name: answer.headers[name] for name in SECURITY_HEADERS} == SECURITY_HEADERS, path
        assert answer.headers["x-request-id"]
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy


def test_a_request_keeps_its_id_unless_it_could_be_mischief(client: TestClient) -> None:
    kept = client.get("/api/health", headers={"X-Request-ID": "page-17"})
    assert kept.headers["x-request-id"] == "page-17"
    refused = client.get("/api/health", headers={"X-Request-ID": "a b<script>"})
    assert refused.headers["x-request-id"] != "a b<script>"


def test_pages_of_other_sites_may_not_ask_unless_they_are_listed(make_client: MakeClient) -> None:
    foreign = {"Origin": "https://example.org"}
    closed = make_client()
    assert "access-control-allow-origin" not in closed.get("/api/health", headers=foreign).headers
    assert closed.post("/api/search", json={"text": "red"}, headers=foreign).status_code == 403
    own = {"Origin": "http://127.0.0.1"}
    assert closed.post("/api/search", json={"text": "red"}, headers=own).status_code == 200
    opened = make_client(cors_origins=("https://example.org",))
    answer = opened.post("/api/search", json={"text": "red"}, headers=foreign)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://example.org"
    asked = {**foreign, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    assert opened.options("/api/search", headers=asked).status_code == 200


def test_another_name_for_this_machine_is_refused(make_client: MakeClient) -> None:
    client = make_client(allowed_hosts=("127.0.0.1", "[::1]"))
    assert client.get("/api/health").status_code == 200
    assert client.get("/api/health", headers={"Host": "[::1]:8000"}).status_code == 200
    assert client.get("/api/health", headers={"Host": "rebound.example"}).status_code == 403


def test_a_client_that_asks_too_often_waits(make_client: MakeClient) -> None:
    client = make_client(rate_per_s=0.001, rate_burst=3)
    statuses = [client.get("/api/scenes").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert client.get("/api/health").status_code == 200  # a watchman is never turned away
    assert client.get("/api/scenes").headers["retry-after"] == "1"


@pytest.mark.parametrize("trusted", [(), ("10.0.0.0/8", "192.168.7.1")])
def test_behind_a_trusted_proxy_each_client_has_a_rate_of_its_own(
    make_client: MakeClient, trusted: tuple[str, ...]
) -> None:
    """Where none is trusted, the header is anybody's word."""
    client = make_client(rate_per_s=0.001, rate_burst=1, trusted_proxies=trusted, peer=("192.168.7.1", 5000))
    clients = ["203.0.113.5", "203.0.113.6", "203.0.113.5", "198.51.100.1, 203.0.113.6, 10.1.2.3"]
    statuses = [client.get("/api/scenes", headers={"X-Forwarded-For": name}).status_code for name in clients]
    assert statuses == ([200, 200, 429, 429] if trusted else [200, 429, 429, 429])


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    rate = RateLimit(per_s=2.0, burst=2, clock=lambda: now[0])
    rate.check("a")
    rate.check("a")
    with pytest.raises(RateError, match=r"0\.5 s"):
        rate.check("a")
    rate.check("b")
    now[0] = 0.5
    rate.check("a")
    with pytest.raises(RateError):
        rate.check("a")


def test_settings_come_from_the_environment_and_flags_take_their_place(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSITR_INDEX", str(archive))
    monkeypatch.setenv("RSITR_PORT", "9000")
    monkeypatch.setenv("RSITR_CORS_ORIGINS", "https://a.example, https://b.example")
    settings = load_settings(port=None, host="localhost")
    assert (settings.index, settings.port, settings.host) == (archive, 9000, "localhost")
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert load_settings(port=1234).port == 1234
    with pytest.raises(ConfigError, match="RSITR_PORT"):
        load_settings(port=99999)
    monkeypatch.setenv("RSITR_TRUSTED_PROXIES", "10.0.0.1,everyone")
    with pytest.raises(ConfigError, match=r"'everyone' does not appear to be .* RSITR_TRUSTED_PROXIES"):
        load_settings()


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/index", "/api/openapi.json", "/api/scenes"])
def test_what_answers_to_get_answers_to_head(client: TestClient, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (got.status_code, b"")
    if path != "/api/health":  # which tells how long it has been up
        assert head.headers["content-length"] == got.headers["content-length"]
    assert client.head("/api/pictures").status_code == 405
