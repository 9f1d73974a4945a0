from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from rsitr.errors import ConfigError
from rsitr.similarity import gram_vectors, score_local
from rsitr.similarity.local import LocalNorm

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
NORMS: tuple[LocalNorm, ...] = ("l2", "rms")


def pairwise(text: Tensor, image: Tensor, *, mask: Tensor | None = None, norm: LocalNorm = "l2") -> Tensor:
    """The definition, word for word: every cosine of every pair, its norm (METHODS 1.4), in float64."""
    cosines = torch.einsum("tmd,ind->timn", F.normalize(text.double(), dim=-1), F.normalize(image.double(), dim=-1))
    counted = torch.ones(text.shape[:2], dtype=torch.bool) if mask is None else mask
    squared = (cosines.square() * counted[:, None, :, None]).sum(dim=(2, 3))
    if norm == "rms":
        squared = squared / (counted.sum(dim=1).clamp(min=1)[:, None] * image.shape[1])
    return squared.sqrt()


def tokens(n: int, length: int, dim: int, *, seed: int) -> Tensor:
    return torch.randn(n, length, dim, generator=torch.Generator().manual_seed(seed)) * 3


def some_counted(n: int, length: int) -> Tensor:
    """Texts of all lengths, one of them without any counted token."""
    return torch.arange(length) < torch.arange(n)[:, None] % (length + 1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**30])
@pytest.mark.parametrize(
    ("n_text", "n_image", "m", "n", "dim"),
    [
        (40, 30, 11, 9, 8),  # the Gram identity is cheaper
        (30, 40, 11, 9, 70),  # likewise, with more than one strip of the Gram matrix, the last one narrower
        (40, 7, 2, 3, 48),  # pairwise is cheaper
        (1, 5, 4, 9, 64),  # one query
    ],
)
def test_every_way_of_computing_gives_the_definition(
    n_text: int, n_image: int, m: int, n: int, dim: int, *, norm: LocalNorm, masked: bool, block_bytes: int
) -> None:
    text, image = tokens(n_text, m, dim, seed=1), tokens(n_image, n, dim, seed=2)
    mask = some_counted(n_text, m) if masked else None
    found = score_local(text_tokens=text, image_tokens=image, text_mask=mask, norm=norm, block_bytes=block_bytes)
    assert found.shape == (n_text, n_image)
    torch.testing.assert_close(found.double(), pairwise(text, image, mask=mask, norm=norm), rtol=1e-5, atol=1e-6)


