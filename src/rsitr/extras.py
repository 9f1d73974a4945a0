"""What is installed on request: which package comes with which extra, and the line that says so where one is not."""

from __future__ import annotations

import importlib.util

from rsitr.errors import ConfigError, RsitrError

__all__ = ["EXTRAS", "explain_missing", "has_package", "need"]

EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "open_clip": "train",
    "timm": "train",
    "tensorboard": "train",
    "imagehash": "train",
    "matplotlib": "train",
    "pyogrio": "gis",
    "scipy": "gis",
    "mcp": "mcp",
    "redis": "redis",
    "boto3": "s3",
    "pymilvus": "milvus",
    "onnx": "onnx",
    "onnxscript": "onnx",
    "transformers": "transformers",
    "peft": "adapters",
    "ray": "ray",
    "huggingface_hub": "train",
}
"""The extra of each package; a package that several have belongs to the smallest."""


def has_package(package: str) -> bool:
    """Whether a package is installed; it is not imported."""
    return importlib.util.find_spec(package) is not None


def need(package: str, *, what: str, error: type[RsitrError] = ConfigError) -> None:
    """Refuse what cannot be done without a package that is not installed.

    Args:
        package: by the name that it is imported by.
        what: that needs it, as the sentence begins.
        error: the kind that is raised.

    Raises:
        RsitrError: it is not installed.
    """
    if not has_package(package):
        raise error(f"{what} needs {package}, which is not installed: {_command(package)}")


def explain_missing(error: BaseException) -> str | None:
    """What to install, for an import that failed because an extra is not there; None for any other error."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    package = error.name.partition(".")[0]
    return f"this needs {package}, which is not installed: {_command(package)}" if package in EXTRAS else None


def _command(package: str) -> str:
    return f'pip install "rsitr[{EXTRAS[package]}]"'
