"""One hit for each ground: which tiles a better one makes superfluous."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import numpy as np
import pytest

from rsitr.search.copies import find_distinct
from rsitr.types import FloatArray, Hit, Tile

SUMMER, WINTER = datetime.date(2020, 7, 1), datetime.date(2020, 12, 1)


def hit(
    rank: int,
    scene: str,
    *,
    west: float | None = 10.0,
    date: datetime.date | None = SUMMER,
    sensor: str | None = None,
    score: float | None = None,
    col: int = 0,
) -> Hit:
    bbox = None if west is None else (west, 50.0, west + 0.01 if west < 179.995 else west - 359.99, 50.01)
    ring = None if west is None else ((west, 50.0), (west + 0.01, 50.0), (west + 0.01, 50.01), (west, 50.0))
    window = (col, 0, 64, 64)
    tile = Tile(f"{scene}:{col},0,64,64", scene, window, footprint=ring, bbox=bbox, date=date, sensor=sensor)
    return Hit(tile, score=1.0 - rank / 100 if score is None else score, rank=rank)


def distinct(hits: list[Hit], *, k: int = 10, same: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """The scenes that stay, and those that are left out; tiles of the scenes `same` have one vector."""

    def vectors(tiles: Sequence[str]) -> FloatArray:
        scenes = ["same" if tile.split(":")[0] in same else tile.split(":")[0] for tile in tiles]
        return np.array([[float(sum(map(ord, scene)) % 97), 1.0] for scene in scenes], dtype=np.float32)

    kept, left_out = find_distinct(lambda n: hits[:n], k=k, vectors=vectors)
    assert [hit.rank for hit in kept] == list(range(1, len(kept) + 1))
    return [hit.tile.scene for hit in kept], [hit.tile.scene for hit in left_out]


@pytest.mark.parametrize(
    ("other", "stays"),
    [
        (hit(2, "b"), False),
        (hit(2, "b", west=10.003), False),
        (hit(2, "b", west=10.004), True),  # less than half of the joint area is common
        (hit(2, "b", date=WINTER), True),
        (hit(2, "b", date=None), True),  # nobody knows that it is the same day
        (hit(2, "b", west=None), True),
        (hit(2, "b", sensor="radar"), False),
        (hit(2, "a", col=32), True),  # tiles of one scene overlap by intention
    ],
)
def test_the_same_ground_on_the_same_day_is_one_hit(other: Hit, *, stays: bool) -> None:
    kept, left_out = distinct([hit(1, "a"), other])
    assert (kept, left_out) == ((["a", other.tile.scene], []) if stays else (["a"], ["b"]))


def test_two_sensors_see_different_things() -> None:
    assert distinct([hit(1, "a", sensor="NAIP"), hit(2, "b", sensor="radar")])[0] == ["a", "b"]


def test_ground_across_the_antimeridian() -> None:
    assert distinct([hit(1, "a", west=179.996), hit(2, "b", west=179.997)])[0] == ["a"]
    assert distinct([hit(1, "a", west=179.996), hit(2, "b", west=-179.99)])[0] == ["a", "b"]


def test_copies_are_known_by_their_pixels_where_no_place_or_day_is() -> None:
    hits = [hit(n, scene, west=None, date=None, score=0.5) for n, scene in enumerate(("a", "b", "c", "d"), start=1)]
    assert distinct(hits, same=("a", "b", "c")) == (["a", "d"], ["b", "c"])
    apart = [hit(1, "a", west=None, score=0.5), hit(2, "b", west=None, score=0.5, col=64)]
    assert distinct(apart, same=("a", "b"))[0] == ["a", "b"], "another window is no copy"
    elsewhere = [hit(1, "a", date=None, score=0.5), hit(2, "b", date=None, west=20.0, score=0.5)]
    assert distinct(elsewhere, same=("a", "b"))[0] == ["a", "b"], "nor is another place, be both as blue as the sea"


def test_one_that_was_left_out_makes_no_other_superfluous() -> None:
    row = [hit(1, "a"), hit(2, "b", west=10.003), hit(3, "c", west=10.006)]
    assert distinct(row) == (["a", "c"], ["b"])


def test_as_many_hits_as_there_can_be() -> None:
    asked: list[int] = []
    hits = [hit(n + 1, f"s{n}", west=10.0 + n // 5) for n in range(40)]

    def find(n: int) -> list[Hit]:
        asked.append(n)
        return hits[:n]

    kept, left_out = find_distinct(find, k=4, vectors=lambda _: np.empty((0, 2), np.float32))
    assert [hit.tile.scene for hit in kept] == ["s0", "s5", "s10", "s15"]
    assert asked == [4, 8, 16]
    assert len(left_out) == 12
    kept, _ = find_distinct(lambda n: hits[:n], k=100, vectors=lambda _: np.empty((0, 2), np.float32))
    assert len(kept) == 8
