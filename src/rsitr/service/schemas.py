"""What is asked over HTTP: checked field by field, with examples for the OpenAPI description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "BrushBody",
    "DetectorBody",
    "Form",
    "FoundParams",
    "HeatBody",
    "MarkBody",
    "PageParams",
    "PartBody",
    "QuestionBody",
    "RankingBody",
    "RenameBody",
    "ReviewBody",
    "SavedBody",
    "SearchBody",
    "SearchParams",
    "StacBody",
    "StacParams",
]

Form = Literal["json", "geojson", "csv"]


MOST_URL = 4000
"""Letters of a list or a geometry in a URL, whose length servers bound."""
MOST_LETTERS = 1000
"""Of the words that are searched for."""
Words = Annotated[str, Field(max_length=MOST_LETTERS)]
TileId = Annotated[str, Field(min_length=1, max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
DetectorName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _-]{0,63}$")]
Day = Annotated[
    str, Field(max_length=40, description="A day, a month or a year.", examples=["2016-08-16", "2016-08", "2016"])
]
BOX = "5.9,45.8,10.5,47.8"
Box = Annotated[str, Field(max_length=300)]
Interval = Annotated[
    str, Field(max_length=100, description="An instant, or two with a slash between them; `..` for an open end.")
]
Coordinate = Annotated[float, Field(allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
OnEarth = Annotated[
    tuple[
        Annotated[float, Field(ge=-540, le=540, allow_inf_nan=False)],
        Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)],
    ],
    Field(strict=False),
]
Metres = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PartBody(_Body):
    """One ingredient of a query: words, a tile of the index, or an uploaded picture."""

    kind: Literal["words", "tile", "picture"]
    value: Annotated[str, Field(min_length=1, max_length=2000)]
    weight: Weight = 1.0


class MarkBody(_Body):
    """A person's word on a tile: whether it is what was looked for."""

    tile: TileId
    right: bool


class RankingBody(_Body):
    """How candidates are ranked after the first stage."""

    candidates: Annotated[int, Field(ge=1, le=100_000)] = 100
    local: bool = True
    rerank: Annotated[str, Field(max_length=100)] | None = Field(default=None, examples=["sar:k=20"])
    budget_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 2.0


class QuestionBody(_Body):
    """What to look for, and where. Words and tiles are mixed by their weights."""

    text: Words | None = Field(default=None, description="What to look for; a weight may stand in front: `2*a river`.")
    unwanted: Annotated[list[Words], Field(max_length=16)] = Field(
        default=[], alias="not", description="What is not wanted."
    )
    like: Annotated[list[TileId], Field(max_length=16)] = Field(default=[], description="Ids of tiles as examples.")
    detector: DetectorName | None = Field(default=None, description="A detector, instead of a query.")
    marks: Annotated[list[MarkBody], Field(max_length=1000)] = Field(
        default=[], description="Tiles marked right or wrong: the search is refined by them, and nothing is kept."
    )
    bbox: Annotated[list[Degrees], Field(min_length=4, max_length=4)] | None = Field(
        default=None, description="West, south, east, north in degrees; west > east crosses the antimeridian."
    )
    area: dict[str, Any] | None = Field(default=None, description="GeoJSON polygons (RFC 7946) that tiles must meet.")
    since: Day | None = None
    until: Day | None = None
    sensor: Name | None = None
    gsd_m: Annotated[list[Metres], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="The finest and the coarsest pixels, in metres on the ground."
    )
    scene: Name | Annotated[list[Name], Field(min_length=1, max_length=16)] | None = Field(
        default=None, description="A pattern for scenes' names, e.g. `2016/*`, or several."
    )
    every: bool = Field(
        default=False,
        alias="all",
        description="Also tiles whose pixels can show nothing to a model, and every file of the same ground and day.",
    )
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = Field(
        default=0.5, description="Relevance below which nothing is said to match."
    )


class SearchBody(QuestionBody):
    """What to look for, where, and how to rank it. Words, tiles, pictures and parts are mixed by their weights."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "a river with a bridge", "k": 12},
                {
                    "text": "boats in a harbour",
                    "not": ["clouds"],
                    "bbox": [5.9, 45.8, 10.5, 47.8],
                    "since": "2020-01-01",
                },
            ]
        }
    )

    pictures: Annotated[list[Name], Field(max_length=16)] = Field(default=[], description="Ids of uploaded pictures.")
    parts: Annotated[list[PartBody], Field(max_length=16)] = []
    k: Annotated[int, Field(ge=1, le=100_000)] = 24
    places: bool = Field(default=True, description="Merge tiles that touch, and the same ground on several days.")
    timeline: bool = Field(default=False, description="Tell what every scene shows of the ground of each place.")
    ranking: RankingBody = RankingBody()
    explain: bool = Field(default=False, description="Tell what each stage of ranking said.")

    @property
    def picture_names(self) -> list[str]:
        """Ids of all uploaded pictures that it names."""
        return [*self.pictures, *(part.value for part in self.parts if part.kind == "picture")]


class HeatBody(_Body):
    """A search, and what of the world a map shows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"search": {"text": "a river"}, "view": [5.9, 45.8, 10.5, 47.8], "zoom": 8.5}],
        }
    )

    search: SearchBody
    view: Annotated[list[Degrees], Field(min_length=4, max_length=4)] = Field(
        description="West, south, east, north in degrees; west > east crosses the antimeridian."
    )
    zoom: Annotated[float, Field(ge=0, le=24, allow_inf_nan=False)] = Field(
        description="Of the map: at 0 the world is 512 pixels wide, and twice as wide at each further one."
    )


