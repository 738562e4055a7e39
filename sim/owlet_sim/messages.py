"""ROS 2 messages of what the simulated camera sees, and what is true of it.

Frames follow REP 103 and 105: `world` has z up and its origin on the table; `camera_link` is the
camera's body, x forward; the optical frame has z forward and y down. Depth is registered to colour:
both have the optical frame of the colour camera.
"""

import io
import struct
from typing import Any

import numpy as np
from PIL import Image
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from . import truth
from .scene import Observation
from .truth import Pose

WORLD, BASE, LINK = "world", "base_link", "camera_link"
OPTICAL = "camera_color_optical_frame"
JPEG_QUALITY = 80

# A robot's base at the edge of the table that the camera starts from, looking at its middle.
BASE_IN_WORLD = Pose((0.0, -0.6, 0.0), (0.0, 0.0, 0.5**0.5, 0.5**0.5))
# From a body's axes (x forward, z up) to those of a picture (z forward, y down).
LINK_FROM_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])

# vision_msgs 4.x, as far as it is used here; rosbags brings no definitions of it.
_VISION_MSGS = {
    "Point2D": "float64 x\nfloat64 y\n",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta\n",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y\n",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "Detection2D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox2D bbox\nstring id\n",
    "Detection3D": "std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
    "vision_msgs/BoundingBox3D bbox\nstring id\n",
    "Detection2DArray": "std_msgs/Header header\nvision_msgs/Detection2D[] detections\n",
    "Detection3DArray": "std_msgs/Header header\nvision_msgs/Detection3D[] detections\n",
}


def _make_store():
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name, text in _VISION_MSGS.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


STORE = _make_store()


def make(name: str, **fields: Any) -> Any:
    """A message of type `name`, such as `sensor_msgs/Image`."""
    return STORE.types[name.replace("/", "/msg/")](**fields)


def header(stamp_ns: int, frame_id: str = OPTICAL) -> Any:
    """std_msgs/Header."""
    stamp = make("builtin_interfaces/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/Header", stamp=stamp, frame_id=frame_id)


