"""Find places in satellite and aerial imagery by words or by example; train and measure the models that do it.

    import rsitr

    model = rsitr.load_model("compact")
    hits = rsitr.Index.open("my-index").search("a runway with two planes", k=10)
    report = rsitr.evaluate("compact", data="rsicd:RSICD_FOLDER", split="val")

Names are imported when they are first used, so that `import rsitr` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rsitr.errors import ConfigError, DataError, ModelError, QueryError, RsitrError, SceneError, StoreError
from rsitr.version import __version__

if TYPE_CHECKING:
    from rsitr.evaluation.report import EvaluationReport, evaluate
    from rsitr.models.encoder import TorchEncoder
    from rsitr.models.zoo import load_model
    from rsitr.search.index import Index
    from rsitr.search.result import SearchResult

__all__ = [
    "ConfigError",
    "DataError",
    "EvaluationReport",
    "Index",
    "ModelError",
    "QueryError",
    "RsitrError",
    "SceneError",
    "SearchResult",
    "StoreError",
    "TorchEncoder",
    "__version__",
    "evaluate",
    "load_model",
]

_LAZY = {
    "EvaluationReport": "rsitr.evaluation.report",
    "Index": "rsitr.search.index",
    "SearchResult": "rsitr.search.result",
    "TorchEncoder": "rsitr.models.encoder",
    "evaluate": "rsitr.evaluation.report",
    "load_model": "rsitr.models.zoo",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
