"""Which bands of a multispectral file are red, green and blue, by what its bands are called or at what they look."""

from __future__ import annotations

import re

from rasterio.io import DatasetReader

__all__ = ["find_true_colour"]

COLOURS = ("red", "green", "blue")
WAVELENGTHS_UM = {"red": (0.62, 0.69), "green": (0.52, 0.60), "blue": (0.45, 0.515)}
"""What a band of that colour looks at, by its middle: Sentinel-2, Landsat, PlanetScope and WorldView lie within."""
NUMBERED = re.compile(r"(?:sr_|toa_|band[ _]?|b)?b?0*(\d+)", re.IGNORECASE)
PADDED = re.compile(r"b0[234]", re.IGNORECASE)
OLDER_LANDSAT = re.compile(r"landsat[ _-]?[4-7]\b|\bl[te]0?[4-7]|\b(?:tm|etm)\b", re.IGNORECASE)


def find_true_colour(dataset: DatasetReader) -> tuple[int, int, int] | None:
    """The bands, counted from 1, that are red, green and blue; None where nothing says so.

    By, in this order: bands called `red`, `green`, `blue`; numbers as Sentinel-2 and Landsat write them (B04, B03, B02;
    B3, B2, B1 for Landsat 4 to 7); the wavelengths in their metadata.
    """
    names = [(name or "").strip().lower() for name in dataset.descriptions]
    return _complete(_by_word(names)) or _complete(_by_number(names, dataset)) or _complete(_by_wavelength(dataset))


def _complete(found: dict[str, int]) -> tuple[int, int, int] | None:
    return (found["red"], found["green"], found["blue"]) if set(found) == set(COLOURS) else None


def _by_word(names: list[str]) -> dict[str, int]:
    """The first band of each colour; `red edge` and `coastal blue` are other colours."""
    out: dict[str, int] = {}
    for band, name in enumerate(names, start=1):
        words = re.findall(r"[a-z]+", name)
        if "edge" in words or "rededge" in words or "coastal" in words:
            continue
        for colour in COLOURS:
            if colour in words:
                out.setdefault(colour, band)
    return out


def _by_number(names: list[str], dataset: DatasetReader) -> dict[str, int]:
    numbers = {
        int(match[1]): band
        for band, name in enumerate(names, start=1)
        if (match := NUMBERED.fullmatch(name)) is not None
    }
    tags = " ".join(f"{name} {value}" for name, value in dataset.tags().items())
    old = OLDER_LANDSAT.search(tags) is not None and not any(PADDED.fullmatch(name) for name in names)
    wanted = dict(zip(COLOURS, (3, 2, 1) if old else (4, 3, 2), strict=True))
    return {colour: numbers[number] for colour, number in wanted.items() if number in numbers}


def _by_wavelength(dataset: DatasetReader) -> dict[str, int]:
    out: dict[str, int] = {}
    for band in dataset.indexes:
        middle = _wavelength_um(dataset, band)
        for colour, (shortest, longest) in WAVELENGTHS_UM.items():
            if middle is not None and shortest <= middle <= longest:
                out.setdefault(colour, band)
    return out


def _wavelength_um(dataset: DatasetReader, band: int) -> float | None:
    tags = {name.lower(): value for name, value in dataset.tags(band).items()}
    tags |= {name.lower(): value for name, value in dataset.tags(band, ns="IMAGERY").items()}
    value = next(
        (tags[name] for name in ("central_wavelength_um", "wavelength", "center_wavelength") if name in tags), ""
    )
    match = re.match(r"\s*(\d+(?:\.\d+)?)", value)
    if match is None:
        return None
    number = float(match[1])
    return number / 1000 if number > 100 else number  # in nanometres
