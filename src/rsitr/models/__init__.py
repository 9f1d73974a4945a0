"""Models: dual encoders, their parts, their checkpoints, and how a name becomes one.

Names are imported when they are first used: what needs no torch does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names

if TYPE_CHECKING:
    from rsitr.models.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
    from rsitr.models.compact import CompactConfig, CompactDualEncoder
    from rsitr.models.dual import DualEncoder, Features
    from rsitr.models.encoder import TorchEncoder, choose_device
    from rsitr.models.preparing import local_mask
    from rsitr.models.reasoning import KeywordReasoner
    from rsitr.models.zoo import load_encoder, load_model

__all__ = [
    "CheckpointConfig",
    "CompactConfig",
    "CompactDualEncoder",
    "DualEncoder",
    "Features",
    "KeywordReasoner",
    "TorchEncoder",
    "choose_device",
    "load_checkpoint",
    "load_encoder",
    "load_model",
    "local_mask",
    "save_checkpoint",
]

__getattr__ = lazy_names(
    __name__,
    {
        "CheckpointConfig": "rsitr.models.checkpoint",
        "CompactConfig": "rsitr.models.compact",
        "CompactDualEncoder": "rsitr.models.compact",
        "DualEncoder": "rsitr.models.dual",
        "Features": "rsitr.models.dual",
        "KeywordReasoner": "rsitr.models.reasoning",
        "TorchEncoder": "rsitr.models.encoder",
        "choose_device": "rsitr.models.encoder",
        "load_checkpoint": "rsitr.models.checkpoint",
        "load_encoder": "rsitr.models.zoo",
        "load_model": "rsitr.models.zoo",
        "local_mask": "rsitr.models.preparing",
        "save_checkpoint": "rsitr.models.checkpoint",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
