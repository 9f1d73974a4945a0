"""The EBAKER recipe: one training step from a batch of rows to a loss (METHODS 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor, nn

from rsitr.data.masking import CaptionMasker
from rsitr.errors import ConfigError
from rsitr.losses import EbakerLoss, ebaker_loss, keep_above
from rsitr.models import DualEncoder, Features, KeywordReasoner, local_mask
from rsitr.models.encoder import LocalTokens, cut_padding
from rsitr.similarity import score_global, score_local
from rsitr.similarity.local import LocalNorm
from rsitr.training.bank import SimilarityBank
from rsitr.training.likeness import CaptionLikeness
from rsitr.training.ranks import ALONE, Ranks
from rsitr.training.rows import RowTable

__all__ = ["EbakerRecipe", "MaskedWords", "StepResult", "keyword_vocabulary"]

LOG_LARGEST_SCALE = float(np.log(100.0))  # CLIP's


@dataclass(frozen=True, slots=True)
class StepResult:
    """One step of the whole batch: the loss and its parts, and the similarities (B,) of the pairs for the banks."""

    loss: EbakerLoss
    global_similarity: Tensor
    local_similarity: Tensor | None
    dropped: int


@dataclass(frozen=True, slots=True)
class MaskedWords:
    """What the reasoning head said of the masked words of this rank's captions.

    Attributes:
        logits: (n, V).
        labels: (n,) classes of the head.
        count: masked words in the whole batch, n where there is one rank.
    """

    logits: Tensor
    labels: Tensor
    count: int


class EbakerRecipe(nn.Module):
    """Everything of EBAKER that is not the encoder: masker, reasoning head, temperature, banks, thresholds.

    Args:
        table: training rows.
        keywords: that are masked with strategy `keyword`.
        dim: width of the local features.
        context_length: of the encoder.
        scale, learn_scale, local_weight, local_norm, repeats: see :class:`rsitr.config.LossConfig`.
        soft_weight, soft_temperature: likewise.
        local_tokens: which text tokens count.
        ker_weight, ker_strategy, ker_position, ker_layers, ker_vocabulary, ker_padding: see `KerConfig`.
        drop_ratio, drop_epoch, scheme: see `EbaConfig`.
        seed: of the random mask strategy.
        ranks: the processes that train together.

    Raises:
        ConfigError: settings that don't go together, or nothing to mask in these captions.
    """

    def __init__(
        self,
        *,
        table: RowTable,
        keywords: Sequence[str],
        dim: int,
        context_length: int,
        scale: float,
        learn_scale: bool,
        local_weight: float,
        local_norm: LocalNorm,
        local_tokens: LocalTokens,
        repeats: str,
        ker_weight: float,
        ker_strategy: str,
        ker_position: str,
        ker_layers: int,
        ker_vocabulary: str,
        ker_padding: str,
        drop_ratio: float,
        drop_epoch: int,
        scheme: str,
        seed: int,
        soft_weight: float = 0.0,
        soft_temperature: float = 0.1,
        ranks: Ranks = ALONE,
    ) -> None:
        super().__init__()
        if scheme == "split" and not local_weight:
            raise ConfigError("eba scheme split needs a local term: set loss.local_weight above 0, or scheme joint")
        self.table = table
        self.local_weight, self.local_norm, self.local_tokens = local_weight, local_norm, local_tokens
        self.repeats = repeats
        self.ker_weight, self.ker_padding = ker_weight, ker_padding
        self.drop_ratio, self.drop_epoch, self.scheme = drop_ratio, drop_epoch, scheme
        self.seed, self.ranks = seed, ranks
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(scale))), requires_grad=learn_scale)
        self.keywords = list(keywords) if ker_strategy == "keyword" else []
        self.masker = CaptionMasker(
            SimpleTokenizer(context_length=context_length),
            context_length=context_length,
            strategy=ker_strategy,  # type: ignore[arg-type]  # a Literal in the config
            keywords=self.keywords,
            mask_position=ker_position,  # type: ignore[arg-type]
        )
        self.soft_weight, self.soft_temperature = soft_weight, soft_temperature
        self.likeness: CaptionLikeness | None = None
        if soft_weight:
            self.likeness = CaptionLikeness(table, ids=self.masker.tokenize(table.captions))
        self.reasoner: KeywordReasoner | None = None
        if ker_weight:
            vocabulary = keyword_vocabulary(self.masker, table.captions) if ker_vocabulary == "keywords" else None
            self.reasoner = KeywordReasoner(dim=dim, layers=ker_layers, vocabulary=vocabulary)
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
        drops = epoch + 1 >= self.drop_epoch
        self.global_threshold = self.global_bank.threshold(drop_ratio=self.drop_ratio) if drops else None
        split = drops and self.scheme == "split"
        self.local_threshold = self.local_bank.threshold(drop_ratio=self.drop_ratio) if split else None

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
        if self.local_tokens != "all":
            # Columns that are padding in every row change nothing for encoders with a causal or padding mask.
            ids = cut_padding(ids)
        ids = ids.to(device)
        texts = model.text_features(ids[self.ranks.own(len(ids))])
        words = self._reason(model, captions, images=images, rows=rows, epoch=epoch, device=device)
        # Half precision has three digits: too few to sort similarities by, or for a softmax over scaled cosines. The
        # Gram matrices of local similarity cost too much in full precision.
        with torch.autocast(device.type, enabled=False):
            return self._align(texts, images, ids=ids, rows=rows, words=words)

    def _align(
        self, texts: Features, images: Features, *, ids: Tensor, rows: NDArray[np.int64], words: MaskedWords | None
    ) -> StepResult:
        gather = self.ranks.gather
        text_emb, image_emb = gather(texts.global_emb.float()), gather(images.global_emb.float())
        members = [
            score_global(text_emb=text_part, image_emb=image_part)
            for text_part, image_part in zip(
                text_emb.chunk(texts.members, dim=1), image_emb.chunk(images.members, dim=1), strict=True
            )
        ]
        member_scores = torch.stack(members)
        global_scores = member_scores.mean(dim=0)
        local_scores = None
        if self.local_weight:
            dtype = torch.promote_types(texts.tokens.dtype, images.tokens.dtype)
            local_scores = score_local(
                text_tokens=gather(texts.tokens.to(dtype)),
                image_tokens=gather(images.tokens.to(dtype)),
                text_mask=local_mask(ids, local_tokens=self.local_tokens),
                norm=self.local_norm,
            ).float()
        index = torch.from_numpy(rows)
        global_similarity = global_scores.diagonal()
        local_similarity = None if local_scores is None else local_scores.diagonal()
        self.global_bank.record(index, global_similarity)
        keep_global = keep_local = keep_above(global_similarity, threshold=self.global_threshold)
        if local_similarity is not None:
            self.local_bank.record(index, local_similarity)
            if self.scheme == "split":
                keep_local = keep_above(local_similarity, threshold=self.local_threshold)
        repeats = None if self.repeats == "negative" else self.table.belongs(rows).to(ids.device)
        soft = None if self.likeness is None else self.likeness(rows).to(ids.device) / self.soft_temperature
        loss = ebaker_loss(
            global_scores=member_scores,
            local_scores=local_scores,
            keep_global=keep_global,
            keep_local=keep_local,
            mlm_logits=None if words is None else words.logits,
            mlm_labels=None if words is None else words.labels,
            mlm_count=None if words is None else words.count,
            scale=self.ranks.share(self._scale()),
            local_weight=self.local_weight,
            mlm_weight=self.ker_weight,
            positives=repeats if self.repeats == "positive" else None,
            ignore=repeats if self.repeats == "ignore" else None,
            soft=soft,
            soft_weight=self.soft_weight,
        )
        # Of the other ranks' masked words the value counts here, their gradients are computed there.
        mlm = self.ranks.total(loss.mlm)
        loss = replace(loss, total=loss.total + self.ker_weight * (mlm - loss.mlm.detach()), mlm=mlm)
        dropped = 0 if keep_global is None else int((~keep_global).sum())
        return StepResult(
            loss=loss,
            global_similarity=global_similarity.detach(),
            local_similarity=None if local_similarity is None else local_similarity.detach(),
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
    ) -> MaskedWords | None:
        if self.reasoner is None:
            return None
        rng = np.random.default_rng((self.seed, epoch, int(rows[0])))
        masked = self.masker.mask(captions, rng=rng)
        count = int((masked.labels >= 0).sum())
        if not count:
            return None
        ids, labels = torch.from_numpy(masked.ids), torch.from_numpy(masked.labels)
        if self.ker_padding == "batch":
            ids = cut_padding(ids)
        own = self.ranks.own(len(ids))
        ids, labels = ids[own].to(device), labels[own, : ids.shape[1]].to(device)
        logits, classes = self.reasoner(
            text_tokens=model.text_features(ids).tokens, image_tokens=images.tokens, labels=labels
        )
        return MaskedWords(logits=logits, labels=classes, count=count)


def keyword_vocabulary(masker: CaptionMasker, captions: Sequence[str]) -> list[int]:
    """Every id that the masker can ask for on these captions."""
    if masker.strategy == "random":
        ids = masker.tokenize(captions)
        return sorted({int(value) for value in ids[local_mask(torch.from_numpy(ids), local_tokens="valid").numpy()]})
    labels = masker.mask(captions, rng=np.random.default_rng(0)).labels
    return sorted({int(label) for label in np.unique(labels) if label >= 0})
