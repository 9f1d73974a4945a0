"""What a checkpoint computes, as ONNX without its weights: with these graphs beside it, it runs without torch.

The folder `graphs` of a checkpoint holds `images.onnx` and `texts.onnx` (a few ten kB each), whose inputs and outputs
are those of `rsitr.models.onnx`, and `graphs.json`: the model settings that they belong to, its sizes, and the tensors
of `model.safetensors` that each takes as its weights. There is one file of weights, whatever runs it. `rsitr export
MODEL --graphs` writes them; other weights of the same settings need no others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rsitr.errors import ModelError
from rsitr.files import write_json
from rsitr.models.checkpoint import CheckpointConfig

__all__ = ["GRAPHS_FOLDER", "TURNED", "Graphs", "Side", "Sizes", "has_graphs", "read_graphs", "write_about"]

FORMAT = 1
GRAPHS_FOLDER = "graphs"
ABOUT_FILE = "graphs.json"
TURNED = ".T"
"""Ends the name of a tensor that the graph takes transposed."""

Side = Literal["images", "texts"]
SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What has to be known of a model that is nothing but a graph.

    Attributes:
        dim: joint width D of the global features.
        local_dim: width of the local features.
        image_size_px: side of the square input picture.
        context_length: longest text in tokens.
    """

    dim: int
    local_dim: int
    image_size_px: int
    context_length: int


@dataclass(frozen=True, slots=True)
class Graphs:
    """The graphs of a checkpoint.

    Attributes:
        folder: where they lie.
        sizes: of the model.
        weights: of each side, the tensors that it takes.
    """

    folder: Path
    sizes: Sizes
    weights: Mapping[Side, tuple[str, ...]]

    def take(self, side: Side, *, tensors: Any) -> list[NDArray[Any]]:
        """The weights of one side, as its graph takes them.

        Args:
            side: `images` or `texts`.
            tensors: the weights' file, opened for numpy (`safetensors.safe_open`).

        Raises:
            ModelError: one is not there.
        """
        try:
            return [_take(tensors, name) for name in self.weights[side]]
        except Exception as error:  # those of safetensors have no common base
            raise _unusable(self.folder / f"{side}.onnx", error) from error

    def open(self, side: Side, *, arrays: Sequence[NDArray[Any]]) -> Any:
        """A session of ONNX Runtime for one side, with its weights.

        Raises:
            ModelError: the graph cannot be loaded.
        """
        import onnxruntime

        path = self.folder / f"{side}.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = _count_threads()
        options.log_severity_level = 3
        try:
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in arrays]
            options.add_external_initializers(list(self.weights[side]), values)
            return onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime raises kinds of its own, without a common base
            raise _unusable(path, error) from error


def has_graphs(folder: Path) -> bool:
    """Whether a checkpoint folder has them."""
    return (folder / GRAPHS_FOLDER / ABOUT_FILE).is_file()


def read_graphs(folder: Path, *, config: CheckpointConfig) -> Graphs:
    """The graphs of a checkpoint.

    Raises:
        ModelError: they cannot be read, or belong to a model of other settings.
    """
    place = folder / GRAPHS_FOLDER
    try:
        about = json.loads((place / ABOUT_FILE).read_text(encoding="utf-8"))
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']}, this rsitr reads {FORMAT}")
        sizes = Sizes(**about["sizes"])
        weights: dict[Side, tuple[str, ...]] = {side: tuple(about["weights"][side]) for side in SIDES}
        belongs = (about["kind"], about["model"]) == (config.kind, config.model)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{place}: cannot be read ({error}); run `rsitr export MODEL --graphs` again") from error
    if not belongs:
        raise ModelError(
            f"{place}: the graphs of a model of other settings than {folder} has; run `rsitr export MODEL --graphs` "
            "again"
        )
    return Graphs(place, sizes, weights)


def write_about(folder: Path, *, config: CheckpointConfig, graphs: Graphs) -> None:
    """Write what graphs belong to, and what they take."""
    about = {
        "format": FORMAT,
        "kind": config.kind,
        "model": config.model,
        "sizes": asdict(graphs.sizes),
        "weights": {side: list(names) for side, names in graphs.weights.items()},
    }
    write_json(folder / ABOUT_FILE, about, error=ModelError)


def _unusable(path: Path, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelError(f"{path}: cannot be loaded ({reason}); run `rsitr export MODEL --graphs` again")


def _count_threads() -> int:
    """Threads to compute with: what OMP_NUM_THREADS says, or the cores that this process may use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _take(tensors: Any, name: str) -> NDArray[Any]:
    """A tensor as the graph takes it: single precision where it is half, transposed where its name says so."""
    array: NDArray[Any] = tensors.get_tensor(name.removesuffix(TURNED))
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    return np.ascontiguousarray(array.T) if name.endswith(TURNED) else array
