"""Any open_clip model as a dual encoder with global and local features (METHODS 1.1)."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict, resize_pos_embed, set_model_preprocess_cfg
from open_clip.pretrained import download_pretrained_from_hf
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ModelError
from rsitr.files import fingerprint_files
from rsitr.models.bpe import clip_tokenizer
from rsitr.models.compact import VOCABULARY_SIZE
from rsitr.models.dual import Features
from rsitr.models.encoder import TorchEncoder
from rsitr.models.published import find_published
from rsitr.models.weight_files import read_weights, require_fit
from rsitr.types import Mixture

HUB_PREFIX = "hf-hub:"
BIG_VISION_SUFFIXES = (".npz", ".npy")  # read by open_clip itself

# Files of open_clip's own training hold the learning rate as a numpy scalar, which torch refuses among weights unless
# it is told that reading one is harmless; files of numpy 1 call it by its old name.
_NUMPY_SCALARS: list[Any] = [
    np.dtype,
    type(np.dtype(np.float64)),
    np.float64(0).__reduce__()[0],
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
]

log = logging.getLogger(__name__)


class OpenClipDualEncoder(nn.Module):
    """An open_clip model: images in [0, 1], normalised here as its own preprocessing says.

    Local features pass through the same final norm and projection as the global one, token by token.

    Raises:
        ModelError: the model has no word or patch features to speak of, or other words than CLIP's BPE vocabulary.
    """

    def __init__(self, clip: nn.Module, *, preprocess: dict[str, Any]) -> None:
        super().__init__()
        self.clip: Any = clip
        _require_local_features(clip)
        mean, std = (torch.tensor(preprocess[key]).view(3, 1, 1) for key in ("mean", "std"))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        size = preprocess["size"]
        self._image_size_px = size if isinstance(size, int) else size[0]

    @classmethod
    def from_architecture(cls, architecture: str, *, quick_gelu: bool = False) -> OpenClipDualEncoder:
        """A randomly initialised model of a built-in architecture, to load weights into.

        Args:
            architecture: open_clip's name for it.
            quick_gelu: QuickGELU even where the architecture has GELU, for weights that were trained so.

        Raises:
            ModelError: open_clip has no such architecture, or rsitr cannot use it.
        """
        config = open_clip.get_model_config(architecture)
        if config is None:
            raise ModelError(f"open_clip has no architecture {architecture!r}; see open_clip.list_models()")
        if "hf_model_name" in config["text_cfg"]:
            # Seen from its config: making it would fetch the text tower's weights.
            raise ModelError(f"the text tower of {architecture} {_NOT_CLIP}")
        with _quiet():
            clip = open_clip.create_model(architecture, load_weights=False, force_quick_gelu=quick_gelu)
        return cls.of(clip)

    @classmethod
    def of(cls, clip: nn.Module) -> OpenClipDualEncoder:
        """Wrap an open_clip model with its own preprocessing."""
        return cls(clip, preprocess=open_clip.get_model_preprocess_cfg(clip))

    @property
    def dim(self) -> int:
        """Joint width D."""
        projection = self._text_side.text_projection
        return int(projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1])

    @property
    def token_dim(self) -> int:
        """Width of the local features, the same."""
        return self.dim

    @property
    def quick_gelu(self) -> bool:
        """Whether its transformers use QuickGELU, as OpenAI's do."""
        return any(isinstance(module, open_clip.transformer.QuickGELU) for module in self.clip.modules())

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""
        return self._image_size_px

    @property
    def context_length(self) -> int:
        """Longest text in BPE tokens."""
        return int(self.clip.context_length)

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, D), local (B, N, D)."""
        visual, pixels = self.clip.visual, (images - self.mean) / self.std
        if hasattr(visual, "trunk"):
            return _timm_features(visual, pixels)
        if hasattr(visual, "attnpool"):
            found = visual.forward_intermediates(pixels, indices=1)
            spatial = found["image_intermediates"][0].flatten(2).transpose(1, 2)
            pool = visual.attnpool
            # Without attention weights, attention pooling of one position is its value, projected.
            tokens = pool.c_proj(pool.v_proj(spatial))
        else:
            found = visual.forward_intermediates(pixels, indices=1, output_fmt="NLC")
            tokens = visual.ln_post(found["image_intermediates"][0])
            tokens = tokens if visual.proj is None else tokens @ visual.proj
        return Features(global_emb=found["image_features"], tokens=tokens)

    def text_features(self, ids: Tensor) -> Features:
        """BPE ids (B, M), zero-padded after [EOS] -> global (B, D), local (B, M, D).

        Trailing columns that are padding in every row may be cut off beforehand; the result does not depend on it. A
        text tower with a causal mask then computes less.
        """
        side, length = self._text_side, ids.shape[1]
        mask = side.attn_mask
        if mask is None:
            # Words see the padding: it has to be as long as in the model's training.
            ids = F.pad(ids, (0, self.context_length - length))
        else:
            mask = mask[:length, :length]
        x = side.token_embedding(ids) + side.positional_embedding[: ids.shape[1]]
        x = side.ln_final(side.transformer(x, attn_mask=mask))
        projection = side.text_projection
        tokens = projection(x) if isinstance(projection, nn.Linear) else x @ projection
        # [EOS] has the highest id of all.
        end = ids.argmax(dim=1)
        rows = torch.arange(ids.shape[0], device=ids.device)
        return Features(global_emb=tokens[rows, end], tokens=tokens[:, :length])

    @property
    def _text_side(self) -> Any:
        return _text_side(self.clip)


_NOT_CLIP = "is not CLIP's own: rsitr needs its words' features over CLIP's BPE vocabulary; use another architecture"


def _text_side(clip: Any) -> Any:
    return clip if hasattr(clip, "ln_final") else clip.text


def _require_local_features(clip: Any) -> None:
    side = _text_side(clip)
    vocabulary = getattr(getattr(side, "token_embedding", None), "num_embeddings", None)
    pooling = getattr(side, "text_pool_type", getattr(side, "pool_type", None))
    if (
        vocabulary != VOCABULARY_SIZE
        or pooling != "argmax"
        or getattr(side, "cls_emb", None) is not None
        or getattr(side, "text_projection", None) is None
    ):
        raise ModelError(f"the text tower of this {type(clip).__name__} {_NOT_CLIP}")
    if getattr(clip.visual, "attn_pool", None) is not None:
        raise ModelError(
            f"the image tower of this {type(clip).__name__} ends in attention pooling, after which no patch has a "
            "feature of its own; use another architecture"
        )


def _timm_features(visual: Any, pixels: Tensor) -> Features:
    """Local features: each position goes through pooling, head and projection as if it were alone."""
    trunk = visual.trunk
    features = trunk.forward_features(pixels)
    pooled = visual.head(trunk.forward_head(features))
    if features.ndim == 4:
        channels_last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
        flat = features if channels_last else features.permute(0, 2, 3, 1)
        flat = flat.flatten(0, 2)
        single = flat[:, None, None] if channels_last else flat[:, :, None, None]
    else:
        prefix = getattr(trunk, "num_prefix_tokens", 0)
        single = features[:, prefix:].flatten(0, 1)[:, None]
        if prefix and getattr(trunk, "global_pool", "") not in ("token", "map"):
            # Averages leave the class token out, and so need one before the position.
            first = features[:, :prefix].repeat_interleave(features.shape[1] - prefix, dim=0)
            single = torch.cat([first, single], dim=1)
    tokens = visual.head(trunk.forward_head(single))
    return Features(global_emb=pooled, tokens=tokens.view(len(pixels), -1, tokens.shape[-1]))


def looks_like_open_clip(name: str) -> bool:
    """Whether a model name is for open_clip: a known architecture before the colon, or a hub id."""
    return name.startswith(HUB_PREFIX) or name.split(":", 1)[0] in open_clip.list_models()


def load_open_clip(
    name: str, *, device: str | None = None, known_as: str | None = None, mixture: Mixture | None = None
) -> TorchEncoder:
    """Load `ARCHITECTURE:TAG`, `ARCHITECTURE:FILE`, `ARCHITECTURE:hf-hub:OWNER/NAME/FILE` or `hf-hub:OWNER/NAME`.

    The paper's setting of similarity (0.6 : 0.4 over all 77 tokens) is preset; it is trained for by EBAKER, so plain
    CLIP is better asked for its global similarity alone (`--beta 0`).

    Args:
        name: of the model.
        device: as :func:`rsitr.models.load_model` takes it.
        known_as: what a person typed, where that is another name.
        mixture: in place of the paper's.

    Raises:
        ModelError: no tag was given, the tag or file is unknown, or the weights cannot be had or do not fit.
    """
    clip = create_open_clip(name)
    model, preprocess = OpenClipDualEncoder.of(clip), open_clip.get_model_preprocess_cfg(clip)
    return TorchEncoder(
        model,  # type: ignore[arg-type]  # a dual encoder; nn.Module hides it
        tokenizer=clip_tokenizer(model.context_length),
        name=known_as or name,
        fingerprint=_fingerprint(name, model),
        mixture=mixture or Mixture(),
        local_tokens="all",
        resize="crop",
        interpolation="bilinear" if preprocess.get("interpolation") == "bilinear" else "bicubic",
        device=device,
    )


def create_open_clip(name: str) -> nn.Module:
    """The open_clip model of a name, with its weights.

    Raises:
        ModelError: as :func:`load_open_clip`.
    """
    architecture, _, weights = name.partition(":") if not name.startswith(HUB_PREFIX) else (name, "", "")
    if not name.startswith(HUB_PREFIX):
        tags = open_clip.list_pretrained_tags_by_model(architecture)
        if weights.startswith(HUB_PREFIX):
            weights = _fetch(weights)
        if not weights:
            raise ModelError(f"{name} needs weights, {architecture}:TAG or {architecture}:FILE; tags: {_list(tags)}")
        if not Path(weights).is_file() and weights not in tags:
            raise ModelError(f"{weights!r} is neither a file nor a tag of {architecture}; tags: {_list(tags)}")
    quick = _needs_quick_gelu(architecture, weights)
    if quick:
        log.warning("%s uses QuickGELU, as its weights need (the plain name would build GELU)", name)
    file = Path(weights)
    if file.is_file() and file.suffix not in BIG_VISION_SUFFIXES:
        return _load_file(architecture, file, quick_gelu=quick)
    try:
        with _quiet(), torch.serialization.safe_globals(_NUMPY_SCALARS):
            model: nn.Module = open_clip.create_model(
                architecture,
                pretrained=weights or None,
                force_quick_gelu=quick,
                require_pretrained=True,
                weights_only=True,
            )
    except Exception as error:  # open_clip, the hub client and torch raise many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"open_clip could not load {name}: {reason}") from error
    return model


def _load_file(architecture: str, file: Path, *, quick_gelu: bool) -> nn.Module:
    """A built-in architecture with the weights of a file, which are known to be all of it and of no other."""
    weights = read_weights(file, safe=_NUMPY_SCALARS)
    with _quiet():
        model: Any = open_clip.create_model(architecture, load_weights=False, force_quick_gelu=quick_gelu)
        weights = dict(convert_state_dict(model, weights))
        if "positional_embedding" in weights and not hasattr(model, "positional_embedding"):
            weights = dict(convert_to_custom_text_state_dict(weights))
        grid = weights.get("visual.positional_embedding")
        resize_pos_embed(weights, model)
    if grid is not None and weights["visual.positional_embedding"] is not grid:
        log.warning("%s was trained with pictures of another size: its places in a picture are interpolated", file)
    expected = model.state_dict()
    for name in ("logit_scale", "logit_bias"):  # a number, or a list of one
        if name in weights and name in expected:
            weights[name] = weights[name].reshape(expected[name].shape)
    for name in ("positional_embedding", "text.positional_embedding"):
        if name in weights and name in expected and len(weights[name]) != len(expected[name]):
            raise ModelError(
                f"{file}: these weights read texts of {len(weights[name])} tokens, {architecture} reads "
                f"{len(expected[name])}; name an architecture of that length (`open_clip.add_model_config` adds one)"
            )
    require_fit(weights, expected, what=str(file), architecture=architecture)
    model.load_state_dict(weights)
    _take_preprocessing(model, architecture)
    return model  # type: ignore[no-any-return]


def _take_preprocessing(model: nn.Module, architecture: str) -> None:
    """How pictures are made ready for a file's weights, which do not say: as for all published ones, if these agree."""
    keys = ("mean", "std", "interpolation")
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    configs = [open_clip.get_pretrained_cfg(architecture, tag) for tag in tags]
    told = [{key: config[key] for key in keys if config.get(key) is not None} for config in configs]
    if told and all(one == told[0] for one in told):
        set_model_preprocess_cfg(model, {**open_clip.get_model_preprocess_cfg(model), **told[0]})


