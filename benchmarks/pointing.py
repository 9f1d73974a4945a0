"""Does the map of "why was this found" point at the thing? Mosaics of four pictures, of which words name one.

    python benchmarks/pointing.py [--data-root DATA] [--model MODEL] [--mosaics N] [--seeds N]

The pictures are of RSICD's validation split, of four different classes; the words are the name of the class of one of
them. A map is right where its hottest cell lies in that picture's quarter (chance: 25 %). Beside it, the cosines of
words and patches that were shown before, and both with a caption for words.

The same with what the demo draws, in scenes of other seeds than its own: of each district that answers one of the
demo's queries, a window of twice its size has it in one quarter, and nothing else that answers.

Exits with 1 where the map that is shown is right in less than 80 % of the mosaics by the name of the class.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from relevance import NAMES
from rsitr.data import load_dataset
from rsitr.data.collection import find_data_root
from rsitr.demo.drawing.scene import DemoScene, draw_scene
from rsitr.demo.queries import QUERIES
from rsitr.models.zoo import load_model
from rsitr.pictures import read_picture
from rsitr.search.explaining import map_words
from rsitr.types import Encoder, FloatArray, ImageArray

SIDE_PX, LEAST = 224, 0.80


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--model", default="lookout")
    parser.add_argument("--mosaics", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not (root / "rsicd").is_dir():
        print("needs rsicd/ under --data-root", file=sys.stderr)
        return 2
    pictures = load_dataset(f"rsicd:{root / 'rsicd'}").split("val")
    encoder = load_model(arguments.model)
    pictures = [picture for picture in pictures if picture.label]
    classes = np.array([picture.label for picture in pictures])
    rng = np.random.default_rng(0)
    ways = {"pieces": map_words, "patches": map_patches}
    right = dict.fromkeys(((way, asked) for asked in ("class", "caption") for way in ways), 0)
    for number in range(arguments.mosaics):
        chosen = [int(rng.choice(np.flatnonzero(classes == name))) for name in rng.choice(np.unique(classes), 4, False)]
        quarter = int(rng.integers(4))
        mosaic = lay([read_picture(pictures[place].path) for place in chosen])
        name = classes[chosen[quarter]]
        for asked, words in {"class": NAMES.get(name, name), "caption": pictures[chosen[quarter]].captions[0]}.items():
            for way, draw in ways.items():
                right[way, asked] += quarter_of(draw(encoder, mosaic, words)) == quarter
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {arguments.mosaics}", end="", file=sys.stderr)
    for (way, asked), count in right.items():
        print(f"{way}, by {asked}: hottest in the right quarter of {count} of {arguments.mosaics} mosaics")
    drawn: list[tuple[str, str, bool]] = []
    for seed in range(100, 100 + arguments.seeds):
        drawn += point_in_scene(draw_scene(seed=seed), encoder, rng)
    for way in ways:
        told = [is_right for text, by, is_right in drawn if by == way]
        if told:
            print(f"{way}, in drawn scenes: in the right quarter of {sum(told)} of {len(told)} windows")
    missed = [text for text, by, is_right in drawn if by == "pieces" and not is_right]
    print("".join(f"  missed: {text}\n" for text in sorted(set(missed))), end="")
    share = right["pieces", "class"] / arguments.mosaics
    print(f"{'as' if share >= LEAST else 'NOT as'} asked: at least {LEAST:.0%}")
    return 0 if share >= LEAST else 1


def point_in_scene(scene: DemoScene, encoder: Encoder, rng: np.random.Generator) -> list[tuple[str, str, bool]]:
    """For each query of the demo, a district that answers it: the words, the way, and whether the quarter is right."""
    found = []
    side = len(scene.pixels)
    for query in QUERIES:
        answering = [region.window_px for region in scene.districts if region.label in query.answers]
        chosen = []
        for col, row, width, height in answering if query.text else ():
            for quarter, (left, top) in enumerate(((0, 0), (width, 0), (0, height), (width, height))):
                window = (col - left, row - top, 2 * width, 2 * height)
                inside = window[0] >= 0 and window[1] >= 0 and window[0] + 2 * width <= side
                alone = not any(_meet(window, other) for other in answering if other != (col, row, width, height))
                if inside and window[1] + 2 * height <= side and alone:
                    chosen.append((window, quarter))
        if not chosen or query.text is None:
            continue
        (col, row, width, height), quarter = chosen[int(rng.integers(len(chosen)))]
        picture = np.ascontiguousarray(scene.pixels[row : row + height, col : col + width])
        for way, draw in (("pieces", map_words), ("patches", map_patches)):
            found.append((query.text, way, quarter_of(draw(encoder, picture, query.text)) == quarter))
    return found


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return all(one[axis] < other[axis] + other[axis + 2] and other[axis] < one[axis] + one[axis + 2] for axis in (0, 1))


def lay(pictures: list[ImageArray]) -> ImageArray:
    """Four pictures as one: upper left, upper right, lower left, lower right."""
    same = [np.asarray(Image.fromarray(picture).resize((SIDE_PX, SIDE_PX))) for picture in pictures]
    return np.concatenate([np.concatenate(same[:2], axis=1), np.concatenate(same[2:], axis=1)], axis=0)


def map_patches(encoder: Encoder, picture: ImageArray, words: str) -> FloatArray:
    """The mean cosine of the words' tokens with each patch, all of which have seen the whole picture."""
    images, texts = encoder.encode_images([picture]), encoder.encode_texts([words])
    patches, tokens = images.tokens[0], texts.tokens[0][texts.token_mask[0]]
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (tokens, patches)]
    grid = round(len(patches) ** 0.5)
    return np.asarray((unit[0] @ unit[1].T).mean(axis=0).reshape(grid, grid), dtype=np.float32)


def quarter_of(found: FloatArray) -> int:
    """In which quarter the hottest cell lies; -1 where it is in the middle of an odd number of cells."""
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    middle = (len(found) - 1) / 2
    if middle in (row, column):
        return -1
    return 2 * int(row > middle) + int(column > middle)


if __name__ == "__main__":
    sys.exit(main())
