"""EBAKER's step: what of a batch reaches which term, and when pairs are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rsitr.config import EbaConfig, KerConfig, LossConfig, ModelConfig
from rsitr.data import CaptionedImage
from rsitr.data.masking import CaptionMasker
from rsitr.errors import ConfigError
from rsitr.losses import info_nce
from rsitr.models import CompactDualEncoder, Features
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.compact import TRUNKS
from rsitr.similarity import score_global, score_local
from rsitr.training.recipes.ebaker import EbakerRecipe, StepResult, keyword_vocabulary
from rsitr.training.rows import RowTable
from tiny import TinyTrunk, tiny_config, tiny_model

WORDS = ("red", "green", "blue", "yellow", "white", "black")
KEYWORDS = (*WORDS, "barn", "field", "many", "near", "one", "road", "trees")
CPU = torch.device("cpu")


@pytest.fixture
def table() -> RowTable:
    return RowTable.of(
        [
            CaptionedImage(
                image_id=f"set/{number}.png",
                path=Path(f"pictures/{number}.png"),
                captions=(f"a {word} barn , near a road", f"one {word} field", "many trees"),
                split="train",
            )
            for number, word in enumerate(WORDS)
        ]
    )


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> CompactDualEncoder:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    return tiny_model().eval()


SETTINGS: dict[str, dict[str, Any]] = {
    "loss": {"scale": 20.0, "local_weight": 0.7, "repeats": "negative"},
    "ker": {"layers": 1, "vocabulary": "keywords"},
    "eba": {"drop_ratio": 0.3, "drop_epoch": 2},
    "model": {"kind": "compact", "local_tokens": "valid"},
}
SECTIONS = {"loss": LossConfig, "ker": KerConfig, "eba": EbaConfig, "model": ModelConfig}


def make(table: RowTable, *, keywords: Sequence[str] = KEYWORDS, **changes: Any) -> EbakerRecipe:
    """A recipe, with settings of `loss` and `eba` under their own names, those of `ker` as `ker_weight` and so on."""
    torch.manual_seed(0)
    given = {name: dict(settings) for name, settings in SETTINGS.items()}
    for name, value in changes.items():
        section, _, setting = name.partition("_")
        if section != "ker":
            setting = name
            section = next(one for one, kind in SECTIONS.items() if setting in kind.model_fields)
        given[section][setting] = value
    config = tiny_config(**{name: SECTIONS[name](**settings) for name, settings in given.items()})
    return EbakerRecipe(config, table=table, keywords=keywords, dim=16, context_length=24).eval()


def pictures(n: int, *, seed: int = 0) -> Features:
    generator = torch.Generator().manual_seed(seed)
    return Features(torch.randn(n, 16, generator=generator), torch.randn(n, 4, 16, generator=generator))


ROWS = np.array([0, 4, 8, 9])


def step(recipe: EbakerRecipe, model: CompactDualEncoder, *, rows: np.ndarray = ROWS, epoch: int = 0) -> StepResult:
    return recipe.step(model, images=pictures(len(rows)), rows=rows, epoch=epoch, device=CPU)


@torch.no_grad()
def scores(recipe: EbakerRecipe, model: CompactDualEncoder, rows: np.ndarray = ROWS) -> tuple[Tensor, Tensor]:
    """Both similarities of a batch, computed here from the captions' tokens one by one."""
    tokenize = clip_tokenizer(24)
    captions = [recipe.table.captions[index] for index in recipe.table.row_caption[rows]]
    texts = [model.text_features(tokenize([caption])) for caption in captions]
    words = [int((tokenize([caption])[0] == 49407).nonzero()) for caption in captions]
    images = pictures(len(rows))
    local = torch.cat(
        [
            score_local(text_tokens=text.tokens[:, 1:end], image_tokens=images.tokens)
            for text, end in zip(texts, words, strict=True)
        ]
    )
    return score_global(text_emb=torch.cat([text.global_emb for text in texts]), image_emb=images.global_emb), local


