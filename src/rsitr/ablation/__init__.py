"""Ablations: grids of training runs with seeds, resumable, and their tables and figures."""

from rsitr.ablation.figure import write_figure
from rsitr.ablation.grid import Cell, Grid, Measure, Training, list_grids, load_grid, plan_trainings
from rsitr.ablation.record import RunRecord
from rsitr.ablation.running import Progress, load_records, run_trainings
from rsitr.ablation.table import AblationTable, Spread, TableRow, make_table

__all__ = [
    "AblationTable",
    "Cell",
    "Grid",
    "Measure",
    "Progress",
    "RunRecord",
    "Spread",
    "TableRow",
    "Training",
    "list_grids",
    "load_grid",
    "load_records",
    "make_table",
    "plan_trainings",
    "run_trainings",
    "write_figure",
]
