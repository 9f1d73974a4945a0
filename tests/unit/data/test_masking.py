"""Masked captions: which tokens, in which mode, and that the tokens are the tokenizer's own."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsitr.data import masking
from rsitr.data.adjectives import ADJECTIVES
from rsitr.data.keywords import STOP_WORDS
from rsitr.data.masking import MASK_ID, CaptionMasker, MaskedCaptions, mask_at_random
from rsitr.errors import ConfigError
from rsitr.models.bpe import clip_tokenizer

M = 16
TOKENIZER = clip_tokenizer(M)
SOS, EOS = TOKENIZER.sot_token_id, TOKENIZER.eot_token_id


def mask(caption: str, *, context_length: int = M, **settings: object) -> MaskedCaptions:
    masker = CaptionMasker(TOKENIZER, context_length=context_length, **settings)  # type: ignore[arg-type]
    return masker.mask([caption], rng=np.random.default_rng(0))


def labelled_text(result: MaskedCaptions) -> str:
    return TOKENIZER.decode([int(label) for label in result.labels[0] if label != -100])


def check_restores(result: MaskedCaptions, *, captions: list[str]) -> None:
    """Putting the labels back gives the tokenizer's own ids."""
    restored = np.where(result.labels == -100, result.ids, result.labels)
    np.testing.assert_array_equal(restored, TOKENIZER(captions, result.ids.shape[1]).numpy())


def test_worked_example() -> None:
    result = mask("A pond near the Ponds.", keywords=["pond", "near"])
    a, pond, near, the, ponds, dot = TOKENIZER.encode("a pond near the ponds .")
    assert result.ids[0].tolist() == [SOS, a, MASK_ID, MASK_ID, the, ponds, dot, EOS] + [0] * 8
    assert result.labels[0].tolist() == [-100, -100, pond, near] + [-100] * 12
    assert result.ids.dtype == result.labels.dtype == np.int64


def test_every_token_of_every_occurrence_is_masked() -> None:
    assert len(TOKENIZER.encode("chaparrals")) > 1
    result = mask("Chaparrals,chaparrals by CHAPARRALS", keywords=["Chaparrals"])
    assert labelled_text(result).replace(" ", "") == "chaparrals" * 3
    assert set(result.ids[0].tolist()) == {SOS, MASK_ID, *TOKENIZER.encode(", by"), EOS, 0}
    check_restores(result, captions=["Chaparrals,chaparrals by CHAPARRALS"])


def test_released_position_is_one_early_and_ignores_split_words() -> None:
    # White-space words 0 "pond" and 2 "pond": token positions 0 ([SOS]) and 2 (the first token of the second word).
    caption = "pond chaparrals pond pond,"
    result = mask(caption, keywords=["pond"], mask_position="released")
    pieces = TOKENIZER.encode("chaparrals")
    assert np.flatnonzero(result.labels[0] != -100).tolist() == [0, 2]
    assert result.labels[0, [0, 2]].tolist() == [SOS, pieces[0]]
    check_restores(result, captions=[caption])


def test_caption_without_keyword_has_no_label() -> None:
    result = mask("there is the sea", keywords=["pond"])
    assert (result.labels == -100).all()
    assert (mask("", keywords=["pond"]).labels == -100).all()


@pytest.mark.parametrize("mask_position", ["word", "released"])
def test_what_is_cut_off_is_not_masked_and_the_end_stays(mask_position: str) -> None:
    caption = "pond " * 9
    result = mask(caption, context_length=5, keywords=["pond"], mask_position=mask_position)
    assert result.ids.shape == (1, 5)
    assert result.ids[0, -1] == EOS
    assert result.labels[0, -1] == -100
    assert (result.ids[0] == MASK_ID).sum() == (3 if mask_position == "word" else 4)


def test_attribute_masks_adjectives() -> None:
    result = mask("Two fan-shaped white buildings and a large green square", strategy="attribute")
    assert labelled_text(result).split() == ["shaped", "white", "large", "green"]


def test_adjectives_are_words_of_their_own() -> None:
    assert not ADJECTIVES & STOP_WORDS - {"other", "same"}
    assert all(len(TOKENIZER.pat.findall(word)) == 1 and word == word.lower() for word in ADJECTIVES)


