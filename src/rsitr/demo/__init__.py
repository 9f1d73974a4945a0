"""A demonstration that needs nothing but the package: a drawn scene, searches in it, and a report of what was found."""

from rsitr.demo.exploring import Exploration, explore
from rsitr.demo.figure import write_figure
from rsitr.demo.judging import Answer, JudgedHit, Summary
from rsitr.demo.queries import QUERIES, DemoQuery
from rsitr.demo.raster import write_scene
from rsitr.demo.report import format_hits, format_truth, render_report
from rsitr.demo.scene import DemoScene, Region, draw_example, draw_scene

__all__ = [
    "QUERIES",
    "Answer",
    "DemoQuery",
    "DemoScene",
    "Exploration",
    "JudgedHit",
    "Region",
    "Summary",
    "draw_example",
    "draw_scene",
    "explore",
    "format_hits",
    "format_truth",
    "render_report",
    "write_figure",
    "write_scene",
]
