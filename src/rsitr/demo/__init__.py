"""A demonstration that needs nothing but the package: a drawn scene, searches in it, and a report of what was found."""

from rsitr.demo.drawing.scene import DemoScene, Region, draw_example, draw_scene
from rsitr.demo.exploring import Exploration, explore
from rsitr.demo.figure import write_figure
from rsitr.demo.judging import JudgedAnswer, JudgedHit, Summary
from rsitr.demo.queries import QUERIES, DemoQuery
from rsitr.demo.raster import write_scene
from rsitr.demo.report import format_hits, format_truth, render_report

__all__ = [
    "QUERIES",
    "DemoQuery",
    "DemoScene",
    "Exploration",
    "JudgedAnswer",
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
