"""An index of four scenes, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from archives import write_archive
from fakes import ColourEncoder


@pytest.fixture(scope="session")
def encoder() -> ColourEncoder:
    return ColourEncoder(image_size_px=64)


@pytest.fixture(scope="session")
def index_path(tmp_path_factory: pytest.TempPathFactory, encoder: ColourEncoder) -> Path:
    return write_archive(tmp_path_factory.mktemp("archive"), encoder)
