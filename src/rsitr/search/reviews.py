"""What people have said of results, one by one: yes, no or unsure, by whom and when; kept beside the index.

Unlike marks, which refine a search and are forgotten, a review is a record. It stays when its tile leaves the index.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from rsitr.errors import StoreError
from rsitr.files import locked, write_file

__all__ = ["VERDICTS", "Review", "ReviewVerdict", "Reviews"]

ReviewVerdict = Literal["yes", "no", "unsure"]
VERDICTS: tuple[ReviewVerdict, ...] = ("yes", "no", "unsure")
FILE, LOCK = "reviews.json", ".reviews.lock"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Review:
    """A person's word on a tile.

    Attributes:
        query: what was looked for, in words.
        tile: the id of the tile.
        verdict: whether it shows that.
        note: what else there is to say.
        who: the person, as far as the service knows.
        when: in UTC, to the second, as ISO 8601 has it.
        relevance: what the search had said of it; None where it had said nothing.
    """

    query: str
    tile: str
    verdict: ReviewVerdict
    note: str = ""
    who: str = ""
    when: str = ""
    relevance: float | None = None


class Reviews:
    """The reviews of an index. Safe for many threads and processes: each change reads what the others have written."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = folder / LOCK

    def all(self, query: str | None = None) -> list[Review]:
        """The reviews, or those of one query, the earliest first.

        Raises:
            StoreError: the file is damaged.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.get("format") != FORMAT:
                raise ValueError(f"this rsitr reads format {FORMAT}")
            found = TypeAdapter(list[Review]).validate_python(content.get("reviews"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(f"{self._path}: cannot be read as reviews ({reason}); mend or move the file") from error
        return [review for review in found if query is None or review.query == query]

    def put(self, review: Review) -> Review:
        """Keep a review, in place of an earlier one of the same tile and query; it is told with the time of now.

        Raises:
            StoreError: the file is damaged, or cannot be written.
        """
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        kept = Review(**{**asdict(review), "when": now})
        with locked(self._lock, error=StoreError):
            self._write([*self._without(review.query, review.tile), kept])
        return kept

    def remove(self, *, query: str, tile: str) -> bool:
        """Forget a review; whether there was one. Raises as `put`."""
        with locked(self._lock, error=StoreError):
            before, after = self.all(), self._without(query, tile)
            if len(before) == len(after):
                return False
            self._write(after)
        return True

    def _without(self, query: str, tile: str) -> list[Review]:
        return [review for review in self.all() if (review.query, review.tile) != (query, tile)]

    def _write(self, reviews: Sequence[Review]) -> None:
        content = {"format": FORMAT, "reviews": [asdict(review) for review in reviews]}
        write_file(self._path, json.dumps(content, ensure_ascii=False, indent=1) + "\n", error=StoreError)
