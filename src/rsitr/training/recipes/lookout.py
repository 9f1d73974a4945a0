"""The default model's recipe: from a config and its data to a run, and from a batch of pictures to a loss (ours).

Both sides start from weights that anybody can install. A step sees pictures as another sensor would have shown them,
some captions of each, and now and then a name of its class, so that words that no caption holds find their places. The
loss is InfoNCE in which captions that fit are all positives and those that are alike to an untouched text side have a
share of the target, with a head that tells classes, and a little local similarity.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.config import Phase, TrainConfig
from rsitr.data.collection import Collection
from rsitr.errors import ConfigError
from rsitr.files import read_kept, write_kept
from rsitr.losses import class_loss, share_loss, share_targets
from rsitr.losses.ebaker import precise
from rsitr.models import Features, TorchEncoder, save_checkpoint
from rsitr.models.encoder import inference
from rsitr.models.kinds import KINDS, build_model
from rsitr.models.lookout import LookoutDualEncoder, LookoutText
from rsitr.models.packages import find_vocabulary
from rsitr.models.preparing import SEP_ID, Interpolation, Resize, cut_padding
from rsitr.models.wordpiece import VOCABULARY_FILE, WordPieceVocabulary
from rsitr.similarity import score_local
from rsitr.training.cache import cache_pixels
from rsitr.training.chunks import encode_in_chunks
from rsitr.training.course import Course, Hooks, Inputs
from rsitr.training.exporting import Exporter
from rsitr.training.loop import Trainer
from rsitr.training.optim import Groups, lingering_rate
from rsitr.training.place import Place
from rsitr.training.rows import RowTable
from rsitr.training.runs import Run, identify
from rsitr.training.sensors import OtherSensor
from rsitr.training.state import Position
from rsitr.training.validation import FeatureCache, Validator
from rsitr.training.wording import Wording

__all__ = ["LookoutLoss", "LookoutRecipe", "LookoutStep", "TextLikeness", "build"]

MOST_SCALE = 100.0
LOCAL_SCALE, CLASS_SCALE, SMOOTHING = 20.0, 10.0, 0.1
"""Inverse temperatures of the local similarity and of the classes' cosines, and how much of a class is the others'."""
READ_AT_ONCE = 256
LIKENESS_FILE = "likeness.safetensors"


def build(config: TrainConfig, pictures: Collection, place: Place) -> Run:
    """A run of the default model's recipe, ready to start; its best weights go to `folder / "best"`.

    Raises:
        ConfigError, DataError, ModelError: something the run needs is missing or wrong; nothing has been written.
    """
    _check(config, place)
    model: Any = build_model(config.model, root=place.root, on_note=place.on_note)
    model.to(memory_format=torch.channels_last)
    vocabulary = WordPieceVocabulary(find_vocabulary(config.model.init), context_length=model.context_length)
    pictures = place.look_through(pictures, config=config)
    table = RowTable.of(pictures.training)
    wording = Wording.of(table)
    ids = torch.from_numpy(vocabulary.encode(wording.texts))
    likeness = TextLikeness(model.text, ids=ids, kept=place.cache_folder / LIKENESS_FILE)
    recipe = LookoutRecipe(config, table=table, wording=wording, ids=ids, likeness=likeness, dim=model.dim)
    kind = KINDS[config.model.kind]
    encoder = TorchEncoder(
        model,
        tokenizer=lambda texts: torch.from_numpy(vocabulary.encode(texts)),
        name=config.name,
        fingerprint="in training",
        mixture=config.mixture,
        local_tokens=config.model.local_tokens,
        resize=cast("Resize", kind.resize),
        interpolation=cast("Interpolation", kind.interpolation),
        device=place.device,
        end_id=SEP_ID,
    )
    cache = FeatureCache(model, pictures.everything, folder=place.cache_folder, on_cache=place.on_cache)
    validator = Validator(encoder, pictures.validation, cache=cache, n_training=len(pictures.training))
    exporter = Exporter(
        config=config,
        encoder=encoder,
        validator=validator,
        pictures=pictures,
        table=table,
        place=place,
        local=any(phase.lookout.local_weight > 0 for phase in config.phases),
    )

    def export(position: Position) -> None:
        best = place.folder / "best"
        best.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(vocabulary.path, best / VOCABULARY_FILE)
        save_checkpoint(best, config=exporter.describe(position), weights=dict(model.state_dict()))

    @functools.cache
    def pixels() -> NDArray[np.uint8]:
        return cache_pixels(
            table.images,
            size_px=model.image_size_px,
            folder=place.cache_folder,
            progress=lambda done: place.on_cache(done, len(table.images)),
        )

    trainer = Trainer(
        model=model,
        recipe=recipe,
        table=table,
        config=config,
        place=place,
        validate=validator,
        inputs=Inputs(pixels=pixels, draw=OtherSensor(zoom=config.lookout.zoom, sensor=config.lookout.sensor)),
        course=Course(
            groups=lambda phase: _group(phase, model=model, recipe=recipe),
            rate=lingering_rate,
            repeats=lambda phase: _repeat(phase, table),
            size_px=_grow,
            averages_start=True,
        ),
        hooks=Hooks(on_best=export, report=place.report),
        identity=identify(config, table, wording.sha256),
    )
    return Run(
        config=config,
        trainer=trainer,
        table=table,
        sets=pictures.sets,
        folder=place.folder,
        measure_validation=lambda asked: validator.answer(asked, frozen=False),
    )


def _check(config: TrainConfig, place: Place) -> None:
    if config.data.rows != "images":
        raise ConfigError("recipe lookout draws captions for pictures: set data.rows: images")
    if place.ranks.size > 1:
        raise ConfigError("recipe lookout trains in one process: start it without torchrun")
    for number, phase in enumerate(config.phases, start=1):
        if phase.trunk_lr is None:
            raise ConfigError(f"phase {number}: recipe lookout trains the image trunk, too: set trunk_lr")
        if phase.image_size_px is not None:
            raise ConfigError(
                f"phase {number}: recipe lookout has pictures grow: set lookout.sizes_px, not image_size_px"
            )
        unknown = sorted(phase.lookout.repeats.keys() - set(config.data.sets))
        if unknown:
            raise ConfigError(f"phase {number}: lookout.repeats names {', '.join(unknown)}, which data.sets does not")


def _group(phase: Phase, *, model: LookoutDualEncoder, recipe: nn.Module) -> Groups:
    """The image trunk, the text side's blocks, and what brings them together, with the peak rate of each."""
    trunk, blocks = list(model.image.trunk.parameters()), list(model.text.blocks.parameters())
    apart = {id(weight) for weight in (*trunk, *blocks)}
    rest = [
        weight
        for weight in (*model.parameters(), *recipe.parameters())
        if weight.requires_grad and id(weight) not in apart
    ]
    text_lr, trunk_lr = phase.lookout.text_lr or phase.lr, phase.trunk_lr or phase.lr
    return [(rest, phase.lr), (trunk, trunk_lr), (blocks, text_lr)]


