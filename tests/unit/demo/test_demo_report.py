from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
import shapely
from PIL import Image

from rsitr.demo import DemoQuery, Exploration, format_hits, format_truth, render_report, write_figure
from rsitr.demo.exploring import HITS


class Page(HTMLParser):
    """Marks of the hits in order, addresses of everything that the page loads, and the names of its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        if tag == "li" and named.get("class") in {"right", "wrong"}:
            self.marks.append(str(named["class"]))
        self.loads += [str(value) for name, value in attrs if name in {"src", "href"}]


def parse(html: str) -> Page:
    page = Page()
    page.feed(html)
    return page


@pytest.fixture(scope="module")
def html(explored: tuple[Exploration, Path]) -> str:
    return render_report(explored[0])


def test_marks_equal_the_truth(explored: tuple[Exploration, Path], html: str) -> None:
    found, _ = explored
    page = parse(html)
    truth = ["right" if judged.right else "wrong" for answer in found.answers for judged in answer.hits]
    assert page.marks == truth
    assert len(truth) == HITS * len(found.answers)
    assert {"right", "wrong"} == set(truth)  # this encoder finds some and misses some: both are shown


def test_the_page_needs_no_other_file(html: str) -> None:
    page = parse(html)
    assert page.loads
    assert all(load.startswith("data:image/jpeg;base64,") for load in page.loads)
    assert "script" not in page.tags
    assert "@import" not in html
    assert "url(" not in html


def test_the_page_says_that_the_picture_is_drawn(html: str, explored: tuple[Exploration, Path]) -> None:
    found, _ = explored
    assert "The picture is synthetic." in html
    assert f"{found.summary.first} of {found.summary.n_queries}" in html
    assert "rsitr index my-scenes/ --into my-index" in html


def test_text_is_escaped(explored: tuple[Exploration, Path]) -> None:
    found, _ = explored
    bad = "<script>alert('x')</script> & \"more\""
    first = dataclasses.replace(found.answers[0], query=DemoQuery(text=bad, answers=frozenset({"<b>river</b>"})))
    html = render_report(dataclasses.replace(found, answers=(first,), model="<i>model</i>"))
    assert "&lt;script&gt;alert" in html
    page = parse(html)
    assert page.tags.isdisjoint({"script", "i"})
    assert not re.search(r"<b>river", html)


def test_hits_and_truth_as_geojson(explored: tuple[Exploration, Path]) -> None:
    found, _ = explored
    hits = json.loads(format_hits(found))["features"]
    assert len(hits) == sum(len(answer.hits) for answer in found.answers)
    judged = [judged for answer in found.answers for judged in answer.hits]
    for feature, truth in zip(hits, judged, strict=True):
        assert feature["properties"]["right"] is truth.right
        assert feature["properties"]["rank"] == truth.hit.rank
        assert feature["properties"]["synthetic"] is True
        assert shapely.geometry.shape(feature["geometry"]).is_valid
    truth_features = json.loads(format_truth(found.scene))["features"]
    kinds = [feature["properties"]["kind"] for feature in truth_features]
    assert kinds.count("district") == len(found.scene.districts)
    assert kinds.count("thing") == len(found.scene.things)


def test_a_right_hit_lies_on_its_district(explored: tuple[Exploration, Path]) -> None:
    """The same on the ground as in pixels: the footprint that the index gives meets the one that was drawn."""
    found, _ = explored
    for answer in found.answers:
        wanted = shapely.union_all(
            [shapely.Polygon(d.footprint) for d in found.scene.districts if d.label in answer.query.answers]
        )
        for judged in answer.hits:
            assert judged.hit.tile.footprint is not None
            tile = shapely.Polygon(judged.hit.tile.footprint)
            assert (tile.intersection(wanted).area > 0.45 * tile.area) is judged.right


def test_the_figure_is_a_picture(explored: tuple[Exploration, Path], tmp_path: Path) -> None:
    found, _ = explored
    write_figure(found, tmp_path / "demo.png")
    with Image.open(tmp_path / "demo.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(maxcolors=1 << 24) or []) > 1000
    assert [path.name for path in tmp_path.iterdir()] == ["demo.png"]


def test_numbers_on_the_map_stay_apart(explored: tuple[Exploration, Path]) -> None:
    found, _ = explored
    labels = found.label_best()
    assert [label.number for label in labels] == list(range(1, len(found.answers) + 1))
    assert len({(label.x, label.y) for label in labels}) == len(labels)
    for label in labels:
        column, row, width, height = label.window_px
        assert column < label.x < column + width
        assert row < label.y < row + height
