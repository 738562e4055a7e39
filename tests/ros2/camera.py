"""An RGB-D camera for ROS 2: publishes the pictures of a recording, over and over.

    python3 tests/ros2/camera.py samples/tabletop --rate 5 --depth

Needs a sourced ROS 2 and the PyPI packages rosbags, numpy and pillow. Pictures go out as they were
recorded, with the time of their sending as stamp, and the calibration with each of them. With
--depth also their depth, as 16UC1 in mm, and the transforms of their moment.
"""

import argparse
import io
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import rclpy
from PIL import Image as Picture
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

# A PNG of compressedDepth stands behind twelve bytes that only float depth needs.
COMPRESSED_DEPTH_HEADER = 12
# Four bytes say how a message is serialized (1 in the second: little-endian); its header follows.
HEADER_AT = 4


@dataclass
class Moment:
    """All that was recorded with one picture, serialized."""

    image: bytes = b""
    info: bytes = b""
    depth: bytes = b""
    transforms: bytes = b""
    # What is true, by topic.
    truth: dict[str, bytes] = field(default_factory=dict)

    @property
    def recorded_ns(self) -> int:
        """The stamp of the picture."""
        seconds, nanoseconds = struct.unpack_from(header_order(self.image), self.image, HEADER_AT)
        return seconds * 10**9 + nanoseconds


def moments(bag: Path) -> tuple[list[Moment], bytes]:
    """The pictures of a recording with what belongs to them, and the transforms that stay."""
    found, fixed = {}, b""
    with AnyReader([bag]) as reader:
        for connection, logged_ns, message in reader.messages():
            topic, kind = connection.topic, connection.msgtype.rpartition("/")[2]
            raw = bytes(message)
            if topic == "/tf_static":
                fixed = raw
                continue
            moment = found.setdefault(logged_ns, Moment())
            match kind:
                case "CompressedImage" if "depth" in topic.lower():
                    moment.depth = raw
                case "CompressedImage":
                    moment.image = raw
                case "CameraInfo":
                    moment.info = raw
                case "TFMessage":
                    moment.transforms = raw
                case _:
                    moment.truth[topic] = raw
    pictures = [moment for moment in found.values() if moment.image]
    if not pictures:
        raise SystemExit(f"{bag}: expected pictures (sensor_msgs/msg/CompressedImage), found none")
    return pictures, fixed


def header_order(message: bytes) -> str:
    """How the stamp of a serialized message that begins with a header is packed."""
    return "<iI" if message[1] & 1 else ">iI"


def stamped(message: bytes, stamp_ns: int) -> bytes:
    """A serialized message that begins with a header, with another stamp in it."""
    changed = bytearray(message)
    struct.pack_into(header_order(message), changed, HEADER_AT, *divmod(stamp_ns, 10**9))
    return bytes(changed)


def depth_image(message: bytes, stamp_ns: int) -> Image:
    """A message of compressedDepth (16UC1) as the image that a depth camera publishes."""
    packed = deserialize_message(stamped(message, stamp_ns), CompressedImage)
    png = bytes(packed.data)[COMPRESSED_DEPTH_HEADER:]
    millimetres = numpy.asarray(Picture.open(io.BytesIO(png))).astype("<u2")
    height, width = millimetres.shape
    return Image(
        header=packed.header, height=height, width=width, encoding="16UC1", step=2 * width,
        data=millimetres.tobytes(),
    )  # fmt: skip


class Camera(Node):
    """Publishes pictures one by one."""

    def __init__(
        self, bag: Path, topic: str, has_depth: bool = False, period_ns: int | None = None
    ) -> None:
        """Stamps are `period_ns` apart where that is given, or else the time of their sending."""
        super().__init__("camera")
        self.moments, fixed = moments(bag)
        sensor, beside = qos_profile_sensor_data, topic.rpartition("/")[0]
        self.images = self.create_publisher(CompressedImage, f"{topic}/compressed", sensor)
        self.infos = self.create_publisher(CameraInfo, f"{beside}/camera_info", sensor)
        self.depths = self.transforms = None
        if has_depth:
            self.depths = self.create_publisher(Image, f"{beside}/depth", sensor)
            self.transforms = self.create_publisher(TFMessage, "/tf", 100)
            stays = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_publisher(TFMessage, "/tf_static", stays).publish(fixed)
        self.sent = 0
        self.start, self.period_ns = self.get_clock().now(), period_ns

    def send(self, which: int | None = None) -> tuple[int, int]:
        """Sends a picture, or the next one: when it was recorded, and its new stamp, both in ns."""
        which = self.sent if which is None else which
        moment = self.moments[which % len(self.moments)]
        if self.period_ns is None:
            stamp = self.get_clock().now()
        else:
            stamp = self.start + Duration(nanoseconds=self.sent * self.period_ns)
        stamp_ns = stamp.nanoseconds
        if self.transforms and moment.transforms:
            message = deserialize_message(moment.transforms, TFMessage)
            for transform in message.transforms:
                transform.header.stamp = stamp.to_msg()
            self.transforms.publish(message)
        if moment.info:
            self.infos.publish(stamped(moment.info, stamp_ns))
        if self.depths and moment.depth:
            self.depths.publish(depth_image(moment.depth, stamp_ns))
        self.images.publish(stamped(moment.image, stamp_ns))
        self.sent += 1
        return moment.recorded_ns, stamp_ns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate", type=float, default=5.0, help="pictures in a second")
    parser.add_argument("--topic", default="/camera/color/image_raw")
    parser.add_argument("--depth", action="store_true", help="depth and transforms, too")
    arguments = parser.parse_args()
    rclpy.init()
    camera = Camera(arguments.bag, arguments.topic, arguments.depth)
    camera.create_timer(1.0 / arguments.rate, camera.send)
    try:
        rclpy.spin(camera)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass


if __name__ == "__main__":
    main()
