"""The compressed form of local similarity: exact at full rank, better with more dimensions, and safe on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.similarity import LocalCode, measure_agreement, score_local
from rsitr.similarity.code import Projection

N_TEXT, N_IMAGE, M, N, D = 14, 9, 7, 5, 24


def draw(count: int, length: int, *, width: int = D, spread: int | None = None, seed: int = 0) -> Tensor:
    """Tokens around a common mean whose directions fade, or that span `spread` dimensions and no more."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, length, width, generator=generator)
    strength = 0.75 ** torch.arange(width)
    if spread is not None:
        strength[spread:] = 0
    mixing = torch.linalg.qr(torch.randn(width, width, generator=torch.Generator().manual_seed(99))).Q
    return (tokens * strength + strength) @ mixing * 3.0


@pytest.fixture
def texts() -> Tensor:
    return draw(N_TEXT, M, seed=1)


@pytest.fixture
def images() -> Tensor:
    return draw(N_IMAGE, N, seed=2)


@pytest.fixture
def mask() -> Tensor:
    counted = torch.arange(M)[None] < torch.randint(1, M + 1, (N_TEXT, 1), generator=torch.Generator().manual_seed(3))
    assert not counted.all()
    return counted


def approximate(code: LocalCode, texts: Tensor, images: Tensor, mask: Tensor | None = None) -> Tensor:
    return code.score(text_codes=code.encode_texts(texts, mask=mask), image_codes=code.encode_images(images))


@pytest.mark.parametrize("norm", ["l2", "rms"])
@pytest.mark.parametrize("projection", get_args(Projection))
def test_full_rank_is_exact_but_for_the_storage(
    projection: Any, norm: Any, texts: Tensor, images: Tensor, mask: Tensor
) -> None:
    code = LocalCode.fit(
        text_tokens=texts, image_tokens=images, text_mask=mask, rank=D, projection=projection, norm=norm
    )
    exact = score_local(text_tokens=texts, image_tokens=images, text_mask=mask, norm=norm)
    torch.testing.assert_close(approximate(code, texts, images, mask), exact, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("projection", get_args(Projection))
def test_more_dimensions_are_never_worse(projection: Any, texts: Tensor, images: Tensor) -> None:
    unseen_texts, unseen_images = draw(30, M, seed=5), draw(25, N, seed=6)
    exact = score_local(text_tokens=unseen_texts, image_tokens=unseen_images)
    errors = []
    for rank in (1, 2, 4, 8, 16, D):
        code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=rank, projection=projection)
        found = measure_agreement(exact=exact, approximate=approximate(code, unseen_texts, unseen_images), k=5)
        errors.append(found.relative_error)
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 2e-3


@pytest.mark.parametrize("projection", get_args(Projection))
def test_tokens_of_few_dimensions_need_no_more(projection: Any) -> None:
    texts, images = draw(N_TEXT, M, spread=4, seed=1), draw(N_IMAGE, N, spread=4, seed=2)
    exact = score_local(text_tokens=texts, image_tokens=images)
    enough, too_few = (
        approximate(
            LocalCode.fit(text_tokens=texts, image_tokens=images, rank=rank, projection=projection), texts, images
        )
        for rank in (4, 3)
    )
    torch.testing.assert_close(enough, exact, rtol=2e-3, atol=1e-4)
    assert measure_agreement(exact=exact, approximate=too_few).relative_error > 0.01


def test_balanced_serves_cosines_better_than_the_directions_of_most_variance() -> None:
    """Texts vary most where images don't vary at all: a PCA of both keeps what never meets."""
    generator = torch.Generator().manual_seed(0)
    only_text = torch.tensor([3.0, 3.0, 1.0, 1.0, 0.0, 0.0])
    only_image = torch.tensor([0.0, 0.0, 1.0, 1.0, 3.0, 3.0])
    texts = torch.randn(60, 4, 6, generator=generator) * only_text
    images = torch.randn(60, 4, 6, generator=generator) * only_image
    exact = score_local(text_tokens=texts, image_tokens=images)
    error = {}
    for projection in get_args(Projection):
        code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=2, projection=projection)
        error[projection] = measure_agreement(exact=exact, approximate=approximate(code, texts, images)).relative_error
    assert error["balanced"] < 0.01
    assert error["pca"] > 0.5


def test_codes_are_short_and_what_an_inner_product_index_would_rank_by(texts: Tensor, images: Tensor) -> None:
    code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=6)
    text_codes, image_codes = code.encode_texts(texts), code.encode_images(images)
    assert (code.width, code.rank, code.length) == (D, 6, 21)
    assert (text_codes.shape, image_codes.shape) == ((N_TEXT, 21), (N_IMAGE, 21))
    assert text_codes.dtype == image_codes.dtype == torch.float16
    squared = text_codes.float() @ image_codes.float().T
    scores = code.score(text_codes=text_codes, image_codes=image_codes)
    torch.testing.assert_close(scores.square(), squared.clamp(min=0), rtol=1e-5, atol=1e-6)
    assert bool((scores >= 0).all())


