"""The demo as one picture: the scene with the best hits on it, and the first queries with what they found."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from rsitr.demo.exploring import Exploration
from rsitr.demo.judging import JudgedAnswer, JudgedHit
from rsitr.files import replacing
from rsitr.pictures import find_font

__all__ = ["write_figure"]

_SIZE = (1386, 1060)
_EDGE = 10
_MAP_PX = 850
_TOP = 52
_ROWS, _HITS = 7, 4
_HIT_PX, _ROW_PX = 122, 143
_RIGHT, _WRONG = "#2fbf71", "#e4572e"
_DASH_PX = 9


def write_figure(found: Exploration, path: Path) -> None:
    """Draw the figure into a PNG file: best hits by the query's number; green is right, orange and dashed wrong."""
    sheet = Image.new("RGB", _SIZE, "white")
    summary = found.summary
    title = (
        f"Synthetic scene (seed {found.scene.seed}), searched in words: {summary.first} of {summary.n_queries} best "
        f"hits are right, {summary.within_k} queries have a right one among {summary.k}"
    )
    ImageDraw.Draw(sheet).text((_EDGE, 14), title, fill="black", font=find_font(19))
    _draw_map(sheet, found)
    _list_titles(sheet, found.answers[_ROWS:], first=_ROWS + 1)
    for row, answer in enumerate(found.answers[:_ROWS]):
        _draw_row(sheet, found, answer, number=row + 1, top=_TOP + row * _ROW_PX)
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _draw_map(sheet: Image.Image, found: Exploration) -> None:
    scene = Image.fromarray(found.scene.pixels)
    scale = _MAP_PX / max(scene.size)
    sheet.paste(
        scene.resize((round(scene.width * scale), round(scene.height * scale)), reducing_gap=3.0), (_EDGE, _TOP)
    )
    draw, font = ImageDraw.Draw(sheet), find_font(20)
    for label in found.label_best():
        column, row, width, height = label.window_px
        _draw_frame(
            draw,
            (_EDGE + column * scale + 2, _TOP + row * scale + 2),
            (width * scale - 4, height * scale - 4),
            right=label.right,
            width_px=3,
        )
        at = (_EDGE + label.x * scale, _TOP + label.y * scale)
        draw.text(at, str(label.number), fill="white", font=font, anchor="mm", stroke_width=2, stroke_fill="black")


def _list_titles(sheet: Image.Image, answers: Sequence[JudgedAnswer], *, first: int) -> None:
    """The queries that have no pictures of their own, in two columns."""
    lines = [f"{first + i}  {_shorten(answer.title)}" for i, answer in enumerate(answers)]
    half = -(-len(lines) // 2)
    draw, font = ImageDraw.Draw(sheet), find_font(13)
    for left, part in ((_EDGE, lines[:half]), (_EDGE + _MAP_PX // 2 + 8, lines[half:])):
        draw.multiline_text((left, _TOP + _MAP_PX + 14), "\n".join(part), fill="black", font=font, spacing=7)


def _draw_row(sheet: Image.Image, found: Exploration, answer: JudgedAnswer, *, number: int, top: int) -> None:
    """A query and its best hits, right of the map."""
    left = 2 * _EDGE + _MAP_PX
    draw = ImageDraw.Draw(sheet)
    draw.text((left, top), f"{number}  {_shorten(answer.title)}", fill="black", font=find_font(14))
    for place, judged in enumerate(answer.hits[:_HITS]):
        _draw_hit(sheet, found, judged, left=left + place * (_HIT_PX + 4), top=top + 18)


def _draw_hit(sheet: Image.Image, found: Exploration, judged: JudgedHit, *, left: int, top: int) -> None:
    picture = Image.fromarray(found.index.picture(judged.hit.tile, max_px=200))
    sheet.paste(picture.resize((_HIT_PX, _HIT_PX), reducing_gap=3.0), (left, top))
    _draw_frame(ImageDraw.Draw(sheet), (left, top), (_HIT_PX - 1, _HIT_PX - 1), right=judged.right, width_px=5)


def _draw_frame(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    size: tuple[float, float],
    *,
    right: bool,
    width_px: int,
) -> None:
    """A rectangle: green and whole, or orange and dashed."""
    (x, y), (wide, high) = corner, size
    if right:
        draw.rectangle((x, y, x + wide, y + high), outline=_RIGHT, width=width_px)
        return
    inset = width_px // 2  # lines are drawn to both sides of where they lie, frames inwards
    x, y, wide, high = x + inset, y + inset, wide - 2 * inset, high - 2 * inset
    for along in range(0, int(wide), 2 * _DASH_PX):
        end = min(wide, along + _DASH_PX)
        for side in (y, y + high):
            draw.line((x + along, side, x + end, side), fill=_WRONG, width=width_px)
    for along in range(0, int(high), 2 * _DASH_PX):
        end = min(high, along + _DASH_PX)
        for side in (x, x + wide):
            draw.line((side, y + along, side, y + end), fill=_WRONG, width=width_px)


def _shorten(title: str) -> str:
    return textwrap.shorten(title, 58, placeholder=" …")
