"""Procedural surfaces for tables, floors and walls, and the grain of wood."""

import numpy as np

SIDE_PX = 128


def _noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise in [0, 1] that repeats at its borders, `[SIDE_PX, SIDE_PX]`."""
    return _stretched_noise(rng, (cells, cells), (SIDE_PX, SIDE_PX))


def _stretched_noise(rng: np.random.Generator, cells: tuple[int, int], size_px: tuple[int, int]) -> np.ndarray:
    """Smooth noise in [0, 1] with so many cells down and across, `[*size_px]`; it repeats at its
    borders."""
    grid = rng.random(cells)
    for axis in (0, 1):
        at = np.arange(size_px[axis]) * cells[axis] / size_px[axis]
        low = at.astype(int)
        t = at - low
        t = np.expand_dims(t * t * (3 - 2 * t), 1 - axis)
        grid = grid.take(low, axis) * (1 - t) + grid.take((low + 1) % cells[axis], axis) * t
    return grid


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


# Boards of a table top: the shades of their wood, dark to light, RGB in [0, 1].
BOARD_RGB = np.array([(0.44, 0.29, 0.17), (0.62, 0.44, 0.28), (0.74, 0.56, 0.38), (0.81, 0.65, 0.47)])
BOARDS = 8
BOARDS_SIDE_PX = 1024


def boards(rng: np.random.Generator) -> np.ndarray:
    """A table top of glued boards with grain along them, u8 `[side, side, 3]`."""
    size = (BOARDS_SIDE_PX // BOARDS, BOARDS_SIDE_PX)
    shades = []
    for _ in range(BOARDS):
        # Year rings cut lengthwise: contour lines of a surface that is long along the board.
        surface = 0.7 * _stretched_noise(rng, (2, 2), size) + 0.15 * _stretched_noise(rng, (4, 6), size)
        rings = 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(4, 9) * surface + rng.random()))
        fibres = _stretched_noise(rng, (42, 10), size)
        shade = 0.55 + 0.16 * (rng.random() - 0.5) + 0.16 * (rings**2 - 0.4) + 0.14 * (fibres - 0.5)
        shade[0] -= 0.25
        shades.append(shade)
    at = np.clip(np.concatenate(shades), 0, 1) * (len(BOARD_RGB) - 1)
    pixels = np.stack([np.interp(at, range(len(BOARD_RGB)), BOARD_RGB[:, i]) for i in range(3)], axis=-1)
    return (pixels * 255).astype(np.uint8)
