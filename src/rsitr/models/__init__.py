"""Models: dual encoders, their parts, their checkpoints, and how a name becomes one."""

from rsitr.models.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from rsitr.models.compact import CompactConfig, CompactDualEncoder
from rsitr.models.dual import DualEncoder, Features
from rsitr.models.encoder import TorchEncoder, choose_device, local_mask
from rsitr.models.reasoning import KeywordReasoner
from rsitr.models.zoo import load_model

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
    "load_model",
    "local_mask",
    "save_checkpoint",
]