def test_a_step_aligns_words_with_patches_and_texts_with_pictures(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table)
    result = step(recipe, model)
    global_scores, local_scores = scores(recipe, model)
    assert result.loss.global_align.item() == pytest.approx(info_nce(global_scores, scale=20.0).item(), rel=1e-4)
    assert result.loss.local_align.item() == pytest.approx(info_nce(local_scores, scale=20.0).item(), rel=1e-4)
    total = result.loss.global_align + 0.7 * result.loss.local_align + 0.5 * result.loss.mlm
    assert result.loss.total.item() == pytest.approx(total.item(), rel=1e-6)
    torch.testing.assert_close(result.global_similarity, global_scores.diagonal().detach(), rtol=1e-4, atol=1e-5)
    assert result.local_similarity is not None
    torch.testing.assert_close(result.local_similarity, local_scores.diagonal().detach(), rtol=1e-4, atol=1e-5)
    assert result.dropped == 0


def test_the_banks_hold_what_the_step_saw(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table)
    result = step(recipe, model)
    assert torch.equal(recipe.global_bank.values[ROWS], result.global_similarity)
    assert torch.equal(recipe.local_bank.values[ROWS], result.local_similarity)
    assert int((~recipe.global_bank.values.isnan()).sum()) == 4


def test_masked_words_are_read_from_the_picture(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table)
    assert recipe.reasoner is not None
    with torch.no_grad():
        recipe.reasoner.head[3].bias.fill_(0)
        recipe.reasoner.head[3].weight.fill_(0)
    classes = recipe.reasoner.head[3].out_features
    assert step(recipe, model).loss.mlm.item() == pytest.approx(np.log(classes))  # all words equally likely
    result = step(make(table, ker_weight=0.0), model)
    assert result.loss.mlm.item() == 0
    assert make(table, ker_weight=0.0).reasoner is None


def test_the_head_may_know_all_of_the_vocabulary(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table, ker_vocabulary="full")
    assert recipe.reasoner is not None
    assert recipe.reasoner.head[3].out_features == 49408
    assert step(recipe, model).loss.mlm.item() > 5


def test_the_head_sees_all_positions_or_those_of_the_longest_caption(
    table: RowTable, model: CompactDualEncoder
) -> None:
    longest = int((clip_tokenizer(24)(list(table.captions)) > 0).sum(dim=1).max())
    assert longest < 24
    for padding, positions in (("full", 24), ("batch", longest)):
        recipe = make(table, ker_padding=padding)
        assert recipe.reasoner is not None
        seen: list[torch.Size] = []
        recipe.reasoner.norm_query.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0].shape))
        result = step(recipe, model, rows=np.arange(18))
        assert seen == [torch.Size([18, positions, 16])]
        assert result.loss.mlm.item() > 0


def test_a_batch_without_a_masked_word_has_no_reasoning_term(table: RowTable, model: CompactDualEncoder) -> None:
    result = step(make(table, ker_strategy="attribute"), model, rows=np.array([2, 5, 8]))  # `many trees`, thrice
    assert result.loss.mlm.item() == 0
    assert result.loss.total.isfinite()


@pytest.mark.parametrize("strategy", ["keyword", "attribute", "random"])
def test_the_restricted_vocabulary_holds_every_word_that_can_be_masked(table: RowTable, strategy: Any) -> None:
    masker = CaptionMasker(clip_tokenizer(24), context_length=24, strategy=strategy, keywords=["barn", "near", "trees"])
    known = set(keyword_vocabulary(masker, table.captions))
    asked: set[int] = set()
    for seed in range(60):
        labels = masker.mask(table.captions, rng=np.random.default_rng(seed)).labels
        asked |= set(labels[labels >= 0].tolist())
    assert asked == known


def test_nothing_to_mask_is_said_at_once(table: RowTable) -> None:
    plain = RowTable.of([CaptionedImage("set/0", Path("0.png"), ("it is there",), "train")])
    with pytest.raises(ConfigError, match="nothing to predict"):
        make(plain, keywords=[], ker_strategy="attribute")


