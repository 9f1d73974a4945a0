"""Settings, vocabularies and checkpoints of fusion models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusions import (
    BERT_SIZES,
    VIT_SIZES,
    compact_fusion,
    compact_fusion_settings,
    paper_fusion,
    scorer_of,
    write_vocabulary,
)
from rsitr.errors import ConfigError, ModelError
from rsitr.models import CheckpointConfig, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import (
    BpeVocabulary,
    FusionConfig,
    Word,
    WordPieceVocabulary,
    is_fusion,
    load_fusion,
    save_fusion,
    synchronise_norms,
)
from tiny import TinyTrunk


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "width must be a whole number of at least 1"),
        ({"text_layers": -1}, "text_layers must be a whole number of at least 0"),
        ({"heads": 5}, "width 16 cannot be split into heads 5"),
        ({"image_heads": 7}, "image_width 24 cannot be split into image_heads 7"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"patch_px": 15}, "patch_px 15 does not divide"),
        ({"compact": {"dim": 16}}, "neither image nor text is"),
    ],
)
def test_sizes_that_make_no_sense(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FusionConfig(**(BERT_SIZES | VIT_SIZES | settings))


@pytest.mark.parametrize("name", ["width", "vocabulary_size", "context_length"])
def test_a_compact_text_side_fixes_sizes(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be"):
        FusionConfig(**(compact_fusion_settings() | {name: 20}))
    with pytest.raises(ConfigError, match="compact: "):
        FusionConfig(**compact_fusion_settings(compact={"size": 3}))


def test_the_defaults_are_the_papers() -> None:
    config = FusionConfig()
    assert (config.image_layers, config.text_layers, config.fusion_layers) == (12, 6, 6)
    assert (config.image_size_px // config.patch_px) ** 2 == 196


def test_word_pieces(tmp_path: Path) -> None:
    vocabulary = WordPieceVocabulary(write_vocabulary(tmp_path) / "vocab.txt", context_length=8)
    ids = vocabulary.encode(["The red airports", "a square . a square . a square"])
    assert ids.shape == (2, 8)
    assert ids[0].tolist() == [2, 6, 7, 32, 33, 34, 3, 0]
    assert ids[1, -1] == 3, "a text that is cut off still ends with [SEP]"
    assert vocabulary.maskable(ids)[0].tolist() == [False, True, True, True, True, True, False, False]
    assert vocabulary.words("The red airports") == [Word("The", (1,)), Word("red", (2,)), Word("airports", (3, 4, 5))]
    assert vocabulary.mask_id == 4


def test_byte_pairs() -> None:
    vocabulary = BpeVocabulary(context_length=10)
    ids = vocabulary.encode(["a red airportish", "a"])
    assert ids.shape[1] <= 10
    words = vocabulary.words("a red airportish")
    assert [word.text for word in words] == ["a", "red", "airportish"]
    assert len(words[2].positions) > 1
    covered = sorted(position for word in words for position in word.positions)
    assert covered == np.flatnonzero(vocabulary.maskable(ids)[0]).tolist()
    assert vocabulary.encode([]).shape[0] == 0


def test_a_vocabulary_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no"):
        WordPieceVocabulary(tmp_path / "vocab.txt", context_length=8)
    (tmp_path / "vocab.txt").write_text("[UNK]\n[CLS]\n[SEP]\nword\n", encoding="utf-8")
    with pytest.raises(ModelError, match="no vocabulary of BERT's"):
        WordPieceVocabulary(tmp_path / "vocab.txt", context_length=8)


@pytest.mark.parametrize("kind", ["paper", "compact"])
def test_a_checkpoint_scores_as_the_model_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = paper_fusion() if kind == "paper" else compact_fusion()
    scorer = scorer_of(model, tmp_path / "vocabulary" if kind == "paper" else None)
    save_fusion(tmp_path / "run", model, name="tiny", vocabulary=scorer.vocabulary, training={"seed": 0})
    assert (tmp_path / "run" / "vocab.txt").is_file() is (kind == "paper")
    assert is_fusion(str(tmp_path / "run"))
    loaded = load_fusion(str(tmp_path / "run"), device="cpu", half=False)
    texts = ["a red square", "one block"]
    picture = np.random.default_rng(0).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
    scores = [one.score_all(one.encode_texts(texts), one.encode_images([picture])) for one in (scorer, loaded)]
    torch.testing.assert_close(scores[1], scores[0], atol=1e-3, rtol=1e-3)  # matrices are stored in fp16


def test_folders_that_hold_no_fusion_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    assert not is_fusion("compact")
    with pytest.raises(ModelError, match="is no checkpoint"):
        load_fusion(str(tmp_path))
    save_checkpoint(tmp_path / "dual", config=CheckpointConfig(kind="compact", name="x", model={}), weights={})
    with pytest.raises(ModelError, match="a fusion model is needed"):
        load_fusion(str(tmp_path / "dual"))
    model = paper_fusion()
    vocabulary = scorer_of(model, tmp_path / "vocabulary").vocabulary
    save_fusion(tmp_path / "run", model, name="tiny", vocabulary=vocabulary, training={})
    words = (tmp_path / "run" / "vocab.txt").read_text(encoding="utf-8")
    (tmp_path / "run" / "vocab.txt").write_text(words + "more\n", encoding="utf-8")
    with pytest.raises(ModelError, match="they don't belong together"):
        load_fusion(str(tmp_path / "run"))
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    config["model"]["fusion_layers"] = 1
    (tmp_path / "run" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit this rsitr"):
        load_fusion(str(tmp_path / "run"))


def test_norms_are_synchronised_among_several_processes(tmp_path: Path) -> None:
    heads = torch.nn.Sequential(torch.nn.BatchNorm1d(4))
    assert isinstance(synchronise_norms(heads)[0], torch.nn.BatchNorm1d)  # type: ignore[index]
    store = f"file://{tmp_path / 'store'}"
    torch.distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    try:
        assert isinstance(synchronise_norms(heads)[0], torch.nn.SyncBatchNorm)  # type: ignore[index]
    finally:
        torch.distributed.destroy_process_group()
