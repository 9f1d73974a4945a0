"""EBAKER: from a config and its data to a run, and from a batch of rows to a loss (METHODS 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsitr.config import TrainConfig
from rsitr.data.collection import Collection
from rsitr.data.keywords import collect_keywords, read_keywords
from rsitr.data.masking import CaptionMasker
from rsitr.errors import ConfigError
from rsitr.losses import LOSSES, EbakerLoss, MaskedWords, Targets, ebaker_loss, keep_above, word_loss
from rsitr.losses.ebaker import precise
from rsitr.models import DualEncoder, Features, KeywordReasoner, TorchEncoder
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.kinds import KINDS, build_model, check_phases
from rsitr.models.preparing import Interpolation, Resize, cut_padding, local_mask
from rsitr.similarity import score_global, score_local
from rsitr.training.adapting import adapt, save_trained
from rsitr.training.bank import SimilarityBank
from rsitr.training.chunks import apply_in_chunks, encode_in_chunks
from rsitr.training.course import Hooks, Inputs
from rsitr.training.eliminated import ELIMINATED_FOLDER, write_eliminated
from rsitr.training.exporting import Exporter
from rsitr.training.likeness import CaptionLikeness
from rsitr.training.loop import Trainer
from rsitr.training.place import Place
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable
from rsitr.training.runs import Run, identify
from rsitr.training.state import Position
from rsitr.training.validation import FeatureCache, Validator

__all__ = ["EbakerRecipe", "StepResult", "build", "keyword_vocabulary"]

LOG_LARGEST_SCALE = float(np.log(100.0))  # CLIP's


def build(config: TrainConfig, pictures: Collection, place: Place) -> Run:
    """A run of EBAKER, ready to start; its best weights go to `folder / "best"`.

    Raises:
        ConfigError, DataError, ModelError: something the run needs is missing or wrong; nothing has been written.
    """
    # Before every picture is looked at, which takes a while: what is wrong with the model shows at once.
    model = build_model(config.model, root=place.root, on_note=place.on_note)
    check_phases(config, size_px=model.image_size_px)
    adapted = adapt(model, config=config, on_note=place.on_note)
    pictures = place.look_through(pictures, config=config)
    table = RowTable.of(pictures.training)
    keywords = _choose_keywords(config, pictures)
    recipe = EbakerRecipe(
        config,
        table=table,
        keywords=keywords,
        dim=model.token_dim,
        context_length=model.context_length,
        ranks=place.ranks,
    )
    kind = KINDS[config.model.kind]
    encoder = TorchEncoder(
        model,
        tokenizer=clip_tokenizer(model.context_length),
        name=config.name,
        fingerprint="in training",
        mixture=config.mixture,
        local_tokens=config.model.local_tokens,
        resize=cast("Resize", kind.resize),
        interpolation=cast("Interpolation", kind.interpolation),
        device=place.device,
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
        local=config.loss.local_weight > 0,
    )

    def export(position: Position) -> None:
        save_trained(place.folder / "best", config=exporter.describe(position), model=model, adapted=adapted)

    def report_eliminated(position: Position) -> None:
        write_eliminated(recipe, epoch=position.epoch, folder=place.folder / ELIMINATED_FOLDER)

    trainer = Trainer(
        model=model,
        recipe=recipe,
        table=table,
        config=config,
        place=place,
        validate=validator,
        inputs=Inputs(patches=(lambda: [cache()]) if config.model.kind == "compact" else None),
        hooks=Hooks(on_best=export, on_epoch_end=report_eliminated, report=place.report),
        # A keyword file may change meanwhile: its words are part of what the run is known by.
        identity=identify(config, table, *(keywords if config.keywords.file is not None else ())),
    )
    frozen = config.model.kind == "compact" and all(phase.trunk_lr is None for phase in config.phases)
    return Run(
        config=config,
        trainer=trainer,
        table=table,
        sets=pictures.sets,
        folder=place.folder,
        measure_validation=lambda asked: validator.answer(asked, frozen=frozen),
    )


def _choose_keywords(config: TrainConfig, pictures: Collection) -> list[str]:
    """The words that keyword reasoning masks: none with another strategy."""
    if config.ker.strategy != "keyword":
        return []
    if config.keywords.file is not None:
        return read_keywords(Path(config.keywords.file).expanduser())
    return collect_keywords(pictures.captions_by_set, top_k=config.ker.top_k, rule=config.keywords.rule)


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of the whole batch: the loss and its parts, and the similarities (B,) of the pairs for the banks."""

    loss: EbakerLoss
    global_similarity: Tensor
    local_similarity: Tensor | None
    dropped: int


