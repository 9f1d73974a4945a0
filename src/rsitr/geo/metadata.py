"""When a scene was taken and by what, as far as its tags or its file name say."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["SceneDate", "find_date", "find_sensor"]

# The names under which acquisition days are found in files, most specific first. Compared without case, spaces and `_`.
DATE_TAGS = (
    "acquisitiondatetime",  # GDAL's IMAGERY domain
    "acquisitiondate",
    "acquisitiontime",
    "acquired",
    "dateacquired",  # Landsat
    "sensingtime",
    "datatakesensingstart",  # Sentinel-2
    "productstarttime",
    "firstlinetime",
    "starttime",
    "nitfidatim",
    "exifdatetimeoriginal",
    "exifdatetimedigitized",
)
# TIFF defines DateTime as the day the file was made. Some producers (PlanetScope, Sentinel-1) put the acquisition
# there, so it is better than nothing, and worse than a day in the file name.
LAST_DATE_TAGS = ("tifftagdatetime", "exifdatetime")
SENSOR_TAGS = (
    "satelliteid",  # GDAL's IMAGERY domain
    "sensor",
    "sensorid",
    "sensortype",
    "platform",
    "platformname",
    "spacecraftid",
    "spacecraftname",
    "datatakespacecraftname",
    "mission",
    "nitfisorce",
    "exifmodel",
)
DESCRIPTION_TAGS = ("tifftagimagedescription", "tifftagsoftware", "description")

DATE_IN_TAG = re.compile(r"(?<!\d)(\d{4})[-:/.]?(\d{2})[-:/.]?(\d{2})(?=$|\D|\d{6})")
# Eight digits on their own or followed by a time (20190101T104343): digits inside a longer number or a hash are none.
DATE_IN_NAME = re.compile(r"(?<![0-9A-Za-z])((?:19|20)\d{2})([-_.]?)(\d{2})\2(\d{2})(?=$|[^0-9A-Za-z]|T\d{4})")
PLATFORM = re.compile(r"\b(?:Sentinel-?[1-6][A-D]?|Landsat[- ]?[1-9]|WorldView-?[1-4]|Pl[eé]iades(?: Neo)?)\b", re.I)


@dataclass(frozen=True, slots=True)
class SceneDate:
    """The day a scene was taken, and what says so: `tag NAME` or `file name`."""

    day: datetime.date
    source: str


def find_date(tags: Mapping[str, str], *, name: str) -> SceneDate | None:
    """The day of acquisition from tags, then from the file name; None where neither says (never the file's own times).

    >>> find_date({}, name="naip__m_4709963_se_14_1_20160816.tif").day
    datetime.date(2016, 8, 16)
    """
    plain = _plain(tags)
    return (
        _date_from_tags(plain, DATE_TAGS)
        or next((SceneDate(day, "file name") for day in _days_in_name(name)), None)
        or _date_from_tags(plain, LAST_DATE_TAGS)
    )


def find_sensor(tags: Mapping[str, str]) -> str | None:
    """The sensor or platform that the tags name, or None."""
    plain = _plain(tags)
    for key in SENSOR_TAGS:
        if key in plain and (named := plain[key][1].strip(" \t\r\n\0\"'")):
            return named
    for key in DESCRIPTION_TAGS:
        if key in plain and (found := PLATFORM.search(plain[key][1])):
            return found.group(0)
    return None


def _plain(tags: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Tags by a name without case, spaces and underscores: {plain name: (name, value)}."""
    return {re.sub(r"[\s_]", "", key).lower(): (key, str(value)) for key, value in tags.items()}


def _date_from_tags(plain: Mapping[str, tuple[str, str]], keys: Iterable[str]) -> SceneDate | None:
    for key in keys:
        name, value = plain.get(key, ("", ""))
        found = DATE_IN_TAG.search(value)
        if found and (day := _day(*found.groups())):
            return SceneDate(day, f"tag {name}")
    return None


def _days_in_name(name: str) -> Iterable[datetime.date]:
    for found in DATE_IN_NAME.finditer(name):
        if day := _day(found.group(1), found.group(3), found.group(4)):
            yield day


def _day(year: str, month: str, day: str) -> datetime.date | None:
    """The day, unless the digits are none: there is no imagery from before photography, nor from the future."""
    try:
        found = datetime.date(int(year), int(month), int(day))
    except ValueError:
        return None
    tomorrow = datetime.date.today() + datetime.timedelta(days=1)
    return found if datetime.date(1850, 1, 1) <= found <= tomorrow else None
