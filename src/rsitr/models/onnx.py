"""Models as ONNX files, for ONNX Runtime and for other programs: `rsitr export --onnx`.

A folder holds `images.onnx` (`pictures` (n, 3, S, S) RGB in [0, 1] -> unit `global_emb` (n, D) and `tokens` (n, N, D)),
`texts.onnx` (`ids` (n, M) int64, zero-padded after [EOS] -> the same two), and `export.json`, which says of what model
they are and how pictures and words are made ready. Writing them needs an extra: `pip install "rsitr[onnx]"`.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.errors import ModelError
from rsitr.extras import need
from rsitr.files import replacing, write_file, write_json
from rsitr.models.checkpoint import WEIGHTS_FILE, read_config
from rsitr.models.dual import Features
from rsitr.models.encoder import DualModule, TorchEncoder
from rsitr.models.graphs import GRAPHS_FOLDER, SIDES, TURNED, Graphs, Side, Sizes, write_about
from rsitr.models.precision import FAITHFUL
from rsitr.models.wordpiece import VOCABULARY_FILE
from rsitr.types import FloatArray, ImageArray

__all__ = ["OnnxExport", "OnnxImages", "export_graphs", "export_onnx"]

IMAGES_FILE, TEXTS_FILE, CONFIG_FILE = "images.onnx", "texts.onnx", "export.json"
FORMAT = 1
LEAST_TENSOR = 64
"""Numbers of a tensor that is looked for among the weights: what is smaller may be anything."""
MOST_KEPT_BYTES = 2**16
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
    for package in ("onnx", "onnxscript"):
        need(package, what="exporting a model", error=ModelError)
    folder.mkdir(parents=True, exist_ok=True)
    size_px, length = encoder.image_size_px, encoder.model.context_length
    # fp32 on the CPU: a model that is exported from a GPU serves both.
    model = encoder.model.cpu().eval()
    try:
        ids = F.pad(encoder.tokenizer(list(TRIAL_TEXTS)), (0, length))[:, :length]
        batch = torch.stack([encoder.preprocess(picture) for picture in pictures])
        for side, example, name, path in (
            (_ImageSide(model), torch.rand(3, 3, size_px, size_px), "pictures", folder / IMAGES_FILE),
            (_TextSide(model), ids, "ids", folder / TEXTS_FILE),
        ):
            with replacing(path, error=ModelError) as part:
                _trace(side, example, name=name).save(str(part))
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
    _require_faithful(folder, cosines)
    _write_about(encoder, folder, cosines=cosines)
    size_bytes = sum((folder / name).stat().st_size for name in (IMAGES_FILE, TEXTS_FILE))
    return OnnxExport(folder, image_cosine=cosines[0], text_cosine=cosines[1], size_bytes=size_bytes)


def export_graphs(encoder: TorchEncoder, folder: Path, *, pictures: list[ImageArray]) -> OnnxExport:
    """Write the graphs of a checkpoint (:mod:`rsitr.models.graphs`) beside it, and compare what they give.

    Args:
        encoder: the model of the checkpoint.
        folder: the checkpoint's.
        pictures: to compare on.

    Raises:
        ModelError: the extra is not installed, the words of the model are no WordPieces, it cannot be exported, or what
            comes out is not faithful.
    """
    from rsitr.models.portable import load_portable

    for package in ("onnx", "onnxscript"):
        need(package, what="exporting a model", error=ModelError)
    if not (folder / VOCABULARY_FILE).is_file():
        raise ModelError(
            f"{folder} has no {VOCABULARY_FILE}: graphs are for models that read WordPieces, as lookout does"
        )
    config, model = read_config(folder), encoder.model.cpu().eval()
    sizes = Sizes(
        dim=encoder.dim,
        local_dim=model.token_dim,
        image_size_px=encoder.image_size_px,
        context_length=model.context_length,
    )
    place = folder / GRAPHS_FOLDER
    place.mkdir(exist_ok=True)
    try:
        length = torch.export.Dim("m", min=2, max=model.context_length)
        ids = encoder.tokenizer(list(TRIAL_TEXTS))
        batch = torch.rand(3, 3, sizes.image_size_px, sizes.image_size_px)
        programs = {
            "images": _trace(_ImageSide(model), batch, name="pictures"),
            "texts": _trace(_TextSide(model), ids, name="ids", length=length),
        }
        tensors = {name: value.numpy() for name, value in model.state_dict().items()}
        graphs = Graphs(place, sizes, {side: _write_graph(programs[side], place, side, tensors) for side in SIDES})
        write_about(place, config=config, graphs=graphs)
    finally:
        encoder.model.to(encoder.device)
    portable = load_portable(folder, name=encoder.name)
    of_images = [run.encode_images(pictures).global_emb for run in (encoder, portable)]
    of_texts = [run.encode_texts(TRIAL_TEXTS).global_emb for run in (encoder, portable)]
    cosines = [float((ours * theirs).sum(axis=1).min()) for ours, theirs in (of_images, of_texts)]
    _require_faithful(folder, cosines)
    size_bytes = sum((place / f"{side}.onnx").stat().st_size for side in SIDES)
    return OnnxExport(place, image_cosine=cosines[0], text_cosine=cosines[1], size_bytes=size_bytes)


def _write_graph(program: Any, place: Path, side: Side, tensors: Mapping[str, NDArray[Any]]) -> tuple[str, ...]:
    """Write a graph without the tensors that the weights' file has; returns their names, as the graph takes them."""
    from onnx import TensorProto, numpy_helper

    proto = program.model_proto
    graph = proto.graph
    taken: dict[str, str] = {}
    kept_bytes = 0
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        name = _find_tensor(values, tensors) if values.size >= LEAST_TENSOR else None
        if name is None:
            kept_bytes += values.nbytes
            continue
        taken[tensor.name] = tensor.name = name
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        del tensor.external_data[:]
        for key, value in (("location", WEIGHTS_FILE), ("offset", "0"), ("length", str(values.nbytes))):
            tensor.external_data.add(key=key, value=value)
    if kept_bytes > MOST_KEPT_BYTES:
        raise ModelError(
            f"{place}: the graph of the {side} holds {kept_bytes:,} bytes of numbers that the weights' file does not "
            "have as they are; this model cannot run from its checkpoint without torch"
        )
    for node in graph.node:
        node.input[:] = [taken.get(name, name) for name in node.input]
        node.ClearField("doc_string")
        del node.metadata_props[:]
    del graph.value_info[:]
    write_file(place / f"{side}.onnx", proto.SerializeToString(deterministic=True), error=ModelError)
    return tuple(dict.fromkeys(taken.values()))


