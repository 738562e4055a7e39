"""A camera that moves smoothly around a table: one closed round, so that a stream never jumps."""

import math

import numpy as np

from .scene import look_at

# As the colour camera of a usual RGB-D sensor.
FOV_Y_RAD = math.radians(42)

# A round: (phase, azimuth, elevation, distance, x and y of what is looked at). Phase 0 is the start
# and 1 the same place one turn later; angles in degrees, lengths in metres. Wide, a part of a
# circle, close from one side, high above, low and close from another side, and back.
ROUND = (
    (0.00, -90, 40, 0.92, 0.00, 0.00),
    (0.14, -52, 38, 0.84, 0.00, 0.00),
    (0.28, -12, 42, 0.62, 0.03, -0.02),
    (0.42, 36, 55, 0.56, 0.03, 0.03),
    (0.55, 92, 62, 0.66, 0.00, 0.03),
    (0.68, 146, 40, 0.60, -0.03, 0.03),
    (0.82, 200, 34, 0.66, -0.02, -0.02),
    (0.92, 240, 38, 0.84, 0.00, 0.00),
)
LOOKED_AT_HEIGHT_M = 0.03


def _waypoint(index: int) -> np.ndarray:
    """A row of the endless path: `ROUND` again and again, its azimuth going on."""
    turns, row = divmod(index, len(ROUND))
    return np.array(ROUND[row], float) + np.array([turns, 360.0 * turns, 0, 0, 0, 0])


def _between_waypoints(phase: float) -> np.ndarray:
    """Azimuth, elevation, distance and target at a phase: a cubic with a steady speed through the
    waypoints (Catmull-Rom for uneven steps)."""
    phases = [row[0] for row in ROUND]
    turns = math.floor(phase)
    index = turns * len(ROUND) + int(np.searchsorted(phases, phase - turns, side="right")) - 1
    before, start, end, after = (_waypoint(index + i) for i in (-1, 0, 1, 2))
    step = end[0] - start[0]
    t = (phase - start[0]) / step
    speed_at_start = (end[1:] - before[1:]) / (end[0] - before[0]) * step
    speed_at_end = (after[1:] - start[1:]) / (after[0] - start[0]) * step
    return (
        (2 * t**3 - 3 * t**2 + 1) * start[1:]
        + (t**3 - 2 * t**2 + t) * speed_at_start
        + (3 * t**2 - 2 * t**3) * end[1:]
        + (t**3 - t**2) * speed_at_end
    )


def world_from_optical_at(time_secs: float, round_secs: float) -> np.ndarray:
    """Pose `[4, 4]` of the optical frame at a time, where one round takes `round_secs`."""
    azimuth_deg, elevation_deg, distance_m, x, y = _between_waypoints(time_secs / round_secs)
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    target = np.array([x, y, LOOKED_AT_HEIGHT_M])
    direction = np.array(
        [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    return look_at(target + distance_m * direction, target)
