"""A contact sheet of what the simulated camera gives: the table from four sides, one view's depth and
instances, and random scenes as networks are trained on."""

from pathlib import Path

import numpy as np
from PIL import Image

from . import path
from .sampling import random_scene, random_views
from .scene import Observation
from .tabletop import Tabletop, Thing

TILE_PX = (320, 240)
COLUMNS = 4
# Where on its way the camera takes the pictures of the table; the third shows depth and instances.
PHASES = (0.03, 0.37, 0.55, 0.78)
NEAR_M, FAR_M = 0.4, 1.0
RANDOM_SCENES = 6


def write(out: Path, seed: int, things: list[Thing]) -> None:
    """Writes the sheet as JPEG or whatever the name of `out` says."""
    scene = Tabletop(seed, things, TILE_PX)
    views = [scene.observe(scene.camera_at(path.world_from_optical_at(at, 1.0), path.FOV_Y_RAD)) for at in PHASES]
    scene.close()
    tiles = [view.rgb for view in views]
    tiles += [_depth_tile(views[2]), _instances_tile(views[2])]
    for index in range(RANDOM_SCENES):
        scene = random_scene(seed, index, "seen", TILE_PX)
        tiles += [view.rgb for view in random_views(scene, 1, "seen")]
        scene.close()
    rows = [np.hstack(tiles[first : first + COLUMNS]) for first in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.vstack(rows)).save(out, quality=85)


def _depth_tile(view: Observation) -> np.ndarray:
    """Near is light."""
    nearness = np.clip((FAR_M - view.depth_m) / (FAR_M - NEAR_M), 0, 1)
    return np.repeat((nearness * 255).astype(np.uint8)[..., None], 3, axis=2)


def _instances_tile(view: Observation) -> np.ndarray:
    """Each object in a shade of its own, nothing in dark grey."""
    shades = np.full((int(view.instances.max()) + 1, 3), 40, np.uint8)
    for number in range(1, len(shades)):
        # Steps by the golden angle: neighbours in number are far apart on the colour wheel.
        angle = np.radians(137.5 * number) + np.array([0, 2, 4]) * np.pi / 3
        shades[number] = 150 + 90 * np.cos(angle)
    return shades[view.instances]
