"""A training that starts from a trained model: what is taken, what is not, and what is said of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from fusions import compact_fusion_settings
from rsitr.errors import ModelError
from rsitr.models import CompactDualEncoder
from rsitr.models.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from rsitr.models.compact import TRUNKS
from rsitr.models.fusion import FusionConfig, FusionModel, save_fusion
from rsitr.models.fusion.start import start_fusion
from rsitr.models.fusion.vocabulary import BpeVocabulary
from rsitr.models.start import find_checkpoint, take_weights
from tiny import TinyTrunk, tiny_model


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(TRUNKS, "mobilenetv2", TinyTrunk)
    model = tiny_model()
    config = CheckpointConfig(kind="compact", name="dual", model=asdict(model.config))
    save_checkpoint(tmp_path / "dual", config=config, weights=dict(model.state_dict()), dtype=torch.float32)
    return tmp_path / "dual"


def other_model(**changes: Any) -> CompactDualEncoder:
    model = tiny_model(**changes)
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(7.0)
    return model


def test_the_same_model_takes_everything(trained: Path) -> None:
    model = other_model()
    note = take_weights(model, trained, kind="compact")
    expected = tiny_model().state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert note == f"weights: {len(expected)} of {len(expected)} from {trained}"


def test_another_head_stays_as_it_was_initialised(trained: Path) -> None:
    """A wider joint space: the projections are another size, trunk and blocks the same."""
    model = other_model(dim=32)
    note = take_weights(model, trained, kind="compact")
    expected = tiny_model().state_dict()
    found = model.state_dict()
    changed = {name for name, value in found.items() if value.shape != expected[name].shape}
    assert changed
    assert all(torch.equal(found[name], expected[name]) is (name not in changed) or name in changed for name in found)
    assert all(bool((found[name] == 7.0).all()) for name in changed)
    assert f"{len(expected) - len(changed)} of {len(found)} from {trained}; initialised" in note
    assert "text.projection" in note


def test_what_is_deeper_here_is_initialised_and_what_is_deeper_there_is_left(trained: Path) -> None:
    assert "initialised, since it lacks them" in take_weights(other_model(text_layers=2), trained, kind="compact")
    deep = tiny_model(text_layers=2)
    config = CheckpointConfig(kind="compact", name="deep", model=asdict(deep.config))
    save_checkpoint(trained.parent / "deep", config=config, weights=dict(deep.state_dict()))
    note = take_weights(other_model(), trained.parent / "deep", kind="compact")
    assert "of its weights are of no part of this model" in note
    assert "initialised" not in note


def test_what_does_not_fit_at_all_is_refused(trained: Path) -> None:
    with pytest.raises(ModelError, match=r"is of kind compact, model\.kind is fusion"):
        take_weights(other_model(), trained, kind="fusion")
    with pytest.raises(ModelError, match=r"nothing of .*dual fits this model"):
        take_weights(torch.nn.Linear(3, 4), trained, kind="compact")
    assert find_checkpoint(str(trained)) == trained
    assert find_checkpoint("dual", packaged=trained.parent) == trained
    assert find_checkpoint(str(trained.parent)) is None


def test_a_fusion_model_goes_on_from_a_whole_one(trained: Path, tmp_path: Path) -> None:
    config = FusionConfig(**compact_fusion_settings())
    torch.manual_seed(3)
    model = FusionModel(config)
    vocabulary = BpeVocabulary(context_length=config.context_length)
    save_fusion(tmp_path / "whole", model, name="whole", vocabulary=vocabulary, training={})
    started = start_fusion(config, image_init=str(tmp_path / "whole"), text_init=None)
    expected = load_checkpoint(tmp_path / "whole").weights
    found = started.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert len(started.notes) == 1
    assert f"{len(found)} of {len(found)} from" in started.notes[0]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ('{"architecture": "deit_base_patch16_224", "num_classes": 1000}', False),  # timm's
        ('{"model_type": "clip"}', False),  # transformers'
        ('{"format": 1}', True),
        ("{damaged", True),  # whoever reads it says what is wrong
    ],
)
def test_folders_of_other_libraries_are_not_taken_for_checkpoints(tmp_path: Path, content: str, found: bool) -> None:
    """A DeiT's folder, which the published configs begin with, has a config.json as ours have."""
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert (find_checkpoint(str(tmp_path)) == tmp_path) is found
    assert find_checkpoint(str(tmp_path / "nowhere")) is None
