"""What the checks are made of: programs, the tools of ROS, a robot that looks, and the truth."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Nothing that is waited for is timed: it is there within seconds, or broken.
PATIENCE_SECS = 90
# Frames whose detections are compared.
FRAMES = 12
# Of the camera of the recording. A robot's pictures are stamped so far apart however long it waits
# for an answer: to who follows things over time nothing stands still on a slow machine.
PERIOD_NS = 200_000_000
TOPIC = "/camera/color/image_raw"
BAG = ROOT / "samples/tabletop"
PROMPTS = ROOT / "samples/prompts.yaml"


class Failed(Exception):
    """What was expected, and what was found."""


def expect(condition: object, message: object) -> None:
    if not condition:
        raise Failed(message)


def until(what: str, look: Callable[[], object]) -> object:
    """What `look` gives as soon as it is something."""
    end = time.monotonic() + PATIENCE_SECS
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"waited {PATIENCE_SECS} s for {what}; last found {found!r}")
        time.sleep(0.2)


def show(text: str) -> None:
    print("\n".join(f"    {line}" for line in text.strip().splitlines()), flush=True)


# What tools on rmw_zenoh_cpp 0.2.10 say now and then at their end (exit code 1): it waits for itself
# where a client is destroyed as its answer comes. What was asked for has been printed.
CLOSES_LATE = "Error closing session: close operation timed out"

# Without the daemon, whose picture of the graph may be an old one.
LOOKS_ITSELF = ["--no-daemon", "--spin-time", "3"]


def ros2(*words: str, fails: bool = False) -> str:
    """What `ros2 …` prints."""
    command = ["ros2", *words]
    if words[0] in ("node", "topic", "param", "lifecycle", "service") and words[1] != "call":
        command += LOOKS_ITSELF
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECS)
    seen = f"$ {' '.join(command)}\n{done.stdout}{done.stderr}"
    show(seen)
    has_failed = done.returncode != 0 and CLOSES_LATE not in done.stdout + done.stderr
    expect(has_failed == fails, f"exit code {done.returncode} of\n{seen}")
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Owlet:
    """The program that is looked at, and how it speaks with ROS."""

    words: list[str]
    # ros2: through rcl, so as the ROS around it does. rmw_zenoh: its own, with no ROS.
    transport: str

    def run(self, *words: object) -> list[object]:
        """The command of a node."""
        return [*self.words, "run", "--transport", self.transport, *words]


class Program:
    """A program in a process group of its own, with what it says in a file."""

    def __init__(self, *command: object) -> None:
        self.command = [str(word) for word in command]
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        print(f"  $ {' '.join(self.command)}", flush=True)
        self.process = subprocess.Popen(
            self.command, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True
        )

    def said(self) -> str:
        return Path(self.log.name).read_text()

    def interrupt(self) -> int:
        """Ctrl-C reaches the whole group; the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            return self.process.wait(PATIENCE_SECS)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.command[0]} did not end; it said\n{self.said()}") from None

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def running(*command: object, node: str = "") -> Iterator[Program]:
    """A program, once `node` is in the graph where one is named. It ends with the block; what it
    said is shown where that fails."""
    program = Program(*command)
    try:
        if node:
            until(f"{node} in the graph", lambda: node in ros2("node", "list").split())
        yield program
    except BaseException:
        print(program.said())
        raise
    finally:
        program.kill()


@contextmanager
def launched(owlet: Owlet, name: str, *arguments: str, node: str = "") -> Iterator[Program]:
    """A launch file of the package in the namespace `cell`, with the prompts of the sample."""
    # Launch has no argument for it.
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as parameters:
        parameters.write("/**: {ros__parameters: {nms_iou: 0.5}}\n")
        parameters.flush()
        common = [
            f"prompts_file:={PROMPTS}", f"params_file:={parameters.name}", "namespace:=cell",
            f"transport:={owlet.transport}",
        ]  # fmt: skip
        with running("ros2", "launch", "owlet", name, *common, *arguments, node=node) as program:
            yield program


def stamp_of(header) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


