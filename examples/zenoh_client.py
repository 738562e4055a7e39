"""A robot without ROS that asks an Owlet node over zenoh. Needs the package eclipse-zenoh, which
the Python of `make setup` has.

usage: .cache/venv/bin/python examples/zenoh_client.py PICTURE --prompt TEXT [--prompt TEXT]
           [--node owlet] [--connect tcp/127.0.0.1:7447]

Prints three lines of JSON: the prompts that are in use now, what the node finds in the picture when
it is asked (`detect`), and what it publishes when the picture comes as a frame of a camera.
"""

import argparse
import json
import pathlib
import sys
import time

import zenoh

PATIENCE_SECS = 60


def ask(session: zenoh.Session, key: str, payload: bytes, encoding: str) -> dict:
    """The answer to a query; an error reply ends the program with its reasons."""
    for reply in session.get(key, payload=payload, encoding=encoding, timeout=PATIENCE_SECS):
        if reply.ok is None:
            sys.exit(f"{key}: {reply.err.payload.to_string()}")
        return json.loads(reply.ok.payload.to_string())
    sys.exit(f"{key}: nobody answers")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("picture", type=pathlib.Path, help="JPEG or PNG")
    parser.add_argument("--prompt", action="append", required=True, help="what to look for")
    parser.add_argument("--node", default="owlet", help="name of the node")
    parser.add_argument("--connect", default="tcp/127.0.0.1:7447", help="endpoint of the router")
    args = parser.parse_args()
    node = f"owlet/{args.node}"
    encoding = "image/png" if args.picture.suffix == ".png" else "image/jpeg"
    picture = args.picture.read_bytes()

    config = zenoh.Config()
    config.insert_json5("mode", '"client"')
    config.insert_json5("connect/endpoints", json.dumps([args.connect]))
    config.insert_json5("scouting/multicast/enabled", "false")
    with zenoh.open(config) as session:
        prompts = json.dumps({"prompts": args.prompt}).encode()
        print(json.dumps(ask(session, f"{node}/prompts", prompts, "application/json")))
        print(json.dumps(ask(session, f"{node}/detect", picture, encoding)))

        stamp_ns = time.time_ns()
        with session.declare_subscriber(f"{node}/detections/example") as detections:
            session.put(
                f"{node}/camera/example/image",
                picture,
                encoding=encoding,
                congestion_control=zenoh.CongestionControl.BLOCK,  # a single frame must arrive
                attachment=json.dumps({"stamp_ns": stamp_ns, "frame_id": "example"}),
            )
            for sample in detections:
                found = json.loads(sample.payload.to_string())
                if found["stamp_ns"] == stamp_ns:
                    print(json.dumps(found))
                    break


if __name__ == "__main__":
    main()
