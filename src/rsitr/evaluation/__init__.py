"""Measuring models: metrics, protocol, reports."""

from rsitr.evaluation.embeddings import Embeddings, EmbeddingsSource, encode_embeddings, evaluate_embeddings
from rsitr.evaluation.metrics import RetrievalMetrics, bootstrap_intervals, retrieval_metrics
from rsitr.evaluation.parquet import read_embeddings, write_embeddings
from rsitr.evaluation.report import EvaluationReport, evaluate
from rsitr.evaluation.staged import measure_staged
from rsitr.evaluation.zeroshot import ZeroShotReport, classify, zero_shot_report

__all__ = [
    "Embeddings",
    "EmbeddingsSource",
    "EvaluationReport",
    "RetrievalMetrics",
    "ZeroShotReport",
    "bootstrap_intervals",
    "classify",
    "encode_embeddings",
    "evaluate",
    "evaluate_embeddings",
    "measure_staged",
    "read_embeddings",
    "retrieval_metrics",
    "write_embeddings",
    "zero_shot_report",
]
