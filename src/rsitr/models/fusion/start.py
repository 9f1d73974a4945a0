"""A fusion model ready to be trained: built, and started from what its sides are given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rsitr.errors import ConfigError
from rsitr.models.checkpoint import load_checkpoint, read_config
from rsitr.models.fusion.checkpoint import KIND, build_vocabulary
from rsitr.models.fusion.config import FusionConfig
from rsitr.models.fusion.loading import find_pretrained, start_from_bert, start_from_compact, start_from_vit
from rsitr.models.fusion.model import FusionModel
from rsitr.models.fusion.vocabulary import Vocabulary
from rsitr.models.start import find_checkpoint, take_weights

__all__ = ["FusionStart", "start_fusion"]


@dataclass(frozen=True, slots=True)
class FusionStart:
    """A fusion model before training.

    Attributes:
        model: with its initial weights.
        vocabulary: of its text side.
        mlm_head: BERT's weights for masked words, where there are any.
        notes: what came from where, and what was initialised, for the log.
    """

    model: FusionModel
    vocabulary: Vocabulary
    mlm_head: dict[str, Tensor] | None
    notes: tuple[str, ...]


def start_fusion(
    config: FusionConfig, *, image_init: str | None, text_init: str | None, packaged: Path | None = None
) -> FusionStart:
    """Build a fusion model and give it initial weights.

    Args:
        config: sizes.
        image_init: for a `vit`, a ViT's or DeiT's folder or hub id; for a `compact` side, the checkpoint of a compact
            dual encoder; for either the checkpoint of a fusion model, of which text side and fusion encoder are taken,
            too; None for random weights.
        text_init: for `bert`, its folder or hub id, whose vocabulary is needed in any case; for a `compact` side the
            checkpoint of a compact dual encoder, or None for random weights.
        packaged: where packaged checkpoints lie by name.

    Raises:
        ConfigError: a BERT side without a BERT, or a text side of its own beside a whole fusion model.
        ModelError: initial weights are missing, or don't fit.
    """
    model = FusionModel(config)
    trained = None if image_init is None else find_checkpoint(image_init)
    if trained is not None and read_config(trained).kind == KIND:
        if text_init is not None:
            raise ConfigError(f"{trained} is a whole fusion model, its text side included: leave out model.init_text")
        note = take_weights(model, trained, kind=KIND)
        return FusionStart(model, build_vocabulary(config, folder=trained), None, (note,))
    notes = []
    mlm_head = None
    if image_init is None:
        notes.append("image side: random weights")
    elif config.image == "vit":
        start_from_vit(model, find_pretrained(image_init))
        notes.append(f"image side: {image_init}")
    else:
        start_from_compact(model, load_checkpoint(_find_checkpoint(image_init, packaged)), side="image")
        notes.append(f"image side: {image_init}")
    folder = Path()
    if config.text == "bert":
        if text_init is None:
            raise ConfigError("model.init_text must name a BERT, as a folder or a hub id: its vocabulary is needed")
        folder = find_pretrained(text_init)
        started = start_from_bert(model, folder)
        mlm_head = started.mlm_head
        notes.append(f"text side and fusion encoder: {text_init}")
        notes.append(f"initialised, since BERT lacks them: {', '.join(started.initialised)}")
    elif text_init is None:
        notes.append("text side: random weights; fusion encoder: initialised")
    else:
        start_from_compact(model, load_checkpoint(_find_checkpoint(text_init, packaged)), side="text")
        notes.append(f"text side: {text_init}; fusion encoder: initialised")
    return FusionStart(model, build_vocabulary(config, folder=folder), mlm_head, tuple(notes))


def _find_checkpoint(name: str, packaged: Path | None) -> Path:
    own = None if packaged is None else packaged / name
    return own if own is not None and own.is_dir() else Path(name).expanduser()
