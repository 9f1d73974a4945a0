from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rasters import write_utm
from rsitr.errors import DataError, SceneError
from rsitr.pictures import describe_fault, open_picture, read_picture, to_rgb


def test_sixteen_bits_become_eight_by_dividing_their_range(tmp_path: Path) -> None:
    values = np.array([[0, 257, 65535], [128 * 257, 255, 256]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png")
    assert found.shape == (2, 3, 3)
    np.testing.assert_array_equal(found[..., 0], [[0, 1, 255], [128, 0, 0]])


def test_a_picture_is_upright_as_its_exif_says(tmp_path: Path) -> None:
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:, :4] = 250  # the left half is bright; turned by 90 degrees clockwise, the upper half
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    found = read_picture(tmp_path / "a.png")
    assert found.shape == (8, 4, 3)
    assert found[:4].min() == 250
    assert found[4:].max() == 0


def test_bytes_and_a_file_are_the_same_picture(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (3, 2), 77).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    np.testing.assert_array_equal(np.asarray(open_picture(buffer.getvalue())), read_picture(tmp_path / "a.png"))


def test_a_format_that_is_not_asked_for_is_not_decoded() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2)).save(buffer, "BMP")
    with pytest.raises(Image.UnidentifiedImageError):
        open_picture(buffer.getvalue(), formats=("PNG",))


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="floating-point"):
        to_rgb(Image.new("F", (2, 2)))


def test_a_fault_is_told_in_a_line_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(SceneError, match=r"a.png cannot be decoded .not a picture, or of an unknown kind.; look at it"):
        read_picture(tmp_path / "a.png", error=SceneError, hint="; look at it")
    with pytest.raises(DataError, match="there is no such file"):
        read_picture(tmp_path / "b.png")
    assert describe_fault(SyntaxError("broken\nPNG")) == "broken"
    assert describe_fault(EOFError()) == "EOFError"


@pytest.mark.parametrize(("bands", "kind"), [(3, "3 bands of 16 bits"), (13, "13 bands of 16 bits")])
def test_a_tiff_that_is_not_decoded_is_told_what_it_is(tmp_path: Path, bands: int, kind: str) -> None:
    path = write_utm(tmp_path / "field.tif", np.full((bands, 20, 20), 900, np.uint16), photometric="MINISBLACK")
    with pytest.raises(
        DataError, match=rf"field\.tif cannot be decoded \(a TIFF with {kind}, .*convert it to 8-bit RGB"
    ):
        read_picture(path)
    path.write_bytes(path.read_bytes()[:6])
    with pytest.raises(DataError, match="not a picture, or of an unknown kind"):
        read_picture(path)
