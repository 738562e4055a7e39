"""A camera for ROS 2: publishes the compressed pictures of a recording, over and over.

    python3 tests/ros2/camera.py samples/tabletop --rate 5

Needs a sourced ROS 2 and the PyPI package rosbags. Messages go out as they were recorded, with the
time of their sending as stamp; the camera's calibration goes with each of them.
"""

import argparse
import struct
from pathlib import Path

import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CameraInfo, CompressedImage

COMPRESSED = "sensor_msgs/msg/CompressedImage"
CALIBRATION = "sensor_msgs/msg/CameraInfo"


def pictures(bag: Path) -> tuple[list[tuple[int, bytes]], bytes]:
    """The colour pictures of a recording, each with its stamp in ns, and the first calibration."""
    found, calibration = [], b""
    with AnyReader([bag]) as reader:
        for connection, stamp_ns, message in reader.messages():
            if connection.msgtype == COMPRESSED and "depth" not in connection.topic:
                found.append((stamp_ns, bytes(message)))
            elif connection.msgtype == CALIBRATION and not calibration:
                calibration = bytes(message)
    if not found:
        raise SystemExit(f"{bag}: expected pictures ({COMPRESSED}), found none")
    return found, calibration


def stamped(message: bytes, stamp_ns: int) -> bytes:
    """A serialized message that begins with a header, with another stamp in it."""
    changed = bytearray(message)
    # Behind the four bytes that say how it is serialized; 1 there is little-endian.
    order = "<" if message[1] & 1 else ">"
    struct.pack_into(f"{order}iI", changed, 4, *divmod(stamp_ns, 10**9))
    return bytes(changed)


class Camera(Node):
    """Publishes pictures one by one."""

    def __init__(self, bag: Path, topic: str, **options) -> None:
        super().__init__("camera", **options)
        self.frames, self.calibration = pictures(bag)
        self.images = self.create_publisher(
            CompressedImage, f"{topic}/compressed", qos_profile_sensor_data
        )
        self.infos = self.create_publisher(
            CameraInfo, f"{topic.rpartition('/')[0]}/camera_info", qos_profile_sensor_data
        )
        self.sent = 0

    def send(self) -> tuple[int, int]:
        """Sends the next picture: when it was recorded, and its new stamp, both in ns."""
        recorded_ns, message = self.frames[self.sent % len(self.frames)]
        stamp_ns = self.get_clock().now().nanoseconds
        if self.calibration:
            self.infos.publish(stamped(self.calibration, stamp_ns))
        self.images.publish(stamped(message, stamp_ns))
        self.sent += 1
        return recorded_ns, stamp_ns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path)
    parser.add_argument("--rate", type=float, default=5.0, help="pictures in a second")
    parser.add_argument("--topic", default="/camera/color/image_raw")
    arguments = parser.parse_args()
    rclpy.init()
    camera = Camera(arguments.bag, arguments.topic)
    camera.create_timer(1.0 / arguments.rate, camera.send)
    try:
        rclpy.spin(camera)
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass


if __name__ == "__main__":
    main()
