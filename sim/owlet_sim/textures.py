"""Procedural surfaces for tables, floors and walls, and the grain of wood."""

import numpy as np

SIDE_PX = 128


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise in [0, 1] that repeats at its borders, `[SIDE_PX, SIDE_PX]`."""
    coarse = rng.random((cells, cells))
    at = np.arange(SIDE_PX) * cells / SIDE_PX
    low = at.astype(int)
    t = at - low
    t = t * t * (3 - 2 * t)
    high = (low + 1) % cells
    rows = coarse[low] * (1 - t)[:, None] + coarse[high] * t[:, None]
    return rows[:, low] * (1 - t) + rows[:, high] * t


def _fractal(rng: np.random.Generator) -> np.ndarray:
    layers = [_noise(rng, cells) / cells**0.7 for cells in (4, 8, 16, 32)]
    total = np.sum(layers, axis=0)
    return (total - total.min()) / np.ptp(total)


def wood_grain(rng: np.random.Generator) -> np.ndarray:
    """Light and dark stripes in [0, 1], bent by noise."""
    y = np.arange(SIDE_PX)[:, None] / SIDE_PX
    rings = np.sin(2 * np.pi * (rng.integers(4, 10) * y + 1.5 * _noise(rng, 4)))
    return np.clip(0.5 + 0.35 * rings + 0.3 * (_noise(rng, 32) - 0.5), 0, 1)


def grey_wood(rng: np.random.Generator) -> np.ndarray:
    """Wood without a colour of its own, u8 `[SIDE_PX, SIDE_PX, 3]`: it is multiplied with one."""
    grain = 0.55 + 0.45 * wood_grain(rng)
    return np.repeat((grain * 255).astype(np.uint8)[..., None], 3, axis=2)


def _muted(rng: np.random.Generator) -> np.ndarray:
    """The colour of a surface: mostly grey, beige and wood, at times any."""
    value = rng.uniform(0.15, 0.95)
    tint = rng.uniform(-1, 1, 3) * (0.35 if rng.random() < 0.2 else 0.09)
    warm = np.array([0.08, 0.02, -0.08]) * rng.uniform(-0.3, 1.5)
    return np.clip(value + tint + warm, 0.03, 1.0)


def surface(rng: np.random.Generator) -> np.ndarray:
    """A random surface, u8 `[SIDE_PX, SIDE_PX, 3]`: plain, speckled, wood, tiles, stripes, cloth."""
    first, second = _muted(rng), _muted(rng)
    pattern = rng.choice(["plain", "fractal", "wood", "tiles", "stripes", "cloth"], p=[0.25, 0.2, 0.25, 0.1, 0.1, 0.1])
    cells = int(rng.integers(2, 9))
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] * cells // SIDE_PX
    if pattern == "plain":
        mix, second = _fractal(rng), first * rng.uniform(0.9, 1.1)
    elif pattern == "fractal":
        mix = _fractal(rng)
    elif pattern == "wood":
        mix, second = wood_grain(rng), first * rng.uniform(0.55, 0.85)
    elif pattern == "tiles":
        mix = (x + y) % 2.0
    elif pattern == "stripes":
        mix = x % 2.0
    else:
        mix = rng.random((SIDE_PX, SIDE_PX))
        second = first * rng.uniform(0.6, 0.9)
    pixels = first * (1 - mix[..., None]) + second * mix[..., None]
    return (np.clip(pixels, 0, 1) * 255).astype(np.uint8)
