"""Ground textures, each (H, W, 3) float32 colours over a whole plot: grass, soil, pavement, fields, sand, water."""

from __future__ import annotations

import numpy as np

from rsitr.demo.drawing.canvas import Color
from rsitr.demo.drawing.noise import NoiseFields, hillshade, mix, smoothstep
from rsitr.types import FloatArray

__all__ = ["grass", "pavement", "ripples", "rows", "sand", "soil", "surf", "water"]


def _flat(noise: NoiseFields, color: Color) -> FloatArray:
    return np.ones((*noise.grain.shape, 3), dtype=np.float32) * np.array(color, dtype=np.float32)


def grass(noise: NoiseFields, color: Color = (92, 104, 66), *, dry: float = 0.35) -> FloatArray:
    """Lawn or meadow: blotches of drier grass (`dry` 0 to 1), tufts."""
    base = _flat(noise, color)
    blotches = smoothstep(noise.mid * 0.45 + noise.broad * 0.5 + noise.small * 0.3, start=-0.6, end=2.4)
    base = mix(base, (color[0] * 1.18 + 10, color[1] * 1.06 + 6, color[2] * 1.1 + 5), blotches * dry)
    light = 1 + 0.03 * noise.small + 0.05 * noise.fine + 0.03 * noise.grain + 0.02 * noise.mid
    return np.asarray(base * light[..., None], dtype=np.float32)


def soil(noise: NoiseFields, color: Color = (150, 126, 100)) -> FloatArray:
    """Bare earth or gravel: stains, stones."""
    light = 1 + 0.05 * noise.mid + 0.035 * noise.small + 0.03 * noise.fine + 0.025 * noise.grain
    warm = noise.broad[..., None] * np.array([3, 1, -2], dtype=np.float32)
    return np.asarray(_flat(noise, color) * light[..., None] + warm, dtype=np.float32)


def pavement(noise: NoiseFields, color: Color = (120, 119, 117)) -> FloatArray:
    """Asphalt or concrete: faint stains."""
    light = 1 + 0.022 * noise.mid + 0.022 * noise.small + 0.018 * noise.fine + 0.012 * noise.grain
    return np.asarray(_flat(noise, color) * light[..., None], dtype=np.float32)


def sand(noise: NoiseFields, color: Color = (214, 198, 164)) -> FloatArray:
    """Dry sand."""
    light = 1 + 0.018 * noise.mid + 0.016 * noise.small + 0.02 * noise.fine + 0.012 * noise.grain
    return np.asarray(_flat(noise, color) * light[..., None], dtype=np.float32)


def ripples(noise: NoiseFields, *, angle_deg: float, color: Color) -> FloatArray:
    """Sand dunes: low asymmetric crests across the wind, bent and broken by noise, lit from the sun's side."""
    v = _across(noise, angle_deg) + noise.broad * 26 + noise.mid * 7
    phase = np.mod(v / 10.0, 1.0)
    crest = np.where(phase < 0.7, phase / 0.7, (1 - phase) / 0.3) * (1 + 0.25 * noise.mid)
    small = np.sin(v * 0.9 + noise.small * 0.8) * 0.25
    light = hillshade((crest * 2.7 + small + noise.broad * 16).astype(np.float32), steepness=0.55, smooth_px=1.2)
    base = sand(noise, color) * (0.75 + 0.5 * light[..., None])
    return np.asarray(base, dtype=np.float32)


def _across(noise: NoiseFields, angle_deg: float) -> FloatArray:
    """Distance in px across lines that run at `angle_deg`."""
    height_px, width_px = noise.grain.shape
    y, x = np.mgrid[0:height_px, 0:width_px].astype(np.float32)
    turn = np.deg2rad(angle_deg)
    return np.asarray(y * np.float32(np.cos(turn)) - x * np.float32(np.sin(turn)), dtype=np.float32)


def rows(
    noise: NoiseFields, *, color: Color, between: Color, angle_deg: float, period_px: float, contrast: float
) -> FloatArray:
    """Crops in rows: `color` on the ridges, `between` in the furrows, uneven growth, tractor lines."""
    v = _across(noise, angle_deg) + noise.small * 0.35
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * v / period_px)
    growth = np.clip(0.5 + 0.22 * noise.mid + 0.14 * noise.small, 0, 1)
    share = np.clip(contrast * wave * (0.6 + 0.8 * growth) + (1 - contrast) * 0.25 * growth, 0, 1)
    field = mix(_flat(noise, color), between, np.asarray(share, dtype=np.float32))
    tracks = np.mod(v, period_px * 9) < 1.6
    field = mix(field, between, tracks.astype(np.float32) * 0.45)
    streaks = 1 + 0.03 * np.sin(v / 11.0 + noise.broad * 2)
    light = streaks * (1 + 0.035 * noise.mid + 0.03 * noise.fine + 0.02 * noise.grain)
    return np.asarray(field * light[..., None], dtype=np.float32)


def water(noise: NoiseFields, color: Color) -> FloatArray:
    """Calm water: nearly even, a little wind."""
    light = 1 + 0.018 * noise.mid + 0.012 * noise.small + 0.018 * noise.fine + 0.008 * noise.grain
    return np.asarray(_flat(noise, color) * light[..., None], dtype=np.float32)


def surf(noise: NoiseFields, offshore_px: FloatArray, *, shallow: Color, deep: Color, dry_sand: Color) -> FloatArray:
    """A sandy shore: dry sand, wet sand, foam, breakers in lines along the shore, then deeper and deeper water.

    Args:
        noise: fields over the plot.
        offshore_px: (H, W) distance from the waterline, positive at sea.
        shallow: colour of the water at the shore.
        deep: colour of the water far out.
        dry_sand: colour of the dry sand.
    """
    d = offshore_px + noise.mid * 5 + noise.small * 2.0
    ground = mix(sand(noise, dry_sand), (168, 146, 116), smoothstep(d, start=-34, end=-4) * 0.85)
    swell = np.sin(d / 5.5 + noise.mid * 1.3 + noise.small * 0.5) * 0.025 + noise.fine * 0.02 + noise.small * 0.015
    sea = mix(_flat(noise, shallow), deep, smoothstep(d, start=8, end=190))
    sea = (sea * (1 + swell[..., None])).astype(np.float32)
    picture = mix(ground, sea, smoothstep(d, start=-1.5, end=2.5) * 0.93)
    foam = np.exp(-(((d - 3) / 4.5) ** 2)) * 0.95
    for at, breadth in ((26.0, 7.0), (58.0, 6.0)):
        wobble = d + noise.broad * 9 + noise.mid * 6
        broken = smoothstep(noise.patches + 0.6 * noise.small + 0.5 * noise.broad, start=-0.5 + at / 110, end=1.1)
        crest = np.where(
            wobble < at, np.exp(-(((wobble - at) / (breadth * 1.8)) ** 2)), np.exp(-(((wobble - at) / 2.2) ** 2))
        )
        foam = np.maximum(foam, crest * broken)
    lace = np.clip(0.72 + 0.25 * noise.fine + 0.25 * noise.small, 0.15, 1)
    return mix(picture, (240, 242, 240), np.clip(foam * lace, 0, 1).astype(np.float32))