class EbakerRecipe(nn.Module):
    """Everything of EBAKER that is not the encoder: masker, reasoning head, temperature, banks, thresholds.

    Args:
        config: its sections `loss`, `ker` and `eba`, `model.local_tokens`, `chunk_size`, and `seed`, of the random mask
            strategy.
        table: training rows.
        keywords: that are masked with strategy `keyword`.
        dim: width of the local features.
        context_length: of the encoder.
        ranks: the processes that train together.

    Raises:
        ConfigError: settings that don't go together, or nothing to mask in these captions.
    """

    def __init__(
        self,
        config: TrainConfig,
        *,
        table: RowTable,
        keywords: Sequence[str],
        dim: int,
        context_length: int,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        loss, ker, eba = config.loss, config.ker, config.eba
        if eba.scheme == "split" and not loss.local_weight:
            raise ConfigError("eba scheme split needs a local term: set loss.local_weight above 0, or scheme joint")
        self.config, self.table, self.ranks = config, table, ranks
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(loss.scale))), requires_grad=loss.learn_scale)
        self.keywords = list(keywords) if ker.strategy == "keyword" else []
        self.masker = CaptionMasker(
            clip_tokenizer(context_length),
            context_length=context_length,
            strategy=ker.strategy,
            keywords=self.keywords,
            mask_position=ker.mask_position,
        )
        self.align = LOSSES[loss.align]
        self.likeness: CaptionLikeness | None = None
        if loss.soft_weight:
            self.likeness = CaptionLikeness(table, ids=self.masker.tokenize(table.captions))
        self.reasoner: KeywordReasoner | None = None
        if ker.weight:
            vocabulary = keyword_vocabulary(self.masker, table.captions) if ker.vocabulary == "keywords" else None
            self.reasoner = KeywordReasoner(dim=dim, layers=ker.layers, vocabulary=vocabulary)
        self.global_bank = SimilarityBank(len(table))
        self.local_bank = SimilarityBank(len(table))
        self.global_threshold: float | None = None
        self.local_threshold: float | None = None

    def start_epoch(self) -> None:
        """Empty the banks; the thresholds of the epoch before stay in force."""
        self.global_bank.start_epoch()
        self.local_bank.start_epoch()

    def end_epoch(self, epoch: int) -> None:
        """Set the thresholds for the epoch after `epoch` (counted from 0): none before `drop_epoch` full epochs."""
        drops = epoch + 1 >= self.config.eba.drop_epoch
        ratio = self.config.eba.drop_ratio
        self.global_threshold = self.global_bank.threshold(drop_ratio=ratio) if drops else None
        split = drops and self.config.eba.scheme == "split"
        self.local_threshold = self.local_bank.threshold(drop_ratio=ratio) if split else None

    def step(
        self, model: DualEncoder, *, images: Features, rows: NDArray[np.int64], epoch: int, device: torch.device
    ) -> StepResult:
        """Loss of one batch.

        Args:
            model: for the text passes, plain and masked.
            images: features of the pictures of this rank's share of the rows, one per row.
            rows: (B,) row indices of the whole batch.
            epoch: for the random mask strategy.
            device: of the model.
        """
        captions = [self.table.captions[index] for index in self.table.row_caption[rows]]
        ids = torch.from_numpy(self.masker.tokenize(captions))
        if self.config.model.local_tokens != "all":
            # Columns that are padding in every row change nothing for encoders with a causal or padding mask.
            ids = cut_padding(ids)
        ids = ids.to(device)
        own = ids[self.ranks.own(len(ids))]
        texts = encode_in_chunks(model.text_features, own, chunk_size=self.config.chunk_size)
        words = self._reason(model, captions, images=images, rows=rows, epoch=epoch, device=device)
        # Half precision has three digits: too few to sort similarities by, or for a softmax over scaled cosines. The
        # Gram matrices of local similarity cost too much in full precision.
        with torch.autocast(device.type, enabled=False):
            return self._align(texts, images, ids=ids, rows=rows, words=words)

    def _align(
        self, texts: Features, images: Features, *, ids: Tensor, rows: NDArray[np.int64], words: Tensor | None
    ) -> StepResult:
        gather, settings = self.ranks.gather, self.config.loss
        text_emb, image_emb = gather(precise(texts.global_emb)), gather(precise(images.global_emb))
        members = [
            score_global(text_emb=text_part, image_emb=image_part)
            for text_part, image_part in zip(
                text_emb.chunk(texts.members, dim=1), image_emb.chunk(images.members, dim=1), strict=True
            )
        ]
        member_scores = torch.stack(members)
        global_scores = member_scores.mean(dim=0)
        local_scores = None
        if settings.local_weight:
            dtype = torch.promote_types(texts.tokens.dtype, images.tokens.dtype)
            scores = score_local(
                text_tokens=gather(texts.tokens.to(dtype)),
                image_tokens=gather(images.tokens.to(dtype)),
                text_mask=local_mask(ids, local_tokens=self.config.model.local_tokens),
                norm=settings.local_norm,
                gradient_rows=self.config.chunk_size,
            )
            local_scores = precise(scores)
        index = torch.from_numpy(rows)
        # Every rank has them, to the last bit or so: thresholds and masks must be the same to the very last.
        global_similarity = self.ranks.first(global_scores.diagonal())
        local_similarity = None if local_scores is None else self.ranks.first(local_scores.diagonal())
        self.global_bank.record(index, global_similarity)
        keep_global = keep_local = keep_above(global_similarity, threshold=self.global_threshold)
        if local_similarity is not None:
            self.local_bank.record(index, local_similarity)
            if self.config.eba.scheme == "split":
                keep_local = keep_above(local_similarity, threshold=self.local_threshold)
        repeats = None if settings.repeats == "negative" else self.table.belongs(rows).to(ids.device)
        targets = Targets(
            positives=repeats if settings.repeats == "positive" else None,
            ignore=repeats if settings.repeats == "ignore" else None,
            soft=None if self.likeness is None else self.likeness(rows).to(ids.device) / settings.soft_temperature,
            soft_weight=settings.soft_weight,
        )
        loss = ebaker_loss(
            global_scores=member_scores,
            local_scores=local_scores,
            keep_global=keep_global,
            keep_local=keep_local,
            words=words,
            scale=self.ranks.share(self._scale()),
            local_weight=settings.local_weight,
            mlm_weight=self.config.ker.weight,
            targets=targets,
            align=self.align,
        )
        # Of the other ranks' masked words the value counts here, their gradients are computed there.
        mlm = self.ranks.total(loss.mlm)
        loss = replace(loss, total=loss.total + self.config.ker.weight * (mlm - loss.mlm.detach()), mlm=mlm)
        dropped = 0 if keep_global is None else int((~keep_global).sum())
        return StepResult(
            loss=loss,
            global_similarity=global_similarity,
            local_similarity=local_similarity,
            dropped=dropped,
        )

    def _scale(self) -> Tensor:
        """Of the logits. A learned one is itself kept within CLIP's bound: a clamped one would have no slope back."""
        with torch.no_grad():
            self.log_scale.clamp_(max=LOG_LARGEST_SCALE)
        return self.log_scale.exp()

    def notes(self, outcome: StepResult) -> dict[str, float | int | None]:
        """For the log."""
        loss = outcome.loss
        return {
            "global": loss.global_align.item(),
            "local": loss.local_align.item(),
            "mlm": loss.mlm.item(),
            "scale": self.log_scale.exp().item(),
            "dropped": outcome.dropped,
            "threshold": self.global_threshold,
        }

    def bank_state(self) -> dict[str, object]:
        """Banks and thresholds, for a checkpoint."""
        return {
            "global": self.global_bank.state_dict(),
            "local": self.local_bank.state_dict(),
            "global_threshold": self.global_threshold,
            "local_threshold": self.local_threshold,
        }

    def load_bank_state(self, state: dict[str, object]) -> None:
        """Banks and thresholds, from a checkpoint."""
        self.global_bank.load_state_dict(state["global"])  # type: ignore[arg-type]
        self.local_bank.load_state_dict(state["local"])  # type: ignore[arg-type]
        self.global_threshold = state["global_threshold"]  # type: ignore[assignment]
        self.local_threshold = state["local_threshold"]  # type: ignore[assignment]

    def _reason(
        self,
        model: DualEncoder,
        captions: list[str],
        *,
        images: Features,
        rows: NDArray[np.int64],
        epoch: int,
        device: torch.device,
    ) -> Tensor | None:
        """The loss of this rank's masked words, its share of the mean over those of the whole batch."""
        reasoner = self.reasoner
        if reasoner is None:
            return None
        rng = np.random.default_rng((self.config.seed, epoch, int(rows[0])))
        masked = self.masker.mask(captions, rng=rng)
        count = int((masked.labels >= 0).sum())
        if not count:
            return None
        ids, labels = torch.from_numpy(masked.ids), torch.from_numpy(masked.labels)
        if self.config.ker.padding == "batch":
            ids = cut_padding(ids)
        own = self.ranks.own(len(ids))
        ids, labels = ids[own].to(device), labels[own, : ids.shape[1]].to(device)

        def read(ids: Tensor, labels: Tensor, image_tokens: Tensor) -> Tensor:
            text_tokens = model.text_features(ids).tokens
            logits, classes = reasoner(text_tokens=text_tokens, image_tokens=image_tokens, labels=labels)
            return word_loss(MaskedWords(logits=logits, labels=classes, count=count))

        return torch.stack(apply_in_chunks(read, ids, labels, images.tokens, chunk_size=self.config.chunk_size)).sum()


def keyword_vocabulary(masker: CaptionMasker, captions: Sequence[str]) -> list[int]:
    """Every id that the masker can ask for on these captions."""
    if masker.strategy == "random":
        ids = masker.tokenize(captions)
        return sorted({int(value) for value in ids[local_mask(ids, local_tokens="valid")]})
    labels = masker.mask(captions, rng=np.random.default_rng(0)).labels
    return sorted({int(label) for label in np.unique(labels) if label >= 0})