def _fetch(name: str) -> str:
    """Path of `hf-hub:OWNER/NAME/FILE`, a weights file in a hub repository, which keeps its name."""
    owner, repository, *place = name.removeprefix(HUB_PREFIX).split("/", 2) + [""] * 2
    file = place[0]
    if not (owner and repository and file) or ".." in file.split("/"):
        raise ModelError(f"{name} names no file in a hub repository: write {HUB_PREFIX}OWNER/NAME/FILE")
    try:
        path: str = download_pretrained_from_hf(f"{owner}/{repository}", filename=file)
    except Exception as error:  # the hub client raises many kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{name} cannot be had from the hub or its cache: {reason}") from error
    return path


def _needs_quick_gelu(architecture: str, tag: str) -> bool:
    """Whether weights were trained with QuickGELU, which the plain name would not build; open_clip only warns.

    A weights file does not say: there the architecture's name decides, unless it is a published file known by its name.
    """
    config = open_clip.get_model_config(architecture) if not architecture.startswith(HUB_PREFIX) else None
    if Path(tag).is_file():
        published = find_published(Path(tag))
        trained_with = published is not None and published.quick_gelu
    else:
        trained_with = open_clip.get_pretrained_cfg(architecture, tag).get("quick_gelu", False)
    return bool(trained_with and not (config or {}).get("quick_gelu", False))


def _fingerprint(name: str, model: nn.Module) -> str:
    architecture, _, weights = name.partition(":")
    if Path(weights).is_file():
        # With the architecture: the same file under the plain and the quickgelu name makes different vectors.
        return hashlib.sha256(f"{architecture} {fingerprint_files(Path(weights))}".encode()).hexdigest()
    digest = hashlib.sha256(name.encode())
    for key, value in model.state_dict().items():
        digest.update(key.encode())
        # Flat first: the learned scale has no dimension, and bytes of such a tensor cannot be looked at.
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's own log lines: what went wrong is in the error, and the rest is no news."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _list(tags: list[str]) -> str:
    return ", ".join(tags) if tags else "none"
