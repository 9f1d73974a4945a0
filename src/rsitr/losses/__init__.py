"""Losses: tensors in, scalars out; no loss sees a model."""

from rsitr.losses.contrastive import LOSSES, Contrastive, Targets, info_nce
from rsitr.losses.distillation import distillation_loss
from rsitr.losses.ebaker import RELEASED_SCALE, EbakerLoss, MaskedWords, ebaker_loss, keep_above, word_loss
from rsitr.losses.itm import Negatives, draw_negatives, itm_loss
from rsitr.losses.mvjrc import mvjrc_loss, output_deviation
from rsitr.losses.shares import Shares, class_loss, share_loss, share_targets

__all__ = [
    "LOSSES",
    "RELEASED_SCALE",
    "Contrastive",
    "EbakerLoss",
    "MaskedWords",
    "Negatives",
    "Shares",
    "Targets",
    "class_loss",
    "distillation_loss",
    "draw_negatives",
    "ebaker_loss",
    "info_nce",
    "itm_loss",
    "keep_above",
    "mvjrc_loss",
    "output_deviation",
    "share_loss",
    "share_targets",
    "word_loss",
]