def _repeat(phase: Phase, table: RowTable) -> NDArray[np.int64]:
    often = phase.lookout.repeats
    return np.array([often.get(image.image_id.partition("/")[0], 1) for image in table.images])


def _grow(phase: Phase, share: float) -> int:
    sizes_px = phase.lookout.sizes_px
    return sizes_px[min(len(sizes_px) - 1, int(len(sizes_px) * share))]


class TextLikeness:
    """How alike texts are to a text side as it is now, whatever it learns later.

    Args:
        text: the text side, of which a copy is taken.
        ids: (n_texts, M) of every text.
        kept: file for what it makes of them, which is computed when it is first asked for.
    """

    def __init__(self, text: LookoutText, *, ids: Tensor, kept: Path) -> None:
        self._text, self._ids, self._kept = copy.deepcopy(text), ids, kept
        self._vectors: Tensor | None = None

    def __call__(self, texts: Tensor, *, device: torch.device) -> Tensor:
        """Numbers of texts (T,) -> cosines (T, T) on the device."""
        if self._vectors is None:
            self._vectors = self._read(device).to(device)
        chosen = self._vectors[texts.to(device)]
        return chosen @ chosen.T

    def _read(self, device: torch.device) -> Tensor:
        digest = hashlib.sha256(self._ids.numpy().tobytes())
        for name, value in self._text.state_dict().items():
            digest.update(name.encode() + value.cpu().numpy().tobytes())
        about = {"texts and text side": digest.hexdigest()}
        kept = read_kept(self._kept, about=about)
        if kept is not None:
            return torch.from_numpy(kept["vectors"])
        side = self._text.to(device)
        with inference(side):
            parts = [side(part.to(device)).global_emb for part in torch.split(self._ids, READ_AT_ONCE)]
            vectors = F.normalize(torch.cat(parts), dim=-1).cpu()
        write_kept(self._kept, {"vectors": vectors.numpy()}, about=about)
        return vectors


