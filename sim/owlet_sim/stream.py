"""Streams what a camera sees on its endless way around a table over zenoh, live, as a robot does.

For a node NODE and a camera CAMERA each frame is published on

    owlet/NODE/camera/CAMERA/image         image/jpeg; what `owlet run` listens to
    owlet/NODE/camera/CAMERA/depth         image/png, 16-bit grey, millimetres, 0 = unknown
    owlet/NODE/camera/CAMERA/camera_info   application/json: width, height, distortion_model, d, k, p
    owlet/NODE/tf                          application/json: where the camera is in the world
    owlet/NODE/tf_static                   application/json: where its optical frame and the robot's base are; once, and
                                           to whoever asks
    sim/CAMERA/truth                       application/json: what there is to be found, and where

Image and depth carry an attachment, JSON: `{"stamp_ns": ..., "frame_id": ...}`; the JSON payloads
have both among their keys. Time goes on while a picture is drawn: a frame that is late shows the
scene as it is then, and those that could not be drawn in time are skipped and counted.
"""

import json
import signal
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import zenoh

from . import messages, path, truth
from .scene import Observation
from .tabletop import Tabletop, Thing
from .truth import Pose

TELL_EVERY_SECS = 5.0


@dataclass(frozen=True)
class StreamConfig:
    """What to stream, and where to."""

    node: str
    camera: str
    things: list[Thing]
    seed: int = 0
    size_px: tuple[int, int] = (640, 480)
    rate_hz: float = 5.0
    round_secs: float = 12.0
    """Time in which the camera goes round the table once."""
    frames: int | None = None
    """Frames after which the stream ends; None for no end."""
    connect: list[str] = field(default_factory=list)
    """zenoh endpoints of routers or peers, such as `tcp/127.0.0.1:7447`."""
    listen: list[str] = field(default_factory=list)
    """zenoh endpoints to be found at."""


@dataclass
class StreamCounts:
    """What became of the frames."""

    sent: int = 0
    skipped: int = 0
    """Frames whose time was over before the one ahead of them was drawn."""


