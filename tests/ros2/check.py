"""Owlet as a node of a real ROS 2: what other nodes and the tools of ROS see of it.

    source /opt/ros/jazzy/setup.bash            # and the workspace that has owlet_msgs
    cargo build --features ros2
    PYTHONPATH=$PYTHONPATH:$(echo .cache/venv/lib/python3*/site-packages) python3 tests/ros2/check.py

Frames of samples/tabletop go in through rclpy; what comes out is compared with what transformers
finds in them. It keeps to a ROS domain of its own (--domain). Where the package owlet is sourced,
too, the launch files are tried as well. Stops at the first failure and prints what was seen.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(Path(__file__).parent)]

# Nothing here is timed: all of it is there within seconds, or broken.
PATIENCE_SECS = 90
# Frames whose detections are compared.
FRAMES = 12
TOPIC = "/camera/color/image_raw"
BAG = ROOT / "samples/tabletop"
PROMPTS = ROOT / "samples/prompts.yaml"


class Failed(Exception):
    """What was expected, and what was found."""


def expect(condition: object, message: str) -> None:
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


def ros2(*words: str, fails: bool = False) -> str:
    """What `ros2 …` prints. Without the daemon, whose picture of the graph may be an old one."""
    command = ["ros2", *words]
    if words[0] in ("node", "topic", "param", "lifecycle", "service") and words[1] != "call":
        command += ["--no-daemon", "--spin-time", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECS)
    seen = f"$ {' '.join(command)}\n{done.stdout}{done.stderr}"
    print("\n".join(f"    {line}" for line in seen.strip().splitlines()), flush=True)
    expect((done.returncode != 0) == fails, f"exit code {done.returncode} of\n{seen}")
    return done.stdout + done.stderr


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


class Robot:
    """The other side: a camera, and somebody who reads detections."""

    def __init__(self, detections: str) -> None:
        import rclpy
        from camera import Camera
        from vision_msgs.msg import Detection2DArray

        self.spin_once = rclpy.spin_once
        self.camera = Camera(BAG, TOPIC)
        self.found = {}
        self.camera.create_subscription(Detection2DArray, detections, self.take, 10)

    def take(self, message) -> None:
        stamp = message.header.stamp
        self.found[stamp.sec * 10**9 + stamp.nanosec] = message

    def look(self) -> tuple[int, object]:
        """Sends frames until one is answered: when it was recorded, and the detections."""
        sent = {}

        def answered():
            recorded_ns, stamp_ns = self.camera.send()
            sent[stamp_ns] = recorded_ns
            end = time.monotonic() + 2
            while time.monotonic() < end and not sent.keys() & self.found.keys():
                self.spin_once(self.camera, timeout_sec=0.1)
            return [stamp for stamp in sent if stamp in self.found]

        stamp = until("detections", answered)[0]
        return sent[stamp], self.found[stamp]


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
            best, box = detection.results[0].hypothesis, detection.bbox
            x, y = box.center.position.x, box.center.position.y
            half = box.size_x / 2, box.size_y / 2
            corners = [x - half[0], y - half[1], x + half[0], y + half[1]]
            ours.append({"prompt": best.class_id, "score": best.score, "box_px": corners})
        pairs, mine, theirs = pair(ours, expected[recorded_ns])
        lost = [one for one in mine + theirs if one["score"] > surely]
        expect(not lost, f"no partner in the frame of {recorded_ns}: {lost}")
        for one, other in pairs:
            expect(abs(one["score"] - other["score"]) < SCORE_LIMIT, f"{one} {other}")
            expect(box_distance_px(one, other) < BOX_LIMIT_PX, f"{one} {other}")
        count += len(pairs)
    expect(count >= len(frames), f"only {count} detections in {len(frames)} frames")
    return f"{count} detections of {len(frames)} frames agree with the reference"


def node(owlet: list[str]) -> None:
    """One node with its default name: topics, services, parameters, states, Ctrl-C."""
    program = Program(
        *owlet, "run", "--transport", "ros2", "--prompts", PROMPTS, "--param", "nms_iou=0.5",
        "--ros-args", "-r", f"image:={TOPIC}",
    )  # fmt: skip
    try:
        until("/owlet in the graph", lambda: "/owlet" in ros2("node", "list").split())
        robot = Robot("/owlet/detections")
        print("  ", compare([robot.look() for _ in range(FRAMES)]))

        info = ros2("node", "info", "/owlet")
        for entry in [
            f"{TOPIC}/compressed: sensor_msgs/msg/CompressedImage",
            "/owlet/detections: vision_msgs/msg/Detection2DArray",
            "/diagnostics: diagnostic_msgs/msg/DiagnosticArray",
            "/owlet/set_prompts: owlet_msgs/srv/SetPrompts",
            "/owlet/teach: owlet_msgs/srv/Teach",
            "/owlet/set_parameters: rcl_interfaces/srv/SetParameters",
            "/owlet/change_state: lifecycle_msgs/srv/ChangeState",
        ]:
            expect(entry in info, f"expected {entry!r} in\n{info}")
        topic = ros2("topic", "info", "-v", "/owlet/detections")
        expect(re.search(r"Node name: owlet\n(.*\n)*?.*Reliability: RELIABLE", topic), topic)
        echo(robot)
        parameters()
        prompts(robot)
        lifecycle(robot)

        code = program.interrupt()
        expect(code == 0, f"Ctrl-C: expected exit code 0, found {code}\n{program.said()}")
        expect("/owlet" not in ros2("node", "list").split(), "the node is still in the graph")
        robot.camera.destroy_node()
    except BaseException:
        print(program.said())
        raise
    finally:
        program.kill()


def echo(robot: Robot) -> None:
    """`ros2 topic echo` hears what the node says."""
    listener = Program("ros2", "topic", "echo", "--once", "/owlet/detections")
    try:
        until("an echo", lambda: robot.look() and listener.process.poll() is not None)
        said = listener.said()
        print("\n".join(f"    {line}" for line in said.splitlines()[:28]))
        expect("frame_id: camera_color_optical_frame" in said and "class_id: " in said, said)
    finally:
        listener.kill()


def parameters() -> None:
    expect("threshold" in ros2("param", "list", "/owlet"), "no parameter threshold")
    described = ros2("param", "describe", "/owlet", "threshold")
    expect("double" in described, described)
    before = ros2("param", "get", "/owlet", "threshold")
    ros2("param", "set", "/owlet", "threshold", "0.4")
    expect("0.4" in ros2("param", "get", "/owlet", "threshold"), "threshold did not change")
    refused = ros2("param", "set", "/owlet", "threshold", "7.0")
    expect("failed" in refused and "between 0 and 1" in refused, refused)
    expect("0.4" in ros2("param", "get", "/owlet", "threshold"), "a refused value was taken")
    ros2("param", "set", "/owlet", "threshold", before.split()[-1])


def prompts(robot: Robot) -> None:
    """A new set of prompts holds from the next frame on; a bad one changes nothing."""
    one = "{prompts: [{name: 'a mug', texts: ['a yellow mug'], threshold: [0.3]}]}"
    answer = ros2("service", "call", "/owlet/set_prompts", "owlet_msgs/srv/SetPrompts", one)
    expect("success=True" in answer, answer)
    until(
        "detections of the new prompt alone",
        lambda: {d.results[0].hypothesis.class_id for d in robot.look()[1].detections} == {"a mug"},
    )
    bad = "{prompts: [{name: ' '}]}"
    answer = ros2("service", "call", "/owlet/set_prompts", "owlet_msgs/srv/SetPrompts", bad)
    expect("success=False" in answer, answer)
    answer = ros2("service", "call", "/owlet/get_prompts", "owlet_msgs/srv/GetPrompts")
    expect("name='a mug'" in answer, answer)


def lifecycle(robot: Robot) -> None:
    expect("active" in ros2("lifecycle", "get", "/owlet"), "expected an active node")
    ros2("lifecycle", "set", "/owlet", "deactivate")
    expect("inactive" in ros2("lifecycle", "get", "/owlet"), "expected an inactive node")
    ros2("lifecycle", "set", "/owlet", "activate")
    expect(robot.look(), "no detections after it was active again")
    ros2("lifecycle", "set", "/owlet", "configure", fails=True)


def moved(owlet: list[str]) -> None:
    """Another name, a namespace and other topics, through the arguments of ROS."""
    program = Program(
        *owlet, "run", "--transport", "ros2", "--prompts", PROMPTS, "--param", "nms_iou=0.5",
        "--ros-args", "-r", "__ns:=/cell", "-r", "__node:=left", "-r", f"image:={TOPIC}",
        "-r", "left:~/detections:=/found", "-p", "threshold:=0.35",
    )  # fmt: skip
    try:
        until("/cell/left in the graph", lambda: "/cell/left" in ros2("node", "list").split())
        robot = Robot("/found")
        print("  ", compare([robot.look() for _ in range(2)]))
        expect("0.35" in ros2("param", "get", "/cell/left", "threshold"), "-p threshold:=0.35")
        expect(program.interrupt() == 0, program.said())
        robot.camera.destroy_node()
    except BaseException:
        print(program.said())
        raise
    finally:
        program.kill()


def refused(owlet: list[str]) -> None:
    """What rcl would not take ends the start with the reason, exit code 2 and no panic."""
    program = Program(*owlet, "run", "--transport", "ros2", "--ros-args", "-r", "image")
    code = program.process.wait(PATIENCE_SECS)
    print("\n".join(f"    {line}" for line in program.said().strip().splitlines()))
    expect(code == 2, f"expected exit code 2, found {code}")
    expect("panicked" not in program.said(), "it panicked")


def launched() -> None:
    """`ros2 launch` with the launch files of the package."""
    program = Program(
        "ros2", "launch", "owlet", "owlet.launch.py", f"image:={TOPIC}",
        f"prompts_file:={PROMPTS}", "namespace:=cell",
    )  # fmt: skip
    try:
        until("/cell/owlet in the graph", lambda: "/cell/owlet" in ros2("node", "list").split())
        robot = Robot("/cell/owlet/detections")
        print("  ", compare([robot.look() for _ in range(2)]))
        robot.camera.destroy_node()
        code = program.interrupt()
        said = program.said()
        print("\n".join(f"    {line}" for line in said.splitlines()[-8:]))
        expect(code == 0 and "process has finished cleanly" in said, f"exit code {code}\n{said}")
    except BaseException:
        print(program.said())
        raise
    finally:
        program.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--owlet", nargs="+", default=[str(ROOT / "target/debug/owlet")], metavar="WORD",
        help="the program, built with the feature ros2",
    )  # fmt: skip
    parser.add_argument("--domain", default="87", help="ROS_DOMAIN_ID to keep to")
    arguments = parser.parse_args()
    # For this process and all that it starts.
    os.environ.update(ROS_DOMAIN_ID=arguments.domain, ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
    try:
        import rclpy
    except ImportError as error:
        sys.exit(f"{error}: source a ROS 2 first")
    rclpy.init()
    checks = [
        ("a node", lambda: node(arguments.owlet)),
        ("renamed and remapped", lambda: moved(arguments.owlet)),
        ("arguments that are refused", lambda: refused(arguments.owlet)),
    ]
    has_package = "owlet\n" in subprocess.run(
        ["ros2", "pkg", "list"], capture_output=True, text=True, check=True
    ).stdout
    if has_package:
        checks.append(("launch files", launched))
    for name, check in checks:
        print(f"{name}:", flush=True)
        try:
            check()
        except Failed as failure:
            sys.exit(f"FAILED: {name}: {failure}")
        print(f"ok: {name}", flush=True)
    if not has_package:
        print("skipped: launch files (the package owlet is not sourced)")


if __name__ == "__main__":
    main()
