"""Raw images in every encoding that Owlet reads, and what they show.

Each picture comes with the pixels that a reader must find: 8-bit RGB, or depth in metres. Where a
conversion leaves room for rounding, the picture says by how many levels results may differ.
"""

from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT = 12, 8


@dataclass
class Picture:
    """One raw image: `rows` are bytes of each row without padding."""

    name: str
    encoding: str
    big_endian: bool
    rows: np.ndarray
    expected: np.ndarray  # (H, W, 3) uint8, or (H, W) float32 metres
    tolerance: int = 0

    def step_and_data(self) -> tuple[int, np.ndarray]:
        """Rows with padding that holds no zeros, so that reading it shows."""
        padding = np.full((self.rows.shape[0], 6), 0xA5, np.uint8)
        padded = np.hstack([self.rows, padding])
        return padded.shape[1], padded.reshape(-1)


def samples_to_rows(samples: np.ndarray, big_endian: bool) -> np.ndarray:
    """Samples in a byte order, as rows of bytes."""
    ordered = samples.astype(samples.dtype.newbyteorder(">" if big_endian else "<"))
    return np.frombuffer(ordered.tobytes(), np.uint8).reshape(samples.shape[0], -1)


def rgb_from_yuv(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, limited range, as cameras and OpenCV have it."""
    y, u, v = (plane.astype(np.float64) for plane in (y, u, v))
    luma = 255 / 219 * (y - 16)
    red = luma + 1.596027 * (v - 128)
    green = luma - 0.391762 * (u - 128) - 0.812968 * (v - 128)
    blue = luma + 2.017232 * (u - 128)
    return np.clip(np.rint(np.stack([red, green, blue], -1)), 0, 255).astype(np.uint8)


def all_pictures() -> list[Picture]:
    """One picture for each encoding, byte order and pattern."""
    at = np.arange(WIDTH * HEIGHT, dtype=np.uint32).reshape(HEIGHT, WIDTH)
    rgb = np.stack([at * 7 + 3, at * 13 + 101, at * 29 + 57], -1).astype(np.uint8)
    alpha = (at * 31).astype(np.uint8)[..., None]
    bgr = rgb[..., ::-1]
    pictures = [
        Picture("rgb8", "rgb8", False, rgb.reshape(HEIGHT, -1), rgb),
        Picture("bgr8", "bgr8", False, bgr.reshape(HEIGHT, -1), rgb),
        Picture("rgba8", "rgba8", False, np.dstack([rgb, alpha]).reshape(HEIGHT, -1), rgb),
        Picture("bgra8", "bgra8", False, np.dstack([bgr, alpha]).reshape(HEIGHT, -1), rgb),
    ]
    grey = rgb[..., 0]
    grey_rgb = np.repeat(grey[..., None], 3, -1)
    pictures.append(Picture("mono8", "mono8", False, grey, grey_rgb))

    # The same colour everywhere: whatever the interpolation, the result is that colour.
    colour = {"r": 200, "g": 100, "b": 50}
    flat = np.full((HEIGHT, WIDTH, 3), [200, 100, 50], np.uint8)
    for pattern in ("rggb", "bggr", "gbrg", "grbg"):
        tile = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
        mosaic = np.tile(tile, (HEIGHT // 2, WIDTH // 2))
        pictures.append(Picture(f"bayer_{pattern}8", f"bayer_{pattern}8", False, mosaic, flat))
        for big_endian in (False, True):
            name = f"bayer_{pattern}16_{'be' if big_endian else 'le'}"
            rows = samples_to_rows(mosaic.astype(np.uint16) * 257, big_endian)
            pictures.append(Picture(name, f"bayer_{pattern}16", big_endian, rows, flat))

    # One colour for each pair of rows, so that chroma needs no interpolation.
    pair = np.arange(HEIGHT) // 2
    y = np.repeat((60 + pair * 40)[:, None], WIDTH, 1)
    u = np.repeat((100 + pair * 12)[:, None], WIDTH, 1)
    v = np.repeat((150 - pair * 9)[:, None], WIDTH, 1)
    yuv_rgb = rgb_from_yuv(y, u, v)
    half = slice(None, None, 2)
    uyvy = np.stack([u[:, half], y[:, half], v[:, half], y[:, 1::2]], -1)
    yuyv = np.stack([y[:, half], u[:, half], y[:, 1::2], v[:, half]], -1)
    chroma = np.stack([u[half, half], v[half, half]], -1).reshape(HEIGHT // 2, -1)
    for name, rows in (
        ("yuv422", uyvy.reshape(HEIGHT, -1)),
        ("yuv422_yuy2", yuyv.reshape(HEIGHT, -1)),
        ("nv12", np.vstack([y, chroma])),
    ):
        pictures.append(Picture(name, name, False, rows.astype(np.uint8), yuv_rgb, 2))

    depth_mm = (at * 113).astype(np.uint16)  # the first one is 0: unknown
    metres = np.where(depth_mm == 0, np.nan, depth_mm / 1000).astype(np.float32)
    depth_m = np.where(at % 5 == 0, np.nan, at * 0.25).astype(np.float32)
    for big_endian in (False, True):
        order = "be" if big_endian else "le"
        for encoding, samples, expected in (
            ("mono16", grey.astype(np.uint16) * 257, grey_rgb),
            ("16UC1", depth_mm, metres),
            ("32FC1", depth_m, depth_m),
        ):
            rows = samples_to_rows(samples, big_endian)
            pictures.append(Picture(f"{encoding}_{order}", encoding, big_endian, rows, expected))
    return pictures
