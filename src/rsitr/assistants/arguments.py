"""What an assistant may ask: checked field by field, and described in the schemas of the tools."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rsitr.service.schemas import QuestionBody, TileId, Words

__all__ = ["InfoArguments", "LocateArguments", "PlacesArguments", "SearchArguments", "ShowArguments"]

MOST_HITS = 100
"""Of an answer that somebody, or something, has to read."""

Count = Annotated[int, Field(ge=1, le=MOST_HITS, description="Hits at most.")]


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SearchArguments(QuestionBody):
    """A question."""

    k: Count = 10


class PlacesArguments(QuestionBody):
    """A question whose hits are joined."""

    k: Count = 24
    timeline: bool = Field(default=False, description="Tell what every scene shows of the ground of each place.")


class ShowArguments(_Arguments):
    """A tile."""

    tile: TileId = Field(description="Its id, as search and places give it.")
    size_px: int = Field(default=512, ge=16, le=1024, description="The picture's longer side at most.")
    context: bool = Field(default=False, description="Show twice the window, with what lies around the tile.")


class LocateArguments(_Arguments):
    """A scene and words."""

    scene: str = Field(min_length=1, max_length=2000, description="A scene's name in the index, as info lists it.")
    text: Words = Field(description="What to look for.")
    scales: list[Annotated[float, Field(gt=0, le=64, allow_inf_nan=False)]] = Field(
        default=[0.5, 1.0, 2.0], min_length=1, max_length=6, description="Sides of the windows, in tiles."
    )
    threshold: float = Field(default=0.5, ge=0, le=1, description="Relevance below which nothing is said to match.")


class InfoArguments(_Arguments):
    """Nothing, or which of the scenes."""

    first: int = Field(default=0, ge=0, description="Scenes that are skipped.")
    most: int = Field(default=50, ge=0, le=1000, description="Scenes that are listed at most.")
