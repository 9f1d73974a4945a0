from __future__ import annotations

import datetime
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsitr.errors import QueryError
from rsitr.search import Part, Query, make_query, parse_weight
from rsitr.search.limits import parse_day
from rsitr.search.query import check_threshold
from rsitr.types import TileFilter

DAY = datetime.date(2016, 8, 16)


def test_a_query_is_taken_as_it_is_meant() -> None:
    found = make_query(text="  a  river\n", image=Path("some/dir/example.png"), k=3, bbox=(1, 2, 3, 4), since=DAY)
    parts = (Part("words", "a river"), Part("picture", "example.png"))
    assert found == Query(parts, 3, TileFilter(bbox=(1.0, 2.0, 3.0, 4.0), since=DAY))
    assert (found.text, found.image) == ("a river", "example.png")
    assert found.describe() == "“a river” and like example.png within 1, 2, 3, 4 since 2016-08-16"


def test_limits_are_told() -> None:
    found = make_query(text=None, image=np.zeros((2, 3, 3), np.uint8), k=1, until=DAY, sensor="NAIP")
    assert found.describe() == "like a picture until 2016-08-16 by NAIP"


@pytest.mark.parametrize("bbox", [(170.0, -10.0, -170.0, 10.0), (0.0, 0.0, 0.0, 0.0), (-180.0, -90.0, 180.0, 90.0)])
def test_boxes_that_can_be(bbox: tuple[float, float, float, float]) -> None:
    assert make_query(text="x", image=None, k=1, bbox=bbox).where.bbox == bbox


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"text": None}, "nothing to search for: give words, or a picture"),
        ({"text": ""}, "the words to search for are empty"),
        ({"text": " \n"}, "the words to search for are empty"),
        ({"text": "", "image": Path("x.png")}, "the words to search for are empty"),
        ({"text": None, "minus": "clouds"}, "nothing to search for: give words"),
        ({"minus": " "}, "the words to search for are empty"),
        ({"parts": [Part("words", "x", 0.0)]}, "a part of a query that counts 0 asks for nothing: “x”"),
        ({"parts": [Part("words", "x", math.nan)]}, "counts nan"),
        ({"k": 0}, "at least 1, not 0"),
        ({"bbox": (1, 2, 3)}, "west,south,east,north"),
        ({"bbox": (1, 2, 3, math.nan)}, "west,south,east,north"),
        ({"bbox": (1, 5, 3, 4)}, "its south lies north of its north"),
        ({"bbox": (-181, 2, 3, 4)}, "longitudes run from -180 to 180"),
        ({"bbox": (1, 2, 360, 4)}, "longitudes run from -180 to 180"),
        ({"bbox": (1, 2, 3, 91)}, "latitudes run from -90 to 90"),
        ({"since": DAY, "until": datetime.date(2016, 8, 15)}, "no day is on or after 2016-08-16 and on or before"),
        ({"image": np.zeros((4, 4), np.uint8)}, r"\(height, width, 3\) of uint8, not \(4, 4\) of uint8"),
        ({"image": np.zeros((4, 4, 3), np.float32)}, r"not \(4, 4, 3\) of float32"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, r"not \(0, 4, 3\)"),
    ],
)  # fmt: skip
def test_queries_that_make_no_sense(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        make_query(**{"text": "words", "image": None, "k": 5, **asked})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"text": 5}, "text, not 5"),
        ({"text": "a", "k": 2.5}, "at least 1, not 2.5"),
        ({"text": "a", "k": True}, "at least 1, not True"),
        ({"text": "a", "since": "2016-01-01"}, "since is a day, .* not '2016-01-01'"),
        ({"text": "a", "until": datetime.datetime(2016, 1, 1)}, "until is a day"),
        ({"text": "a", "bbox": "1,2,3,4"}, "a box is west,south,east,north .* not '1,2,3,4'"),
    ],
)
def test_values_of_another_kind_are_told_as_such(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(QueryError, match=said):
        make_query(**({"k": 10} | asked))


@pytest.mark.parametrize("threshold", ["0.5", -0.1, 1.5, math.nan, True, None])
def test_a_threshold_is_a_relevance(threshold: Any) -> None:
    with pytest.raises(QueryError, match="from 0 to 1"):
        check_threshold(threshold)


def test_a_mixture_is_told_with_its_weights() -> None:
    found = make_query(
        text="a river", like=["a.tif:0,0,8,8"], minus="clouds", parts=[Part("words", "a bridge", 0.5)], k=3
    )
    assert [part.weight for part in found.parts] == [1.0, 1.0, -0.5, 0.5]
    assert found.describe() == "“a river” and like a.tif:0,0,8,8 and 0.5 × “a bridge” without “clouds”"
    assert found.text == "a river and a bridge"


@pytest.mark.parametrize(
    ("text", "weight", "rest"),
    [("2*a river", 2.0, "a river"), (" .5 * x", 0.5, "x"), ("3 * 4 * y", 3.0, "4 * y"), ("10 boats", 1.0, "10 boats"),
     ("*", 1.0, "*"), ("2*", 1.0, "2*")],
)  # fmt: skip
def test_weights_stand_in_front(text: str, weight: float, rest: str) -> None:
    assert parse_weight(text) == (weight, rest)


def test_a_filter_is_a_start_that_single_limits_replace() -> None:
    base = TileFilter(sensor="NAIP", scene="2016/*", since=DAY)
    found = make_query(text="x", k=1, where=base, sensor="other")
    assert found.where == TileFilter(sensor="other", scene="2016/*", since=DAY)
    assert found.describe() == "“x” since 2016-08-16 by other in 2016/*"


@pytest.mark.parametrize("day", ["16", "2016-13", "2016-8", "2016-02-30", "", "today"])
def test_what_is_no_day_is_told_with_the_forms_that_are(day: str) -> None:
    with pytest.raises(QueryError, match="since takes a day as YYYY-MM-DD, or a month or year"):
        parse_day(day, name="since", is_last=False)


def test_a_month_or_a_year_reaches_from_its_first_day_to_its_last() -> None:
    for text in ("2016", "2016-01", "2016-01-01"):
        assert parse_day(text, name="since", is_last=False) == datetime.date(2016, 1, 1)
    assert parse_day("2016", name="until", is_last=True) == datetime.date(2016, 12, 31)
    assert parse_day("2015-02", name="until", is_last=True) == datetime.date(2015, 2, 28)
