"""The index: tiles with their vectors on disk, and the way scenes get in. No torch: the encoder is handed in."""

from rsitr.index.folder import IndexFolder, open_index, recorded_model, relink_index
from rsitr.index.ingestion import IngestProgress, IngestReport, ingest
from rsitr.index.manifest import Manifest, ModelRecord, Settings
from rsitr.index.matrix import TileMatrix
from rsitr.index.store import LanceStore
from rsitr.index.summary import IndexSummary, summarise
from rsitr.index.writing import Failure

__all__ = [
    "Failure",
    "IndexFolder",
    "IndexSummary",
    "IngestProgress",
    "IngestReport",
    "LanceStore",
    "Manifest",
    "ModelRecord",
    "Settings",
    "TileMatrix",
    "ingest",
    "open_index",
    "recorded_model",
    "relink_index",
    "summarise",
]
