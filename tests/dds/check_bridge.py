"""Owlet and a robot that speaks DDS, with zenoh's own router and bridge between them.

    pip install cyclonedds==11.0.1 pillow rosbags==0.11.9 pycocotools==2.0.11
    cargo build
    (cd tests/dds/bridge && cargo build)
    python3 tests/dds/check_bridge.py

The bridge is zenoh-plugin-ros2dds in a zenoh router (`bridge/`); the robot is a participant of
CycloneDDS (`robot.py`). Frames of samples/tabletop go in as `sensor_msgs/CompressedImage` and, as
raw pixels, as `sensor_msgs/Image`; what comes back as `vision_msgs/Detection2DArray` is compared
with what transformers finds in them. Stops at the first failure. Everything keeps to loopback.
"""

import argparse
import io
import json
import os
import socket
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests/ros2"), str(Path(__file__).parent)]

from harness import BAG, FRAMES, PROMPTS, TOPIC, Failed, Program, compare, expect, until

# Nothing of DDS leaves the machine, and nobody else's is heard.
CYCLONEDDS = """<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo"/></Interfaces>
<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto</ParticipantIndex>
<MaxAutoParticipantIndex>30</MaxAutoParticipantIndex><Peers><Peer Address="localhost"/></Peers>
</Discovery></Domain></CycloneDDS>"""
# For each camera key of zenoh the camera is what the wildcard stands for.
KEYS = ["camera/*/image_raw/compressed", "raw/*/image_raw"]
RAW_TOPIC = "/raw/color_raw/image_raw"
ANSWERS = {
    "compressed": "/owlet/owlet/detections_cdr/color",
    "raw": "/owlet/owlet/detections_cdr/color_raw",
}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def bridge_config(folder: Path, port: int, domain: int) -> Path:
    """zenoh's configuration file of a router with the bridge in it."""
    config = {
        "mode": "router",
        "listen": {"endpoints": [f"tcp/127.0.0.1:{port}"]},
        "scouting": {"multicast": {"enabled": False}},
        "timestamping": {"enabled": True},
        "plugins_loading": {"enabled": True},
        "plugins": {"ros2dds": {"domain": domain, "nodename": "bridge"}},
    }
    path = folder / "bridge.json5"
    path.write_text(json.dumps(config))
    return path


def frames() -> list[tuple[int, str, bytes]]:
    """Stamp in ns, format and JPEG of the first pictures of the sample recording."""
    from rosbags.highlevel import AnyReader

    found = []
    with AnyReader([BAG]) as reader:
        wanted = [c for c in reader.connections if c.topic == f"{TOPIC}/compressed"]
        for connection, _, raw in reader.messages(connections=wanted):
            message = reader.deserialize(raw, connection.msgtype)
            stamp = message.header.stamp
            found.append((stamp.sec * 10**9 + stamp.nanosec, message.format, bytes(message.data)))
            if len(found) == FRAMES:
                return found
    raise Failed(f"{BAG}: expected {FRAMES} pictures, found {len(found)}")


def answers(robot, topic: str, send, recorded_ns: int):
    """Sends one frame until it is answered on the topic; nothing else is under way."""

    def answered():
        send()
        end = time.monotonic() + 2
        while time.monotonic() < end:
            for name, message in robot.take():
                stamp = message.header.stamp
                if (name, stamp.sec * 10**9 + stamp.nanosec) == (topic, recorded_ns):
                    return message
            time.sleep(0.01)
        return None

    return until(f"detections on {topic}", answered)


def check(robot) -> None:
    import numpy
    from PIL import Image as Picture
    from robot import CompressedImage, Header, Image, Time

    # The discovery of both sides.
    until("the bridge to take images", robot.has_readers)
    compressed, raw = [], []
    for stamp_ns, jpeg_format, jpeg in frames():
        header = Header(Time(*divmod(stamp_ns, 10**9)), "camera_color_optical_frame")
        picture = CompressedImage(header, jpeg_format, list(jpeg))
        pixels = numpy.asarray(Picture.open(io.BytesIO(jpeg)).convert("RGB"))
        height, width, _ = pixels.shape
        image = Image(header, height, width, "rgb8", 0, 3 * width, pixels.ravel().tolist())
        for writer, message, found, kind in [
            (robot.compressed, picture, compressed, "compressed"),
            (robot.images, image, raw, "raw"),
        ]:
            answer = answers(robot, ANSWERS[kind], lambda: writer.write(message), stamp_ns)
            found.append((stamp_ns, answer))
    for kind, found in [("CompressedImage", compressed), ("Image", raw)]:
        print(f"   {kind}: {compare(found)}")
    first = compressed[0][1]
    print(f"   the first answer: {first.header}")
    for detection in first.detections:
        best, box = detection.results[0].hypothesis, detection.bbox
        print(
            f"     {best.class_id:<16} {best.score:.3f}  at {box.center.position.x:.1f}, "
            f"{box.center.position.y:.1f} px, {box.size_x:.1f} x {box.size_y:.1f} px"
        )
    expect(first.detections, "the first frame has no detections")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--owlet", default=ROOT / "target/debug/owlet", type=Path)
    parser.add_argument(
        "--bridge", type=Path, default=ROOT / "tests/dds/bridge/target/debug/owlet-dds-bridge"
    )
    parser.add_argument("--domain", default=88, type=int, help="the ROS domain to keep to")
    arguments = parser.parse_args()
    # For this process and all that it starts.
    os.environ.update(CYCLONEDDS_URI=CYCLONEDDS, ROS_DISTRO="jazzy")
    from robot import Robot

    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = bridge_config(Path(folder), port, arguments.domain)
        bridge = Program(arguments.bridge, config)
        owlet = Program(
            arguments.owlet, "run", "--connect", f"tcp/127.0.0.1:{port}", "--prompts", PROMPTS,
            "--param", "zenoh_mode=client", "--param", "zenoh_cdr=true", "--param", "nms_iou=0.5",
            "--param", f"zenoh_images={json.dumps(KEYS)}",
        )  # fmt: skip
        try:
            until("the node", lambda: "ready: " in owlet.said() or owlet.process.poll() is not None)
            robot = Robot(arguments.domain, RAW_TOPIC, f"{TOPIC}/compressed", list(ANSWERS.values()))
            check(robot)
            code = owlet.interrupt()
            expect(code == 0, f"Ctrl-C: exit code {code}")
        except BaseException as failure:
            print(f"the bridge said\n{bridge.said()}\nowlet said\n{owlet.said()}")
            if isinstance(failure, Failed):
                sys.exit(f"FAILED: {failure}")
            raise
        finally:
            owlet.kill()
            bridge.kill()
    print("ok: a robot with DDS sends frames and gets detections")


if __name__ == "__main__":
    main()
