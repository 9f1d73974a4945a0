"""`rsitr export`: a model as ONNX files, for ONNX Runtime and for other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from rsitr.cli.output import AsJson
from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError

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
    as_json: AsJson = False,
) -> None:
    """Write both sides of a model as ONNX, and check that they give the same vectors.

    `rsitr index --onnx FOLDER` encodes tiles with it where that is fastest. Needs the extra: pip install "rsitr[onnx]".
    """
    if (onnx is None) == (not graphs):
        raise ConfigError("say what to write: --onnx FOLDER, or --graphs beside the weights of a checkpoint folder")
    if onnx is not None and onnx.is_file():
        raise ConfigError(f"cannot write into {onnx}: it is a file; name a folder")
    from rsitr.cli.output import print_json
    from rsitr.cli.results_training import ExportResult
    from rsitr.models.checkpoint import PACKAGED
    from rsitr.models.fast import trial_pictures
    from rsitr.models.onnx import export_graphs, export_onnx
    from rsitr.models.start import find_checkpoint
    from rsitr.models.zoo import load_model

    checkpoint = find_checkpoint(model, packaged=PACKAGED)
    if onnx is None and checkpoint is None:
        raise ConfigError(f"{model} is no checkpoint folder: --graphs are written beside the weights of one")
    encoder = load_model(model, device="cpu")
    pictures = trial_pictures(encoder.image_size_px)
    if onnx is not None:
        found = export_onnx(encoder, onnx, pictures=pictures)
    elif checkpoint is not None:
        found = export_graphs(encoder, checkpoint, pictures=pictures)
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
        f"{found.folder}: {model} as ONNX, {found.size_bytes / 1e6:.2f} MB; least cosine with the model "
        f"{found.image_cosine:.6f} (pictures), {found.text_cosine:.6f} (texts)\n"
    )
