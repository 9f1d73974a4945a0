"""Teaching a retrieval filter: the teacher's scores are computed once, then the student sees vectors alone.

METHODS 3.7: KL to the teacher's ITM and 0.2 CE to the label, encoders frozen, 128 pairs per step, 30 epochs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsitr.data import CaptionedImage
from rsitr.data.augmentation import RandAugment
from rsitr.errors import ConfigError
from rsitr.files import write_json
from rsitr.losses import distillation_loss
from rsitr.models.checkpoint import read_config
from rsitr.models.dual import Features
from rsitr.models.fusion import PairScorer, TextStates
from rsitr.models.fusion.filter import FilterConfig, RetrievalFilter, build_filter
from rsitr.models.precision import has_bf16
from rsitr.training.cache import VIEW_SEED, open_patches, patches_key
from rsitr.training.optim import build_optimizer, learning_rate
from rsitr.training.rows import RowTable, read_picture

__all__ = ["Lessons", "TeachingConfig", "draw_pairs", "score_lessons", "teach"]

READ_AHEAD = 256
PAIRS_AT_ONCE = 20_000


@dataclass(frozen=True, kw_only=True)
class TeachingConfig:
    """How a filter is taught; the paper's values where it gives any.

    Attributes:
        negatives: images per caption that don't belong to it (ours; as many as ITM would draw in some epochs).
        hard_weight: alpha, of the label's cross-entropy.
        epochs, batch_size, lr, weight_decay, warmup_steps: of AdamW with cosine decay.
        seed: of pairs, order and initial weights.
    """

    negatives: int = 10
    hard_weight: float = 0.2
    epochs: int = 30
    batch_size: int = 128
    lr: float = 1e-4
    weight_decay: float = 0.02
    warmup_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (
            ("negatives", 1),
            ("epochs", 1),
            ("batch_size", 2),
            ("hard_weight", 0),
            ("lr", 0),
            ("weight_decay", 0),
            ("warmup_steps", 0),
        ):
            if not getattr(self, name) >= least:  # also of what is no number
                raise ConfigError(f"{name} must be at least {least}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Lessons:
    """Pairs with the teacher's word on them.

    Attributes:
        texts: (n_captions, W_text) w_cls.
        images: (n_images, W_image) v_cls.
        text_index: (P,) of each pair.
        image_index: (P,) of each pair.
        labels: (P,) 1 for pairs that belong together.
        teacher: (P,) log-odds.
    """

    texts: Tensor
    images: Tensor
    text_index: Tensor
    image_index: Tensor
    labels: Tensor
    teacher: Tensor


def draw_pairs(
    table: RowTable, *, negatives: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Every distinct caption with one of its images and with random others: (P,) texts, images and labels.

    An image is no negative if the caption, word by word, was written for it.
    """
    rng = np.random.default_rng(seed)
    owners: list[set[int]] = [set() for _ in table.captions]
    for image, caption in zip(table.row_image.tolist(), table.row_caption.tolist(), strict=True):
        owners[caption].add(image)
    texts, images, labels = [], [], []
    for caption, own in enumerate(owners):
        known = sorted(own)
        drawn = rng.choice(len(table.images), size=min(len(table.images), negatives + len(own)), replace=False)
        others = [image for image in drawn.tolist() if image not in own][:negatives]
        chosen = [known[int(rng.integers(len(known)))], *others]
        texts += [caption] * len(chosen)
        images += chosen
        labels += [1] + [0] * len(others)
    return np.array(texts), np.array(images), np.array(labels)


