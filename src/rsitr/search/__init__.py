"""Search: from a query to hits, and hits as people and programs want them."""

from rsitr.search.assessing import (
    Assessment,
    Labelled,
    Precision,
    Recommendation,
    assess,
    label_hits,
    recommend,
    to_label_csv,
)
from rsitr.search.batch import read_queries
from rsitr.search.codes import FIT_TILES, LocalCoder, fit_coder, load_coder
from rsitr.search.detectors import (
    Detector,
    Find,
    delete_detector,
    find_in_scenes,
    list_detectors,
    load_detector,
    load_detectors,
)
from rsitr.search.exchange import (
    outline_box,
    outline_geometry,
    places_to_csv,
    places_to_geojson,
    places_to_geoparquet,
    places_to_stac,
    rounded,
)
from rsitr.search.feedback import Mark, fit_head, read_marks
from rsitr.search.heatmap import draw_heat_map, write_heat_map
from rsitr.search.index import Index
from rsitr.search.locating import HeatMap, locate
from rsitr.search.output import say_outcome, to_csv, to_geojson, to_json, to_json_line
from rsitr.search.places import Place, Sighting, merge_hits
from rsitr.search.query import Part, Query, check_filter, make_query, parse_weight
from rsitr.search.ranking import HitStage, RankingSettings
from rsitr.search.relevance import THRESHOLD, Background, estimate_relevance
from rsitr.search.result import SearchResult
from rsitr.search.scenery import Corners
from rsitr.search.sheet import ContactSheet, format_place, format_point, make_contact_sheet, make_place_sheet

__all__ = [
    "FIT_TILES",
    "THRESHOLD",
    "Assessment",
    "Background",
    "ContactSheet",
    "Corners",
    "Detector",
    "Find",
    "HeatMap",
    "HitStage",
    "Index",
    "Labelled",
    "LocalCoder",
    "Mark",
    "Part",
    "Place",
    "Precision",
    "Query",
    "RankingSettings",
    "Recommendation",
    "SearchResult",
    "Sighting",
    "assess",
    "check_filter",
    "delete_detector",
    "draw_heat_map",
    "estimate_relevance",
    "find_in_scenes",
    "fit_coder",
    "fit_head",
    "format_place",
    "format_point",
    "label_hits",
    "list_detectors",
    "load_coder",
    "load_detector",
    "load_detectors",
    "locate",
    "make_contact_sheet",
    "make_place_sheet",
    "make_query",
    "merge_hits",
    "outline_box",
    "outline_geometry",
    "parse_weight",
    "places_to_csv",
    "places_to_geojson",
    "places_to_geoparquet",
    "places_to_stac",
    "read_marks",
    "read_queries",
    "recommend",
    "rounded",
    "say_outcome",
    "to_csv",
    "to_geojson",
    "to_json",
    "to_json_line",
    "to_label_csv",
    "write_heat_map",
]