class BrushBody(_Body):
    """A way that a brush was drawn along on a map."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"way": [[7.44, 46.95], [7.45, 46.95]], "radius_m": 20}]})

    way: Annotated[list[OnEarth], Field(min_length=1, max_length=2000)] = Field(
        description="Positions, longitude and latitude in degrees; across the antimeridian they go on beyond 180."
    )
    radius_m: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] = Field(
        description="Of the brush, in metres on the ground: tiles whose middles it covers, or that the way crosses."
    )


class SearchParams(BaseModel):
    """The same in a URL, for people with curl. Lists are repeated; numbers have commas between them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    q: Words | None = Field(default=None, description="What to look for.", examples=["a river with a bridge"])
    unwanted: Annotated[list[Words], Field(max_length=16)] = Field(default=[], alias="not")
    like: Annotated[list[TileId], Field(max_length=16)] = []
    detector: DetectorName | None = None
    bbox: Annotated[str, Field(max_length=200)] | None = Field(default=None, examples=["5.9,45.8,10.5,47.8"])
    since: Day | None = None
    until: Day | None = None
    sensor: Name | None = None
    gsd_m: Annotated[str, Field(max_length=100)] | None = Field(default=None, examples=["0.1,5"])
    scene: Annotated[list[Name], Field(max_length=16)] = []
    every: bool = Field(default=False, alias="all")
    k: Annotated[int, Field(ge=1, le=100_000)] = 24
    places: bool = True
    timeline: bool = False
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    format: Form | None = None


class PageParams(BaseModel):
    """Which of the scenes or tiles of an index, as OGC API Features and STAC ask for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bbox: Box | None = Field(default=None, description="West, south, east, north in degrees.", examples=[BOX])
    datetime: Interval | None = Field(default=None, examples=["2016-08-16", "2016-01-01T00:00:00Z/.."])
    limit: Annotated[int, Field(ge=1, le=10_000, description="At most so many; a page holds up to 1,000.")] = 10
    offset: Annotated[int, Field(ge=0, le=100_000_000, description="So many are passed over.")] = 0
    f: Literal["json", "geojson"] | None = Field(default=None, description="There is only GeoJSON.")


class FoundParams(PageParams):
    """A search whose places or tiles are features. Without words, examples or a detector, none are."""

    q: Words | None = Field(default=None, description="What to look for.", examples=["a river with a bridge"])
    unwanted: Annotated[list[Words], Field(max_length=16)] = Field(default=[], alias="not")
    like: Annotated[list[TileId], Field(max_length=16)] = []
    detector: DetectorName | None = None
    sensor: Name | None = None
    gsd_m: Annotated[str, Field(max_length=100)] | None = Field(default=None, examples=["0.1,5"])
    scene: Annotated[list[Name], Field(max_length=16)] = []
    threshold: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.5
    places: bool = Field(default=True, description="Places, of tiles that touch and match; else the tiles.")
    matches: bool = Field(default=False, description="Only what reaches the threshold.")


class StacParams(PageParams):
    """A STAC search in a URL; lists have commas between their members."""

    q: Words | None = Field(default=None, description="What tiles show, in words.", examples=["a river with a bridge"])
    ids: Annotated[str, Field(max_length=MOST_URL)] | None = None
    collections: Annotated[str, Field(max_length=1000)] | None = Field(default=None, examples=["tiles"])
    intersects: Annotated[str, Field(max_length=MOST_URL)] | None = Field(
        default=None,
        description="A GeoJSON geometry, in place of `bbox`; long ones are for POST.",
        examples=['{"type":"Point","coordinates":[7.4,46.9]}'],
    )


class StacBody(_Body):
    """A STAC search."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"q": "a river with a bridge", "bbox": [5.9, 45.8, 10.5, 47.8], "limit": 10}]}
    )

    q: Words | Annotated[list[Words], Field(max_length=16)] | None = Field(
        default=None, description="What tiles show, in words; of several, all."
    )
    bbox: Annotated[list[Coordinate], Field(min_length=4, max_length=6)] | None = None
    datetime: Interval | None = None
    intersects: dict[str, Any] | None = Field(default=None, description="A GeoJSON geometry, in place of `bbox`.")
    ids: Annotated[list[TileId], Field(max_length=1000)] | None = None
    collections: Annotated[list[Name], Field(max_length=100)] | None = None
    limit: Annotated[int, Field(ge=1, le=10_000)] = 10
    offset: Annotated[int, Field(ge=0, le=100_000_000)] = 0


class DetectorBody(_Body):
    """What a detector learns from: a search, and marks of its hits."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "bridges",
                    "search": {"text": "a bridge"},
                    "marks": [{"tile": "scene.tif:0,0,224,224", "right": True}],
                }
            ]
        }
    )

    name: DetectorName
    search: SearchBody
    marks: Annotated[list[MarkBody], Field(min_length=1, max_length=1000)]
    afresh: bool = Field(
        default=False, description="Marks of a detector of this name give way to these, rather than be added to."
    )


class ReviewBody(_Body):
    """A person's word on a result."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"query": "“a bridge”", "tile": "scene.tif:0,0,224,224", "verdict": "yes", "note": "new"}]
        }
    )

    query: Annotated[str, Field(max_length=2000, description="What was looked for, as the search describes it.")]
    tile: TileId
    verdict: Literal["yes", "no", "unsure"]
    note: Annotated[str, Field(max_length=2000)] = ""
    who: Annotated[str, Field(max_length=80, description="The person's name, as they give it.")] = ""
    relevance: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None


class SavedBody(_Body):
    """A search that is to be kept."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "bridges since 2020", "search": {"text": "a bridge", "since": "2020-01-01"}}]
        }
    )

    name: DetectorName
    search: SearchBody
    replace: bool = Field(default=False, description="In place of one of this name.")


class RenameBody(_Body):
    """What a detector or a saved search is to be called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "old bridges"}]})

    name: DetectorName
