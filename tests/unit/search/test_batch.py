from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from archives import picture_file
from rasters import write_utm
from rsitr.errors import QueryError, SceneError
from rsitr.geo import read_picture
from rsitr.search import read_queries
from rsitr.search.batch import example_part
from rsitr.types import TileFilter
from servers import serving

WHERE = TileFilter(sensor="NAIP")


def test_a_line_of_words_each(tmp_path: Path) -> None:
    file = tmp_path / "queries.txt"
    file.write_text("# rivers\na river\n\n2*a bridge\n", encoding="utf-8")
    first, second = read_queries(file, k=4, where=WHERE)
    assert (first.text, first.k, first.where) == ("a river", 4, WHERE)
    assert (second.parts[0].value, second.parts[0].weight) == ("a bridge", 2.0)


def test_objects_say_more(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text(
        '{"text": ["a river", "0.5*trees"], "not": "clouds", "k": 7}\n'
        '{"image": "example.png", "like": "a.tif:0,0,8,8"}\n',
        encoding="utf-8",
    )
    (tmp_path / "example.png").write_bytes(picture_file("red"))
    first, second = read_queries(file, k=4, where=WHERE)
    assert first.describe() == "“a river” and 0.5 × “trees” without “clouds” by NAIP"
    assert (first.k, second.k) == (7, 4)
    assert second.parts[0].picture == tmp_path / "example.png"
    assert [part.kind for part in second.parts] == ["picture", "tile"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "", "holds no query"),
        ("a.txt", "# nothing\n", "holds no query"),
        ("a.jsonl", "{}", "line 1: nothing to search for"),
        ("a.jsonl", '{"text": "x"}\n{"txt": "x"}', "line 2: 'txt' is unknown"),
        ("a.jsonl", "[1]", "line 1: is no JSON object"),
        ("a.jsonl", "{", "line 1: is no JSON object"),
        ("a.jsonl", '{"text": 3}', "'text' is a string or a list of strings, not 3"),
        ("a.jsonl", '{"text": "x", "k": "5"}', "'k' is a whole number, not '5'"),
        ("a.jsonl", '{"text": "x", "k": 0}', "at least 1, not 0"),
    ],
)
def test_wrong_files_name_the_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(QueryError, match=said):
        read_queries(tmp_path / name, k=4, where=WHERE)


def test_examples_are_read_from_servers_and_checked(tmp_path: Path) -> None:
    (tmp_path / "example.png").write_bytes(picture_file("red", size_px=(40, 30)))
    with serving(tmp_path) as address:
        (tmp_path / "queries.jsonl").write_text(f'{{"image": "0.5*{address}/example.png"}}\n', encoding="utf-8")
        (query,) = read_queries(tmp_path / "queries.jsonl", k=4, where=WHERE)
    (part,) = query.parts
    assert (part.value, part.weight) == ("example.png", 0.5)
    assert isinstance(part.picture, np.ndarray)
    assert part.picture.shape == (30, 40, 3)


def test_a_damaged_example_is_refused_although_its_overviews_are_whole(tmp_path: Path) -> None:
    scene = tmp_path / "scene.tif"
    noise = np.random.default_rng(7).integers(0, 255, (3, 512, 512), dtype=np.uint8)
    write_utm(scene, noise, tiled=True, blockxsize=128, blockysize=128, compress="deflate", driver="GTiff")
    with rasterio.open(scene, "r+") as dataset:
        dataset.build_overviews([4])
    with scene.open("r+b") as file:
        file.seek(300_000)  # the pixels come first
        file.write(b"\xff" * 2000)
    assert read_picture(scene, max_px=64).shape == (64, 64, 3)
    with pytest.raises(SceneError, match="its pixels cannot be decoded"):
        example_part(scene)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="cannot be read"):
        read_queries(tmp_path / "none.txt", k=4, where=WHERE)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(QueryError, match="no UTF-8"):
        read_queries(tmp_path / "latin.txt", k=4, where=WHERE)


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_bytes('{"text": "a river\u2028by a\x85bridge"}\r\n{"text": "trees"}'.encode())
    assert [query.text for query in read_queries(file, k=4, where=WHERE)] == ["a river by a bridge", "trees"]
    words = tmp_path / "queries.txt"
    words.write_text("a river\u2028by a bridge\n", encoding="utf-8")
    assert [query.text for query in read_queries(words, k=4, where=WHERE)] == ["a river by a bridge"]
