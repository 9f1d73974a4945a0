"""`rsitr export`: a model as ONNX files, for ONNX Runtime and for other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from rsitr.defaults import DEFAULT_MODEL
from rsitr.errors import ConfigError

__all__ = ["export"]


def export(
    model: str = typer.Argument(
        DEFAULT_MODEL, metavar="MODEL", help="lookout, compact, a checkpoint folder, open_clip's NAME:TAG."
    ),
    *,
    onnx: Path = typer.Option(
        ..., metavar="FOLDER", help="Where images.onnx, texts.onnx and export.json go; made if it is not there."
    ),
) -> None:
    """Write both sides of a model as ONNX, and check that they give the same vectors.

    `rsitr index --onnx FOLDER` encodes tiles with it where that is fastest. Needs the extra: pip install "rsitr[onnx]".
    """
    if onnx.is_file():
        raise ConfigError(f"cannot write into {onnx}: it is a file; name a folder")
    from rsitr.models.fast import trial_pictures
    from rsitr.models.onnx import export_onnx
    from rsitr.models.zoo import load_model

    encoder = load_model(model, device="cpu")
    found = export_onnx(encoder, onnx, pictures=trial_pictures(encoder.image_size_px))
    sys.stdout.write(
        f"{found.folder}: {model} as ONNX, {found.size_bytes / 1e6:.1f} MB; least cosine with the model "
        f"{found.image_cosine:.6f} (pictures), {found.text_cosine:.6f} (texts)\n"
    )
