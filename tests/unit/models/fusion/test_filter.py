"""Retrieval filters: halves, folded norms, vectors for an index, checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsitr.errors import ConfigError, ModelError
from rsitr.models.fusion.filter import DotFilter, FilterConfig, MlpFilter, build_filter, load_filter, save_filter

SIZES = {"image_width": 6, "text_width": 5, "hidden": 8}


def grown(kind: str) -> MlpFilter | DotFilter:
    """A filter whose batch norms have seen something."""
    torch.manual_seed(0)
    student = build_filter(FilterConfig(kind=kind, **SIZES))  # type: ignore[arg-type]
    for _ in range(20):
        student(texts=3 * torch.randn(64, 5) + 1, images=2 * torch.randn(64, 6) - 1)
    if isinstance(student, MlpFilter):
        for norm in (student.norm_1, student.norm_2):
            torch.nn.init.normal_(norm.weight, mean=1.0, std=0.2)
            torch.nn.init.normal_(norm.bias)
    return student.eval()


@pytest.mark.parametrize("kind", ["mlp", "dot"])
def test_all_pairs_at_once_are_the_pairs_one_by_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.models.fusion.filter.CELLS_AT_ONCE", 20)
    student = grown(kind)
    texts, images = torch.randn(7, 5), torch.randn(9, 6)
    with torch.no_grad():
        expected = torch.stack([student(texts=text.expand(9, -1), images=images) for text in texts])
    assert expected.std() > 0.05
    torch.testing.assert_close(student.score_all(texts=texts, images=images), expected, atol=1e-5, rtol=1e-5)


def test_the_first_layer_is_the_papers_on_a_concatenation() -> None:
    student = grown("mlp")
    assert isinstance(student, MlpFilter)
    whole = torch.cat([student.image.weight, student.text.weight], dim=1)
    texts, images = torch.randn(4, 5), torch.randn(4, 6)
    expected = torch.cat([images, texts], dim=1) @ whole.T + student.text.bias
    torch.testing.assert_close(student.image(images) + student.text(texts), expected)


def test_an_index_over_the_dot_filters_vectors_ranks_as_the_filter() -> None:
    student = grown("dot")
    assert isinstance(student, DotFilter)
    texts, images = torch.randn(7, 5), torch.randn(9, 6)
    vectors = student.text_vectors(texts) @ student.image_vectors(images).T
    torch.testing.assert_close(student.image_vectors(images).norm(dim=1), torch.ones(9))
    assert torch.equal(vectors.argsort(dim=1), student.score_all(texts=texts, images=images).argsort(dim=1))


def test_sides_of_one_space_are_ranked_by_it_from_the_start() -> None:
    student = build_filter(FilterConfig(kind="dot", image_width=8, text_width=8, hidden=8))
    assert isinstance(student, DotFilter)
    x = torch.randn(3, 8)
    torch.testing.assert_close(student.text_vectors(x), torch.nn.functional.normalize(x, dim=1))


@pytest.mark.parametrize("kind", ["mlp", "dot"])
def test_a_checkpoint_belongs_to_its_teacher(kind: str, tmp_path: Path) -> None:
    student = grown(kind)
    save_filter(tmp_path / "filter", student, teacher="abc", training={"seed": 0})
    loaded = load_filter(tmp_path / "filter", teacher="abc", device=torch.device("cpu"))
    texts, images = torch.randn(3, 5), torch.randn(4, 6)
    assert torch.equal(loaded.score_all(texts=texts, images=images), student.score_all(texts=texts, images=images))
    with pytest.raises(ModelError, match="taught by another fusion model"):
        load_filter(tmp_path / "filter", teacher="abd", device=torch.device("cpu"))
    text = (tmp_path / "filter" / "config.json").read_text(encoding="utf-8")
    (tmp_path / "filter" / "config.json").write_text(text.replace('"hidden": 8', '"hidden": 9'), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit this rsitr"):
        load_filter(tmp_path / "filter", teacher="abc", device=torch.device("cpu"))
    (tmp_path / "filter" / "config.json").write_text(text.replace("fusion-filter", "compact"), encoding="utf-8")
    with pytest.raises(ModelError, match="a retrieval filter is needed"):
        load_filter(tmp_path / "filter", teacher="abc", device=torch.device("cpu"))


def test_sizes_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="unknown filter"):
        FilterConfig(kind="tree")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="hidden must be at least 1"):
        FilterConfig(hidden=0)