def test_double_precision_stays_double() -> None:
    text, image = tokens(30, 6, 40, seed=1).double(), tokens(20, 5, 40, seed=2).double()
    found = score_local(text_tokens=text, image_tokens=image)
    torch.testing.assert_close(found, pairwise(text, image), rtol=1e-13, atol=0)
    both = (gram_vectors(text) @ gram_vectors(image).T).sqrt()
    torch.testing.assert_close(both, pairwise(text, image), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", ["golden_a", "golden_b"])
def test_the_published_code_is_reproduced(name: str) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    found = score_local(
        text_tokens=torch.from_numpy(golden["text_tokens"]), image_tokens=torch.from_numpy(golden["image_tokens"])
    )
    np.testing.assert_allclose(found.numpy(), golden["local_eval"], rtol=1e-5)


def test_two_parallel_tokens_by_hand() -> None:
    text, image = torch.tensor([[[2.0, 0.0]]]), torch.tensor([[[1.0, 0.0], [0.0, 5.0], [1.0, 1.0]]])
    found = score_local(text_tokens=text, image_tokens=image)  # cosines 1, 0, 1 / sqrt 2
    assert found.item() == pytest.approx(math.sqrt(1.5))
    rms = score_local(text_tokens=text, image_tokens=image, norm="rms")
    assert rms.item() == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize("dim", [8, 64])
@pytest.mark.parametrize("norm", NORMS)
def test_a_text_without_counted_tokens_scores_0(dim: int, norm: LocalNorm) -> None:
    mask = torch.tensor([[False, False], [True, False]])
    found = score_local(
        text_tokens=tokens(2, 2, dim, seed=1), image_tokens=tokens(3, 2, dim, seed=2), text_mask=mask, norm=norm
    )
    assert found[0].tolist() == [0, 0, 0]
    assert bool((found[1] > 0).all())


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("rows", [None, 1, 4, 6])
def test_gradients_are_those_of_the_definition(norm: LocalNorm, masked: bool, rows: int | None) -> None:
    text, image = tokens(5, 4, 12, seed=3).double(), tokens(6, 7, 12, seed=4).double()
    mask = torch.tensor([[True] * 4, [True, False, True, False], [True] * 4, [False, True] * 2, [True] * 4])
    weights = torch.randn(5, 6, dtype=torch.float64)
    gradients = []
    for score in (
        lambda t, i: score_local(
            text_tokens=t, image_tokens=i, text_mask=mask if masked else None, norm=norm, gradient_rows=rows
        ),
        lambda t, i: pairwise(t, i, mask=mask if masked else None, norm=norm),
    ):
        inputs = [text.clone().requires_grad_(), image.clone().requires_grad_()]
        (score(*inputs) * weights).sum().backward()
        gradients.append([x.grad for x in inputs])
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_gradients_stay_finite_where_nothing_is_similar() -> None:
    text = torch.zeros(2, 1, 4)
    text[:, :, 0] = 1.0
    image = torch.zeros(2, 1, 4)
    image[:, :, 1] = 1.0
    text.requires_grad_()
    found = score_local(text_tokens=text, image_tokens=image, text_mask=torch.tensor([[True], [False]]))
    found.sum().backward()
    assert text.grad is not None
    assert bool(text.grad.isfinite().all())
    assert found.detach().max().item() <= 1e-5


@given(seed=st.integers(0, 10_000), masked=st.booleans(), norm=st.sampled_from(NORMS), wide=st.booleans())
@settings(max_examples=25)
def test_order_and_length_of_tokens_do_not_matter(seed: int, masked: bool, norm: LocalNorm, wide: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    dim = 40 if wide else 5
    text, image = torch.randn(6, 4, dim, generator=generator), torch.randn(7, 5, dim, generator=generator)
    mask = torch.rand(6, 4, generator=generator) < 0.7 if masked else None
    plain = score_local(text_tokens=text, image_tokens=image, text_mask=mask, norm=norm)
    words, patches = torch.randperm(4, generator=generator), torch.randperm(5, generator=generator)
    texts, images = torch.randperm(6, generator=generator), torch.randperm(7, generator=generator)
    scale = torch.rand(6, 4, 1, generator=generator) + 0.1
    other = score_local(
        text_tokens=(text * scale)[texts][:, words],
        image_tokens=image[images][:, patches],
        text_mask=None if mask is None else mask[texts][:, words],
        norm=norm,
    )
    torch.testing.assert_close(other, plain[texts][:, images], rtol=1e-5, atol=2e-6)


def test_rms_is_bounded_by_1_and_reaches_it() -> None:
    same = torch.ones(3, 4, 6)
    assert score_local(text_tokens=same, image_tokens=same, norm="rms").numpy() == pytest.approx(1.0)
    some = score_local(text_tokens=tokens(5, 4, 6, seed=5), image_tokens=tokens(5, 3, 6, seed=6), norm="rms")
    assert 0 < some.min().item() <= some.max().item() <= 1


@pytest.mark.parametrize("rows", [None, 4])
def test_a_training_batch_needs_no_tensor_of_all_token_pairs(rows: int | None) -> None:
    """What autograd keeps is some Gram matrices, not (B, B, M, N), and no more than the tokens if it is told so."""
    batch, m, n, dim = 48, 20, 25, 16
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept = max(kept, tensor.numel())
        return tensor

    text, image = tokens(batch, m, dim, seed=1).requires_grad_(), tokens(batch, n, dim, seed=2).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        score_local(text_tokens=text, image_tokens=image, gradient_rows=rows).sum().backward()
    assert kept <= batch * (max(n * dim, dim**2) * 2 if rows is None else max(n * dim, batch))
    assert kept < batch * batch * m * n / 20


@pytest.mark.parametrize(("n_text", "n_image"), [(0, 3), (2, 0), (0, 0)])
def test_nothing_on_one_side_gives_an_empty_matrix(n_text: int, n_image: int) -> None:
    found = score_local(text_tokens=torch.zeros(n_text, 2, 4), image_tokens=torch.zeros(n_image, 3, 4))
    assert found.shape == (n_text, n_image)


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match="local norm 'l1' is unknown; use 'l2' or 'rms'"):
        score_local(text_tokens=torch.ones(1, 1, 2), image_tokens=torch.ones(1, 1, 2), norm="l1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "image", "mask"),
    [
        ((2, 3), (2, 3, 4), None),
        ((2, 3, 4), (2, 3, 5), None),
        ((2, 3, 4), (2, 3, 4), (3, 2)),
        ((2, 3, 4), (2, 3, 4), (2,)),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    text: tuple[int, ...], image: tuple[int, ...], mask: tuple[int, ...] | None
) -> None:
    with pytest.raises(ValueError, match="must be"):
        score_local(
            text_tokens=torch.ones(text),
            image_tokens=torch.ones(image),
            text_mask=None if mask is None else torch.ones(mask, dtype=torch.bool),
        )


def test_training_in_half_precision_keeps_the_digits_of_large_similarities() -> None:
    """Eight bits of a square up to M N = 3,773 would be steps of 16: a logit's error of 0.7, not 0.3."""
    chance = torch.Generator().manual_seed(0)
    common = torch.randn(1, 1, 512, generator=chance)
    texts, images = (common + 0.9 * torch.randn(60, n, 512, generator=chance) for n in (77, 49))
    exact = score_local(text_tokens=texts.double(), image_tokens=images.double())
    halved = score_local(text_tokens=texts.bfloat16().requires_grad_(), image_tokens=images.bfloat16())
    assert halved.dtype == torch.float32
    assert len(halved.unique()) > 3000
    assert (20 * (halved.double() - exact)).square().mean().sqrt() < 0.4


def test_half_precision_in_blocks_is_that_of_the_whole() -> None:
    texts, images = tokens(9, 5, 16, seed=1).bfloat16(), tokens(7, 6, 16, seed=2).bfloat16()
    found = []
    for rows in (None, 4):
        inputs = [texts.clone().requires_grad_(), images.clone().requires_grad_()]
        scores = score_local(text_tokens=inputs[0], image_tokens=inputs[1], gradient_rows=rows)
        scores.sum().backward()
        found.append((scores.detach(), *(each.grad for each in inputs)))
    for whole, blocked in zip(*found, strict=True):
        assert blocked.dtype == whole.dtype
        torch.testing.assert_close(blocked, whole, rtol=2e-2, atol=1e-2)
