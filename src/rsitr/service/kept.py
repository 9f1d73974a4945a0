"""What the service answers about what people keep with an index: detectors, saved searches, their finds, reviews."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from rsitr.service.replies import HitReply, TileReply

__all__ = [
    "ComparedReply",
    "DetectorReply",
    "DetectorWithMarksReply",
    "DetectorsReply",
    "FindsReply",
    "ReviewReply",
    "ReviewsReply",
    "SavedReply",
    "SavedSearchesReply",
    "SeenReply",
]


@dataclass(frozen=True, kw_only=True)
class DetectorReply:
    """A detector that was learned from marks."""

    name: str
    query: str
    n_right: int
    n_wrong: int
    n_gone: Annotated[int, Field(description="Marks that were dropped: their tiles have left the index.")]
    precision: Annotated[
        float | None, Field(description="Of the marked tiles that it finds without having learned from them.")
    ]


@dataclass(frozen=True, kw_only=True)
class DetectorsReply:
    """The detectors of the index."""

    detectors: list[DetectorReply]


@dataclass(frozen=True, kw_only=True)
class DetectorWithMarksReply(DetectorReply):
    """A detector with its examples that are still in the index, and the search that it started from."""

    right: list[TileReply]
    wrong: list[TileReply]
    estimate: Annotated[str, Field(description="How its precision was estimated, in words.")]
    fits: Annotated[bool, Field(description="Whether it was learned with the model that made the index.")]
    search: Annotated[
        dict[str, Any] | None,
        Field(
            description="As POST /api/search takes it; null where it had a picture, or was learned by an older rsitr."
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class SavedReply:
    """A saved search; `query` says it in words."""

    name: str
    query: str
    search: Annotated[dict[str, Any], Field(description="As POST /api/search takes it.")]


@dataclass(frozen=True, kw_only=True)
class SavedSearchesReply:
    """The saved searches of the index."""

    searches: list[SavedReply]
    damaged: Annotated[list[str], Field(description="Names of those whose files cannot be read.")]


@dataclass(frozen=True, kw_only=True)
class FindsReply:
    """What a detector or a saved search finds now, and which of it is new since somebody last looked."""

    query: str
    model: str
    threshold: float
    n_tiles: Annotated[int, Field(description="Of the index.")]
    n_finds: int
    n_new: int
    is_cut: Annotated[bool, Field(description="Whether there may be more than the 10,000 best, which are told of.")]
    seen: Annotated[str | None, Field(description="When it was last looked at, in UTC; null: nobody has.")]
    note: str
    version: Annotated[int, Field(description="Of the index, for `seen`.")]
    best: Annotated[list[HitReply], Field(description="The best of all finds, a few.")]
    new: Annotated[list[HitReply], Field(description="The best of the new ones, at most 100.")]


@dataclass(frozen=True, kw_only=True)
class SeenReply:
    """When it was looked at, and how much was there."""

    seen: Annotated[str, Field(description="In UTC, as ISO 8601 has it.")]
    n_finds: int


@dataclass(frozen=True, kw_only=True)
class ComparedReply:
    """What two detectors or saved searches find: both of them, or one alone; at most 100 tiles of each."""

    first: str
    second: str
    model: str
    threshold: float
    n_tiles: Annotated[int, Field(description="Of the index.")]
    n_both: int
    n_first: Annotated[int, Field(description="That only the first finds.")]
    n_second: Annotated[int, Field(description="That only the second finds.")]
    note: str
    both: list[HitReply]
    only_first: list[HitReply]
    only_second: list[HitReply]


@dataclass(frozen=True, kw_only=True)
class ReviewReply:
    """A person's word on a tile."""

    query: str
    tile: str
    verdict: Literal["yes", "no", "unsure"]
    note: str
    who: str
    when: Annotated[str, Field(description="In UTC, as ISO 8601 has it.")]
    relevance: float | None


@dataclass(frozen=True, kw_only=True)
class ReviewsReply:
    """The reviews, the earliest first."""

    reviews: list[ReviewReply]
