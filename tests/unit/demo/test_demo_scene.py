from __future__ import annotations

import numpy as np
import pytest

from rsitr.demo import DemoScene, draw_example, draw_scene
from rsitr.demo.drawing.layout import DRAWERS
from rsitr.errors import SceneError


def test_the_same_seed_draws_the_same_pixels(small_scene: DemoScene) -> None:
    again = draw_scene(seed=small_scene.seed, size_px=small_scene.pixels.shape[0])
    np.testing.assert_array_equal(again.pixels, small_scene.pixels)
    assert again.districts == small_scene.districts
    assert again.things == small_scene.things


def test_another_seed_moves_districts_and_things(small_scene: DemoScene) -> None:
    other = draw_scene(seed=small_scene.seed + 1, size_px=small_scene.pixels.shape[0])
    assert other.districts != small_scene.districts
    assert {thing.window_px for thing in other.things} != {thing.window_px for thing in small_scene.things}
    assert np.abs(other.pixels.astype(int) - small_scene.pixels).mean() > 10


def test_districts_fill_the_scene_and_things_stand_in_them(small_scene: DemoScene) -> None:
    height, width, _ = small_scene.pixels.shape
    covered = np.zeros((height, width), dtype=int)
    for district in small_scene.districts:
        column, row, across, down = district.window_px
        covered[row : row + down, column : column + across] += 1
    assert (covered == 1).all()
    for thing in small_scene.things:
        column, row, across, down = thing.window_px
        homes = [
            district
            for district in small_scene.districts
            if district.window_px[0] <= column
            and district.window_px[1] <= row
            and column + across <= district.window_px[0] + district.window_px[2]
            and row + down <= district.window_px[1] + district.window_px[3]
        ]
        assert len(homes) == 1
    assert {"storage tank", "baseball field"} <= {thing.label for thing in small_scene.things}


def test_the_truth_is_what_was_drawn(small_scene: DemoScene) -> None:
    """Colours tell the districts apart: woods are dark green, tanks bright on bare ground."""
    mean = {}
    for district in small_scene.districts:
        column, row, across, down = district.window_px
        mean[district.label] = small_scene.pixels[row : row + down, column : column + across].mean(axis=(0, 1))
    forest, tanks = mean["dense forest"], mean["storage tanks"]
    assert forest.sum() < min(colour.sum() for label, colour in mean.items() if label != "dense forest")
    assert forest[1] > max(forest[0], forest[2])
    assert tanks.sum() > forest.sum() + 150


@pytest.mark.parametrize(
    "label", sorted(set(DRAWERS) - {"dense forest", "farmland", "storage tanks", "baseball fields"})
)
def test_every_kind_can_be_drawn_alone(label: str) -> None:
    picture = draw_example(label, seed=3)
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 4  # not one flat colour


def test_the_sea_lies_on_the_seaward_side() -> None:
    scene = draw_scene(seed=1, size_px=2048)
    labels = {district.label for district in scene.districts}
    assert {"beach", "river", "river mouth", "river with a bridge", "harbour with boats", "open sea"} <= labels
    for district in scene.districts:
        column, row, across, down = district.window_px
        red, _, blue = scene.pixels[row : row + down, column : column + across].mean(axis=(0, 1))
        if district.label == "open sea":
            assert blue > red + 20  # water
        if district.label == "desert dunes":
            assert red > blue + 20
    assert "bridge" in {thing.label for thing in scene.things}


@pytest.mark.parametrize(("seed", "size_px", "message"), [(-1, 512, "seed"), (0, 500, "512"), (0, 0, "512")])
def test_impossible_scenes_are_refused(seed: int, size_px: int, message: str) -> None:
    with pytest.raises(SceneError, match=message):
        draw_scene(seed=seed, size_px=size_px)
    if seed < 0:
        with pytest.raises(SceneError, match="seed"):
            draw_example("parking lot", seed=seed)
