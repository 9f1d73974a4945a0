"""How well what a map shows fits a search."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

WORLD = [-180, -85, 180, 85]


def ask(client: TestClient, **changes: Any) -> Any:
    return client.post("/api/heat", json={"search": {"text": "red"}, "view": WORLD, "zoom": 20, **changes})


def test_every_tile_in_view_is_told_once(client: TestClient) -> None:
    answer = ask(client)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    found = client.post("/api/search", json={"text": "red", "k": 200, "bbox": WORLD, "places": False, "all": True})
    score = {hit["tile"]: hit["score"] for hit in found.json()["hits"]}
    assert told["n_shown"] == told["n_tiles"] == len(told["cells"]) > 4
    assert not told["joined"]
    assert all(cell["score"] == score[cell["tile"]] for cell in told["cells"])
    assert all(cell["ring"][0] == cell["ring"][-1] for cell in told["cells"])
    assert told["cells"][-1]["score"] == max(cell["score"] for cell in told["cells"])


def test_far_out_tiles_are_joined(client: TestClient) -> None:
    far = ask(client, zoom=3).json()
    assert far["joined"]
    assert sum(cell["n_tiles"] for cell in far["cells"]) == far["n_shown"] == ask(client).json()["n_shown"]
    assert len(far["cells"]) < far["n_shown"]


def test_where_nothing_is_nothing_is_told(client: TestClient) -> None:
    assert ask(client, view=[10, -80, 11, -79]).json() == {"n_tiles": 0, "n_shown": 0, "joined": False, "cells": []}


@pytest.mark.parametrize(
    "changes",
    [
        {"view": [0, 1, 2]},
        {"view": [0, 50, 1, 40]},
        {"view": [0, 0, 1, 91]},
        {"view": ["a", 0, 1, 1]},
        {"zoom": -1},
        {"zoom": 25},
        {"zoom": None},
        {"search": {}},
        {"search": {"text": "red", "detector": "x"}},
        {"search": {"like": ["no such tile"]}},
        {"search": {"text": "red", "k": 10**9}},
        {"more": 1},
    ],
)
def test_what_cannot_be_shown_is_a_client_error(client: TestClient, changes: dict[str, Any]) -> None:
    answer = ask(client, **changes)
    assert answer.status_code in {404, 422}, answer.text
    assert "Traceback" not in answer.text
