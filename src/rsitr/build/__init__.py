"""From a config to objects: the only place where a name in a YAML becomes a class."""

from rsitr.build.models import build_model
from rsitr.build.runs import Run, build_run

__all__ = ["Run", "build_model", "build_run"]
