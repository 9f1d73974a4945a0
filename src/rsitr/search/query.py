"""What is asked of an index, checked before anything is computed."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

import numpy as np

from rsitr.errors import QueryError
from rsitr.search.limits import Limits, check_filter
from rsitr.types import ImageArray, TileFilter

if TYPE_CHECKING:
    from xarray import DataArray

__all__ = ["EXAMPLE_PX", "MINUS_WEIGHT", "Part", "Query", "check_threshold", "make_query", "parse_weight"]

MINUS_WEIGHT = 0.5
"""What `minus` takes away unless told otherwise: the whole of it would often outweigh what is asked for."""

EXAMPLE_PX = 1024  # more than any model sees

_WEIGHTED = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*\*\s*(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One ingredient of a query.

    Attributes:
        kind: words, an example picture, or a tile of the index; or, alone, a detector.
        value: the words; the name of the picture or the detector; the id of the tile.
        weight: how much it counts; negative for what is not wanted.
        picture: the example, as a file or as an array (height, width, 3) of uint8.
    """

    kind: Literal["words", "picture", "tile", "detector"]
    value: str
    weight: float = 1.0
    picture: ImageArray | Path | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, kind: Literal["words", "tile"], text: str) -> Part:
        """Words, or the id of a tile, with a weight perhaps in front.

        >>> Part.parse("words", "2*a river")
        Part(kind='words', value='a river', weight=2.0)
        """
        weight, value = parse_weight(text)
        return cls(kind, value, weight)

    @classmethod
    def unwanted(cls, text: str) -> Part:
        """Words that are not wanted, with the usual weight or the one in front of them.

        >>> Part.unwanted("clouds").weight, Part.unwanted("1*clouds").weight
        (-0.5, -1.0)
        """
        weight, words = parse_weight(text)
        return cls("words", words, -MINUS_WEIGHT if words == text else -weight)

    def describe(self) -> str:
        """The part in words, without its sign.

        >>> Part("words", "clouds", -0.5).describe()
        '“clouds”'
        """
        if self.kind == "detector":
            return f"detector {self.value}"
        return f"“{self.value}”" if self.kind == "words" else f"like {self.value}"


@dataclass(frozen=True, slots=True)
class Query:
    """A checked query.

    Attributes:
        parts: what is looked for: the weighted sum of the parts' unit vectors.
        k: how many hits at most.
        where: which tiles may answer.
        every: also tiles whose pixels can show nothing to a model, and every file of the same ground and day.
    """

    parts: tuple[Part, ...]
    k: int
    where: TileFilter
    every: bool = False

    @property
    def limits(self) -> TileFilter:
        """The filter that tiles have to pass: `where`, and unless every one is wanted, that they can show something."""
        return self.where if self.every else dataclasses.replace(self.where, is_suitable=True)

    @property
    def text(self) -> str | None:
        """The words that are wanted, or None."""
        return " and ".join(part.value for part in self.parts if part.kind == "words" and part.weight > 0) or None

    @property
    def image(self) -> str | None:
        """Name of the first example picture, or None."""
        return next((part.value for part in self.parts if part.kind == "picture"), None)

    @property
    def detector(self) -> str | None:
        """The detector that is asked for, or None."""
        return next((part.value for part in self.parts if part.kind == "detector"), None)

    def describe(self) -> str:
        """The query in words, as a title.

        >>> Query((Part("words", "a river"),), 10, TileFilter(bbox=(10, 50, 11, 51))).describe()
        '“a river” within 10, 50, 11, 51'
        """
        wanted = " and ".join(_weighed(part, 1.0) for part in self.parts if part.weight > 0)
        without = " and ".join(_weighed(part, MINUS_WEIGHT) for part in self.parts if part.weight < 0)
        where = self.where
        limits = [
            f"without {without}" if without else "",
            f"within {', '.join(f'{side:g}' for side in where.bbox)}" if where.bbox else "",
            f"since {where.since.isoformat()}" if where.since else "",
            f"until {where.until.isoformat()}" if where.until else "",
            f"by {where.sensor}" if where.sensor else "",
            "within an area" if where.area else "",
            f"in {where.scene if isinstance(where.scene, str) else ', '.join(where.scene)}" if where.scene else "",
            "with pixels of {:g} to {:g} m".format(*where.gsd_m) if where.gsd_m else "",
        ]
        return " ".join([wanted, *(limit for limit in limits if limit)])


