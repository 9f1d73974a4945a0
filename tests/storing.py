"""Small tiles and scenes, for tests of what keeps them."""

from __future__ import annotations

import numpy as np

from rsitr.types import BBox, FloatArray, SceneEntry, Tile

DIM = 8


def unit(rows: np.ndarray) -> FloatArray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def vectors(n: int, *, seed: int = 0) -> FloatArray:
    return unit(np.random.default_rng(seed).normal(size=(n, DIM)))


def box_ring(bbox: BBox) -> tuple[tuple[float, float], ...]:
    west, south, east, north = bbox
    east = east if west <= east else east + 360
    return ((west, south), (east, south), (east, north), (west, north), (west, south))


def tile(scene: str, number: int, bbox: BBox | None = None, **known: object) -> Tile:
    ring = None if bbox is None else box_ring(bbox)
    return Tile(f"{scene}:{number}", scene, (number, 0, 8, 8), footprint=ring, bbox=bbox, **known)  # type: ignore[arg-type]


def entry(scene: str, n_tiles: int = 1, **known: object) -> SceneEntry:
    return SceneEntry(scene, 1000, 1_700_000_000_123_456_789, (80, 80), n_tiles, 0, **known)  # type: ignore[arg-type]
