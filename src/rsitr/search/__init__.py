"""The engine of search: from a query to candidates, their ranking, how relevant they are, and places on the ground."""

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
from rsitr.search.batch import example_part, read_example, read_queries
from rsitr.search.codes import FIT_TILES, LocalCoder, fit_coder, load_coder
from rsitr.search.detectors import (
    Detector,
    Find,
    delete_detector,
    find_in_scenes,
    list_detectors,
    load_detector,
    load_detectors,
    rename_detector,
)
from rsitr.search.explaining import map_words
from rsitr.search.feedback import Mark, fit_head, read_marks
from rsitr.search.index import Index
from rsitr.search.limits import Limits, check_filter, parse_bbox, parse_day, parse_gsd
from rsitr.search.locating import locate
from rsitr.search.outcome import say_left_out, say_limits, say_outcome
from rsitr.search.places import merge_hits
from rsitr.search.query import Part, Query, check_threshold, make_query, parse_weight
from rsitr.search.ranking import RankingSettings
from rsitr.search.relevance import THRESHOLD, AskedPart, estimate_relevance
from rsitr.search.result import SearchResult
from rsitr.search.scenery import Corners

__all__ = [
    "FIT_TILES",
    "THRESHOLD",
    "AskedPart",
    "Assessment",
    "Corners",
    "Detector",
    "Find",
    "Index",
    "Labelled",
    "Limits",
    "LocalCoder",
    "Mark",
    "Part",
    "Precision",
    "Query",
    "RankingSettings",
    "Recommendation",
    "SearchResult",
    "assess",
    "check_filter",
    "check_threshold",
    "delete_detector",
    "estimate_relevance",
    "example_part",
    "find_in_scenes",
    "fit_coder",
    "fit_head",
    "label_hits",
    "list_detectors",
    "load_coder",
    "load_detector",
    "load_detectors",
    "locate",
    "make_query",
    "map_words",
    "merge_hits",
    "parse_bbox",
    "parse_day",
    "parse_gsd",
    "parse_weight",
    "read_example",
    "read_marks",
    "read_queries",
    "recommend",
    "rename_detector",
    "say_left_out",
    "say_limits",
    "say_outcome",
    "to_label_csv",
]
