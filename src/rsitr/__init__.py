"""Find places in satellite and aerial imagery by words or by example; train and measure the models that do it.

    import rsitr

    model = rsitr.load_model("lookout")
    hits = rsitr.Index.open("my-index").search("a runway with two planes", k=10)
    report = rsitr.evaluate("lookout", data="rsicd:RSICD_FOLDER", split="val")

Names are imported when they are first used, so that `import rsitr` is quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsitr.errors import (
    ConfigError,
    DataError,
    MissingError,
    ModelError,
    QueryError,
    RsitrError,
    SceneError,
    StoreError,
)
from rsitr.registry import lazy_names
from rsitr.version import __version__

if TYPE_CHECKING:
    from rsitr.data.sources import load_dataset
    from rsitr.evaluation.report import EvaluationReport, evaluate
    from rsitr.index.ingestion import ingest
    from rsitr.models.encoder import TorchEncoder
    from rsitr.models.zoo import load_model
    from rsitr.search.frames import register_geopandas, to_geodataframe
    from rsitr.search.index import Index
    from rsitr.search.result import SearchResult
    from rsitr.service.explore import Explorer, explore
    from rsitr.training.runs import train
    from rsitr.types import Encoder, Hit, Mixture, Tile, TileFilter

__all__ = [
    "ConfigError",
    "DataError",
    "Encoder",
    "EvaluationReport",
    "Explorer",
    "Hit",
    "Index",
    "MissingError",
    "Mixture",
    "ModelError",
    "QueryError",
    "RsitrError",
    "SceneError",
    "SearchResult",
    "StoreError",
    "Tile",
    "TileFilter",
    "TorchEncoder",
    "__version__",
    "evaluate",
    "explore",
    "ingest",
    "load_dataset",
    "load_model",
    "register_geopandas",
    "to_geodataframe",
    "train",
]

_LAZY = {
    "Encoder": "rsitr.types",
    "EvaluationReport": "rsitr.evaluation.report",
    "Explorer": "rsitr.service.explore",
    "Hit": "rsitr.types",
    "Index": "rsitr.search.index",
    "Mixture": "rsitr.types",
    "SearchResult": "rsitr.search.result",
    "Tile": "rsitr.types",
    "TileFilter": "rsitr.types",
    "TorchEncoder": "rsitr.models.encoder",
    "evaluate": "rsitr.evaluation.report",
    "explore": "rsitr.service.explore",
    "ingest": "rsitr.index.ingestion",
    "load_dataset": "rsitr.data.sources",
    "load_model": "rsitr.models.zoo",
    **dict.fromkeys(("register_geopandas", "to_geodataframe"), "rsitr.search.frames"),
    "train": "rsitr.training.runs",
}


__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(__all__)
