"""CLIP and SigLIP as folders of Hugging Face's transformers: config, weights as safetensors, a tokenizer's files.

The towers are transformers' own (`pip install "rsitr[transformers]"`); pictures are brought to their size and made
ready as `preprocessor_config.json` says. Local features are ours: each patch and each word passes through what the
global one passes through, as in `rsitr.models.openclip`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rsitr.errors import ModelError
from rsitr.extras import need
from rsitr.files import fingerprint_files
from rsitr.models.dual import Features
from rsitr.models.encoder import TorchEncoder
from rsitr.models.preparing import Interpolation, Resize
from rsitr.types import GLOBAL_ONLY

__all__ = ["HuggingFaceDualEncoder", "is_transformers_folder", "load_transformers"]

CONFIG_FILE, WEIGHTS_FILE, PICTURES_FILE = "config.json", "model.safetensors", "preprocessor_config.json"
KINDS = ("clip", "siglip")
VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model")
FINGERPRINTED = (CONFIG_FILE, PICTURES_FILE, "tokenizer_config.json", *VOCABULARY_FILES)
"""What a model's vectors depend on beside its weights, as far as a folder has it."""
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pictures; where a folder says nothing of pictures, this is what its kind was trained with."""
INTERPOLATIONS: Mapping[int, Interpolation] = {2: "bilinear", 3: "bicubic"}
"""By Pillow's number."""


class HuggingFaceDualEncoder(nn.Module):
    """A CLIPModel or a SiglipModel: images in [0, 1], normalised here.

    Args:
        towers: transformers' model.
        kind: its `model_type`.
        mean: of the pictures it was trained with, per channel.
        std: likewise.
    """

    def __init__(
        self, towers: nn.Module, *, kind: Literal["clip", "siglip"], mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.towers: Any = towers
        self.kind = kind
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    @property
    def dim(self) -> int:
        """Joint width D."""
        config = self.towers.config
        return int(config.projection_dim if self.kind == "clip" else config.vision_config.hidden_size)

    @property
    def token_dim(self) -> int:
        """Width of the local features, the same."""
        return self.dim

    @property
    def image_size_px(self) -> int:
        """Side of the square input picture."""
        return int(self.towers.config.vision_config.image_size)

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return int(self.towers.config.text_config.max_position_embeddings)

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, H, W) -> global (B, D), local (B, N, D)."""
        vision = self.towers.vision_model
        found = vision(pixel_values=(images - self.mean) / self.std)
        states = found.last_hidden_state
        if self.kind == "clip":
            project = self.towers.visual_projection
            tokens = project(vision.post_layernorm(states[:, 1:]))  # the first is the class token
            return Features(global_emb=project(found.pooler_output), tokens=tokens)
        # The head attends over all positions; a position that is alone gets all of its attention.
        single = vision.head(states.flatten(0, 1)[:, None])
        return Features(global_emb=found.pooler_output, tokens=single.view(*states.shape[:2], -1))

    def text_features(self, ids: Tensor) -> Features:
        """Ids (B, M), padded as the model was trained -> global (B, D), local (B, M, D)."""
        found = self.towers.text_model(input_ids=ids)
        if self.kind == "clip":
            project = self.towers.text_projection
            return Features(global_emb=project(found.pooler_output), tokens=project(found.last_hidden_state))
        return Features(
            global_emb=found.pooler_output, tokens=self.towers.text_model.head(found.last_hidden_state)
        )  # fmt: skip


def is_transformers_folder(folder: Path) -> bool:
    """Whether a folder is a model of transformers, of whatever kind: its config names a `model_type`."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and "model_type" in config and "format" not in config


