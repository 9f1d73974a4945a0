"""Small fusion models, and checkpoint folders of the official layouts with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rsitr.models.fusion import BpeVocabulary, FusionConfig, FusionModel, PairScorer, Vocabulary, WordPieceVocabulary
from tiny import SIZES

__all__ = [
    "BERT_SIZES",
    "VIT_SIZES",
    "compact_fusion",
    "compact_fusion_settings",
    "paper_fusion",
    "scorer_of",
    "write_bert",
    "write_vocabulary",
]

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "red", "green", "blue", "yellow", "white", "black"),
    *("orange", "purple", "square", "on", "ground", "there", "is", "building", "in", "field", "surrounds", "one"),
    *("block", "land", "with", "some", "##thing", "it", ".", "air", "##port", "##s"),
)
BERT_SIZES: dict[str, Any] = {
    "vocabulary_size": len(WORDS),
    "context_length": 12,
    "width": 16,
    "text_layers": 2,
    "fusion_layers": 2,
    "heads": 2,
    "mlp_width": 32,
}
VIT_SIZES: dict[str, Any] = {
    "image_size_px": 32,
    "patch_px": 16,
    "image_width": 24,
    "image_layers": 2,
    "image_heads": 3,
}


def paper_fusion(**changes: Any) -> FusionModel:
    """A ViT, a BERT and two fusion blocks in small, the same in every call."""
    torch.manual_seed(0)
    return FusionModel(FusionConfig(**(BERT_SIZES | VIT_SIZES | changes)))


def compact_fusion_settings(**changes: Any) -> dict[str, Any]:
    """Settings of a fusion model on compact sides; needs `TinyTrunk` in place of the trunk."""
    return {
        "image": "compact",
        "text": "compact",
        "compact": SIZES,
        "vocabulary_size": 49408,
        "context_length": SIZES["context_length"],
        "width": SIZES["dim"],
        "fusion_layers": 2,
        "heads": 2,
        "mlp_width": 32,
        **changes,
    }


def compact_fusion(**changes: Any) -> FusionModel:
    """A fusion model on compact sides, the same in every call."""
    torch.manual_seed(0)
    return FusionModel(FusionConfig(**compact_fusion_settings(**changes)))


def write_vocabulary(folder: Path) -> Path:
    """A `vocab.txt` of BERT's layout, for the captions of the small data sets. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder


def write_bert(folder: Path, *, head: bool = True, safe: bool = True, **changes: Any) -> Any:
    """A checkpoint of transformers' BERT with random weights in `folder`; the model itself is returned."""
    from transformers import BertConfig, BertForMaskedLM, BertModel

    settings = {
        "vocab_size": len(WORDS),
        "hidden_size": BERT_SIZES["width"],
        "num_hidden_layers": 4,
        "num_attention_heads": BERT_SIZES["heads"],
        "intermediate_size": BERT_SIZES["mlp_width"],
        "max_position_embeddings": 20,
    }
    torch.manual_seed(1)
    model = (BertForMaskedLM if head else BertModel)(BertConfig(**(settings | changes))).eval()
    # Biases start as zeros and norms as ones: a mix-up of them would not show.
    for parameter in model.parameters():
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    write_vocabulary(folder)
    model.save_pretrained(folder)
    if not safe:
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    return model


def scorer_of(model: FusionModel, folder: Path | None = None, **settings: Any) -> PairScorer:
    """A scorer in fp32 on the CPU; `folder` for the vocabulary of a BERT."""
    context = model.config.context_length
    vocabulary: Vocabulary = BpeVocabulary(context_length=context)
    if folder is not None:
        vocabulary = WordPieceVocabulary(write_vocabulary(folder) / "vocab.txt", context_length=context)
    defaults = {"name": "tiny", "fingerprint": "0" * 64, "device": "cpu", "half": False}
    return PairScorer(model, vocabulary=vocabulary, **(defaults | settings))
