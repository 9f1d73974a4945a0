"""One small scene for the tests of a session: drawing is the slow part."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import ColourEncoder
from rsitr.demo import DemoScene, Exploration, explore

SMALL_PX = 1024


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exploration, Path]:
    """A small demo by an encoder that knows only colours, and its folder."""
    folder = tmp_path_factory.mktemp("demo")
    found = explore(folder=folder, seed=5, encoder=ColourEncoder(), size_px=SMALL_PX)
    return found, folder


@pytest.fixture(scope="session")
def small_scene(explored: tuple[Exploration, Path]) -> DemoScene:
    """The scene of that demo, four districts: forest, farmland, storage tanks, baseball fields."""
    return explored[0].scene
