"""Smooth random fields and light: what makes drawn ground look like ground. Arrays only, no drawing here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from rsitr.types import FloatArray

__all__ = ["SUN", "NoiseFields", "blur", "fractal_noise", "hillshade", "mix", "smoothstep", "value_noise"]

SUN = (0.64, 0.77)
"""Direction in which shadows fall, (right, down), a unit vector: the sun stands in the upper left of every scene."""


@dataclass(frozen=True)
class NoiseFields:
    """Independent fields of one size, zero mean and about unit deviation, from broad to single pixels.

    Attributes:
        broad: features of about 200 px.
        mid: features of about 45 px.
        small: features of about 10 px.
        fine: features of about 3 px.
        patches: features of about 60 px, apart from `mid`.
        grain: white noise.
    """

    broad: FloatArray
    mid: FloatArray
    small: FloatArray
    fine: FloatArray
    patches: FloatArray
    grain: FloatArray

    @classmethod
    def draw(cls, rng: np.random.Generator, *, height_px: int, width_px: int) -> NoiseFields:
        """Draw the fields of a scene; its districts take windows of them, so that textures run on across borders."""
        size = {"height_px": height_px, "width_px": width_px}
        return cls(
            broad=fractal_noise(rng, scale_px=200, octaves=2, **size),
            mid=fractal_noise(rng, scale_px=45, octaves=2, **size),
            small=fractal_noise(rng, scale_px=10, octaves=2, **size),
            fine=value_noise(rng, scale_px=2.5, **size),
            patches=fractal_noise(rng, scale_px=60, octaves=2, **size),
            grain=rng.standard_normal((height_px, width_px), dtype=np.float32),
        )

    def window(self, *, column: int, row: int, width_px: int, height_px: int) -> NoiseFields:
        """The same fields over a part of the scene (views, not copies)."""
        part = (slice(row, row + height_px), slice(column, column + width_px))
        return NoiseFields(
            broad=self.broad[part],
            mid=self.mid[part],
            small=self.small[part],
            fine=self.fine[part],
            patches=self.patches[part],
            grain=self.grain[part],
        )


def value_noise(rng: np.random.Generator, *, height_px: int, width_px: int, scale_px: float) -> FloatArray:
    """A random lattice with `scale_px` between its points, joined smoothly; zero mean, unit deviation."""
    rows, columns = int(np.ceil(height_px / scale_px)) + 3, int(np.ceil(width_px / scale_px)) + 3
    lattice = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    full = lattice.resize((round(columns * scale_px), round(rows * scale_px)), Image.Resampling.BICUBIC)
    top, left = rng.integers(0, max(1, int(scale_px)), size=2) + int(scale_px / 2)
    field = np.asarray(full, dtype=np.float32)[top : top + height_px, left : left + width_px]
    return np.ascontiguousarray((field - field.mean()) / max(float(field.std()), 1e-6))


def fractal_noise(
    rng: np.random.Generator, *, height_px: int, width_px: int, scale_px: float, octaves: int, gain: float = 0.5
) -> FloatArray:
    """Value noise summed over octaves, each half as broad and `gain` as strong; zero mean, unit deviation."""
    total = np.zeros((height_px, width_px), dtype=np.float32)
    for octave in range(octaves):
        layer = value_noise(rng, height_px=height_px, width_px=width_px, scale_px=max(2.0, scale_px / 2**octave))
        total += np.float32(gain**octave) * layer
    return np.asarray((total - total.mean()) / max(float(total.std()), 1e-6), dtype=np.float32)


def hillshade(height: FloatArray, *, steepness: float = 1.0, smooth_px: float = 0.0) -> FloatArray:
    """Light on a surface, about 0 (turned away) to 1 (facing the sun), flat ground 0.6; height in px."""
    surface = blur(height, smooth_px) if smooth_px > 0 else height
    down, right = np.gradient(surface * steepness)
    facing = -(right * -SUN[0] + down * -SUN[1]) * 0.8 + 0.6
    return np.asarray(np.clip(facing / np.sqrt(1 + right**2 + down**2), 0, 1.2), dtype=np.float32)


def blur(field: FloatArray, smooth_px: float, *, reach: float = 4.0) -> FloatArray:
    """A field (H, W) or (H, W, C) smoothed by a Gaussian, cut off at `reach` deviations and mirrored at its edges."""
    radius = int(reach * smooth_px + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / smooth_px) ** 2)
    weights = (weights / weights.sum()).astype(np.float32)
    smooth = np.asarray(field, dtype=np.float32)
    for axis in (0, 1):
        around = [(radius, radius) if side == axis else (0, 0) for side in range(smooth.ndim)]
        wide = np.moveaxis(np.pad(smooth, around, mode="symmetric"), axis, 0)
        total = np.zeros_like(np.moveaxis(smooth, axis, 0))
        for step, weight in enumerate(weights):
            total += weight * wide[step : step + smooth.shape[axis]]
        smooth = np.moveaxis(total, 0, axis)
    return smooth


def smoothstep(value: FloatArray, *, start: float, end: float) -> FloatArray:
    """0 up to `start`, 1 from `end` on, a smooth step between; `start` may exceed `end`."""
    t = np.clip((value - start) / (end - start), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def mix(below: FloatArray, above: FloatArray | tuple[float, float, float], share: FloatArray | float) -> FloatArray:
    """Blend colours: (H, W, 3) under a colour or (H, W, 3) with a share (H, W) or a number in [0, 1]."""
    weight = share[..., None] if isinstance(share, np.ndarray) else np.float32(share)
    return np.asarray(below + (np.asarray(above, dtype=np.float32) - below) * weight, dtype=np.float32)