class Robot:
    """The other side: a camera, somebody who reads topics, and somebody who asks services."""

    def __init__(self, detections: str, has_depth: bool = False, topic: str = TOPIC) -> None:
        import rclpy
        from camera import Camera
        from vision_msgs.msg import Detection2DArray

        self.rclpy = rclpy
        self.camera = Camera(BAG, topic, has_depth, PERIOD_NS)
        # By topic and stamp; of what was said once for all, by topic.
        self.found, self.newest = defaultdict(dict), {}
        # Of services, by name.
        self.clients = {}
        self.detections = detections
        self.listen(detections, Detection2DArray)

    def __enter__(self) -> "Robot":
        return self

    def __exit__(self, *_error) -> None:
        self.camera.destroy_node()

    def listen(self, topic: str, message_type: type, qos=10) -> None:
        """Reads a topic from here on."""

        def take(message) -> None:
            self.newest[topic] = message
            header = getattr(message, "header", None)
            if header is not None:
                self.found[topic][stamp_of(header)] = message

        self.camera.create_subscription(message_type, topic, take, qos)

    def spin(self, seconds: float, is_enough: Callable[[], object] = lambda: False) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not is_enough():
            self.rclpy.spin_once(self.camera, timeout_sec=0.1)

    def wait(self, topic: str, is_it: Callable[[object], object] = lambda _: True) -> object:
        """The newest message of a topic that is read, as soon as it is the one."""

        def right():
            message = self.newest.get(topic)
            return message if message is not None and is_it(message) else None

        def look():
            self.spin(1, right)
            return right()

        return until(f"the message on {topic}", look)

    def look(self, *topics: str, which: int | None = None) -> tuple[int, object]:
        """Sends frames until one is answered, on all of the topics: when it was recorded, and the
        detections; with topics, their messages behind them."""
        sent = {}
        wanted = [self.found[topic] for topic in (self.detections, *topics)]

        def whole():
            return [stamp for stamp in sent if all(stamp in found for found in wanted)]

        def answered():
            recorded_ns, stamp_ns = self.camera.send(which)
            sent[stamp_ns] = recorded_ns
            self.spin(5, whole)
            return whole()

        stamp = until(f"answers on {self.detections} {topics}", answered)[0]
        return sent[stamp], *[found[stamp] for found in wanted]

    def call(self, service: str, service_type: type, request):
        # Kept, and not destroyed when it has its answer: see CLOSES_LATE.
        if service not in self.clients:
            self.clients[service] = self.camera.create_client(service_type, service)
        client = self.clients[service]
        expect(client.wait_for_service(PATIENCE_SECS), f"there is no service {service}")
        future = client.call_async(request)
        self.spin(PATIENCE_SECS, future.done)
        expect(future.done(), f"{service} did not answer")
        return future.result()

    def set_parameter(self, node: str, name: str, value) -> object:
        """The result of setting one parameter."""
        from rcl_interfaces.srv import SetParameters
        from rclpy.parameter import Parameter

        message = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[message])
        return self.call(f"{node}/set_parameters", SetParameters, request).results[0]


def prompt_of(detection) -> str:
    return detection.results[0].hypothesis.class_id


def corners_of(detection) -> list[float]:
    """Left, top, right, bottom, in pixels."""
    box = detection.bbox
    x, y = box.center.position.x, box.center.position.y
    half = box.size_x / 2, box.size_y / 2
    return [x - half[0], y - half[1], x + half[0], y + half[1]]


def overlap(one: list[float], other: list[float]) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0.0) * max(height, 0.0)
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return both / (sum(area) - both)


def compare(frames: list[tuple[int, object]]) -> str:
    """Detections of frames against those of the reference."""
    from compare_demo import BOX_LIMIT_PX, SCORE_LIMIT, box_distance_px, pair

    reference = json.loads((ROOT / "samples/reference_detections.json").read_text())
    expected = {frame["stamp_ns"]: frame["detections"] for frame in reference["frames"]}
    surely = reference["threshold"] + SCORE_LIMIT
    count = 0
    for recorded_ns, message in frames:
        expect(message.header.frame_id == "camera_color_optical_frame", f"{message.header}")
        ours = []
        for detection in message.detections:
            expect(detection.header == message.header, f"{detection.header}")
            score = detection.results[0].hypothesis.score
            corners = corners_of(detection)
            ours.append({"prompt": prompt_of(detection), "score": score, "box_px": corners})
        pairs, mine, theirs = pair(ours, expected[recorded_ns])
        lost = [one for one in mine + theirs if one["score"] > surely]
        expect(not lost, f"no partner in the frame of {recorded_ns}: {lost}")
        for one, other in pairs:
            expect(abs(one["score"] - other["score"]) < SCORE_LIMIT, f"{one} {other}")
            expect(box_distance_px(one, other) < BOX_LIMIT_PX, f"{one} {other}")
        count += len(pairs)
    expect(count >= len(frames), f"only {count} detections in {len(frames)} frames")
    return f"{count} detections of {len(frames)} frames agree with the reference"