def make_query(
    *,
    text: str | None = None,
    image: str | Path | ImageArray | DataArray | None = None,
    like: str | Sequence[str] | None = None,
    minus: str | Sequence[str] | None = None,
    parts: Sequence[Part] = (),
    k: int,
    where: TileFilter | None = None,
    every: bool = False,
    **limits: Unpack[Limits],
) -> Query:
    """Check a query; `limits` take the place of those in `where`.

    Raises:
        QueryError: it asks for nothing, or for what cannot be.
    """
    if text is not None and not isinstance(text, str):
        raise QueryError(f"the words to search for are text, not {text!r}")
    asked = [
        *([Part("words", text)] if text is not None else []),
        *([_picture_part(image)] if image is not None else []),
        *(Part("tile", tile) for tile in _listed(like)),
        *(Part.unwanted(words) for words in _listed(minus)),
        *parts,
    ]
    found = tuple(_checked_part(part) for part in asked)
    if not any(part.weight > 0 for part in found):
        raise QueryError(
            "nothing to search for: give words, or a picture as an example (--image FILE), or a tile that was found "
            "(--like ID), or several of them"
        )
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise QueryError(f"k is the number of hits wanted, at least 1, not {k}")
    given = {name: value for name, value in limits.items() if value is not None}
    limited = dataclasses.replace(where or TileFilter(), **given)  # type: ignore[arg-type]  # its own fields
    return Query(parts=found, k=k, where=check_filter(limited), every=every)


def check_threshold(threshold: float, *, name: str = "the threshold") -> float:
    """A threshold that relevance can reach.

    Raises:
        QueryError: it is no number from 0 to 1.
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not 0.0 <= threshold <= 1.0:
        raise QueryError(f"{name} is a relevance from 0 to 1, not {threshold!r}")
    return float(threshold)


def parse_weight(text: str) -> tuple[float, str]:
    """The weight in front of what is asked for, 1 where there is none.

    >>> parse_weight("0.5 * a river"), parse_weight("a river")
    ((0.5, 'a river'), (1.0, 'a river'))
    """
    found = _WEIGHTED.fullmatch(text)
    return (float(found.group(1)), found.group(2).strip()) if found else (1.0, text)


def _listed(value: str | Sequence[str] | None) -> Sequence[str]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


def _weighed(part: Part, usual: float) -> str:
    weight = abs(part.weight)
    return part.describe() if weight == usual else f"{weight:g} × {part.describe()}"


def _picture_part(image: str | Path | ImageArray | DataArray) -> Part:
    if isinstance(image, np.ndarray):
        return Part("picture", "a picture", picture=image)
    if not isinstance(image, str | Path):
        from rsitr.geo import is_array, read_array

        if is_array(image):
            return Part("picture", str(image.name or "a picture"), picture=read_array(image, max_px=EXAMPLE_PX))
    return Part("picture", Path(image).name, picture=Path(image))


def _checked_part(part: Part) -> Part:
    if not math.isfinite(part.weight) or part.weight == 0:
        raise QueryError(f"a part of a query that counts {part.weight:g} asks for nothing: {part.describe()}")
    if part.kind == "words":
        if not part.value.strip():
            raise QueryError("the words to search for are empty")
        return Part("words", " ".join(part.value.split()), part.weight)
    picture = part.picture
    if part.kind == "picture" and picture is None:
        return Part("picture", Path(part.value).name, part.weight, Path(part.value))
    if isinstance(picture, np.ndarray) and (
        picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape
    ):
        raise QueryError(f"a picture is an array (height, width, 3) of uint8, not {picture.shape} of {picture.dtype}")
    return part
