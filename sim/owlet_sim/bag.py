"""Writes what a camera sees on its way around a table as a rosbag2 recording in MCAP.

    /camera/color/image_raw/compressed             sensor_msgs/CompressedImage, JPEG
    /camera/depth/image_rect_raw/compressedDepth   sensor_msgs/CompressedImage, 16UC1 as PNG
    /camera/color/camera_info                      sensor_msgs/CameraInfo, of both
    /tf, /tf_static                                tf2_msgs/TFMessage
    /ground_truth/detections                       vision_msgs/Detection2DArray
    /ground_truth/detections_3d                    vision_msgs/Detection3DArray

Uncompressed images are `/camera/color/image_raw` and `/camera/depth/image_rect_raw`. The writer is
the Python package rosbags, which shares no code with Owlet. The same arguments give the same bytes
on one machine.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from . import messages, path
from .scene import Observation
from .tabletop import Tabletop, Thing

START_NS = 1_700_000_000_000_000_000
# The recorder hears of a frame a little after its stamp, as on a robot.
HEARD_AFTER_NS = 12_000_000

_ENDLESS = QosTime(9223372036, 854775807)


def _qos(reliability: QosReliability, durability: QosDurability, depth: int) -> Qos:
    liveliness, history = QosLiveliness.AUTOMATIC, QosHistory.KEEP_LAST
    return Qos(history, depth, reliability, durability, _ENDLESS, _ENDLESS, liveliness, _ENDLESS, False)


SENSOR = _qos(QosReliability.BEST_EFFORT, QosDurability.VOLATILE, 5)
RELIABLE = _qos(QosReliability.RELIABLE, QosDurability.VOLATILE, 100)
LATCHED = _qos(QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, 1)


@dataclass(frozen=True)
class Topic:
    """A topic of the recording."""

    name: str
    kind: str
    """Full name of its message type."""
    qos: Qos


def write(
    out: Path,
    seed: int,
    things: list[Thing],
    seconds: float,
    rate_hz: float,
    size_px: tuple[int, int],
    raw: bool = False,
) -> int:
    """Writes the folder `out`, which must not be there yet: one round of the camera in `seconds`.
    Gives the number of frames."""
    if out.exists():
        raise FileExistsError(f"{out} is there already")
    frames = max(1, round(seconds * rate_hz))
    scene = Tabletop(seed, things, size_px)
    bag = Writer(out, version=9, storage_plugin=StoragePlugin.MCAP)
    # Chunks of zstd: poses and covariances are mostly zeros.
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    try:
        with bag:
            static = _add(bag, Topic("/tf_static", "tf2_msgs/msg/TFMessage", LATCHED))
            static(START_NS, messages.static_transforms(START_NS))
            outlets = [(_add(bag, topic), make) for topic, make in _topics(raw)]
            for frame in range(frames):
                since_start_secs = frame / rate_hz
                stamp_ns = START_NS + round(since_start_secs * 1e9)
                pose = path.world_from_optical_at(since_start_secs, seconds)
                observation = scene.observe(scene.camera_at(pose, path.FOV_Y_RAD))
                for outlet, make in outlets:
                    outlet(stamp_ns + HEARD_AFTER_NS, make(stamp_ns, observation))
    finally:
        scene.close()
    return frames


def _topics(raw: bool) -> list[tuple[Topic, Callable[[int, Observation], Any]]]:
    """The topics of every frame, and what makes their messages from a stamp and an observation."""
    color, depth = "/camera/color/image_raw", "/camera/depth/image_rect_raw"
    if raw:
        image = "sensor_msgs/msg/Image"
        images = [
            (Topic(color, image, SENSOR), messages.image),
            (Topic(depth, image, SENSOR), messages.depth_image),
        ]
    else:
        image = "sensor_msgs/msg/CompressedImage"
        images = [
            (Topic(f"{color}/compressed", image, SENSOR), messages.compressed_image),
            (Topic(f"{depth}/compressedDepth", image, SENSOR), messages.compressed_depth),
        ]
    boxes_2d, boxes_3d = "vision_msgs/msg/Detection2DArray", "vision_msgs/msg/Detection3DArray"
    return [
        (Topic("/tf", "tf2_msgs/msg/TFMessage", RELIABLE), messages.camera_transform),
        (Topic("/camera/color/camera_info", "sensor_msgs/msg/CameraInfo", SENSOR), messages.camera_info),
        *images,
        (Topic("/ground_truth/detections", boxes_2d, RELIABLE), messages.detections_2d),
        (Topic("/ground_truth/detections_3d", boxes_3d, RELIABLE), messages.detections_3d),
    ]


def _add(bag: Writer, topic: Topic) -> Callable[[int, Any], None]:
    """Adds a topic; gives what writes a message to it at a time in nanoseconds."""
    connection = bag.add_connection(topic.name, topic.kind, typestore=messages.STORE, offered_qos_profiles=[topic.qos])
    return lambda at_ns, message: bag.write(connection, at_ns, messages.STORE.serialize_cdr(message, topic.kind))