def test_random_follows_berts_proportions() -> None:
    captions = ["many green trees are near a pond in the middle of the city"] * 4000
    masker = CaptionMasker(TOKENIZER, context_length=M, strategy="random")
    plain = masker.tokenize(captions)
    result = masker.mask(captions, rng=np.random.default_rng(7))
    chosen = result.labels != -100
    words = (plain != SOS) & (plain != EOS) & (plain != 0)
    assert not (chosen & ~words).any()
    assert chosen[words].mean() == pytest.approx(0.15, abs=0.005)
    assert (result.ids[~chosen] == plain[~chosen]).all()
    assert (result.ids[chosen] == MASK_ID).mean() == pytest.approx(0.8, abs=0.015)
    assert (result.ids[chosen] == plain[chosen]).mean() == pytest.approx(0.1, abs=0.015)
    assert result.ids.max() <= EOS
    check_restores(result, captions=captions)


def test_random_depends_on_the_generator_alone() -> None:
    captions = ["many green trees are near a pond", "a sea"]
    first, second = (
        CaptionMasker(TOKENIZER, context_length=M, strategy="random").mask(captions, rng=np.random.default_rng(3))
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.ids, second.ids)
    np.testing.assert_array_equal(first.labels, second.labels)


WORDS = st.sampled_from(
    ["Pond", "chaparrals", "the", "it's", "2", "near,", "«сад»", "&amp;", "semi-circle", "🌊", "'S"]
)


@given(st.lists(st.one_of(st.lists(WORDS).map(" ".join), st.text(max_size=20)), min_size=1, max_size=4), st.data())
def test_tokens_are_the_tokenizers_own(captions: list[str], data: st.DataObject) -> None:
    strategy = data.draw(st.sampled_from(["random", "attribute", "keyword"]))
    masker = CaptionMasker(TOKENIZER, context_length=M, strategy=strategy, keywords=["pond", "chaparrals", "2"])
    for _ in range(2):  # the second time from the cache
        np.testing.assert_array_equal(masker.tokenize(captions), TOKENIZER(captions, M).numpy())
        check_restores(masker.mask(captions, rng=np.random.default_rng(0)), captions=captions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "nouns", "keywords": ["pond"]}, "unknown mask strategy 'nouns'"),
        ({"mask_position": "first", "keywords": ["pond"]}, "unknown mask position 'first'"),
        ({"strategy": "random", "mask_position": "released"}, "leave it at word"),
        ({"strategy": "keyword"}, "needs a list of keywords"),
        ({"context_length": 2, "keywords": ["pond"]}, "context_length must leave room"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CaptionMasker(TOKENIZER, **{"context_length": M, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize("disturb", [False, True])
def test_masking_at_random_whatever_the_tokenizer(disturb: bool) -> None:
    ids = np.arange(1, 40_001, dtype=np.int64).reshape(400, 100)
    inside = np.ones(ids.shape, dtype=bool)
    inside[:, 0] = False
    masked = mask_at_random(
        ids, inside=inside, mask_id=99_999, vocabulary_size=50, disturb=disturb, rng=np.random.default_rng(0)
    )
    chosen = masked.labels != -100
    assert not chosen[:, 0].any()
    assert chosen[:, 1:].mean() == pytest.approx(0.15, abs=0.005)
    np.testing.assert_array_equal(masked.labels[chosen], ids[chosen])
    np.testing.assert_array_equal(masked.ids[~chosen], ids[~chosen])
    assert (masked.ids[chosen] == 99_999).mean() == pytest.approx(0.8 if disturb else 1.0, abs=0.02)
    kept = (masked.ids[chosen] == ids[chosen]).mean()
    assert kept == pytest.approx(0.1 if disturb else 0.0, abs=0.02)


def test_what_is_kept_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def count() -> int:
        return sum(type(kept) is masking._Tokens for kept in gc.get_objects())

    monkeypatch.setattr(masking, "_KEPT", 8, raising=False)
    masker = CaptionMasker(TOKENIZER, context_length=M, strategy="random")
    captions = [f"pond {number}" for number in range(100)]
    before = count()
    found = masker.tokenize(captions)
    assert count() <= before + 8
    assert np.array_equal(masker.tokenize(captions), found)
    assert np.array_equal(found, TOKENIZER(captions, M).numpy())
