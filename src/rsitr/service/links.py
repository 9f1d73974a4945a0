"""Links of the views that GIS programs read, which want them whole: they begin with the address that was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from pydantic import BaseModel

__all__ = ["GEOJSON", "JSON", "OPENAPI", "Links"]

JSON = "application/json"
GEOJSON = "application/geo+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


@dataclass(frozen=True, slots=True)
class Links:
    """Makes the links of one answer.

    Attributes:
        base: the address of the service, without a slash at its end.
        view: the path of the view below it, e.g. `/stac`.
    """

    base: str
    view: str

    @classmethod
    def of(cls, request: Request, view: str) -> Links:
        """For the answer to a request."""
        return cls(str(request.base_url).rstrip("/"), view)

    def whole(self, path: str) -> str:
        """An address of the service, from its path."""
        return self.base + path

    def to(self, rel: str, path: str, *, media_type: str = JSON, **more: Any) -> dict[str, Any]:
        """A link to a path of the view."""
        return {"rel": rel, "href": f"{self.base}{self.view}{path}", "type": media_type, **more}

    def pages(self, path: str, params: BaseModel, *, start: int, n_shown: int, is_more: bool) -> list[dict[str, Any]]:
        """Links to the page itself, and to those before and after it, where there are any.

        Args:
            path: of the view.
            params: as they were asked; `limit` and `offset` among them.
            start: how many are passed over.
            n_shown: how many the page holds.
            is_more: whether anything comes after it.
        """
        asked = params.model_dump(by_alias=True, exclude_defaults=True)
        limit: int = getattr(params, "limit")  # noqa: B009 - of records that have it

        def link(rel: str, offset: int) -> dict[str, Any]:
            return self.to(rel, _address(path, asked | {"offset": offset}), media_type=GEOJSON)

        links = [self.to("self", _address(path, asked), media_type=GEOJSON)]
        if is_more:
            links.append(link("next", start + n_shown))
        if start:
            links.append(link("prev", max(0, start - limit)))
        return links


def _address(path: str, asked: Mapping[str, Any]) -> str:
    plain = {name: str(value).lower() if isinstance(value, bool) else value for name, value in asked.items()}
    return f"{path}?{urlencode(plain, doseq=True)}" if plain else path
