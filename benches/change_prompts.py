"""What a change of prompts costs a running node: frames as fast as they are answered, for some
seconds with the prompts left alone and for as many with ten new texts every second, in turns. With
--exemplars it is so many pictures that show something, none of them seen before, instead; with
--bank the texts are looked up in that bank of pairs, and with --teach each change is a pair more.

    python benches/change_prompts.py PICTURE [--model owlet-nano] [--seconds 10] [--turns 3]
                                             [--exemplars N | --bank BANK [--teach]]

Starts target/debug/owlet as a zenoh peer of its own (`pip install eclipse-zenoh pillow`). Prints a
line of JSON: the rate of both, how much it dropped, how long changes took until they were answered, and how
many frames that were answered after it still came from the set before (at most the one under way).
"""

import argparse
import base64
import io
import json
import pathlib
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import zenoh
from PIL import Image

ROOT = pathlib.Path(__file__).parent.parent
TEXTS = 10
WARM_UP_SECS = 2


def quiet(mode: str, **endpoints: list[str]) -> zenoh.Config:
    config = zenoh.Config()
    config.insert_json5("mode", json.dumps(mode))
    config.insert_json5("scouting/multicast/enabled", "false")
    for kind, listed in endpoints.items():
        config.insert_json5(f"{kind}/endpoints", json.dumps(listed))
    return config


class Camera:
    """Sends the next frame when the one before is answered, as long as it is asked to."""

    def __init__(self, session: zenoh.Session, node: str, picture: bytes, encoding: str) -> None:
        self.picture, self.encoding = picture, encoding
        self.publisher = session.declare_publisher(
            f"{node}/camera/front/image",
            encoding=encoding,
            congestion_control=zenoh.CongestionControl.BLOCK,
        )
        self.answered = threading.Semaphore(0)
        self.version, self.frames = 0, 0
        self.subscriber = session.declare_subscriber(f"{node}/detections/front", self._answer)

    def _answer(self, sample: zenoh.Sample) -> None:
        self.version = json.loads(sample.payload.to_string())["prompts_version"]
        self.frames += 1
        self.answered.release()

    def frame(self) -> None:
        self.publisher.put(self.picture)
        if not self.answered.acquire(timeout=60):
            raise SystemExit("no answer to a frame within a minute")

    def rate(self, seconds: float) -> float:
        frames, started = 0, time.monotonic()
        while (took := time.monotonic() - started) < seconds:
            self.frame()
            frames += 1
        return frames / took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=pathlib.Path)
    parser.add_argument("--model", default="owlet-nano")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--exemplars", type=int, default=0)
    parser.add_argument("--bank", type=pathlib.Path, help="a copy: --teach adds to it")
    parser.add_argument("--teach", action="store_true")
    args = parser.parse_args()
    encoding = "image/png" if args.picture.suffix == ".png" else "image/jpeg"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
    node = "owlet/bench"
    with zenoh.open(quiet("peer", listen=[endpoint])) as session, tempfile.NamedTemporaryFile("w", suffix=".json5") as file:
        file.write("{scouting: {multicast: {enabled: false}}}")
        file.flush()
        command = [ROOT / "target/debug/owlet", "run", "--node", "bench", "--model", args.model, "-q"]
        command += ["--connect", endpoint, "-p", "a red bowl", "--param", f"zenoh_config={file.name}"]
        command += ["--param", "text_cache=false"]
        if args.bank:
            command += ["--param", f"bank={args.bank}"]
        alive = session.liveliness().declare_subscriber(node, history=True)
        process = subprocess.Popen(command)
        try:
            alive.recv()
            print(json.dumps(measure(session, node, args, encoding)))
        finally:
            process.terminate()
            process.wait(10)


def new_texts(number: int, asif: bool) -> list:
    texts = [f"a red thing of number {number} and {n}" for n in range(TEXTS)]
    return [{"name": text, "asif": True} for text in texts] if asif else texts


def pictures(picture: pathlib.Path, number: int, count: int) -> list:
    """The one that is given, each time a few columns less of it, as data URLs."""
    image = Image.open(picture).convert("RGB")
    urls = []
    for n in range(count):
        jpeg = io.BytesIO()
        image.crop((number % 64 + 1, n + 1, *image.size)).save(jpeg, "JPEG", quality=90)
        urls.append("data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode())
    return urls


def change_of(args: argparse.Namespace, number: int) -> tuple[str, dict]:
    """The key that is asked, and what it is told."""
    if args.teach:
        name = f"a thing of number {number}"
        return "teach", {"name": "thing", "caption": name, "image": pictures(args.picture, number, 1)[0]}
    if args.exemplars:
        urls = pictures(args.picture, number, args.exemplars)
        things = [{"name": f"thing {n}", "exemplars": [{"image": url}]} for n, url in enumerate(urls)]
        return "prompts", {"prompts": things}
    return "prompts", {"prompts": new_texts(number, args.bank is not None)}


def measure(session: zenoh.Session, node: str, args: argparse.Namespace, encoding: str) -> dict:
    camera = Camera(session, node, args.picture.read_bytes(), encoding)
    # Made before the clock runs; a second more for each turn.
    changes = [change_of(args, number) for number in range(int(args.turns * (args.seconds + 1)) + 1)]
    first = json.dumps({"prompts": new_texts(-1, args.bank is not None)})
    # Also for the turns without a change there is something to look for.
    replies = list(session.get(f"{node}/prompts", payload=first, encoding="application/json", timeout=60))
    assert all(reply.ok for reply in replies), replies[0].err.payload.to_string()
    camera.rate(WARM_UP_SECS)
    answers_secs: list[float] = []
    late = []
    number = 0

    def change(stop: threading.Event) -> None:
        nonlocal number
        while not stop.wait(1):
            key, told = changes[number]
            number += 1
            started = time.monotonic()
            replies = session.get(f"{node}/{key}", payload=json.dumps(told), encoding="application/json", timeout=60)
            version = next(json.loads(reply.ok.payload.to_string())["version"] for reply in replies)
            answers_secs.append(time.monotonic() - started)
            frames = camera.frames
            while camera.version < version and not stop.is_set():
                time.sleep(0.001)
            if camera.version >= version:
                late.append(max(0, camera.frames - frames - 1))

    alone, changing = [], []
    for _ in range(args.turns):
        alone.append(camera.rate(args.seconds))
        stop = threading.Event()
        changer = threading.Thread(target=change, args=[stop])
        changer.start()
        changing.append(camera.rate(args.seconds))
        stop.set()
        changer.join()
    before, meanwhile = statistics.median(alone), statistics.median(changing)
    return {
        "model": args.model,
        "change": "a pair" if args.teach else f"{args.exemplars} exemplars" if args.exemplars else f"{TEXTS} texts",
        "bank": str(args.bank) if args.bank else None,
        "changes": len(answers_secs),
        "rate_alone_hz": round(before, 2),
        "rate_with_a_change_each_second_hz": round(meanwhile, 2),
        "drop_percent": round(100 * (1 - meanwhile / before), 1),
        "answer_median_ms": round(1000 * statistics.median(answers_secs), 1),
        "answer_max_ms": round(1000 * max(answers_secs), 1),
        "old_frames_after_the_answer_max": max(late),
    }


if __name__ == "__main__":
    main()
