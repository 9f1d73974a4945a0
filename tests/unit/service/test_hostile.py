"""Mischief is answered 4xx, in the one shape of errors, and no traceback; more in `benchmarks/service_hostile.py`."""

from __future__ import annotations

import itertools
import logging

import pytest
from fastapi.testclient import TestClient

from hostile import hostile_requests

N = 480


def test_mischief_is_answered_with_a_client_error(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="rsitr.service"):
        for asked in itertools.islice(hostile_requests(), N):
            answer = client.request(asked.method, asked.path, content=asked.content, headers=asked.headers)
            about = f"{asked.kind}: {asked.method} {asked.path[:80]} {asked.content[:80]!r}: {answer.text[:300]}"
            assert 400 <= answer.status_code < 500, f"{answer.status_code} for {about}"
            assert set(answer.json()["error"]) == {"status", "title", "detail", "request_id"}, about
            assert "Traceback" not in answer.text
    assert not [record for record in caplog.records if record.name.startswith("rsitr")]
    assert client.post("/api/search", json={"text": "red", "k": 1}).status_code == 200
