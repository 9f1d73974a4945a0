"""A batch in chunks: the loss sees the features of all its pairs, the encoders one chunk at a time.

Gradient caching (Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"): encode
each chunk and forget how; compute the loss of the whole batch from the features, and its gradient with respect to them;
encode each chunk once more, this time to go back from that gradient to the weights. What a step holds in memory is then
the features of the batch and the activations of a chunk. It takes a second pass through the encoders.

Each chunk is a checkpoint of torch: its second pass draws the same dropout, and computes in the same precision, as its
first. Gradients are those of the whole batch but for rounding. Where a model draws (dropout, patch dropout), it draws
chunk by chunk, which is another draw than that of a whole batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rsitr.models.dual import Features

__all__ = ["apply_in_chunks", "encode_in_chunks"]

Result = TypeVar("Result")


def apply_in_chunks(function: Callable[..., Result], *batches: Tensor, chunk_size: int | None) -> list[Result]:
    """The function's result for each chunk of rows; what it computes on the way there is not kept for the way back.

    Args:
        function: called with a chunk of each batch, and once more on the way back.
        batches: tensors of as many rows each.
        chunk_size: rows of a chunk; None, or no fewer rows than there are: all are one chunk, which is kept.
    """
    if chunk_size is None or chunk_size >= len(batches[0]):
        return [function(*batches)]
    chunks = zip(*(batch.split(chunk_size) for batch in batches), strict=True)  # type: ignore[no-untyped-call]  # of torch
    return [checkpoint(function, *chunk, use_reentrant=False) for chunk in chunks]


def encode_in_chunks(encode: Callable[[Tensor], Features], batch: Tensor, *, chunk_size: int | None) -> Features:
    """Features of all rows of a batch, (B, ...) -> global (B, D), local (B, N, D)."""
    parts = apply_in_chunks(encode, batch, chunk_size=chunk_size)
    if len(parts) == 1:
        return parts[0]
    return Features(
        global_emb=torch.cat([part.global_emb for part in parts]),
        tokens=torch.cat([part.tokens for part in parts]),
        members=parts[0].members,
    )