@dataclass(frozen=True, slots=True)
class LookoutLoss:
    """The total and its parts, each a scalar before its weight; those that a phase leaves out are 0."""

    total: Tensor
    global_align: Tensor
    local_align: Tensor
    classes: Tensor


@dataclass(frozen=True, slots=True)
class LookoutStep:
    """One step."""

    loss: LookoutLoss


class LookoutRecipe(nn.Module):
    """Everything of the training that is not the model: which texts a picture is shown with, a head, a temperature.

    Args:
        config: its section `lookout`, that of each phase, `chunk_size` and `seed`.
        table: training rows.
        wording: what can be said of their pictures.
        ids: (n_texts, M) of every text.
        likeness: of the texts.
        dim: joint width of the model.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        table: RowTable,
        wording: Wording,
        ids: Tensor,
        likeness: TextLikeness,
        dim: int,
    ) -> None:
        super().__init__()
        self.config, self.table, self.wording, self.ids, self.likeness = config, table, wording, ids, likeness
        self.head = nn.Linear(dim, max(1, wording.n_classes))
        self.log_scale = nn.Parameter(torch.tensor(math.log(config.lookout.scale)))

    def step(
        self,
        model: LookoutDualEncoder,
        *,
        images: Features,
        rows: NDArray[np.int64],
        epoch: int,
        device: torch.device,
    ) -> LookoutStep:
        """Loss of one batch.

        Args:
            model: for the texts.
            images: features of the rows' pictures (B, ...).
            rows: (B,) row indices; which of a picture's rows does not matter.
            epoch: over all phases.
            device: of the model.
        """
        phase = self._phase(epoch).lookout
        numbers = self.table.row_image[rows]
        rng = np.random.default_rng((self.config.seed, epoch, *rows.tolist()))
        drawn = self.wording.draw(numbers, count=self.config.lookout.captions, named=phase.named, rng=rng)
        texts = torch.from_numpy(drawn)
        ids = cut_padding(self.ids[texts], end_id=SEP_ID).to(device)
        features = encode_in_chunks(model.text_features, ids, chunk_size=self.config.chunk_size)
        # As in EBAKER, half precision has too few digits for a softmax over scaled cosines.
        with torch.autocast(device.type, enabled=False):
            likeness = self.likeness(texts, device=device)
            targets = share_targets(
                torch.from_numpy(self.wording.fits(numbers, drawn)).to(device),
                owner=torch.arange(len(rows), device=device).repeat_interleave(self.config.lookout.captions),
                likeness=likeness,
                temperature=self.config.lookout.alike_temperature,
                alike=phase.alike,
            )
            seen, read = (F.normalize(precise(side.global_emb), dim=-1) for side in (images, features))
            scale = self.log_scale.exp().clamp(max=MOST_SCALE)
            global_align = share_loss(scale * seen @ read.T, targets)
            local_align = classes = torch.zeros((), device=device)
            if phase.local_weight:
                scores = score_local(
                    text_tokens=precise(features.tokens),
                    image_tokens=precise(images.tokens),
                    text_mask=ids != 0,
                    norm="rms",
                )
                local_align = share_loss(LOCAL_SCALE * scores.T, targets)
            if phase.class_weight and self.wording.n_classes:
                known = torch.from_numpy(self.wording.classes[numbers]).to(device)
                classes = class_loss(self.head(seen * CLASS_SCALE), known, smoothing=SMOOTHING)
            total = global_align + phase.local_weight * local_align + phase.class_weight * classes
        return LookoutStep(LookoutLoss(total, global_align, local_align, classes))

    def _phase(self, epoch: int) -> Phase:
        """The phase that an epoch, counted over all of them, belongs to."""
        for phase in self.config.phases:
            if epoch < phase.epochs:
                return phase
            epoch -= phase.epochs
        raise ValueError(f"there are {epoch} epochs fewer")

    def notes(self, outcome: LookoutStep) -> dict[str, float | int | None]:
        """For the log."""
        loss = outcome.loss
        return {
            "global": loss.global_align.item(),
            "local": loss.local_align.item(),
            "classes": loss.classes.item(),
            "scale": self.log_scale.exp().item(),
        }

    def start_epoch(self) -> None:
        """Nothing is kept of an epoch."""

    def end_epoch(self, epoch: int) -> None:
        """Nothing is kept of an epoch."""

    def bank_state(self) -> dict[str, object]:
        """Nothing beyond parameters."""
        return {}

    def load_bank_state(self, state: dict[str, object]) -> None:
        """Nothing beyond parameters."""
