"""The index: tiles with their vectors on disk, and the way scenes get in. No torch: the encoder is handed in.

Names are imported when they are first used: an index is searched without the way in, and described without the store.
"""

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names

if TYPE_CHECKING:
    from rsitr.index.cluster import Cluster
    from rsitr.index.columns import ColumnChoice
    from rsitr.index.exchange import Exchange, file_columns, file_schema
    from rsitr.index.folder import (
        STORES,
        IndexFolder,
        open_index,
        recorded_encodings,
        recorded_model,
        relink_index,
    )
    from rsitr.index.importing import ImportOptions, ImportReport, find_tables, import_embeddings
    from rsitr.index.imports import ImportedFile
    from rsitr.index.ingestion import IngestProgress, IngestReport, ingest
    from rsitr.index.manifest import Manifest, ModelRecord, Settings
    from rsitr.index.matrix import TileMatrix
    from rsitr.index.names import CODE_FILE
    from rsitr.index.reading import sample_pictures
    from rsitr.index.store import LanceStore
    from rsitr.index.summary import IndexSummary, describe_index, summarise
    from rsitr.index.surveying import Survey, survey
    from rsitr.index.writing import Failure

__all__ = [
    "CODE_FILE",
    "STORES",
    "Cluster",
    "ColumnChoice",
    "Exchange",
    "Failure",
    "ImportOptions",
    "ImportReport",
    "ImportedFile",
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
    "describe_index",
    "file_columns",
    "file_schema",
    "find_tables",
    "import_embeddings",
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
    **dict.fromkeys(
        ("STORES", "IndexFolder", "open_index", "recorded_encodings", "recorded_model", "relink_index"),
        "rsitr.index.folder",
    ),
    **dict.fromkeys(("Manifest", "ModelRecord", "Settings"), "rsitr.index.manifest"),
    "TileMatrix": "rsitr.index.matrix",
    "CODE_FILE": "rsitr.index.names",
    "LanceStore": "rsitr.index.store",
    **dict.fromkeys(("IndexSummary", "describe_index", "summarise"), "rsitr.index.summary"),
    "Cluster": "rsitr.index.cluster",
    "ColumnChoice": "rsitr.index.columns",
    **dict.fromkeys(("Exchange", "file_columns", "file_schema"), "rsitr.index.exchange"),
    **dict.fromkeys(("ImportOptions", "ImportReport", "find_tables", "import_embeddings"), "rsitr.index.importing"),
    "ImportedFile": "rsitr.index.imports",
    **dict.fromkeys(("IngestProgress", "IngestReport", "ingest"), "rsitr.index.ingestion"),
    "sample_pictures": "rsitr.index.reading",
    **dict.fromkeys(("Survey", "survey"), "rsitr.index.surveying"),
    "Failure": "rsitr.index.writing",
}
__getattr__ = lazy_names(__name__, _LAZY)


def __dir__() -> list[str]:
    return sorted(__all__)
