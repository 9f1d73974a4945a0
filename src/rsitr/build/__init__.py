"""From a config to objects: the only place where a name in a YAML becomes a class."""

from rsitr.build.models import build_model
from rsitr.build.pictures import DATA_ROOTS, find_data_root, load_sets
from rsitr.build.runs import Run, build_run

__all__ = ["DATA_ROOTS", "Run", "build_model", "build_run", "find_data_root", "load_sets"]