def test_lengths_of_tokens_and_uncounted_tokens_do_not_matter(texts: Tensor, images: Tensor, mask: Tensor) -> None:
    code = LocalCode.fit(text_tokens=texts, image_tokens=images, text_mask=mask, rank=8)
    other = texts.clone()
    other[~mask] = 1e3
    again = LocalCode.fit(text_tokens=other * 7, image_tokens=images * 0.1, text_mask=mask, rank=8)
    torch.testing.assert_close(
        again.text_map @ again.image_map.T, code.text_map @ code.image_map.T, rtol=1e-4, atol=1e-5
    )
    assert code.encode_texts(texts, mask=mask).equal(code.encode_texts(other, mask=mask))


def test_a_text_without_counted_tokens_scores_nothing(texts: Tensor, images: Tensor) -> None:
    for norm in ("l2", "rms"):
        code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=4, norm=norm)  # type: ignore[arg-type]
        nothing = code.encode_texts(texts[:1], mask=torch.zeros(1, M, dtype=torch.bool))
        assert code.score(text_codes=nothing, image_codes=code.encode_images(images)).equal(torch.zeros(1, N_IMAGE))


def test_no_texts_and_no_images_are_no_error(texts: Tensor, images: Tensor) -> None:
    code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=4)
    assert code.encode_texts(texts[:0]).shape == (0, 10)
    assert code.score(text_codes=code.encode_texts(texts), image_codes=code.encode_images(images[:0])).shape == (14, 0)


def test_saved_and_loaded_codes_are_the_same(tmp_path: Path, texts: Tensor, images: Tensor) -> None:
    code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=5, norm="rms", fingerprint="c0ffee")
    code.save(tmp_path / "code.safetensors")
    again = LocalCode.load(tmp_path / "code.safetensors")
    assert (again.norm, again.fingerprint) == ("rms", "c0ffee")
    assert again.encode_texts(texts).equal(code.encode_texts(texts))
    assert again.encode_images(images).equal(code.encode_images(images))
    assert [path.name for path in tmp_path.iterdir()] == ["code.safetensors"]


def test_a_file_that_is_no_local_code_is_refused(tmp_path: Path, texts: Tensor, images: Tensor) -> None:
    path = tmp_path / "code.safetensors"
    with pytest.raises(ModelError, match="there is no local code"):
        LocalCode.load(path)
    path.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot be read as a local code"):
        LocalCode.load(path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="cannot be read as a local code"):
        LocalCode.load(path)
    maps = {"text_map": torch.zeros(2, 1), "image_map": torch.zeros(2, 1)}
    save_file(maps, path, metadata={"rsitr_local_code": json.dumps({"format": 99})})
    with pytest.raises(ModelError, match="format 99"):
        LocalCode.load(path)


def test_impossible_settings_are_refused(texts: Tensor, images: Tensor) -> None:
    for rank in (0, D + 1):
        with pytest.raises(ConfigError, match="between 1 and"):
            LocalCode.fit(text_tokens=texts, image_tokens=images, rank=rank)
    with pytest.raises(ConfigError, match="projection"):
        LocalCode.fit(text_tokens=texts, image_tokens=images, rank=2, projection="ica")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="norm"):
        LocalCode.fit(text_tokens=texts, image_tokens=images, rank=2, norm="l1")  # type: ignore[arg-type]
    nothing = torch.zeros(N_TEXT, M, dtype=torch.bool)
    with pytest.raises(DataError, match="no token that counts"):
        LocalCode.fit(text_tokens=texts, image_tokens=images, text_mask=nothing, rank=2)


def test_shapes_that_do_not_fit_are_refused(texts: Tensor, images: Tensor) -> None:
    with pytest.raises(ValueError, match="tokens must be"):
        LocalCode.fit(text_tokens=texts, image_tokens=images[:, :, :-1], rank=2)
    with pytest.raises(ValueError, match="mask must be"):
        LocalCode.fit(text_tokens=texts, image_tokens=images, text_mask=torch.ones(2, 2, dtype=torch.bool), rank=2)
    code = LocalCode.fit(text_tokens=texts, image_tokens=images, rank=2)
    with pytest.raises(ValueError, match="tokens must be"):
        code.encode_images(images[:, :, :-1])
    with pytest.raises(ValueError, match="codes must be"):
        code.score(text_codes=code.encode_texts(texts), image_codes=torch.zeros(3, 4))
