"""The index: tiles with their vectors on disk, and the way scenes get in. No torch: the encoder is handed in.

The way in is imported when it is first used: an index is searched without it.
"""

from typing import TYPE_CHECKING

from rsitr.index.folder import (
    CODE_FILE,
    STORES,
    IndexFolder,
    open_index,
    recorded_encodings,
    recorded_model,
    relink_index,
)
from rsitr.index.manifest import Manifest, ModelRecord, Settings
from rsitr.index.matrix import TileMatrix
from rsitr.index.store import LanceStore
from rsitr.index.summary import IndexSummary, summarise
from rsitr.registry import lazy_names

if TYPE_CHECKING:
    from rsitr.index.ingestion import IngestProgress, IngestReport, ingest
    from rsitr.index.reading import sample_pictures
    from rsitr.index.surveying import Survey, survey
    from rsitr.index.writing import Failure

__all__ = [
    "CODE_FILE",
    "STORES",
    "Failure",
    "IndexFolder",
    "IndexSummary",
    "IngestProgress",
    "IngestReport",
    "LanceStore",
    "Manifest",
    "ModelRecord",
    "Settings",
    "Survey",
    "TileMatrix",
    "ingest",
    "open_index",
    "recorded_encodings",
    "recorded_model",
    "relink_index",
    "sample_pictures",
    "summarise",
    "survey",
]

_LAZY = {
    **dict.fromkeys(("IngestProgress", "IngestReport", "ingest"), "rsitr.index.ingestion"),
    "sample_pictures": "rsitr.index.reading",
    **dict.fromkeys(("Survey", "survey"), "rsitr.index.surveying"),
    "Failure": "rsitr.index.writing",
}
__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(__all__)
