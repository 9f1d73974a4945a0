"""Teaching a filter: which pairs, the teacher's word on them, and a student that learns it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fusions import paper_fusion, scorer_of
from rsitr.data import load_dataset
from rsitr.errors import ConfigError
from rsitr.models.fusion.filter import FilterConfig
from rsitr.training.recipes.filter import Lessons, TeachingConfig, draw_pairs, score_lessons, teach
from rsitr.training.rows import RowTable
from tiny import write_tiny_data


def test_pairs_are_labelled_by_who_the_caption_was_written_for(tmp_path: Path) -> None:
    table = RowTable.of(load_dataset(f"ucm:{write_tiny_data(tmp_path, n_images=60) / 'ucm'}").split("train"))
    texts, images, labels = draw_pairs(table, negatives=6, seed=0)
    assert sorted(set(texts.tolist())) == list(range(len(table.captions)))
    assert labels.sum() == len(table.captions)
    for text, image, label in zip(texts, images, labels, strict=True):
        assert (table.captions[text] in table.images[image].captions) == bool(label)
    assert len(set(zip(texts.tolist(), images.tolist(), strict=True))) == len(texts)
    again = draw_pairs(table, negatives=6, seed=0)
    assert np.array_equal(again[1], images)
    assert not np.array_equal(draw_pairs(table, negatives=6, seed=1)[1], images)


def test_the_teacher_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rsitr.training.recipes.filter.PAIRS_AT_ONCE", 30)
    images = load_dataset(f"ucm:{write_tiny_data(tmp_path) / 'ucm'}").split("train")
    scorer = scorer_of(paper_fusion(), tmp_path / "vocabulary")
    config = TeachingConfig(negatives=3)
    asked: list[int] = []

    def stop(done: int, _total: int) -> None:
        asked.append(done)
        if len(asked) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_lessons(scorer, images, config=config, folder=tmp_path / "lessons", on_pairs=stop)
    whole = score_lessons(scorer, images, config=config, folder=tmp_path / "whole")
    asked.clear()
    cut = score_lessons(
        scorer, images, config=config, folder=tmp_path / "lessons", on_pairs=lambda done, _total: asked.append(done)
    )
    assert asked[0] == 90, "it goes on after the two parts that were done"
    torch.testing.assert_close(cut.teacher, whole.teacher)
    texts = scorer.encode_texts(RowTable.of(images).captions)
    features = scorer.encode_images([np.asarray(_read(image)) for image in images])
    expected = scorer.score_all(texts, features)[whole.text_index, whole.image_index]
    torch.testing.assert_close(whole.teacher, expected, atol=1e-4, rtol=1e-4)
    asked.clear()
    score_lessons(scorer, images, config=config, folder=tmp_path / "whole", on_pairs=lambda d, _t: asked.append(d))
    assert asked == []
    (tmp_path / "whole" / "teacher.json").write_text("{", encoding="utf-8")
    score_lessons(scorer, images, config=config, folder=tmp_path / "whole", on_pairs=lambda d, _t: asked.append(d))
    assert asked[0] == 30


def test_scores_of_other_rows_are_not_taken_for_these(tmp_path: Path) -> None:
    images = load_dataset(f"ucm:{write_tiny_data(tmp_path) / 'ucm'}").split("train")
    scorer = scorer_of(paper_fusion(), tmp_path / "vocabulary")
    config = TeachingConfig(negatives=3)
    score_lessons(scorer, images, config=config, folder=tmp_path / "kept")
    edited = [replace(images[0], captions=(*images[0].captions[:-1], "a red block .")), *images[1:]]
    for other in (images[::-1], edited):  # data sets in another order; a caption edited, the ids as they were
        kept = score_lessons(scorer, other, config=config, folder=tmp_path / "kept")
        fresh = score_lessons(scorer, other, config=config, folder=tmp_path / f"fresh-{other is edited}")
        torch.testing.assert_close(kept.teacher, fresh.teacher)


def test_scores_that_were_begun_anew_are_not_taken_for_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between a part of the new scores and the note on it."""
    images = load_dataset(f"ucm:{write_tiny_data(tmp_path) / 'ucm'}").split("train")
    scorer = scorer_of(paper_fusion(), tmp_path / "vocabulary")
    config, folder = TeachingConfig(negatives=3), tmp_path / "lessons"
    expected = score_lessons(scorer, images, config=config, folder=folder).teacher

    def die(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rsitr.training.recipes.filter.write_json", die)
        with pytest.raises(KeyboardInterrupt):
            score_lessons(scorer, images[::-1], config=config, folder=folder)
    torch.testing.assert_close(score_lessons(scorer, images, config=config, folder=folder).teacher, expected)


def _read(image: object) -> np.ndarray:
    from rsitr.evaluation.protocol import read_image

    return read_image(image)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["mlp", "dot"])
def test_a_student_learns_what_the_teacher_says(kind: str) -> None:
    torch.manual_seed(0)
    texts, images = torch.randn(80, 8), torch.randn(90, 8)
    true = 6 * torch.nn.functional.cosine_similarity(texts[:, None], images[None], dim=-1)
    text_index, image_index = torch.randint(80, (6000,)), torch.randint(90, (6000,))
    teacher = true[text_index, image_index]
    lessons = Lessons(texts, images, text_index, image_index, (teacher > 0).long(), teacher)
    losses: list[float] = []
    config = TeachingConfig(epochs=8, batch_size=64, lr=5e-3, warmup_steps=10)
    student = teach(
        lessons,
        student=FilterConfig(kind=kind, image_width=8, text_width=8, hidden=32),  # type: ignore[arg-type]
        config=config,
        progress=lambda _done, _total, loss: losses.append(loss),
    )
    assert len(losses) == 8
    assert losses[-1] < 0.9 * losses[0]
    found = student.score_all(texts=texts, images=images)
    agreement = torch.corrcoef(torch.stack([found.flatten(), true.flatten()]))[0, 1]
    assert agreement > 0.85


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="negatives must be at least 1"):
        TeachingConfig(negatives=0)
    empty = torch.zeros(3, dtype=torch.long)
    lessons = Lessons(torch.zeros(3, 2), torch.zeros(3, 2), empty, empty, empty, torch.zeros(3))
    with pytest.raises(ConfigError, match="more than the 3 pairs"):
        teach(lessons, student=FilterConfig(image_width=2, text_width=2), config=TeachingConfig())
