"""A node of ROS 2 as rmw_zenoh has them, from nothing but zenoh's own client and rosbags' own CDR.

    rmw_zenoh_peer.py ENDPOINT DOMAIN NODE JPEG DEFINITIONS MSG

NODE is the full name of an Owlet node in DOMAIN. DEFINITIONS is a folder with the definitions of
messages that rosbags does not bring (`vision_msgs__msg__Detection2DArray.txt`), MSG the package
`owlet_msgs`. The peer looks at the graph, sends JPEG as a camera, reads detections, calls every
service, and comes late to what is latched. It prints what it saw as JSON.
"""

import json
import struct
import sys
import time
from pathlib import Path

import numpy
import zenoh
import zenoh.ext
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

PATIENCE_SECS = 60
GID = bytes(range(16))


def attachment(sequence_number: int) -> bytes:
    """Sequence number, stamp, and the sender's id with its length before it."""
    return struct.pack("<qqB16s", sequence_number, time.time_ns(), len(GID), GID)


def read_attachment(sample) -> dict:
    raw = sample.attachment.to_bytes()
    number, stamp, length, gid = struct.unpack("<qqB16s", raw)
    return {"sequence_number": number, "stamp": stamp, "gid_bytes": length, "gid": list(gid)}


def dds(name: str) -> str:
    package, kind, short = name.split("/")
    return f"{package}::{kind}::dds_::{short}_"


class Peer:
    def __init__(self, endpoint: str, domain: int, definitions: Path, msg: Path):
        self.domain = domain
        self.types = get_typestore(Stores.ROS2_JAZZY)
        for path in sorted(definitions.iterdir()):
            name = path.stem.replace("__", "/")
            self.types.register(get_types_from_msg(path.read_text(), name))
        added = {}
        for path in sorted((msg / "msg").glob("*.msg")):
            added.update(get_types_from_msg(path.read_text(), f"owlet_msgs/msg/{path.stem}"))
        for path in sorted((msg / "srv").glob("*.srv")):
            request, response = path.read_text().split("\n---\n")
            if not any(line and not line.startswith("#") for line in request.splitlines()):
                # As rosidl does for what has no fields.
                request = "uint8 structure_needs_at_least_one_member"
            # rosbags knows messages only.
            added.update(get_types_from_msg(request, f"owlet_msgs/msg/{path.stem}_Request"))
            added.update(get_types_from_msg(response, f"owlet_msgs/msg/{path.stem}_Response"))
        self.types.register(added)
        config = zenoh.Config()
        config.insert_json5("mode", '"client"')
        config.insert_json5("connect/endpoints", json.dumps([endpoint]))
        config.insert_json5("scouting/multicast/enabled", "false")
        self.session = zenoh.open(config)
        self.tokens = []

    def key(self, topic: str, name: str) -> str:
        return f"{self.domain}/{topic.strip('/')}/{dds(name)}/{self.types.hash_rihs01(name)}"

    def announce(self, entity: int, kind: str, topic: str, name: str, qos: str):
        """A liveliness token: somebody who looks at the graph sees this endpoint."""
        zid = self.session.info.zid()
        mangled = topic.replace("/", "%")
        end = f"/{mangled}/{dds(name)}/{self.types.hash_rihs01(name)}/{qos}" if topic else ""
        key = f"@ros2_lv/{self.domain}/{zid}/0/{entity}/{kind}/%/%/peer{end}"
        self.tokens.append(self.session.liveliness().declare_token(key))

    def graph(self) -> list[str]:
        replies = self.session.liveliness().get(f"@ros2_lv/{self.domain}/**", timeout=5)
        return [str(reply.ok.key_expr) for reply in replies]

    def make(self, name: str, /, **fields):
        return self.types.types[name](**fields)

    def encode(self, message) -> bytes:
        return bytes(self.types.serialize_cdr(message, message.__msgtype__))

    def decode(self, payload, name: str):
        return self.types.deserialize_cdr(payload.to_bytes(), name)

    def header(self, stamp: tuple[int, int], frame_id: str):
        stamp = self.make("builtin_interfaces/msg/Time", sec=stamp[0], nanosec=stamp[1])
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def call(self, service: str, name: str, token: str, sequence_number: int, /, **fields):
        """Asks as a client of rmw_zenoh does; the service's key stands in its token."""
        parts = token.split("/")
        dds_name, type_hash = parts[10].replace("%", "/"), parts[11]
        assert dds_name == dds(name), (dds_name, name)
        as_message = name.replace("/srv/", "/msg/")
        request = self.make(f"{as_message}_Request", **fields)
        replies = self.session.get(
            f"{self.domain}/{service.strip('/')}/{dds_name}/{type_hash}",
            payload=self.encode(request),
            attachment=attachment(sequence_number),
            timeout=PATIENCE_SECS,
        )
        reply = next(iter(replies))
        if reply.ok is None:
            raise SystemExit(f"{service}: {reply.err.payload.to_string()}")
        return self.decode(reply.ok.payload, f"{as_message}_Response"), read_attachment(reply.ok)


