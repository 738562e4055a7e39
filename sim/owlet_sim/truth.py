"""What is true of one object in one picture, in the forms that data sets, recordings and streams
share."""

from dataclasses import dataclass

import mujoco
import numpy as np

from .scene import Camera, Observation, Seen

# Less than this share of an object's box, or fewer pixels at 320x240, and nobody could name it.
LEAST_VISIBLE_SHARE = 0.35
LEAST_VISIBLE_PX = 45
LEAST_VISIBLE_OF_PX = 320 * 240


@dataclass(frozen=True)
class Pose:
    """A position in metres and a rotation as a quaternion `x, y, z, w` with `w` not negative."""

    position_m: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]


def is_hardly_visible(seen: Seen, camera: Camera) -> bool:
    """Whether so little of an object shows that to find it is neither right nor wrong."""
    least_px = LEAST_VISIBLE_PX * camera.width_px * camera.height_px / LEAST_VISIBLE_OF_PX
    return seen.visible_share < LEAST_VISIBLE_SHARE or seen.visible_px < least_px


def pose_of(parent_from_child: np.ndarray) -> Pose:
    """The pose that a rigid transform `[4, 4]` stands for."""
    wxyz = np.zeros(4)
    mujoco.mju_mat2Quat(wxyz, np.ascontiguousarray(parent_from_child[:3, :3]).ravel())
    w, x, y, z = (wxyz if wxyz[0] >= 0 else -wxyz).tolist()
    px, py, pz = parent_from_child[:3, 3].tolist()
    return Pose((px, py, pz), (x, y, z, w))


def box_in_optical(seen: Seen, camera: Camera) -> Pose:
    """Pose of the object's bounding box in the optical frame: its centre, and the object's own
    axes. The box's size along them is `seen.object.extent_m`."""
    optical_from_world = np.linalg.inv(camera.world_from_optical)
    optical_from_box = optical_from_world @ seen.world_from_object
    optical_from_box[:3, 3] += optical_from_box[:3, :3] @ seen.object.centre_in_object_m
    return pose_of(optical_from_box)


def depth_in_mm(observation: Observation) -> np.ndarray:
    """Depth as cameras send it: u16 `[height, width]`, millimetres, rounded."""
    return np.clip(observation.depth_m * 1000 + 0.5, 0, np.iinfo(np.uint16).max).astype(np.uint16)
