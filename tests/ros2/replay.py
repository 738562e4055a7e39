"""Recordings: played to a node by `ros2 bag`, written by it for `owlet replay`, and the other way."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from harness import BAG, FRAMES, PROMPTS, TOPIC, Owlet, Program, Robot
from harness import compare, expect, launched, ros2, running, until

# With a bounded queue `ros2 bag` drops the messages that it has no time to compress.
MESSAGES_IN_ZSTD = {
    "compression_mode": "message", "compression_format": "zstd", "compression_queue_size": 0,
}  # fmt: skip
FILES_IN_ZSTD = {"compression_mode": "file", "compression_format": "zstd"}
SPLIT = {"max_bagfile_size": 1_000_000}
# Forms in which `ros2 bag` writes a recording; `owlet replay` has to read each of them.
FORMS = {
    "sqlite3": {"storage_id": "sqlite3"},
    "sqlite3, split, files in zstd": {"storage_id": "sqlite3", **SPLIT, **FILES_IN_ZSTD},
    "sqlite3, messages in zstd": {"storage_id": "sqlite3", **MESSAGES_IN_ZSTD},
    "MCAP, chunks in zstd": {"storage_id": "mcap", "storage_preset_profile": "zstd_small"},
    "MCAP, split, messages in zstd": {"storage_id": "mcap", **SPLIT, **MESSAGES_IN_ZSTD},
}


def replay(owlet: Owlet) -> None:
    """`ros2 bag`: replay.launch.py, recordings that it has written, and one that it is given."""
    played_to_a_node(owlet)
    folder = Path(tempfile.mkdtemp())
    try:
        written_by_ros(owlet, folder)
        written_here(folder)
    finally:
        shutil.rmtree(folder)


def spin_until_ended(robot: Robot, program: Program) -> None:
    def ended():
        robot.spin(1)
        return program.process.poll() is not None

    until("the end of the recording", ended)
    expect(program.process.returncode == 0, program.said())


def played_to_a_node(owlet: Owlet) -> None:
    from diagnostic_msgs.msg import DiagnosticArray

    # Its own camera sends nothing.
    with Robot("/cell/owlet/detections", topic="/nothing/image_raw") as robot:
        robot.listen("/diagnostics", DiagnosticArray)
        with launched(owlet, "replay.launch.py", f"bag:={BAG}", f"image:={TOPIC}") as program:
            spin_until_ended(robot, program)
        recorded = {moment.recorded_ns for moment in robot.camera.moments}
        found, told = robot.found[robot.detections], robot.found["/diagnostics"]
    expect(set(found) <= recorded, f"stamps that no frame of the recording has: {set(found)}")
    # Frames that come while the model is busy are dropped, and the first before DDS has matched.
    expect(len(found) >= FRAMES, f"only {len(found)} of {len(recorded)} frames were answered")
    print(f"   {len(found)} of {len(recorded)} frames; {compare(sorted(found.items()))}")
    # On the recording's clock, of which the node knows nothing before it is played.
    of_clock = [stamp for stamp in told if stamp != 0]
    expect(of_clock, "no /diagnostics while it was played")
    last = max(recorded) + 10**9
    expect(all(min(recorded) <= stamp <= last for stamp in of_clock), f"/diagnostics at {of_clock}")


def written_by_ros(owlet: Owlet, folder: Path) -> None:
    def detections(bag: Path, out: Path) -> str:
        program = Program(
            *owlet.words, "replay", bag, "--prompts", PROMPTS, "--param", "nms_iou=0.5", "--out", out
        )
        try:
            until(f"{out}", lambda: program.process.poll() is not None)
            expect(program.process.returncode == 0, program.said())
        finally:
            program.kill()
        return (out / "detections.jsonl").read_text()

    expected = detections(BAG, folder / "ours")
    for number, (name, form) in enumerate(FORMS.items()):
        bag, options = folder / f"bag{number}", folder / f"options{number}.yaml"
        form = {"uri": str(bag), "all_topics": True, **form}
        # JSON is YAML.
        options.write_text(json.dumps({"output_bags": [form]}))
        ros2("bag", "convert", "-i", str(BAG), "-o", str(options))
        files = sorted(file.name for file in bag.iterdir() if file.name != "metadata.yaml")
        expect(("split" in name) == (len(files) > 1), f"{name}: {files}")
        found = detections(bag, folder / f"out{number}")
        expect(found == expected, f"{name}: other detections than from {BAG}")
        print(f"   {name}: {', '.join(files)}: {len(found.splitlines())} frames, as from MCAP")


def written_here(folder: Path) -> None:
    bag = folder / "ours/detections.mcap"
    said = ros2("bag", "info", str(bag))
    [topic] = re.findall(r"Topic: (\S+) \| Type: vision_msgs/msg/Detection2DArray \|", said)
    with Robot(topic, topic="/nothing/image_raw") as robot:
        # Time for DDS to match, and four times as fast as it was recorded.
        with running("ros2", "bag", "play", bag, "--delay", 3, "--rate", 4) as program:
            spin_until_ended(robot, program)
        found = robot.found[topic]
        recorded = {moment.recorded_ns for moment in robot.camera.moments}
    expect(set(found) == recorded, f"{len(found)} of {len(recorded)} frames of {bag} were played")
    print(f"   `ros2 bag play` of it: {compare(sorted(found.items()))}")