def detections_of(message) -> dict:
    return {
        "stamp": [message.header.stamp.sec, message.header.stamp.nanosec],
        "frame_id": message.header.frame_id,
        "detections": [
            {
                "prompt": one.results[0].hypothesis.class_id,
                "score": one.results[0].hypothesis.score,
                "id": one.id,
                "box_px": [
                    one.bbox.center.position.x - 0.5 * one.bbox.size_x,
                    one.bbox.center.position.y - 0.5 * one.bbox.size_y,
                    one.bbox.center.position.x + 0.5 * one.bbox.size_x,
                    one.bbox.center.position.y + 0.5 * one.bbox.size_y,
                ],
            }
            for one in message.detections
        ],
    }


def main():
    endpoint, domain, node, jpeg, definitions, msg = sys.argv[1:]
    peer = Peer(endpoint, int(domain), Path(definitions), Path(msg))
    seen = {}

    # The graph: every endpoint of the node, with its type, hash and quality of service.
    tokens = [token for token in peer.graph() if f"/%/%/{node.strip('/')}" in token]
    seen["tokens"] = [token.split("/", 5)[5] for token in tokens]
    services = {part[9].replace("%", "/"): token for token in tokens for part in [token.split("/")] if part[5] == "SS"}

    # A reader, then a camera.
    detections_type, image_type = "vision_msgs/msg/Detection2DArray", "sensor_msgs/msg/CompressedImage"
    found = peer.session.declare_subscriber(peer.key(f"{node}/detections", detections_type))
    peer.announce(1, "MS", f"{node}/detections", detections_type, "::,10:,:,:,,")
    peer.announce(0, "NN", "", "", "")
    camera = peer.session.declare_publisher(peer.key("/image/compressed", image_type))
    peer.announce(2, "MP", "/image/compressed", image_type, "2::,5:,:,:,,")
    data = numpy.frombuffer(Path(jpeg).read_bytes(), dtype=numpy.uint8)
    seen["found"] = []
    for number in (1, 2):
        # The subscriptions have to find each other first.
        for attempt in range(PATIENCE_SECS):
            image = peer.make(image_type, header=peer.header((17, number), "peer_optical"), format="jpeg", data=data)
            camera.put(peer.encode(image), attachment=attachment(number))
            sample = None
            for _ in range(100):
                sample = found.try_recv()
                if sample is not None:
                    break
                time.sleep(0.01)
            if sample is not None:
                break
        else:
            raise SystemExit("no detections")
        message = peer.decode(sample.payload, detections_type)
        seen["found"].append({**detections_of(message), "attachment": read_attachment(sample)})

    # Whoever comes late.
    info_type = "vision_msgs/msg/VisionInfo"
    late = zenoh.ext.declare_advanced_subscriber(
        peer.session,
        peer.key(f"{node}/vision_info", info_type),
        history=zenoh.ext.HistoryConfig(detect_late_publishers=True, max_samples=1),
        subscriber_detection=True,
    )
    info = peer.decode(late.recv().payload, info_type)
    seen["vision_info"] = [info.method, info.database_location, info.database_version]

    # Services.
    def call(service, name, number, /, **fields):
        return peer.call(f"{node}/{service}", name, services[f"{node}/{service}"], number, **fields)

    none = numpy.array([], dtype=numpy.float32)
    got, attached = call("get_prompts", "owlet_msgs/srv/GetPrompts", 41, structure_needs_at_least_one_member=0)
    seen["get_prompts"] = {
        "version": got.prompt_set.version,
        "names": [prompt.name for prompt in got.prompt_set.prompts],
        "attachment": attached,
    }

    def prompt(name, threshold=none):
        return peer.make("owlet_msgs/msg/Prompt", name=name, texts=[], exemplars=[], threshold=threshold, negative=False,
            asif=False, average=False, templates=[], finer=[])

    seen["set_prompts"] = []
    any_version = numpy.array([], dtype=numpy.uint64)
    for number, (prompts, replaces) in enumerate(
        [
            ([prompt("a dog", numpy.array([0.05], dtype=numpy.float32))], any_version),
            ([prompt("x"), prompt("x")], any_version),
            ([prompt("a cat")], numpy.array([1], dtype=numpy.uint64)),
        ]
    ):
        answer, _ = call(
            "set_prompts",
            "owlet_msgs/srv/SetPrompts",
            50 + number,
            replaces=replaces,
            default_threshold=none,
            prompts=prompts,
        )
        seen["set_prompts"].append([answer.success, answer.version, answer.reasons])

    image = peer.make(image_type, header=peer.header((5, 6), "asked"), format="jpeg", data=data)
    seen["detect"] = []
    for images, camera_topic in [([image], ""), ([], ""), ([], "/image"), ([], "/nowhere")]:
        answer, _ = call(
            "detect",
            "owlet_msgs/srv/Detect",
            60,
            camera=camera_topic,
            image=[],
            compressed_image=images,
            prompts=[],
            default_threshold=none,
        )
        seen["detect"].append(
            {
                "success": answer.success,
                "message": answer.message,
                "prompts_version": answer.prompts_version,
                **detections_of(answer.detections),
            }
        )
    print(json.dumps(seen))
    peer.session.close()


if __name__ == "__main__":
    main()
