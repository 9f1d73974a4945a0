"""Models as ONNX files, for ONNX Runtime and for other programs: `rsitr export --onnx`.

A folder holds `images.onnx` (`pictures` (n, 3, S, S) RGB in [0, 1] -> unit `global_emb` (n, D) and `tokens` (n, N, D)),
`texts.onnx` (`ids` (n, M) int64, zero-padded after [EOS] -> the same two), and `export.json`, which says of what model
they are and how pictures and words are made ready. ONNX and its runtime are an extra: `pip install "rsitr[onnx]"`.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ModelError
from rsitr.files import replacing, write_json
from rsitr.models.dual import Features
from rsitr.models.encoder import DualModule, TorchEncoder
from rsitr.models.precision import FAITHFUL
from rsitr.types import FloatArray, ImageArray

__all__ = ["OnnxExport", "OnnxImages", "export_onnx"]

IMAGES_FILE, TEXTS_FILE, CONFIG_FILE = "images.onnx", "texts.onnx", "export.json"
FORMAT = 1
TRIAL_TEXTS = ("a river with a bridge", "many planes are parked beside a terminal in an airport", "farmland")


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """What was exported, and how near it is to the model: least cosines on pictures and on texts."""

    folder: Path
    image_cosine: float
    text_cosine: float
    size_bytes: int


class _Side(nn.Module):
    """One side of a dual encoder, its global vectors brought to unit length, so that the file needs nothing else."""

    def __init__(self, model: DualModule) -> None:
        super().__init__()
        self.model = model


class _ImageSide(_Side):
    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.image_features(pictures)
        return F.normalize(features.global_emb, dim=-1), features.tokens


class _TextSide(_Side):
    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        features = self.model.text_features(ids)
        return F.normalize(features.global_emb, dim=-1), features.tokens


class OnnxImages(nn.Module):
    """The image side of an export, as :meth:`TorchEncoder.set_image_model` takes it.

    Args:
        folder: of the export.
        fingerprint: of the model that it must be of.
        device: where it runs.

    Raises:
        ModelError: the folder holds no export or that of another model, or ONNX Runtime is not installed.
    """

    def __init__(self, folder: Path, *, fingerprint: str, device: torch.device) -> None:
        super().__init__()
        about = _read_about(folder)
        if about["fingerprint"] != fingerprint:
            raise ModelError(
                f"{folder}: exported from the model {about['name']} (fingerprint {about['fingerprint'][:12]}), not "
                f"from this one ({fingerprint[:12]}); run `rsitr export` again"
            )
        self._session = _open(folder / IMAGES_FILE, device=device)

    def image_features(self, images: Tensor) -> Features:
        """RGB in [0, 1] (B, 3, S, S) -> global (B, D), local (B, N, D)."""
        found = self._session.run(None, {"pictures": images.float().cpu().numpy()})
        global_emb, tokens = (torch.from_numpy(array) for array in found)
        return Features(global_emb=global_emb, tokens=tokens)


def export_onnx(encoder: TorchEncoder, folder: Path, *, pictures: list[ImageArray]) -> OnnxExport:
    """Write both sides of a model as ONNX, and compare them with the model.

    Args:
        encoder: the model.
        folder: made if it is not there; files of an earlier export in it are replaced.
        pictures: to compare on.

    Raises:
        ModelError: the extra is not installed, the model cannot be exported, or what comes out is not faithful.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    folder.mkdir(parents=True, exist_ok=True)
    size_px, length = encoder.image_size_px, encoder.model.context_length
    # fp32 on the CPU: a model that is exported from a GPU serves both.
    model = encoder.model.cpu().eval()
    try:
        ids = F.pad(encoder.tokenizer(list(TRIAL_TEXTS)), (0, length))[:, :length]
        batch = torch.stack([encoder.preprocess(picture) for picture in pictures])
        _export(_ImageSide(model), torch.rand(3, 3, size_px, size_px), name="pictures", path=folder / IMAGES_FILE)
        _export(_TextSide(model), ids, name="ids", path=folder / TEXTS_FILE)
        with torch.inference_mode():
            expected = [_unit(model.image_features(batch)), _unit(model.text_features(ids))]
    finally:
        encoder.model.to(encoder.device)
    cpu = torch.device("cpu")
    found = [
        _open(folder / name, device=cpu).run(["global_emb"], {side: values.numpy()})[0]
        for name, side, values in ((IMAGES_FILE, "pictures", batch), (TEXTS_FILE, "ids", ids))
    ]
    cosines = [float((a * b).sum(axis=1).min()) for a, b in zip(expected, found, strict=True)]
    if min(cosines) < FAITHFUL:
        raise ModelError(
            f"{folder}: the exported model is not faithful (cosine {min(cosines):.4f} with the original, {FAITHFUL} is "
            "wanted); do not use it, and report the model's architecture"
        )
    _write_about(encoder, folder, cosines=cosines)
    size_bytes = sum((folder / name).stat().st_size for name in (IMAGES_FILE, TEXTS_FILE))
    return OnnxExport(folder, image_cosine=cosines[0], text_cosine=cosines[1], size_bytes=size_bytes)


def _export(side: nn.Module, example: Tensor, *, name: str, path: Path) -> None:
    try:
        with _quiet(), torch.no_grad(), replacing(path, error=ModelError) as part:
            program: Any = torch.onnx.export(
                side.eval(),
                (example,),
                dynamo=True,
                input_names=[name],
                output_names=["global_emb", "tokens"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                external_data=False,
                verbose=False,
            )
            program.save(str(part))
    except ModelError:  # it cannot be written
        raise
    except Exception as error:  # the exporter raises many kinds
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"this model cannot be exported to ONNX ({reason[0][:200] if reason else type(error).__name__})"
        ) from error


def _write_about(encoder: TorchEncoder, folder: Path, *, cosines: list[float]) -> None:
    about = {
        "format": FORMAT,
        "name": encoder.name,
        "fingerprint": encoder.fingerprint,
        "dim": encoder.dim,
        "image_size_px": encoder.image_size_px,
        "context_length": encoder.model.context_length,
        "resize": encoder.resize,
        "interpolation": encoder.interpolation,
        "local_tokens": encoder.local_tokens,
        "mixture": asdict(encoder.mixture),
        "least_cosine": {"images": round(cosines[0], 6), "texts": round(cosines[1], 6)},
    }
    write_json(folder / CONFIG_FILE, about, error=ModelError)


def _read_about(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this rsitr reads {FORMAT}")
        return {"name": str(about["name"]), "fingerprint": str(about["fingerprint"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}: holds no export ({error}); `rsitr export MODEL --onnx FOLDER` makes one"
        ) from error


def _open(path: Path, *, device: torch.device) -> Any:
    _require("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
    there = onnxruntime.get_available_providers()
    providers = [name for name in (*wanted, "CPUExecutionProvider") if name in there]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the runtime raises kinds of its own, without a common base
        raise ModelError(f"{path}: cannot be loaded ({str(error).splitlines()[0]}); export the model again") from error


def _require(*packages: str) -> None:
    for name in packages:
        try:
            __import__(name)
        except ImportError as error:
            raise ModelError(f'the package {name} is not installed: pip install "rsitr[onnx]"') from error


def _unit(features: Features) -> FloatArray:
    return np.asarray(F.normalize(features.global_emb.float(), dim=-1).numpy(), dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own log and its warnings about itself: what goes wrong is in its error."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