def _find_tensor(values: NDArray[Any], tensors: Mapping[str, NDArray[Any]]) -> str | None:
    for name, tensor in tensors.items():
        if tensor.dtype == values.dtype:
            if tensor.shape == values.shape and np.array_equal(tensor, values):
                return name
            if values.ndim == 2 and tensor.shape == values.T.shape and np.array_equal(tensor, values.T):
                return f"{name}{TURNED}"
    return None


def _trace(side: nn.Module, example: Tensor, *, name: str, length: Any = None) -> Any:
    """The program of one side, for batches of any size; of any `length` in the second dimension, if one is given."""
    dims = {0: torch.export.Dim("n")} | ({} if length is None else {1: length})
    try:
        with _quiet(), torch.no_grad():
            return torch.onnx.export(
                side.eval(),
                (example,),
                dynamo=True,
                input_names=[name],
                output_names=["global_emb", "tokens"],
                dynamic_shapes=(dims,),
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"this model cannot be exported to ONNX ({reason[0][:200] if reason else type(error).__name__})"
        ) from error


def _require_faithful(folder: Path, cosines: list[float]) -> None:
    if min(cosines) < FAITHFUL:
        raise ModelError(
            f"{folder}: the exported model is not faithful (cosine {min(cosines):.4f} with the original, {FAITHFUL} is "
            "wanted); do not use it, and report the model's architecture"
        )


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
