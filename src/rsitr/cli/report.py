"""How results of a measurement are shown: tables for the screen, the same for every command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from rsitr.evaluation import EvaluationReport, ZeroShotReport

__all__ = ["print_retrieval", "print_zero_shot"]


def print_retrieval(report: EvaluationReport, out: Console) -> None:
    """Recall in both directions, mR with its bounds, and the times."""
    result = report.result
    out.print(_recall_table(report))
    out.print(
        f"mR {result.metrics.mR:.2f} (ties at best {result.metrics.mR_best:.2f}, at worst "
        f"{result.metrics.mR_worst:.2f}; no model can exceed {result.mR_ceiling:.2f} on this split)"
    )
    out.print(
        f"{result.encode_s:.1f} s encoding, {result.score_s:.2f} s scoring, {result.rerank_s:.2f} s re-ranking on "
        f"{report.settings['device']}; {_describe(report.settings)}"
    )


def _describe(settings: dict[str, Any]) -> str:
    """How pairs were scored, in words."""
    if "mixture" in settings:
        over = f" over {settings['bank']}" if "bank" in settings else ""
        return f"mixture {settings['mixture']}; re-ranking {settings['rerank'] or 'none'}{over}"
    if settings["filter"] is None:
        return f"every pair scored in {settings['precision']}"
    return f"the best {settings['top']} of the filter {settings['filter']} scored in {settings['precision']}"


def print_zero_shot(report: ZeroShotReport, out: Console) -> None:
    """Accuracy per class and over all."""
    from rich.table import Table

    table = Table(title=f"Zero-shot classification, {len(report.class_names)} classes")
    table.add_column("class")
    for name in ("images", "top 1", "top 5"):
        table.add_column(name, justify="right")
    table.add_column("most often taken for")
    for entry in report.classes:
        table.add_row(
            entry.name, str(entry.n_images), f"{entry.top1:.1f}", f"{entry.top5:.1f}", entry.confused_with or ""
        )
    out.print(table)
    left_out = f"; {report.n_unlabelled} pictures without a class left out" if report.n_unlabelled else ""
    out.print(
        f"top 1 {report.top1:.2f} %, top 5 {report.top5:.2f} % of {report.n_images} pictures; mean of the classes' "
        f"top 1 {report.mean_class_top1:.2f} %{left_out}"
    )


def _recall_table(report: EvaluationReport) -> Table:
    from rich.table import Table

    metrics, intervals = report.result.metrics, report.intervals
    table = Table(title=f"{report.model} on {report.data}, {report.split}")
    table.add_column("direction")
    for k in metrics.ks:
        table.add_column(f"R@{k}", justify="right")
    for name in ("image_to_text", "text_to_image"):
        values: dict[str, float] = getattr(metrics, name)
        bounds = None if intervals is None else getattr(intervals, name)
        cells = [
            f"{value:.2f}" if bounds is None else f"{value:.2f} [{bounds[k].low:.2f}, {bounds[k].high:.2f}]"
            for k, value in values.items()
        ]
        table.add_row(name.replace("_", " "), *cells)
    return table
