"""Heads that only training needs: masked words (MLM) and the twin network's (MVJRC). An exported model has none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.data.masking import IGNORED_LABEL
from rsitr.errors import ConfigError
from rsitr.models.bert import BERT_EPS, init_as_bert

__all__ = ["MlmHead", "Predictor", "Projector", "synchronise_norms"]


class MlmHead(nn.Module):
    """BERT's head for masked words: linear, GELU, layer norm, linear to the vocabulary (METHODS 3.2).

    Args:
        width: of the joint representation.
        vocabulary_size: ids there are.
        known: ids that can be predicted; a small model saves most of the head by naming those of its captions. None is
            all, as in the paper.

    Raises:
        ConfigError: there is no id to predict.
    """

    def __init__(self, *, width: int, vocabulary_size: int, known: Sequence[int] | None = None) -> None:
        super().__init__()
        ids = range(vocabulary_size) if known is None else sorted(set(known))
        if not ids:
            raise ConfigError("there is no word to predict in the training captions; set mtgfe.mlm_weight to 0")
        self.transform = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=BERT_EPS)
        self.decoder = nn.Linear(width, len(ids))
        self.apply(init_as_bert)
        classes = torch.full((vocabulary_size,), IGNORED_LABEL, dtype=torch.long)
        classes[list(ids)] = torch.arange(len(ids))
        self.classes: Tensor
        self.register_buffer("classes", classes, persistent=False)

    def forward(self, u: Tensor, *, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Joint representations (B, M, W) and labels (B, M), -100 where nothing is masked.

        Returns:
            Logits (n, V) of the n masked positions, and their labels (n,) as classes of the head.
        """
        masked = labels != IGNORED_LABEL
        logits: Tensor = self.decoder(self.norm(F.gelu(self.transform(u[masked]))))
        return logits, self.classes[labels[masked]]


class Projector(nn.Sequential):
    """Three linear layers, each with batch norm, ReLU after all but the last (METHODS 3.3): (B, W) -> (B, D)."""

    def __init__(self, *, width: int, hidden: int) -> None:
        super().__init__(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden, bias=False),
            # SimSiam's last norm has no scale and shift of its own: the predictor's first layer would undo them.
            nn.BatchNorm1d(hidden, affine=False),
        )


class Predictor(nn.Sequential):
    """Linear, batch norm, ReLU, linear, narrow in the middle (METHODS 3.3): (B, D) -> (B, D)."""

    def __init__(self, *, hidden: int, bottleneck: int) -> None:
        super().__init__(
            nn.Linear(hidden, bottleneck, bias=False),
            nn.BatchNorm1d(bottleneck),
            nn.ReLU(),
            nn.Linear(bottleneck, hidden),
        )


def synchronise_norms(module: nn.Module) -> nn.Module:
    """With several processes, batch norms that count over all of them (METHODS 3.3); alone, the module as it is."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return cast("nn.Module", nn.SyncBatchNorm.convert_sync_batchnorm(module))  # type: ignore[no-untyped-call]
    return module
