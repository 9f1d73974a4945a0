"""The engine of search: from a query to candidates, their ranking, how relevant they are, and places on the ground.

Names are imported when they are first used: who lists detectors does not wait for the ranking.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsitr.registry import lazy_names

if TYPE_CHECKING:
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
    from rsitr.search.feedback import Mark, fit_head, read_marks, say_precision
    from rsitr.search.finds import Finds, Kept, find_new, load_kept, mark_seen
    from rsitr.search.index import Index
    from rsitr.search.kept import KeptSearch
    from rsitr.search.limits import Limits, check_filter, parse_bbox, parse_day, parse_gsd
    from rsitr.search.locating import locate
    from rsitr.search.outcome import say_left_out, say_limits, say_outcome, say_stronger
    from rsitr.search.places import merge_hits
    from rsitr.search.query import Part, Query, check_threshold, make_query, parse_weight
    from rsitr.search.ranking import RankingSettings
    from rsitr.search.relevance import THRESHOLD, AskedPart, estimate_relevance
    from rsitr.search.result import SearchResult
    from rsitr.search.reviews import VERDICTS, Review, Reviews, ReviewVerdict
    from rsitr.search.saved import (
        SavedSearch,
        delete_saved,
        list_saved,
        load_all_saved,
        load_saved,
        rename_saved,
        save_search,
    )
    from rsitr.search.scenery import Corners
    from rsitr.search.spots import Glimpse
    from rsitr.search.spread import Cell, Spread
    from rsitr.search.wordless import WordlessEncoder

__all__ = [
    "FIT_TILES",
    "THRESHOLD",
    "VERDICTS",
    "AskedPart",
    "Assessment",
    "Cell",
    "Corners",
    "Detector",
    "Find",
    "Finds",
    "Glimpse",
    "Index",
    "Kept",
    "KeptSearch",
    "Labelled",
    "Limits",
    "LocalCoder",
    "Mark",
    "Part",
    "Precision",
    "Query",
    "RankingSettings",
    "Recommendation",
    "Review",
    "ReviewVerdict",
    "Reviews",
    "SavedSearch",
    "SearchResult",
    "Spread",
    "WordlessEncoder",
    "assess",
    "check_filter",
    "check_threshold",
    "delete_detector",
    "delete_saved",
    "estimate_relevance",
    "example_part",
    "find_in_scenes",
    "find_new",
    "fit_coder",
    "fit_head",
    "label_hits",
    "list_detectors",
    "list_saved",
    "load_all_saved",
    "load_coder",
    "load_detector",
    "load_detectors",
    "load_kept",
    "load_saved",
    "locate",
    "make_query",
    "map_words",
    "mark_seen",
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
    "rename_saved",
    "save_search",
    "say_left_out",
    "say_limits",
    "say_outcome",
    "say_precision",
    "say_stronger",
    "to_label_csv",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AskedPart": "rsitr.search.relevance",
        "Assessment": "rsitr.search.assessing",
        "Cell": "rsitr.search.spread",
        "Corners": "rsitr.search.scenery",
        "Detector": "rsitr.search.detectors",
        "FIT_TILES": "rsitr.search.codes",
        "Find": "rsitr.search.detectors",
        "Glimpse": "rsitr.search.spots",
        "Index": "rsitr.search.index",
        "Labelled": "rsitr.search.assessing",
        "Limits": "rsitr.search.limits",
        "LocalCoder": "rsitr.search.codes",
        "Mark": "rsitr.search.feedback",
        "Part": "rsitr.search.query",
        "Precision": "rsitr.search.assessing",
        "Query": "rsitr.search.query",
        "RankingSettings": "rsitr.search.ranking",
        "Recommendation": "rsitr.search.assessing",
        "Review": "rsitr.search.reviews",
        "ReviewVerdict": "rsitr.search.reviews",
        "Reviews": "rsitr.search.reviews",
        "SearchResult": "rsitr.search.result",
        "Spread": "rsitr.search.spread",
        "THRESHOLD": "rsitr.search.relevance",
        "WordlessEncoder": "rsitr.search.wordless",
        "VERDICTS": "rsitr.search.reviews",
        "Finds": "rsitr.search.finds",
        "Kept": "rsitr.search.finds",
        "find_new": "rsitr.search.finds",
        "load_kept": "rsitr.search.finds",
        "mark_seen": "rsitr.search.finds",
        "KeptSearch": "rsitr.search.kept",
        "SavedSearch": "rsitr.search.saved",
        "delete_saved": "rsitr.search.saved",
        "list_saved": "rsitr.search.saved",
        "load_all_saved": "rsitr.search.saved",
        "load_saved": "rsitr.search.saved",
        "rename_saved": "rsitr.search.saved",
        "save_search": "rsitr.search.saved",
        "say_precision": "rsitr.search.feedback",
        "assess": "rsitr.search.assessing",
        "check_filter": "rsitr.search.limits",
        "check_threshold": "rsitr.search.query",
        "delete_detector": "rsitr.search.detectors",
        "estimate_relevance": "rsitr.search.relevance",
        "example_part": "rsitr.search.batch",
        "find_in_scenes": "rsitr.search.detectors",
        "fit_coder": "rsitr.search.codes",
        "fit_head": "rsitr.search.feedback",
        "label_hits": "rsitr.search.assessing",
        "list_detectors": "rsitr.search.detectors",
        "load_coder": "rsitr.search.codes",
        "load_detector": "rsitr.search.detectors",
        "load_detectors": "rsitr.search.detectors",
        "locate": "rsitr.search.locating",
        "make_query": "rsitr.search.query",
        "map_words": "rsitr.search.explaining",
        "merge_hits": "rsitr.search.places",
        "parse_bbox": "rsitr.search.limits",
        "parse_day": "rsitr.search.limits",
        "parse_gsd": "rsitr.search.limits",
        "parse_weight": "rsitr.search.query",
        "read_example": "rsitr.search.batch",
        "read_marks": "rsitr.search.feedback",
        "read_queries": "rsitr.search.batch",
        "recommend": "rsitr.search.assessing",
        "rename_detector": "rsitr.search.detectors",
        "say_left_out": "rsitr.search.outcome",
        "say_limits": "rsitr.search.outcome",
        "say_outcome": "rsitr.search.outcome",
        "say_stronger": "rsitr.search.outcome",
        "to_label_csv": "rsitr.search.assessing",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
