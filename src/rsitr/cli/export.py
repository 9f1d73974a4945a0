"""`rsitr export`: a model as ONNX files, or an adapter with its base as one model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rsitr.cli.output import AsJson
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError

if TYPE_CHECKING:
    from rsitr.models.adapted import Merged
    from rsitr.models.onnx import OnnxExport

__all__ = ["export"]


def export(
    model: str = typer.Argument(
        DEFAULT_MODEL, metavar="MODEL", help="lookout, compact, a checkpoint folder, open_clip's NAME:TAG."
    ),
    *,
    onnx: Path | None = typer.Option(
        None, metavar="FOLDER", help="Where images.onnx, texts.onnx and export.json go; made if it is not there."
    ),
    graphs: bool = typer.Option(
        False, "--graphs", help="Beside the weights of a checkpoint, what lets it index and search without torch."
    ),
    merged: Path | None = typer.Option(
        None, metavar="FOLDER", help="Where an adapter and its base go as one model that needs neither."
    ),
    as_json: AsJson = False,
) -> None:
    """Write both sides of a model as ONNX, or an adapter as a whole model, and check that the vectors are the same.

    `rsitr index --onnx FOLDER` encodes tiles with it where that is fastest. Needs the extra: pip install "rsitr[onnx]".
    """
    if (onnx is not None) + graphs + (merged is not None) != 1:
        raise ConfigError(
            "say what to write: --onnx FOLDER; --graphs beside the weights of a checkpoint folder; or, of an adapter, "
            "--merged FOLDER"
        )
    for folder in (onnx, merged):
        if folder is not None and folder.is_file():
            raise ConfigError(f"cannot write into {folder}: it is a file; name a folder")
    from rsitr.models.checkpoint import PACKAGED
    from rsitr.models.fast import trial_pictures
    from rsitr.models.onnx import export_graphs, export_onnx
    from rsitr.models.start import find_checkpoint
    from rsitr.models.zoo import load_model

    if merged is not None:
        _say(_merge(model, merged), model=model, kind="one model", as_json=as_json)
        return
    checkpoint = find_checkpoint(model, packaged=PACKAGED)
    if onnx is None and checkpoint is None:
        raise ConfigError(f"{model} is no checkpoint folder: --graphs are written beside the weights of one")
    encoder = load_model(model, device="cpu")
    pictures = trial_pictures(encoder.image_size_px)
    if onnx is not None:
        found = export_onnx(encoder, onnx, pictures=pictures)
    elif checkpoint is not None:
        found = export_graphs(encoder, checkpoint, pictures=pictures)
    _say(found, model=model, kind="ONNX", as_json=as_json)


def _merge(model: str, into: Path) -> Merged:
    from rsitr.models.adapted import export_merged
    from rsitr.models.checkpoint import ADAPTER_CONFIG_FILE
    from rsitr.models.zoo import find_base, load_model

    if not (Path(model) / ADAPTER_CONFIG_FILE).is_file():
        raise ConfigError(f"{model} is no folder of an adapter: --merged is for those")
    if into.is_dir() and any(into.iterdir()):
        raise ConfigError(f"{into} is not empty: name a new folder for the model")
    return export_merged(Path(model), into, find=find_base, load=lambda name: load_model(name, device="cpu"))


def _say(found: OnnxExport | Merged, *, model: str, kind: str, as_json: bool) -> None:
    from rsitr.cli.output import print_json
    from rsitr.cli.results_training import ExportResult

    if as_json:
        print_json(
            ExportResult(
                folder=str(found.folder),
                model=model,
                size_bytes=found.size_bytes,
                image_cosine=found.image_cosine,
                text_cosine=found.text_cosine,
            )
        )
        return
    sys.stdout.write(
        f"{found.folder}: {model} as {kind}, {found.size_bytes / 1e6:.2f} MB; least cosine with the model "
        f"{found.image_cosine:.6f} (pictures), {found.text_cosine:.6f} (texts)\n"
    )