def score_lessons(
    scorer: PairScorer,
    images: Sequence[CaptionedImage],
    *,
    config: TeachingConfig,
    folder: Path,
    run: Path | None = None,
    on_images: Callable[[int, int], None] = lambda _done, _total: None,
    on_pairs: Callable[[int, int], None] = lambda _done, _total: None,
) -> Lessons:
    """Draw pairs of the training pictures and captions, and ask the teacher.

    Its scores are kept in `folder`: an interrupted run goes on, and a second student begins at once.

    Args:
        scorer: the teacher.
        images: training pictures.
        config: how many pairs, and the seed.
        folder: for the scores.
        run: of the teacher's training, whose cached features of augmented pictures then stand for the pictures; None
            reads and encodes these as they are.
        on_images: progress of reading and encoding pictures: done, total.
        on_pairs: progress of the teacher: done, total.

    Raises:
        ConfigError: the run has no such features of these pictures.
    """
    table = RowTable.of(images)
    text_index, image_index, labels = draw_pairs(table, negatives=config.negatives, seed=config.seed)
    view = None if run is None else _open_view(run, scorer, images)
    parts = []
    for first in range(0, len(images), READ_AHEAD):
        chosen = slice(first, first + READ_AHEAD)
        if view is None:
            pictures = [read_picture(image).permute(1, 2, 0).numpy() for image in images[chosen]]
            parts.append(scorer.encode_images(pictures))
        else:
            parts.append(scorer.encode_patches(view.patches[chosen]))
        on_images(min(len(images), first + READ_AHEAD), len(images))
    features = Features(torch.cat([part.global_emb for part in parts]), torch.cat([part.tokens for part in parts]))
    texts = scorer.encode_texts(table.captions)
    key: dict[str, object] = {
        "teacher": scorer.fingerprint,
        "rows": table.rows_sha256,
        "pictures": "as they are" if view is None else view.key,
        "pairs": hashlib.sha256(np.stack([text_index, image_index]).tobytes()).hexdigest(),
    }
    teacher = _ask(
        scorer, texts, features, text_index=text_index, image_index=image_index, key=key, folder=folder,
        progress=on_pairs,
    )  # fmt: skip
    return Lessons(
        texts=texts.tokens[:, 0].cpu().clone(),
        images=features.global_emb.cpu(),
        text_index=torch.from_numpy(text_index),
        image_index=torch.from_numpy(image_index),
        labels=torch.from_numpy(labels),
        teacher=teacher,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """Cached features (n_images, N, C) of augmented pictures, and what they depend on."""

    patches: NDArray[np.float16]
    key: str


def _open_view(run: Path, scorer: PairScorer, images: Sequence[CaptionedImage]) -> _View:
    """The first view of a run's pictures.

    Raises:
        ConfigError: it is not there, or of other pictures, weights or augmentation than the run's config says.
    """
    try:
        tasks = read_config(run / "best").training["config"]["mtgfe"]
        augment = RandAugment(count=tasks["augment_count"], magnitude=tasks["augment_magnitude"])
        drawn: dict[str, Any] = {"augment": augment, "seed": (VIEW_SEED, 0), "half": has_bf16(scorer.device)}
        patches = open_patches(scorer.model, images, folder=run / "view-0", **drawn)
        key = patches_key(scorer.model, images, **drawn)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{run} is not the folder of an MTGFE run on a compact image side") from error
    if patches is None:
        raise ConfigError(f"{run / 'view-0'} does not hold features of these pictures; leave out --run")
    return _View(patches, key)


def _ask(
    scorer: PairScorer,
    texts: TextStates,
    images: Features,
    *,
    text_index: NDArray[np.int64],
    image_index: NDArray[np.int64],
    key: dict[str, object],
    folder: Path,
    progress: Callable[[int, int], None],
) -> Tensor:
    """The teacher's scores (P,), pair by image, kept on disk part by part."""
    folder.mkdir(parents=True, exist_ok=True)
    array_file, state_file = folder / "teacher.npy", folder / "teacher.json"
    total, done = len(text_index), 0
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
        scores = np.load(array_file)
        done = int(state["done"]) if state["key"] == key and scores.shape == (total,) else 0
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        done = 0
    if done == 0:
        # First the note goes, so that no interruption leaves it beside other scores than it speaks of.
        state_file.unlink(missing_ok=True)
        scores = np.zeros(total, dtype=np.float32)
    # By image, so that a part has few images with many texts each.
    order = np.argsort(image_index, kind="stable")
    for first in range(done, total, PAIRS_AT_ONCE):
        part = order[first : first + PAIRS_AT_ONCE]
        of_texts, of_images = torch.from_numpy(text_index[part]), torch.from_numpy(image_index[part])
        scores[part] = scorer.score_pairs(texts, images, text_index=of_texts, image_index=of_images).numpy()
        np.save(array_file, scores)
        write_json(state_file, {"key": key, "done": first + len(part)})
        progress(first + len(part), total)
    return torch.from_numpy(scores)


def teach(
    lessons: Lessons,
    *,
    student: FilterConfig,
    config: TeachingConfig,
    progress: Callable[[int, int, float], None] = lambda _done, _total, _loss: None,
) -> RetrievalFilter:
    """Train a filter on cached scores.

    Args:
        lessons: pairs and the teacher's scores.
        student: sizes of the filter.
        config: how it is taught.
        progress: called after each epoch with the epochs done, their number, and the mean loss.

    Raises:
        ConfigError: there are fewer pairs than a batch.
    """
    size = len(lessons.labels)
    if size < config.batch_size:
        raise ConfigError(f"batch_size {config.batch_size} is more than the {size} pairs there are")
    torch.manual_seed(config.seed)
    model = build_filter(student)
    optimizer = build_optimizer([(model.parameters(), config.lr)], weight_decay=config.weight_decay, beta2=0.999)
    steps = size // config.batch_size
    step = 0
    for epoch in range(config.epochs):
        order = torch.from_numpy(np.random.default_rng((config.seed, epoch)).permutation(size))
        total = 0.0
        for batch in torch.split(order, config.batch_size)[:steps]:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(
                    step, peak=group["peak_lr"], warmup_steps=config.warmup_steps, total_steps=steps * config.epochs
                )
            texts, images = lessons.texts[lessons.text_index[batch]], lessons.images[lessons.image_index[batch]]
            scores = model(texts=texts, images=images)
            loss = distillation_loss(
                scores, teacher=lessons.teacher[batch], labels=lessons.labels[batch], hard_weight=config.hard_weight
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
            step += 1
        progress(epoch + 1, config.epochs, total / steps)
    return model.eval()
