"""Duplicates between splits and sets, and the contact sheet of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from generators import draw_pattern, write_pattern_table
from rsitr.data import load_dataset
from rsitr.data.duplicates import hash_images
from rsitr.data.leakage import LeakageReport, find_leakage
from rsitr.data.sheet import render_leakage


@pytest.fixture
def report(tmp_path: Path) -> LeakageReport:
    """Pattern 1 is in both sets and both splits of one; 2 twice in one split; 3 in two training splits."""
    one = write_pattern_table(
        tmp_path / "one" / "one.csv",
        {
            "a.png": (draw_pattern(1), "train"),
            "b.png": (draw_pattern(2), "train"),
            "b2.png": (draw_pattern(2), "train"),
            "c.png": (draw_pattern(3), "train"),
            "a_val.png": (draw_pattern(1), "val"),
            "<i>.png": (draw_pattern(4), "val"),
        },
    )
    two = write_pattern_table(
        tmp_path / "two" / "two.csv",
        {
            "a.jpg": (draw_pattern(1), "train"),
            "c.jpg": (draw_pattern(3), "train"),
            "i.jpg": (draw_pattern(4), "test"),
            "d.png": (draw_pattern(5), "test"),
        },
    )
    return find_leakage(hash_images([load_dataset(f"csv:{one}"), load_dataset(f"csv:{two}")]))


def test_every_pair_of_groups_is_looked_at(report: LeakageReport) -> None:
    assert report.sizes == {("one", "train"): 4, ("one", "val"): 2, ("two", "train"): 2, ("two", "test"): 2}
    found = {(pair.left, pair.right): (len(pair.forward), len(pair.backward), pair.leaks) for pair in report.pairs}
    assert found == {
        (("one", "train"), ("one", "train")): (2, 0, False),
        (("one", "train"), ("one", "val")): (1, 1, True),
        (("one", "train"), ("two", "train")): (2, 2, False),
        (("one", "val"), ("two", "train")): (1, 1, True),
        (("one", "val"), ("two", "test")): (1, 1, True),
    }
    assert [pair.right for pair in report.leaks] == [("one", "val"), ("two", "train"), ("two", "test")]


def test_matches_say_how_alike_they_are(report: LeakageReport) -> None:
    within, across = report.pairs[0].forward, report.pairs[2].forward
    assert [(match.left.image.path.name, match.right.image.path.name) for match in within] == [
        ("b.png", "b2.png"),
        ("b2.png", "b.png"),
    ]
    assert all(match.exact and match.distance == 0 for match in within)
    assert [(match.left.image.path.name, match.right.image.path.name) for match in across] == [
        ("a.png", "a.jpg"),
        ("c.png", "c.jpg"),
    ]
    assert not any(match.exact for match in across)
    assert all(match.distance <= 2 for match in across)


def test_sheet_shows_every_pair_and_needs_no_other_file(report: LeakageReport) -> None:
    html = render_leakage(report, title="One & two", facts={"command": "rsitr <x>"})
    assert html.count('class="card"') == 1 + 1 + 2 + 1 + 1  # a pair within a split is drawn once
    assert html.count("data:image/jpeg;base64,") == 12
    assert not re.search(r'(src|href)="(?!data:)', html)
    assert "One &amp; two" in html
    assert "rsitr &lt;x&gt;" in html
    assert "one/&lt;i&gt;.png" in html
    assert "<i>" not in html
    assert html.index("one val and two test: leak") < html.index("one train and two train")


def test_long_lists_are_cut_and_say_so(report: LeakageReport) -> None:
    html = render_leakage(report, title="t", facts={}, most=1)
    assert "1 of 2 pairs are shown" in html
    assert html.count('class="card"') == 5


def test_nothing_found_is_said(tmp_path: Path) -> None:
    table = write_pattern_table(
        tmp_path / "t.csv", {"a.png": (draw_pattern(1), "train"), "b.png": (draw_pattern(2), "val")}
    )
    report = find_leakage(hash_images([load_dataset(f"csv:{table}")]))
    assert report.pairs == ()
    assert "No duplicates found." in render_leakage(report, title="t", facts={})