def load_transformers(folder: Path, *, name: str, device: str | None = None) -> TorchEncoder:
    """Load a folder that `save_pretrained` wrote, or that was fetched from the hub. Nothing is downloaded.

    Similarity is global alone: these models know no other.

    Args:
        folder: with config, weights as safetensors, and the tokenizer's files.
        name: what a person typed to get this model.
        device: as :func:`rsitr.models.load_model` takes it.

    Raises:
        ModelError: transformers is not installed; it is another kind of model; a file is missing or damaged; or the
            weights are not all of the model's.
    """
    config = _read(folder / CONFIG_FILE)
    kind = config.get("model_type")
    if kind not in KINDS:
        raise ModelError(
            f"{folder}: a model of kind {kind!r} of transformers; of these, {' and '.join(KINDS)} can be used, whose "
            "pictures and texts share one space"
        )
    if not (folder / WEIGHTS_FILE).is_file() and not (folder / f"{WEIGHTS_FILE}.index.json").is_file():
        raise ModelError(f"{folder} has no {WEIGHTS_FILE}; weights are read as safetensors alone: fetch or save those")
    towers = _load_towers(folder, kind)
    shown = _read(folder / PICTURES_FILE) if (folder / PICTURES_FILE).is_file() else {}
    is_clip = kind == "clip"
    model = HuggingFaceDualEncoder(
        towers,
        kind=kind,
        mean=shown.get("image_mean", CLIP_MEAN if is_clip else (0.5,) * 3),
        std=shown.get("image_std", CLIP_STD if is_clip else (0.5,) * 3),
    )
    crops: Resize = "crop" if shown.get("do_center_crop", is_clip) else "squash"
    return TorchEncoder(
        model,  # type: ignore[arg-type]  # a dual encoder; nn.Module hides it
        tokenizer=_load_tokenizer(folder, model),
        name=name,
        fingerprint=_fingerprint(folder),
        mixture=GLOBAL_ONLY,
        local_tokens="all",
        resize=crops,
        interpolation=INTERPOLATIONS.get(shown.get("resample", 3), "bicubic"),
        device=device,
    )


def _load_towers(folder: Path, kind: str) -> nn.Module:
    transformers = _import()
    build = transformers.CLIPModel if kind == "clip" else transformers.SiglipModel
    try:
        towers, found = build.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            torch_dtype=torch.float32,
            ignore_mismatched_sizes=True,  # told below, by name, in place of a page of them
        )
    except Exception as error:  # transformers, safetensors and the hub client raise many kinds
        raise ModelError(f"{folder}: transformers cannot read it ({_first_line(error)})") from error
    # Transformers would go on with random numbers in place of what is missing.
    wrong = [*found["missing_keys"], *(key[0] for key in found["mismatched_keys"])]
    if wrong:
        more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
        raise ModelError(
            f"{folder}: its weights are not those of its {CONFIG_FILE} ({', '.join(sorted(wrong)[:3])}{more} missing "
            "or of another shape); fetch both files again"
        )
    if broken := [key for key, value in towers.state_dict().items() if not bool(torch.isfinite(value).all())]:
        raise ModelError(f"{folder}: these weights hold NaN or infinity ({broken[0]}): their training has failed")
    loaded: nn.Module = towers.eval()
    return loaded


def _load_tokenizer(folder: Path, model: HuggingFaceDualEncoder) -> Callable[[list[str]], Tensor]:
    transformers = _import()
    if not any((folder / name).is_file() for name in VOCABULARY_FILES):  # transformers would make an empty one
        raise ModelError(f"{folder} has no vocabulary, {VOCABULARY_FILES[0]} or what goes before it: fetch that, too")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ModelError(
            f"{folder}: its tokenizer cannot be read ({_first_line(error)}); fetch the tokenizer's files, too, "
            "tokenizer.json and tokenizer_config.json"
        ) from error
    size = model.towers.config.text_config.vocab_size
    if len(tokenizer) > size:
        raise ModelError(f"{folder}: its tokenizer has {len(tokenizer):,} words, its model knows {size:,}: they differ")

    def encode(texts: list[str]) -> Tensor:
        found = tokenizer(
            texts, padding="max_length", truncation=True, max_length=model.context_length, return_tensors="pt"
        )
        ids: Tensor = found["input_ids"]
        return ids

    return encode


def _import() -> Any:
    need("transformers", what="a folder of transformers", error=ModelError)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _fingerprint(folder: Path) -> str:
    there = [folder / name for name in FINGERPRINTED if (folder / name).is_file()]
    return fingerprint_files(*there, *sorted(folder.glob("*.safetensors")))


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as JSON ({_first_line(error)}); fetch it again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{path}: this is no config of transformers; fetch it again")
    return found


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