def encoded_jpeg(rgb: np.ndarray) -> bytes:
    """A picture as JPEG."""
    out = io.BytesIO()
    Image.fromarray(rgb).save(out, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return out.getvalue()


def encoded_depth(observation: Observation) -> bytes:
    """Depth as PNG: 16-bit grey, millimetres."""
    out = io.BytesIO()
    Image.fromarray(truth.depth_in_mm(observation)).save(out, "PNG", optimize=True)
    return out.getvalue()


def compressed_image(stamp_ns: int, observation: Observation) -> Any:
    """sensor_msgs/CompressedImage: the picture as JPEG."""
    data = np.frombuffer(encoded_jpeg(observation.rgb), np.uint8)
    return make("sensor_msgs/CompressedImage", header=header(stamp_ns), format="rgb8; jpeg compressed bgr8", data=data)


def compressed_depth(stamp_ns: int, observation: Observation) -> Any:
    """sensor_msgs/CompressedImage as compressed_depth_image_transport sends 16UC1: a head of an
    enumeration and two floats that only 32FC1 uses, then a PNG."""
    data = np.frombuffer(struct.pack("<iff", 0, 0.0, 0.0) + encoded_depth(observation), np.uint8)
    return make("sensor_msgs/CompressedImage", header=header(stamp_ns), format="16UC1; compressedDepth png", data=data)


def image(stamp_ns: int, observation: Observation) -> Any:
    """sensor_msgs/Image: the picture as rgb8."""
    return _raw_image(stamp_ns, "rgb8", observation.rgb)


def depth_image(stamp_ns: int, observation: Observation) -> Any:
    """sensor_msgs/Image: depth as 16UC1, millimetres (REP 118)."""
    return _raw_image(stamp_ns, "16UC1", truth.depth_in_mm(observation).astype("<u2"))


def _raw_image(stamp_ns: int, encoding: str, pixels: np.ndarray) -> Any:
    height, width = pixels.shape[:2]
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    return make(
        "sensor_msgs/Image",
        header=header(stamp_ns),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=len(data) // height,
        data=data,
    )


def camera_info(stamp_ns: int, observation: Observation) -> Any:
    """sensor_msgs/CameraInfo of a pinhole without distortion."""
    camera = observation.camera
    cx, cy = camera.centre_px
    k = np.array([[camera.focal_px, 0, cx], [0, camera.focal_px, cy], [0, 0, 1]])
    roi = make("sensor_msgs/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/CameraInfo",
        header=header(stamp_ns),
        height=camera.height_px,
        width=camera.width_px,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=k.ravel(),
        r=np.eye(3).ravel(),
        p=np.hstack([k, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def static_edges() -> list[tuple[str, str, Pose]]:
    """Where the robot's base and the optical frame are: parent, child, and the child's pose in it."""
    return [(WORLD, BASE, BASE_IN_WORLD), (LINK, OPTICAL, truth.pose_of(LINK_FROM_OPTICAL))]


def camera_edge(observation: Observation) -> tuple[str, str, Pose]:
    """Where the camera is, in the same form."""
    return (WORLD, LINK, truth.pose_of(observation.camera.world_from_optical @ LINK_FROM_OPTICAL.T))


def static_transforms(stamp_ns: int) -> Any:
    """tf2_msgs/TFMessage for /tf_static."""
    return make("tf2_msgs/TFMessage", transforms=[_transform(stamp_ns, *edge) for edge in static_edges()])


def camera_transform(stamp_ns: int, observation: Observation) -> Any:
    """tf2_msgs/TFMessage for /tf."""
    return make("tf2_msgs/TFMessage", transforms=[_transform(stamp_ns, *camera_edge(observation))])


def _transform(stamp_ns: int, parent: str, child: str, pose: Pose) -> Any:
    transform = make("geometry_msgs/Transform", translation=_xyz("Vector3", pose.position_m), rotation=_rotation(pose))
    return make(
        "geometry_msgs/TransformStamped",
        header=header(stamp_ns, parent),
        child_frame_id=child,
        transform=transform,
    )


def detections_2d(stamp_ns: int, observation: Observation) -> Any:
    """vision_msgs/Detection2DArray: the visible parts of all objects that can be recognised, in
    pixels, where 0 is the left (upper) edge of the first pixel."""
    detections = []
    for seen in observation.seen:
        if truth.is_hardly_visible(seen, observation.camera):
            continue
        x0, y0, x1, y1 = seen.box_px
        middle = make("vision_msgs/Point2D", x=(x0 + x1) / 2, y=(y0 + y1) / 2)
        center = make("vision_msgs/Pose2D", position=middle, theta=0.0)
        box = make("vision_msgs/BoundingBox2D", center=center, size_x=x1 - x0, size_y=y1 - y0)
        detections.append(_detection("vision_msgs/Detection2D", stamp_ns, seen, box, Pose((0, 0, 0), (0, 0, 0, 1))))
    return make("vision_msgs/Detection2DArray", header=header(stamp_ns), detections=detections)


def detections_3d(stamp_ns: int, observation: Observation) -> Any:
    """vision_msgs/Detection3DArray: the whole boxes of all objects of which anything shows, along
    the objects' own axes, in the optical frame."""
    detections = []
    for seen in observation.seen:
        pose = truth.box_in_optical(seen, observation.camera)
        size = _xyz("Vector3", seen.object.extent_m.tolist())
        box = make("vision_msgs/BoundingBox3D", center=_pose(pose), size=size)
        detections.append(_detection("vision_msgs/Detection3D", stamp_ns, seen, box, pose))
    return make("vision_msgs/Detection3DArray", header=header(stamp_ns), detections=detections)


def _detection(kind: str, stamp_ns: int, seen: Any, box: Any, pose: Pose) -> Any:
    hypothesis = make("vision_msgs/ObjectHypothesis", class_id=seen.object.name, score=1.0)
    with_covariance = make("geometry_msgs/PoseWithCovariance", pose=_pose(pose), covariance=np.zeros(36))
    result = make("vision_msgs/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=with_covariance)
    return make(kind, header=header(stamp_ns), results=[result], bbox=box, id=str(seen.object.number))


def _pose(pose: Pose) -> Any:
    return make("geometry_msgs/Pose", position=_xyz("Point", pose.position_m), orientation=_rotation(pose))


def _rotation(pose: Pose) -> Any:
    x, y, z, w = pose.quaternion_xyzw
    return make("geometry_msgs/Quaternion", x=x, y=y, z=z, w=w)


def _xyz(kind: str, values: Any) -> Any:
    x, y, z = values
    return make(f"geometry_msgs/{kind}", x=x, y=y, z=z)
