"""Makers of small caption data sets in the layouts of the official distributions; seeded, so that calls repeat.

A picture is a square of one colour on a ground of another, and its captions say so: a small model can learn from them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLOURS = {
    "red": (200, 40, 40),
    "green": (40, 140, 50),
    "blue": (40, 70, 190),
    "yellow": (220, 200, 60),
    "white": (235, 235, 235),
    "black": (25, 25, 25),
    "orange": (230, 130, 30),
    "purple": (130, 50, 150),
}
SPLITS = ("train", "train", "val", "test")
"""The splits of consecutive images, over and over."""


def draw_scene(seed: int, *, size_px: int = 48) -> tuple[Image.Image, list[str]]:
    """A picture of a square on a ground, and five captions for it."""
    rng = np.random.default_rng(seed)
    square, ground = rng.choice(sorted(COLOURS), size=2, replace=False)
    pixels = np.full((size_px, size_px, 3), COLOURS[ground], dtype=np.float64)
    side = int(rng.integers(size_px // 4, size_px // 2))
    top, left = rng.integers(0, size_px - side, size=2)
    pixels[top : top + side, left : left + side] = COLOURS[square]
    pixels += rng.normal(0, 6, size=pixels.shape)
    captions = [
        f"a {square} square on {ground} ground .",
        f"there is a {square} building in a {ground} field .",
        f"the {ground} ground surrounds a {square} square .",
        f"one {square} block .",
        f"{ground} land with something {square} on it .",
    ]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)), captions


def save_picture(image: Image.Image, path: Path) -> None:
    """Save in the format that the suffix names; JPEG at a quality that keeps colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **({"quality": 90} if path.suffix.lower() in {".jpg", ".jpeg"} else {}))


def karpathy_entry(filename: str, *, captions: Sequence[object], split: str, number: int = 0) -> dict[str, Any]:
    """One image of a Karpathy JSON with all its customary keys."""
    return {
        "filename": filename,
        "imgid": number,
        "split": split,
        "sentids": [number * 5 + place for place in range(len(captions))],
        "sentences": [
            {"raw": raw, "tokens": str(raw).split(), "imgid": number, "sentid": number * 5 + place}
            for place, raw in enumerate(captions)
        ],
    }


def write_karpathy_dataset(
    folder: Path,
    *,
    name: str = "rsicd",
    n_images: int = 12,
    json_name: str | None = None,
    image_folder: str = "images",
    suffix: str = ".jpg",
    disk_suffix: str | None = None,
    splits: Sequence[str] = SPLITS,
    jgdn_val: bool = False,
    with_pictures: bool = True,
    size_px: int = 48,
    seed: int = 0,
) -> Path:
    """Write a data set as RSICD, UCM-Captions, Sydney-Captions and RSITMD come.

    Args:
        folder: made if need be.
        name: goes into the JSON and, without `json_name`, into its name.
        n_images: images of consecutive splits from `splits`.
        json_name: of the annotation file, `dataset_<name>.json` by default.
        image_folder: the pictures' folder.
        suffix: of the file names in the JSON.
        disk_suffix: of the files, the same by default.
        splits: repeated over the images.
        jgdn_val: as in RSITMD: `val` becomes `train` with the flag.
        with_pictures: False leaves out the image folder.
        size_px: side of the pictures.
        seed: of what is drawn.

    Returns:
        The JSON's path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = []
    for number in range(n_images):
        picture, captions = draw_scene(seed * 100_003 + number, size_px=size_px)
        if with_pictures:
            save_picture(picture, folder / image_folder / f"{number + 1:05d}{disk_suffix or suffix}")
        split = splits[number % len(splits)]
        entry = karpathy_entry(f"{number + 1:05d}{suffix}", captions=captions, split=split, number=number)
        if jgdn_val:
            entry |= {"split": "train" if split == "val" else split, "jgdn_val": split == "val"}
        images.append(entry)
    return write_json(folder / (json_name or f"dataset_{name}.json"), {"dataset": name, "images": images})


def write_nwpu_dataset(
    folder: Path,
    *,
    classes: Sequence[str] = ("airplane", "bridge", "chaparral"),
    images_per_class: int = 4,
    image_folder: str = "NWPU_images",
    flat: bool = False,
    splits: Sequence[str] = SPLITS,
    size_px: int = 48,
    seed: int = 0,
) -> Path:
    """Write a data set as NWPU-Captions comes; `flat` puts all pictures into one folder. Returns the JSON's path."""
    content: dict[str, list[dict[str, Any]]] = {}
    for place, class_name in enumerate(classes):
        content[class_name] = []
        for number in range(images_per_class):
            picture, captions = draw_scene(seed * 100_003 + place * 1_009 + number, size_px=size_px)
            filename = f"{class_name}_{number + 1:03d}.jpg"
            save_picture(picture, folder / image_folder / ("" if flat else class_name) / filename)
            keys = ("raw", "raw_1", "raw_2", "raw_3", "raw_4")
            content[class_name].append(
                {"filename": filename, "imgid": number, "split": splits[number % len(splits)]}
                | dict(zip(keys, captions, strict=True))
            )
    return write_json(folder / "dataset_nwpu.json", content)


def write_table_dataset(
    folder: Path, *, n_images: int = 6, delimiter: str = ",", with_split: bool = True, seed: int = 0
) -> Path:
    """Write a table of captions as open_clip reads it, with its pictures beside it. Returns the table's path."""
    rows: list[tuple[str, ...]] = [("filename", "title", "split")]
    for number in range(n_images):
        picture, captions = draw_scene(seed * 100_003 + number)
        filename = f"pictures/{number:03d}.png"
        save_picture(picture, folder / filename)
        rows += [(filename, caption, SPLITS[number % len(SPLITS)]) for caption in captions]
    path = folder / "captions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows if with_split else [row[:2] for row in rows])
    return path


def write_json(path: Path, content: object) -> Path:
    """Write JSON, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def edit_json(path: Path, *, image: int, **changes: object) -> None:
    """Change keys of one image of a Karpathy JSON."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content["images"][image] |= changes
    write_json(path, content)


def draw_pattern(seed: int, *, size_px: int = 96) -> Image.Image:
    """A picture of soft blotches: patterns of different seeds have perceptual hashes that are far apart."""
    blotches = np.random.default_rng(seed).integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
    return Image.fromarray(blotches).resize((size_px, size_px), Image.Resampling.BICUBIC)


def write_pattern_table(path: Path, pictures: Mapping[str, tuple[Image.Image, str]]) -> Path:
    """A caption table with given pictures.

    Args:
        path: of the CSV; pictures go into its folder.
        pictures: by file name, the picture and its split. Each has two captions, which name the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("filename", "title", "split"))
        for name, (picture, split) in pictures.items():
            save_picture(picture, path.parent / name)
            writer.writerows((name, f"{words} {name}", split) for words in ("this is", "a picture, called"))
    return path