def camera_info(observation: Observation) -> dict[str, Any]:
    """The camera as sensor_msgs/CameraInfo names its fields; lengths in pixels, whose centres are
    whole numbers."""
    camera = observation.camera
    (cx, cy), f = camera.centre_px, camera.focal_px
    return {
        "width": camera.width_px,
        "height": camera.height_px,
        "distortion_model": "plumb_bob",
        "d": [0.0] * 5,
        "k": [f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0],
        "p": [f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
    }


def truth_of(observation: Observation) -> dict[str, Any]:
    """All objects of which anything shows. `box_px`: x0, y0, x1, y1 of the visible part, where 0 is
    the left (upper) edge of the first pixel; position and quaternion: the centre and the axes of
    the whole object's box in the optical frame; `size_m` along those axes."""
    objects = []
    for seen in observation.seen:
        pose = truth.box_in_optical(seen, observation.camera)
        objects.append(
            {
                "name": seen.object.name,
                "number": seen.object.number,
                "box_px": seen.box_px,
                "position_m": pose.position_m,
                "quaternion_xyzw": pose.quaternion_xyzw,
                "size_m": seen.object.extent_m.tolist(),
                "visible_share": seen.visible_share,
                "hardly_visible": truth.is_hardly_visible(seen, observation.camera),
            }
        )
    pose = truth.pose_of(observation.camera.world_from_optical)
    return {
        "width": observation.camera.width_px,
        "height": observation.camera.height_px,
        "camera_in_world": {"position_m": pose.position_m, "quaternion_xyzw": pose.quaternion_xyzw},
        "objects": objects,
    }


def transforms(stamp_ns: int, edges: list[tuple[str, str, Pose]]) -> str:
    """Transforms as JSON, from parents, children and the children's poses in them."""
    return json.dumps(
        {
            "transforms": [
                {
                    "stamp_ns": stamp_ns,
                    "frame_id": parent,
                    "child_frame_id": child,
                    "translation_m": pose.position_m,
                    "rotation_xyzw": pose.quaternion_xyzw,
                }
                for parent, child, pose in edges
            ]
        }
    )


class _Outlets:
    """The keys of one camera."""

    def __init__(self, session: zenoh.Session, node: str, camera: str) -> None:
        def publisher(key: str, encoding: zenoh.Encoding) -> zenoh.Publisher:
            # A robot's camera never waits for those who look.
            return session.declare_publisher(key, encoding=encoding, congestion_control=zenoh.CongestionControl.DROP)

        root = f"owlet/{node}/camera/{camera}"
        self.image = publisher(f"{root}/image", zenoh.Encoding.IMAGE_JPEG)
        self.depth = publisher(f"{root}/depth", zenoh.Encoding.IMAGE_PNG)
        self.info = publisher(f"{root}/camera_info", zenoh.Encoding.APPLICATION_JSON)
        self.truth = publisher(f"sim/{camera}/truth", zenoh.Encoding.APPLICATION_JSON)
        self.transforms = publisher(f"owlet/{node}/tf", zenoh.Encoding.APPLICATION_JSON)
        key, fixed = f"owlet/{node}/tf_static", transforms(0, messages.static_edges())
        self.fixed = session.declare_queryable(key, lambda query: query.reply(key, fixed))
        session.put(key, fixed, encoding=zenoh.Encoding.APPLICATION_JSON)

    def put(self, stamp_ns: int, observation: Observation) -> None:
        """Publishes one frame; its picture last, so that who has that has all."""
        taken = {"stamp_ns": stamp_ns, "frame_id": messages.OPTICAL}
        self.transforms.put(transforms(stamp_ns, [messages.camera_edge(observation)]))
        self.info.put(json.dumps({**taken, **camera_info(observation)}))
        self.truth.put(json.dumps({**taken, **truth_of(observation)}))
        attachment = json.dumps(taken)
        self.depth.put(messages.encoded_depth(observation), attachment=attachment)
        self.image.put(messages.encoded_jpeg(observation.rgb), attachment=attachment)


def run(config: StreamConfig) -> StreamCounts:
    """Streams until `config.frames` are sent, or SIGINT or SIGTERM comes. Says on stderr what it
    does.

    Raises zenoh.ZError for endpoints, a node or a camera that zenoh does not take.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    zenoh.init_log_from_env_or("error")
    with zenoh.open(_zenoh_config(config)) as session:
        outlets = _Outlets(session, config.node, config.camera)
        _tell(
            f"{config.size_px[0]}x{config.size_px[1]} at {config.rate_hz:g} Hz on {outlets.image.key_expr}; "
            f"connects to {', '.join(config.connect) or 'nobody'}, listens at {', '.join(config.listen) or 'nothing'}"
        )
        _tell("on the table: " + ", ".join(f"{thing.colour} {thing.kind}" for thing in config.things))
        scene = Tabletop(config.seed, config.things, config.size_px)
        try:
            counts = _stream(config, scene, outlets, stop)
        finally:
            scene.close()
    _tell(f"ended: {counts.sent} frames sent, {counts.skipped} skipped")
    return counts


def _zenoh_config(config: StreamConfig) -> zenoh.Config:
    made = zenoh.Config()
    made.insert_json5("mode", '"peer"')
    made.insert_json5("scouting/multicast/enabled", "false")
    made.insert_json5("connect/endpoints", json.dumps(config.connect))
    made.insert_json5("listen/endpoints", json.dumps(config.listen))
    return made


def _stream(config: StreamConfig, scene: Tabletop, outlets: _Outlets, stop: threading.Event) -> StreamCounts:
    counts = StreamCounts()
    # The first picture sets up the renderer, which takes its time.
    scene.observe(scene.camera_at(path.world_from_optical_at(0.0, config.round_secs), path.FOV_Y_RAD))
    start_secs = told_secs = time.monotonic()
    slot, listened = 0, False
    while not stop.wait(max(0.0, start_secs + slot / config.rate_hz - time.monotonic())):
        since_start_secs = time.monotonic() - start_secs
        pose = path.world_from_optical_at(since_start_secs, config.round_secs)
        stamp_ns = time.time_ns()
        outlets.put(stamp_ns, scene.observe(scene.camera_at(pose, path.FOV_Y_RAD)))
        counts.sent += 1
        if config.frames is not None and counts.sent >= config.frames:
            break
        now_secs = time.monotonic()
        next_slot = max(slot + 1, int((now_secs - start_secs) * config.rate_hz))
        counts.skipped += next_slot - slot - 1
        slot = next_slot
        if outlets.image.matching_status.matching != listened:
            listened = not listened
            _tell("somebody listens" if listened else "nobody listens any more")
        if now_secs - told_secs >= TELL_EVERY_SECS:
            told_secs = now_secs
            slow = f", too slow for {config.rate_hz:g} Hz: {counts.skipped} skipped" if counts.skipped else ""
            _tell(f"{counts.sent} frames sent{slow}")
    return counts


def _tell(text: str) -> None:
    print(f"owlet_sim stream: {text}", file=sys.stderr, flush=True)
