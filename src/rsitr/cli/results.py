"""By command, the record that it prints with `--json`: what the reference is made from, and a test walks."""

from __future__ import annotations

from collections.abc import Mapping

from rsitr.cli.models import ModelsReply
from rsitr.cli.results_locate import LocateResult
from rsitr.cli.results_search import (
    AssessResult,
    DemoResult,
    FeedbackResult,
    IndexResult,
    InfoResult,
    SavedResult,
    SearchResult,
)
from rsitr.cli.results_training import (
    AblateResult,
    CalibrateResult,
    CardResult,
    CheckResult,
    ConfigsResult,
    DistillResult,
    EmbeddingsResult,
    EvaluateResult,
    ExplainResult,
    ExportResult,
    FiguresResult,
    KeywordsResult,
    LeakageResult,
    MergeResult,
    PushResult,
    TileEmbeddingsResult,
    TrainResult,
    TuneResult,
)

__all__ = ["RESULTS", "WITHOUT"]

RESULTS: Mapping[str, type] = {
    "index": IndexResult,
    "search": SearchResult,
    "feedback": FeedbackResult,
    "saved": SavedResult,
    "assess": AssessResult,
    "locate": LocateResult,
    "info": InfoResult,
    "models": ModelsReply,
    "train": TrainResult,
    "calibrate": CalibrateResult,
    "configs": ConfigsResult,
    "evaluate": EvaluateResult,
    "tune": TuneResult,
    "distill": DistillResult,
    "explain": ExplainResult,
    "ablate": AblateResult,
    "figures": FiguresResult,
    "export": ExportResult,
    "card": CardResult,
    "push": PushResult,
    "embeddings": TileEmbeddingsResult,
    "export-embeddings": EmbeddingsResult,
    "evaluate-embeddings": EvaluateResult,
    "demo": DemoResult,
    "data check": CheckResult,
    "data keywords": KeywordsResult,
    "data merge": MergeResult,
    "data leakage": LeakageResult,
}
"""By command, what `--json` prints."""

WITHOUT: Mapping[str, str] = {
    "serve": "runs until it is stopped; its replies are described at /api/openapi.json",
    "up": "starts a process in the background, and says which",
    "down": "ends it, and says so",
    "mcp": "speaks a protocol on stdout, whose schemas its tools carry",
}
"""Commands that have no result, and why."""
