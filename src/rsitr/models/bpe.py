"""CLIP's tokenizer, read once: its merges take a fifth of a second to parse, and every run and model asks for it."""

from __future__ import annotations

from functools import cache

from open_clip.tokenizer import SimpleTokenizer

__all__ = ["clip_tokenizer"]


@cache
def clip_tokenizer(context_length: int = 77) -> SimpleTokenizer:
    """Byte-pair encoding of texts to ids (n, context_length); the same object for the same length."""
    return SimpleTokenizer(context_length=context_length)
