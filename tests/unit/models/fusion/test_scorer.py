"""Scores with everything reused are the scores without."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fusions import compact_fusion, paper_fusion, scorer_of
from rsitr.models.compact import TRUNKS
from rsitr.models.dual import Features
from rsitr.models.fusion import FusionModel, PairScorer, match_score
from rsitr.models.fusion.sides import TextStates
from tiny import TinyTrunk

TEXTS = ["a red square", "one block", "there is a green building in a blue field .", "a", "something on the ground ."]


def plain_scores(model: FusionModel, texts: TextStates, images: Features) -> Tensor:
    """Pair by pair, nothing reused."""
    scores = torch.empty(len(texts.tokens), len(images.tokens))
    with torch.inference_mode():
        for row in range(len(texts.tokens)):
            for column in range(len(images.tokens)):
                one = Features(images.global_emb[[column]], images.tokens[[column]])
                length = int(texts.mask[row].sum())
                text = TextStates(texts.tokens[[row], :length], texts.mask[[row], :length])
                scores[row, column] = match_score(model.match(model.fuse(text, one)))[0]
    return scores


@pytest.fixture(params=["paper", "compact"])
def scorer(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PairScorer:
    if request.param == "paper":
        model = paper_fusion()
        folder: Path | None = tmp_path
    else:
        monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
        model, folder = compact_fusion(), None
    for parameter in model.fusion.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))  # so that scores differ
    return scorer_of(model.eval(), folder, batch_size=3)


@pytest.fixture
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, size=(size, 40, 3), dtype=np.uint8) for size in range(33, 38)]


def test_all_pairs(scorer: PairScorer, pictures: list[np.ndarray]) -> None:
    images, texts = scorer.encode_images(pictures, batch_size=2), scorer.encode_texts(TEXTS, batch_size=2)
    done: list[int] = []
    scores = scorer.score_all(texts, images, progress=done.append)
    expected = plain_scores(scorer.model, texts, images)
    assert expected.std() > 1e-2
    torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
    assert done[-1] == len(pictures)


def test_chosen_pairs_alone_and_in_groups(scorer: PairScorer, pictures: list[np.ndarray]) -> None:
    images, texts = scorer.encode_images(pictures), scorer.encode_texts(TEXTS)
    expected = plain_scores(scorer.model, texts, images)
    # Image 2 has a group large enough for a pass of its own, the others have few pairs; some pairs occur twice.
    text_index = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 2, 0, 4, 4])
    image_index = torch.tensor([2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 4, 1, 1])
    scores = scorer.score_pairs(texts, images, text_index=text_index, image_index=image_index)
    torch.testing.assert_close(scores, expected[text_index, image_index], atol=1e-5, rtol=1e-5)


def test_equal_texts_score_equal_and_order_does_not_matter(scorer: PairScorer, pictures: list[np.ndarray]) -> None:
    images, texts = scorer.encode_images(pictures), scorer.encode_texts(TEXTS)
    scores = scorer.score_all(texts, images)
    turned = scorer.score_all(texts.take(torch.tensor([4, 3, 2, 1, 0])), images)
    torch.testing.assert_close(turned, scores.flip(0), atol=1e-5, rtol=1e-5)


def test_the_scorer_leaves_the_model_in_its_mode(scorer: PairScorer, pictures: list[np.ndarray]) -> None:
    scorer.model.train()
    images, texts = scorer.encode_images(pictures), scorer.encode_texts(TEXTS)
    first = scorer.score_all(texts, images)
    assert scorer.model.training
    assert torch.equal(first, scorer.score_all(texts, images))  # without dropout, whatever the mode


def test_two_threads_score_without_dropout(tmp_path: Path) -> None:
    """The one that began first ends while the other one computes."""
    scorer = scorer_of(paper_fusion(), tmp_path)
    expected = scorer.encode_texts(TEXTS).tokens
    found: dict[str, Tensor] = {}
    first_inside, both_inside, first_over = threading.Event(), threading.Barrier(2, timeout=60), threading.Event()

    def meet(_module: object, _inputs: object) -> None:
        first_inside.set()
        both_inside.wait()
        assert threading.current_thread() is thread or first_over.wait(60)

    def run_first() -> None:
        found["first"] = scorer.encode_texts(TEXTS).tokens
        first_over.set()

    thread = threading.Thread(target=run_first)
    scorer.model.text.register_forward_pre_hook(meet)
    thread.start()
    assert first_inside.wait(60)
    found["second"] = scorer.encode_texts(TEXTS).tokens
    thread.join()
    assert torch.equal(found["first"], expected)
    assert torch.equal(found["second"], expected)
