r"""Local similarity from short stored vectors: the Gram identity after a projection of the tokens (METHODS 1.4).

With maps A, B (D x r) of text and image tokens, the inner product of the Gram vectors of T A and V B is
||V B A^T T^T||_F^2: exact where B A^T = I, and otherwise as good as B A^T keeps the cosines of real tokens. Such a code
has r(r+1)/2 numbers per item instead of D(D+1)/2, and any index for inner products can search it: what it ranks by is
the local similarity squared.

METHODS names a PCA of training tokens for the projection (`pca` here). `balanced`, the default, is our choice: of all
B A^T of rank r it has the least expected squared error of a cosine, which needs the tokens of both sides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from rsitr.errors import ConfigError, DataError, ModelError
from rsitr.files import write_file
from rsitr.similarity.local import LocalNorm, pack_grams

__all__ = ["LocalCode", "Projection"]

Projection = Literal["balanced", "pca"]

FORMAT = 1
METADATA = "rsitr_local_code"
RIDGE = 1e-7
"""Share of the mean variance that is added to every direction, so that directions no token has can be divided by."""
BLOCK_ITEMS = 1024


@dataclass(frozen=True, slots=True, eq=False)
class LocalCode:
    """Turns token sets into short fp16 vectors whose inner product approximates the squared local similarity.

    Attributes:
        text_map: (D, r) float32.
        image_map: (D, r) float32.
        norm: of the local similarity that is approximated. For `rms` each side's vectors are divided by the number of
            its tokens, so that nothing but the vectors has to be stored.
        fingerprint: of the encoder whose tokens these are, or an empty string. Codes of one encoder say nothing about
            another's tokens.
    """

    text_map: Tensor
    image_map: Tensor
    norm: LocalNorm = "l2"
    fingerprint: str = ""

    @classmethod
    def fit(
        cls,
        *,
        text_tokens: Tensor,
        image_tokens: Tensor,
        text_mask: Tensor | None = None,
        rank: int = 64,
        projection: Projection = "balanced",
        norm: LocalNorm = "l2",
        fingerprint: str = "",
    ) -> LocalCode:
        """Choose the projection from training tokens; a few hundred images and captions are enough.

        With the second moments C_t, C_v of the unit tokens (not centred: cosines aren't), `pca` takes the eigenvectors
        of C_t + C_v for both sides, and `balanced` the singular vectors of C_v^1/2 C_t^1/2, undone by C^-1/2.

        Args:
            text_tokens: (n_text, M, D), not necessarily normalised.
            image_tokens: (n_image, N, D), not necessarily normalised.
            text_mask: (n_text, M) bool, True where a token counts.
            rank: r, at most D.
            projection: see above.
            norm: `l2` or `rms`.
            fingerprint: of the encoder.

        Raises:
            ConfigError: the rank is not between 1 and D, or `projection` or `norm` is unknown.
            DataError: there is no token that counts.
            ValueError: shapes do not fit.
        """
        if projection not in get_args(Projection):
            raise ConfigError(f"projection {projection!r} is unknown; use {' or '.join(get_args(Projection))}")
        if norm not in get_args(LocalNorm):
            raise ConfigError(f"local norm {norm!r} is unknown; use 'l2' or 'rms'")
        _check_tokens(text_tokens, text_mask, width=image_tokens.shape[-1])
        _check_tokens(image_tokens, None, width=text_tokens.shape[-1])
        width = text_tokens.shape[-1]
        if not 1 <= rank <= width:
            raise ConfigError(f"the rank of a local code must be between 1 and the tokens' width {width}, not {rank}")
        text_moment, image_moment = _second_moment(text_tokens, text_mask), _second_moment(image_tokens, None)
        if projection == "pca":
            basis = torch.linalg.eigh(text_moment + image_moment).eigenvectors[:, -rank:]
            text_map, image_map = basis, basis
        else:
            left, strength, right = torch.linalg.svd(_power(image_moment, 0.5) @ _power(text_moment, 0.5))
            share = strength[:rank].sqrt()
            text_map = _power(text_moment, -0.5) @ right[:rank].T * share
            image_map = _power(image_moment, -0.5) @ left[:, :rank] * share
        return cls(
            text_map=text_map.float().contiguous(),
            image_map=image_map.float().contiguous(),
            norm=norm,
            fingerprint=fingerprint,
        )

    @property
    def width(self) -> int:
        """Width D of the tokens."""
        return self.text_map.shape[0]

    @property
    def rank(self) -> int:
        """Dimensions r that the tokens are projected to."""
        return self.text_map.shape[1]

    @property
    def length(self) -> int:
        """Numbers in a code, r(r+1)/2."""
        return self.rank * (self.rank + 1) // 2

    def encode_texts(self, tokens: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Tokens (n, M, D), not necessarily normalised, and which count (n, M) bool -> codes (n, length) fp16.

        Raises:
            ValueError: shapes do not fit.
        """
        return self._encode(tokens, mask, self.text_map)

    def encode_images(self, tokens: Tensor) -> Tensor:
        """Tokens (n, N, D), not necessarily normalised -> codes (n, length) fp16.

        Raises:
            ValueError: shapes do not fit.
        """
        return self._encode(tokens, None, self.image_map)

    def score(self, *, text_codes: Tensor, image_codes: Tensor) -> Tensor:
        """Approximate local similarity of all pairs.

        Args:
            text_codes: (n_text, length) fp16.
            image_codes: (n_image, length) fp16.

        Returns:
            (n_text, n_image) float32, higher is more similar; never negative.

        Raises:
            ValueError: these are not codes of this length.
        """
        for codes in (text_codes, image_codes):
            if codes.ndim != 2 or codes.shape[1] != self.length:
                raise ValueError(f"codes must be (n, {self.length}), not {tuple(codes.shape)}")
        images = image_codes.float().T
        out = images.new_empty(len(text_codes), images.shape[1])
        for first in range(0, len(text_codes), BLOCK_ITEMS):
            part = slice(first, first + BLOCK_ITEMS)
            torch.mm(text_codes[part].float(), images, out=out[part])
        return out.clamp_(min=0).sqrt_()

    def save(self, path: Path) -> None:
        """Write one safetensors file, its header holding the settings as JSON; it appears whole or not at all."""
        config = {"format": FORMAT, "norm": self.norm, "fingerprint": self.fingerprint}
        maps = {"text_map": self.text_map.cpu(), "image_map": self.image_map.cpu()}
        write_file(path, save(maps, metadata={METADATA: json.dumps(config)}), error=ModelError)

    @classmethod
    def load(cls, path: Path) -> LocalCode:
        """Read what :meth:`save` wrote.

        Raises:
            ModelError: the file is missing, damaged, or no local code of this format.
        """
        try:
            with safe_open(path, framework="pt") as file:
                config = json.loads((file.metadata() or {})[METADATA])
                maps = {name: file.get_tensor(name) for name in ("text_map", "image_map")}
        except FileNotFoundError as error:
            raise ModelError(f"there is no local code {path}: fit one and save it there") from error
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(
                f"{path} cannot be read as a local code ({error}): copy it again or fit a new one"
            ) from error
        found = config.get("format")
        if found != FORMAT:
            raise ModelError(f"{path} has format {found}, this rsitr reads format {FORMAT}; update rsitr")
        return cls(**maps, norm=config["norm"], fingerprint=config["fingerprint"])

    def _encode(self, tokens: Tensor, mask: Tensor | None, projection: Tensor) -> Tensor:
        _check_tokens(tokens, mask, width=self.width)
        out = torch.empty(len(tokens), self.length, dtype=torch.float16, device=tokens.device)
        projection = projection.to(tokens.device)
        for first in range(0, len(tokens), BLOCK_ITEMS):
            part = slice(first, first + BLOCK_ITEMS)
            counted = None if mask is None else mask[part]
            rows = F.normalize(tokens[part].float(), dim=-1) @ projection
            vectors = pack_grams(rows if counted is None else rows * counted.unsqueeze(-1))
            if self.norm == "rms":
                number = torch.full((len(vectors),), tokens.shape[1]) if counted is None else counted.sum(dim=1)
                vectors /= number.clamp(min=1).to(vectors.device).unsqueeze(1)
            out[part] = vectors
        return out


def _check_tokens(tokens: Tensor, mask: Tensor | None, *, width: int) -> None:
    if tokens.ndim != 3 or tokens.shape[-1] != width:
        raise ValueError(f"tokens must be (n, L, {width}), not {tuple(tokens.shape)}")
    if mask is not None and mask.shape != tokens.shape[:2]:
        raise ValueError(f"the mask must be {tuple(tokens.shape[:2])}, not {tuple(mask.shape)}")


def _second_moment(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Mean outer product of the unit tokens that count, with a ridge: (D, D) float64, of trace 1 + RIDGE."""
    width = tokens.shape[-1]
    total = torch.zeros(width, width, dtype=torch.float64)
    count = 0
    for first in range(0, len(tokens), BLOCK_ITEMS):
        block = tokens[first : first + BLOCK_ITEMS]
        rows = block.flatten(0, 1) if mask is None else block[mask[first : first + BLOCK_ITEMS]]
        unit = F.normalize(rows.detach().cpu().double(), dim=-1)
        total += unit.T @ unit
        count += len(unit)
    if not count or not bool(total.trace() > 0):
        raise DataError("there is no token that counts to fit a local code on: give training texts and images")
    total /= total.trace()
    return total + torch.eye(width, dtype=torch.float64) * (RIDGE / width)


def _power(moment: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(moment)
    power: Tensor = (vectors * values.clamp(min=torch.finfo(values.dtype).tiny) ** exponent) @ vectors.T
    return power
