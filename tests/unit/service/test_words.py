"""What the service tells of words: of which language they are, and which of them the model does not know."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from fakes import ColourEncoder, FewWords
from rsitr.catalogue import CATALOGUE


def test_words_that_the_model_does_not_know_are_data(
    make_client: Callable[..., TestClient], encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "lexicon", FewWords("red"), raising=False)
    client = make_client()
    assert client.get("/api/index").json()["language"] == "en"
    known, foreign, partly = (client.get("/api/search", params={"q": q}).json() for q in ("red", "rot", "red rot"))
    assert (known["unknown"], known["is_foreign"]) == ([], False)
    assert (foreign["unknown"], foreign["is_foreign"]) == ([{"word": "rot", "nearest": ["red"]}], True)
    assert (partly["unknown"], partly["is_foreign"]) == ([{"word": "rot", "nearest": ["red"]}], False)


def test_of_a_model_that_nobody_has_described_no_language_is_told(make_client: Callable[..., TestClient]) -> None:
    assert make_client().get("/api/index").json()["language"] is None


def test_models_of_many_languages_are_told_from_those_of_english() -> None:
    assert {model.name for model in CATALOGUE.values() if model.language is None} == {"siglip2-base", "siglip2-large"}
    assert {model.language for model in CATALOGUE.values()} == {"en", None}
