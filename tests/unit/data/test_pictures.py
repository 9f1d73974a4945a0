"""Pictures of every kind become the same 8-bit RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from generators import draw_scene
from rsitr.data.pictures import inspect_pictures, require_readable
from rsitr.data.records import CaptionedImage
from rsitr.errors import DataError
from rsitr.pictures import to_rgb

GREY = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)


def read(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        picture = to_rgb(opened)
    assert picture.mode == "RGB"
    return np.asarray(picture)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_keep_their_contrast(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"grey{suffix}"
    Image.fromarray(GREY).save(path)
    np.testing.assert_array_equal(read(path), np.repeat(np.arange(256).reshape(16, 16, 1), 3, axis=2))


def test_thirty_two_bits_are_read_as_sixteen(tmp_path: Path) -> None:
    values = GREY.astype(np.int32)
    values[0, :2] = (-5, 70_000)
    Image.fromarray(values).save(tmp_path / "grey.tif")
    assert read(tmp_path / "grey.tif")[0, :4, 0].tolist() == [0, 255, 2, 3]


def test_eight_bits_stay_as_they_are(tmp_path: Path) -> None:
    picture, _ = draw_scene(0)
    grey = picture.convert("L")
    for name, image in {"rgb.png": picture, "rgba.png": picture.convert("RGBA"), "grey.png": grey}.items():
        image.save(tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / "rgb.png"), np.asarray(picture))
    np.testing.assert_array_equal(read(tmp_path / "rgba.png"), np.asarray(picture))
    np.testing.assert_array_equal(read(tmp_path / "grey.png")[..., 1], np.asarray(grey))


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "palette.png")
    assert read(tmp_path / "palette.png").tolist() == [[[10, 20, 30], [200, 100, 0]]]


def test_floating_point_numbers_are_refused_before_anything_is_trained_on_them(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "float.tif")
    (found,) = inspect_pictures([tmp_path / "float.tif"])
    assert found.fault == "its pixels are floating-point numbers: save it with 8 or 16 bits"
    assert found.size_px is None


def test_a_sound_picture_is_read_once_and_a_changed_one_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scene.png"
    draw_scene(0)[0].save(path)
    image = CaptionedImage(image_id="0", path=path, captions=("a field .",), split="train")
    read: list[Path] = []
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: (read.append(self), whole(self))[1])
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        require_readable([image], progress=lambda done, total: seen.append((done, total)))
    assert read == [path]
    assert seen == [(1, 1)] * 2  # progress counts what need not be read, too
    path.write_bytes(whole(path)[:100])
    with pytest.raises(DataError, match="1 of 1 pictures cannot be read"):
        require_readable([image])
