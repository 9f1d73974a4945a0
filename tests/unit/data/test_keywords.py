"""Keywords: counting, order, merging, files, comparison."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsitr.data import load_dataset
from rsitr.data.keywords import (
    STOP_WORDS,
    collect_keywords,
    compare_keywords,
    count_words,
    rank_words,
    read_keywords,
    split_words,
    write_keywords,
)
from rsitr.errors import ConfigError, DataError


def test_words_are_runs_of_letters_in_lower_case() -> None:
    assert split_words("A semi-circle, line,like U-shape; it's 2 café's ") == [
        *("a", "semi", "circle", "line", "like", "u", "shape", "it", "café")
    ]


def test_stop_words_are_not_counted() -> None:
    assert count_words([["The ponds and the trees are near a pond .", "Trees"]]) == {
        "trees": 2,
        "ponds": 1,
        "near": 1,
        "pond": 1,
    }


def test_equal_counts_are_ordered_by_the_alphabet() -> None:
    assert rank_words([["sea pond boat", "pond"]], top_k=3) == ["pond", "boat", "sea"]


def test_sets_are_ranked_apart_and_merged_in_their_order() -> None:
    captions = {"small": [["pond", "pond boat"]], "large": [["sea boat"]] * 9 + [["forest sea"]]}
    assert collect_keywords(captions, top_k=2) == ["pond", "boat", "sea"]


@given(st.lists(st.lists(st.sampled_from(["pond", "Sea", "the", "boat", "tree"]), min_size=1), min_size=1, max_size=8))
def test_order_of_captions_does_not_matter(captions: list[list[str]]) -> None:
    texts = [[" ".join(words)] for words in captions]
    words = rank_words(texts, top_k=3)
    assert words == rank_words(reversed(texts), top_k=3)
    assert not set(words) & STOP_WORDS
    counts = count_words(texts)
    assert [counts[word] for word in words] == sorted(counts.values(), reverse=True)[:3]


def test_top_k_below_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="top_k must be at least 1"):
        collect_keywords({"one": [["pond"]]}, top_k=0)


def test_set_without_any_keyword_is_named() -> None:
    with pytest.raises(DataError, match="captions of empty hold no keyword"):
        collect_keywords({"one": [["pond"]], "empty": [["there is the"]]})


def test_list_survives_writing_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "keywords.txt"
    write_keywords(path, ["pond", "café"])
    assert path.read_bytes() == "pond\ncafé\n".encode()
    assert read_keywords(path) == ["pond", "café"]
    assert list(tmp_path.iterdir()) == [path]


def test_list_is_read_without_blanks_case_and_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "keywords.txt"
    path.write_bytes(b"\xef\xbb\xbfPond\r\n\r\n sea \r\npond")
    assert read_keywords(path) == ["pond", "sea"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\n \n", "is empty"), (b"pond\nblue sea\n", "line 2: 'blue sea' is more than one word"), (b"\xff", "not UTF-8")],
)
def test_useless_list_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "keywords.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_keywords(path)


def test_absent_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read the keyword list"):
        read_keywords(tmp_path / "none.txt")


def test_list_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "keywords.txt").mkdir()
    with pytest.raises(DataError, match=r"cannot write .*keywords\.txt: it is a folder"):
        write_keywords(tmp_path / "keywords.txt", ["pond"])
    assert [path.name for path in tmp_path.iterdir()] == ["keywords.txt"]


def test_comparison_counts_and_explains() -> None:
    captions = {"one": [["pond pond sea", "pond"]], "two": [["sea tree"]]}
    comparison = compare_keywords(["pond", "tree"], reference=["pond", "sea", "the", "ice"], captions_by_set=captions)
    assert comparison.common == ("pond",)
    assert comparison.missing == {
        "sea": "one: 1 time, rank 2; two: 1 time, rank 1",
        "the": "a stop word here",
        "ice": "in no training caption",
    }
    assert comparison.added == ("tree",)
    assert comparison.share == 0.25


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "share"), [("rsicd", 0.87), ("rsitmd", 0.90)])
def test_published_lists_are_mostly_found(real_data: Path, name: str, share: float) -> None:
    train = load_dataset(f"{name}:{real_data / name}").split("train")
    words = collect_keywords({name: [image.captions for image in train]}, top_k=512)
    published = read_keywords(real_data / "keywords" / f"{name}_tag_vocab_512.txt")
    assert len(set(words) & set(published)) >= share * len(published)


def test_the_published_rule_counts_what_captions_of_one_picture_share() -> None:
    pictures = [["2 ponds", "2 boats"], ["a boat and a boat", "some sea"], ["sea"], ["tree tree", "boats boat"]]
    assert count_words(pictures, rule="published") == {"2": 2, "boat": 2, "tree": 2}
    assert rank_words(pictures, rule="published") == ["2", "boat", "tree"], "equal counts as they first occurred"
    assert rank_words(pictures[::-1], rule="published", top_k=1) == ["tree"]


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "found"), [("rsicd", 511), ("rsitmd", 510)])
def test_published_lists_come_out_by_the_published_rule(real_data: Path, name: str, found: int) -> None:
    """Of the splits at hand; all but `heart` for a stop word of ours, and two letters for `every` and `nest`."""
    pictures = [image.captions for image in load_dataset(f"{name}:{real_data / name}").images]
    words = collect_keywords({name: pictures}, top_k=512, rule="published")
    published = read_keywords(real_data / "keywords" / f"{name}_tag_vocab_512.txt")
    assert len(set(words) & set(published)) == found