def test_masks_by_chance_follow_from_seed_epoch_and_batch(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table, ker_strategy="random", ker_vocabulary="full")
    rows = np.arange(18)
    values = [step(recipe, model, rows=rows, epoch=epoch).loss.mlm.item() for epoch in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def fill(recipe: EbakerRecipe, similarities: Tensor, local: Tensor | None = None) -> None:
    rows = torch.arange(len(similarities))
    recipe.global_bank.record(rows, similarities)
    recipe.local_bank.record(rows, similarities if local is None else local)


def test_the_first_epochs_are_full_and_the_following_drop(table: RowTable) -> None:
    recipe = make(table)
    thresholds = []
    for epoch in range(4):
        recipe.start_epoch()
        fill(recipe, torch.arange(10) + 100.0 * epoch)
        thresholds.append(recipe.global_threshold)
        recipe.end_epoch(epoch)
    # drop_epoch 2: epochs 0 and 1 are full, epoch 2 drops by what epoch 1 saw.
    assert thresholds == [None, None, 103.0, 203.0]
    assert recipe.local_threshold is None


def test_a_drop_ratio_of_0_never_drops(table: RowTable) -> None:
    recipe = make(table, drop_ratio=0.0, drop_epoch=1)
    fill(recipe, torch.arange(10.0))
    recipe.end_epoch(5)
    assert recipe.global_threshold is None


def test_joint_elimination_takes_the_row_from_both_terms(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table, drop_epoch=1)
    global_scores, local_scores = scores(recipe, model)
    similar = global_scores.diagonal().detach()
    recipe.global_threshold = float(similar.sort().values[1]) + 1e-4
    keep = similar > recipe.global_threshold
    assert keep.sum() == 2
    result = step(recipe, model)
    assert result.dropped == 2
    expected = [info_nce(matrix, keep=keep, scale=20.0).item() for matrix in (global_scores, local_scores)]
    assert [result.loss.global_align.item(), result.loss.local_align.item()] == pytest.approx(expected, rel=1e-4)
    # The reasoning term is untouched, and dropped pairs are recorded: they may come back.
    assert result.loss.mlm.item() == pytest.approx(step(make(table), model).loss.mlm.item())
    assert not recipe.global_bank.values[ROWS].isnan().any()


def test_split_elimination_judges_each_similarity_by_itself(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table, scheme="split")
    global_scores, local_scores = scores(recipe, model)
    recipe.global_threshold = float(global_scores.diagonal().min()) + 1e-4
    recipe.local_threshold = float(local_scores.diagonal().sort().values[1]) + 1e-4
    keep_global = global_scores.diagonal() > recipe.global_threshold
    keep_local = local_scores.diagonal() > recipe.local_threshold
    assert keep_global.tolist() != keep_local.tolist()
    result = step(recipe, model)
    expected = [
        info_nce(global_scores, keep=keep_global, scale=20.0).item(),
        info_nce(local_scores, keep=keep_local, scale=20.0).item(),
    ]
    assert [result.loss.global_align.item(), result.loss.local_align.item()] == pytest.approx(expected, rel=1e-4)


def test_the_split_scheme_has_a_threshold_of_its_own(table: RowTable) -> None:
    recipe = make(table, scheme="split", drop_epoch=1)
    fill(recipe, torch.arange(10.0), torch.arange(10.0) * 2)
    recipe.end_epoch(0)
    assert (recipe.global_threshold, recipe.local_threshold) == (3.0, 6.0)


def test_split_needs_a_local_term(table: RowTable) -> None:
    with pytest.raises(ConfigError, match="scheme split needs a local term"):
        make(table, scheme="split", local_weight=0.0)


def test_without_its_weight_local_similarity_is_not_computed(table: RowTable, model: CompactDualEncoder) -> None:
    result = step(make(table, local_weight=0.0), model)
    assert result.local_similarity is None
    assert result.loss.local_align.item() == 0


@pytest.mark.parametrize("repeats", ["negative", "positive", "ignore"])
def test_repeated_captions_are_what_the_config_says(table: RowTable, model: CompactDualEncoder, repeats: str) -> None:
    rows = np.array([2, 5, 9, 10])  # `many trees` of two images; two captions of one
    recipe = make(table, repeats=repeats)
    result = step(recipe, model, rows=rows)
    related = table.belongs(rows)
    assert int(related.sum()) > 4
    extra = {} if repeats == "negative" else {"positives" if repeats == "positive" else "ignore": related}
    expected = info_nce(scores(recipe, model, rows)[0], scale=20.0, **extra).item()
    assert result.loss.global_align.item() == pytest.approx(expected, rel=1e-4)


def test_each_member_of_a_committee_learns_on_its_own(table: RowTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = tiny_model(members=2).eval()
    images = pictures(len(ROWS))
    unit = [F.normalize(part, dim=-1) for part in (images.global_emb, images.global_emb.flip(1))]
    both = Features(torch.cat(unit, dim=1), images.tokens, members=2)
    recipe = make(table, local_weight=0.0, ker_weight=0.0)
    result = recipe.step(model, images=both, rows=ROWS, epoch=0, device=CPU)
    tokenize = clip_tokenizer(24)
    texts = model.text_features(tokenize([table.captions[index] for index in table.row_caption[ROWS]])).global_emb
    each = [score_global(text_emb=text, image_emb=image) for text, image in zip(texts.chunk(2, 1), unit, strict=True)]
    expected = sum(info_nce(part, scale=20.0).item() for part in each)
    assert result.loss.global_align.item() == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(result.global_similarity, (each[0] + each[1]).diagonal() / 2, rtol=1e-4, atol=1e-5)


def test_soft_targets_follow_the_captions(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table, soft_weight=0.3, soft_temperature=0.2, repeats="positive")
    result = step(recipe, model)
    assert recipe.likeness is not None
    expected = info_nce(
        scores(recipe, model)[0],
        scale=20.0,
        positives=table.belongs(ROWS),
        soft=recipe.likeness(ROWS) / 0.2,
        soft_weight=0.3,
    ).item()
    assert result.loss.global_align.item() == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(step(make(table, repeats="positive"), model).loss.global_align.item(), rel=1e-3)


def test_the_scale_is_learned_only_on_request(table: RowTable, model: CompactDualEncoder) -> None:
    for learn in (False, True):
        recipe = make(table, learn_scale=learn)
        step(recipe, model).loss.total.backward()
        assert recipe.log_scale.requires_grad is learn
        assert (recipe.log_scale.grad is not None) is learn
    recipe = make(table, learn_scale=True)
    with torch.no_grad():
        recipe.log_scale.fill_(10.0)  # CLIP's bound is 100
    expected = info_nce(scores(recipe, model)[0], scale=100.0).item()
    result = step(recipe, model)
    assert result.loss.global_align.item() == pytest.approx(expected, rel=1e-4)
    result.loss.total.backward()
    assert recipe.log_scale.grad is not None
    assert recipe.log_scale.grad.abs() > 0  # there is a way back


def test_similarities_keep_their_digits_in_mixed_precision(table: RowTable, model: CompactDualEncoder) -> None:
    """bfloat16 knows 0.500 and 0.504 and nothing between: no order to drop the last hundredth by."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = step(make(table), model)
    values = result.global_similarity
    assert values.dtype == torch.float32
    assert not torch.equal(values, values.bfloat16().float())
    assert result.loss.total.dtype == torch.float32


def test_all_positions_count_where_the_config_says_so(table: RowTable, model: CompactDualEncoder) -> None:
    recipe = make(table, local_tokens="all")
    tokenize = clip_tokenizer(24)
    captions = [table.captions[index] for index in table.row_caption[ROWS]]
    expected = score_local(
        text_tokens=model.text_features(tokenize(captions)).tokens, image_tokens=pictures(4).tokens
    ).diagonal()
    found = step(recipe, model).local_similarity
    assert found is not None
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-5)


def test_what_a_checkpoint_needs_of_the_banks(table: RowTable) -> None:
    recipe, again = make(table, scheme="split", drop_epoch=1), make(table, scheme="split", drop_epoch=1)
    fill(recipe, torch.arange(18.0), torch.arange(18.0) * 2)
    recipe.end_epoch(0)
    again.load_bank_state(recipe.bank_state())
    assert (again.global_threshold, again.local_threshold) == (recipe.global_threshold, recipe.local_threshold)
    assert torch.equal(again.local_bank.values, recipe.local_bank.values)
