"""The class of a picture: from the annotations where they state it, else from its file name.

RSICD and RSITMD name most files by class (`airport_12.jpg`), NWPU-Captions groups its entries by class, and
UCM-Captions numbers its 21 classes of a hundred pictures each, in alphabetical order.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

__all__ = ["find_label", "spell_label"]

UCM_CLASSES = (
    "agricultural",
    "airplane",
    "baseballdiamond",
    "beach",
    "buildings",
    "chaparral",
    "denseresidential",
    "forest",
    "freeway",
    "golfcourse",
    "harbor",
    "intersection",
    "mediumresidential",
    "mobilehomepark",
    "overpass",
    "parkinglot",
    "river",
    "runway",
    "sparseresidential",
    "storagetanks",
    "tenniscourt",
)
UCM_PER_CLASS = 100

_SPELLINGS = {
    "bareland": "bare land",
    "baseballdiamond": "baseball diamond",
    "baseballfield": "baseball field",
    "denseresidential": "dense residential",
    "golfcourse": "golf course",
    "mediumresidential": "medium residential",
    "mobilehomepark": "mobile home park",
    "parkinglot": "parking lot",
    "playfields": "playing fields",
    "railwaystation": "railway station",
    "sparseresidential": "sparse residential",
    "storagetanks": "storage tanks",
    "tenniscourt": "tennis court",
}
_WORD_END = re.compile(r"(?<=[a-z])(?=[A-Z])|[\s_-]+")
_NUMBERED = re.compile(r"([A-Za-z]+)_\d+")


def spell_label(raw: str) -> str:
    """A class name in words, however a data set joins them.

    >>> [spell_label(raw) for raw in ("DenseResidential", "denseresidential", "basketball_court")]
    ['dense residential', 'dense residential', 'basketball court']
    """
    words = " ".join(part for part in _WORD_END.split(raw.strip()) if part).lower()
    return _SPELLINGS.get(words, words)


def find_label(filename: str, *, stated: str | None, known: str | None) -> str | None:
    """The class of a picture in words, or None.

    Args:
        filename: as the annotations write it.
        stated: what the annotations say.
        known: name of the published data set; the file names of others mean nothing here.
    """
    if stated and stated.strip():
        return spell_label(stated)
    stem = PurePosixPath(filename).stem
    if known in ("rsicd", "rsitmd") and (match := _NUMBERED.fullmatch(stem)):
        return spell_label(match[1])
    if known == "ucm" and stem.isascii() and stem.isdigit():
        place = (int(stem) - 1) // UCM_PER_CLASS
        if 0 <= place < len(UCM_CLASSES):
            return spell_label(UCM_CLASSES[place])
    return None
