"""The routes, one file for each thing that has a URL."""

from rsitr.service.routes.areas import areas
from rsitr.service.routes.detectors import detectors
from rsitr.service.routes.finds import finds
from rsitr.service.routes.health import health
from rsitr.service.routes.ogc import ogc
from rsitr.service.routes.pages import pages
from rsitr.service.routes.pictures import pictures
from rsitr.service.routes.reviews import reviews
from rsitr.service.routes.saved import saved
from rsitr.service.routes.scenes import scenes
from rsitr.service.routes.searches import searches
from rsitr.service.routes.stac import stac
from rsitr.service.routes.tiles import tiles

__all__ = [
    "areas",
    "detectors",
    "finds",
    "health",
    "ogc",
    "pages",
    "pictures",
    "reviews",
    "saved",
    "scenes",
    "searches",
    "stac",
    "tiles",
]
