from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rsitr.models import load_model
from rsitr.models.lexicon import Lexicon
from rsitr.types import FloatArray

PIECES = {"river": 0, "creek": 1, "thursday": 2, "car": 3, "park": 4, "the": 5, "##park": 6, "harbor": 7, "qq": 8}
ROWS = {"river": (1, 0, 0), "creek": (0.9, 0.4, 0), "car": (0, 1, 0), "park": (0, 0, 1), "harbor": (0.2, -1, -0.6)}


def embed(ids: Sequence[int]) -> FloatArray:
    names = {number: name for name, number in PIECES.items()}
    return np.array([ROWS.get(names[number], (-1, -1, -1)) for number in ids], dtype=np.float32)


@pytest.fixture
def lexicon() -> Lexicon:
    return Lexicon(lambda: PIECES, embed=embed, known=["river", "car", "park", "harbor", "the"])


def test_words_of_captions_their_neighbours_and_compounds_are_known(lexicon: Lexicon) -> None:
    assert lexicon.unknown("The river, a creek and 2 carparks near the harbor: carpark") == {"carparks": ()}
    assert not lexicon.is_foreign("creek")


def test_what_is_not_known_is_named_with_what_is_near(lexicon: Lexicon) -> None:
    assert set(lexicon.unknown("thursday harbour")) == {"thursday", "harbour"}
    assert lexicon.unknown("harbour")["harbour"] == ("harbor",), "by its letters, where there is no vector"
    assert lexicon.unknown("asdfgh") == {"asdfgh": ()}


def test_a_query_is_foreign_where_no_word_that_says_what_is_known(lexicon: Lexicon) -> None:
    assert lexicon.is_foreign("a picture of asdfgh on thursday")
    assert not lexicon.is_foreign("asdfgh beside a river")
    assert not lexicon.is_foreign("a picture"), "it asks for nothing that could be unknown"
    assert lexicon.is_foreign("qq"), "two letters are near anything"


def test_the_default_model_knows_things_and_no_names() -> None:
    lexicon = load_model("lookout").lexicon
    assert lexicon is not None
    for words in ("airfield", "carpark", "ballpark", "marina", "motorway", "glacier", "a yacht", "solar panels"):
        assert not lexicon.is_foreign(words), words
    for words in ("asdfghjkl", "john smith", "flughafen", "der hund", "la maison", "bonjour", "jealousy"):
        assert lexicon.is_foreign(words), words
    assert lexicon.unknown("churhc") == {"churhc": ("church",)}
