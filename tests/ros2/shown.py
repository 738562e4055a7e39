"""What is shown and not told: exemplars in sets of prompts, and `~/teach`."""

import io
import json
import subprocess
import tempfile
from pathlib import Path

from harness import FRAMES, ROOT, TOPIC, Owlet, Program, Robot
from harness import corners_of, expect, overlap, prompt_of, ros2, running, until

# Shown in the first picture of the recording, and looked for in those that follow.
THING = "orange hammer"
NAME = "my gadget"
# On the whole recording the best box of a thing shown once is on it in 57 of 60 frames (README).
MOST_MISSED = 2
# Below the usual 0.5: boxes of a thin thing that is seen askew are loose (0.48 in two of the frames).
SAME_THING = 0.4
# Of random weights: it tells captions apart, and no more is asked of it here.
TEXT_ENCODER = ROOT / "tests/fixtures/clip_tiny"


class Shown:
    """The recording's pictures, and where the thing is in each of them."""

    def __init__(self, robot: Robot) -> None:
        from rclpy.serialization import deserialize_message
        from sensor_msgs.msg import CompressedImage
        from vision_msgs.msg import BoundingBox2D, Detection2DArray

        self.moments = robot.camera.moments
        # By what it is, and when it was recorded.
        self.true = {}
        for moment in self.moments:
            raw = moment.truth["/ground_truth/detections"]
            for thing in deserialize_message(raw, Detection2DArray).detections:
                self.true[prompt_of(thing), moment.recorded_ns] = thing
        self.box_type, self.image_type = BoundingBox2D, CompressedImage
        self.read = deserialize_message

    def picture(self, which: int):
        return self.read(self.moments[which].image, self.image_type)

    def box(self, which: int, thing: str = THING):
        return self.true[thing, self.moments[which].recorded_ns].bbox

    def boxed(self, left: float, top: float, right: float, bottom: float):
        """A box as messages have it, by its corners in pixels."""
        box = self.box_type(size_x=right - left, size_y=bottom - top)
        box.center.position.x, box.center.position.y = (left + right) / 2, (top + bottom) / 2
        return box

    def hits(self, robot: Robot) -> int:
        """In how many of the first frames the best box of the name is on the thing."""
        hits = 0
        for which in range(FRAMES):
            recorded_ns, message = robot.look(which=which)
            boxes = [corners_of(found) for found in message.detections if prompt_of(found) == NAME]
            truth = corners_of(self.true[THING, recorded_ns])
            # Best first.
            hits += bool(boxes) and overlap(boxes[0], truth) > SAME_THING
        print(f"   {NAME}: its best box is on the {THING} in {hits} of {FRAMES} frames")
        return hits


def shown(owlet: Owlet) -> None:
    """Exemplars, ~/teach and pairs of a bank: a picture under a name, then found by that name."""
    command = owlet.run("--param", "nms_iou=0.5", "--prompt", "a red bowl")
    of_ros = ["--ros-args", "-r", f"image:={TOPIC}"]
    with (
        running(*command, *of_ros, node="/owlet") as program,
        Robot("/owlet/detections") as robot,
    ):
        things = Shown(robot)
        teach(robot, things)
        exemplars(robot, things)
        broken(program, robot, things)
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        encoders = ["--image-encoder", "owlet-nano", "--text-encoder", TEXT_ENCODER]
        empty = [*owlet.words, "bank", "build", "--empty", "--out", bank, *encoders]
        subprocess.run(empty, check=True)
        with (
            running(*command, "--param", f"bank={bank}", *of_ros, node="/owlet"),
            Robot("/owlet/detections") as robot,
        ):
            pairs(owlet, bank, robot, Shown(robot))


def wait_for(robot: Robot) -> None:
    until(f"a {NAME!r}", lambda: NAME in map(prompt_of, robot.look(which=0)[1].detections))


def teach(robot: Robot, things: Shown) -> None:
    from owlet_msgs.srv import GetPrompts, Teach
    from sensor_msgs.msg import Image

    before = robot.call("/owlet/get_prompts", GetPrompts, GetPrompts.Request()).prompt_set
    # The newest frame, by a person.
    robot.look(which=0)
    box = things.box(0)
    at = f"center: {{position: {{x: {box.center.position.x}, y: {box.center.position.y}}}}}"
    asked = f"{{name: '{NAME}', box: [{{{at}, size_x: {box.size_x}, size_y: {box.size_y}}}]}}"
    answer = ros2("service", "call", "/owlet/teach", "owlet_msgs/srv/Teach", asked)
    expect(f"success=True, version={before.version + 1}," in answer, answer)
    wait_for(robot)
    expect(things.hits(robot) >= FRAMES - MOST_MISSED, "it is not found by the name it was taught")

    def lesson(**fields):
        return robot.call("/owlet/teach", Teach, Teach.Request(**fields))

    # A picture that comes along, by a program: one exemplar more of the same prompt.
    later = lesson(name=NAME, compressed_image=[things.picture(6)], box=[things.box(6)])
    expect(later.success and later.version == before.version + 2, later)
    taught = robot.call("/owlet/get_prompts", GetPrompts, GetPrompts.Request()).prompt_set
    expect([prompt.name for prompt in taught.prompts] == ["a red bowl", NAME], taught.prompts)
    expect(len(taught.prompts[1].exemplars) == 2, len(taught.prompts[1].exemplars))
    expect(taught.version == later.version, taught.version)

    outside = things.boxed(-104.5, 45.5, -95.5, 54.5)
    for why, fields in {
        "blank": {"name": " "},
        "not inside its picture": {"name": NAME, "box": [outside]},
        "one of each kind": {
            "name": NAME,
            "image": [Image()],
            "compressed_image": [things.picture(0)],
        },
        "expected one of the cameras": {"name": NAME, "camera": "/no/camera"},
        "neither JPEG nor PNG": {
            "name": NAME,
            "compressed_image": [things.image_type(format="jpeg", data=b"no picture")],
        },
    }.items():
        refused = lesson(**fields)
        print(f"   refused: {refused.reasons}")
        expect(not refused.success and refused.version == later.version, refused)
        expect(any(why in reason for reason in refused.reasons), f"{why!r} in {refused.reasons}")


def exemplars(robot: Robot, things: Shown) -> None:
    from owlet_msgs.msg import Exemplar, Prompt
    from owlet_msgs.srv import GetPrompts, SetPrompts

    def ask(*prompts):
        return robot.call("/owlet/set_prompts", SetPrompts, SetPrompts.Request(prompts=prompts))

    picture = things.picture(0)
    # Whose format says nothing of a camera's encoding: it stays byte by byte as it is.
    picture.format = "jpeg"
    exemplar = Exemplar(image=picture, box=[things.box(0)])
    texts = Prompt(name="a white plate", texts=["a white plate", "a dish"])
    became = ask(texts, Prompt(name=NAME, exemplars=[exemplar], threshold=[0.5]))
    expect(became.success, became)
    wait_for(robot)
    expect(things.hits(robot) >= FRAMES - MOST_MISSED, "it is not found by its exemplar")
    names = {prompt_of(found) for found in robot.look(which=0)[1].detections}
    expect(names == {"a white plate", NAME}, f"texts and exemplars in one set, but {names}")

    kept = robot.call("/owlet/get_prompts", GetPrompts, GetPrompts.Request()).prompt_set
    [back] = kept.prompts[1].exemplars
    expect(bytes(back.image.data) == bytes(picture.data), "the picture came back changed")
    sides = [abs(a - b) for a, b in zip(box_of(back.box[0]), box_of(exemplar.box[0]))]
    # Boxes are kept as f32.
    expect(max(sides) < 1e-3, f"the box came back as {back.box}")


def broken(program: Program, robot: Robot, things: Shown) -> None:
    """Exemplars that cannot be used, by every way in: a reason that names the prompt and the
    exemplar, and nothing changes."""
    from owlet_msgs.msg import Exemplar, Prompt, PromptSet
    from owlet_msgs.srv import Detect, GetPrompts, SetPrompts
    from PIL import Image as Picture
    from rclpy.qos import DurabilityPolicy, QoSProfile

    whole = things.picture(0)
    jpeg = bytes(whole.data)
    # The height and the width stand behind the start of the frame, its length and its precision.
    start_of_frame = jpeg.index(b"\xff\xc0") + 5
    giant = jpeg[:start_of_frame] + b"\xff\xdc\xff\xdc" + jpeg[start_of_frame + 4 :]
    gif = io.BytesIO()
    Picture.open(io.BytesIO(jpeg)).save(gif, "gif")

    def picture(data: bytes):
        return things.image_type(format="jpeg", data=data)

    def in_use():
        return robot.call("/owlet/get_prompts", GetPrompts, GetPrompts.Request()).prompt_set

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    writer = robot.camera.create_publisher(PromptSet, "/owlet/prompts", latched)
    until("the node reads ~/prompts", lambda: writer.get_subscription_count() > 0)
    before, good = in_use(), Prompt(name="a white plate")
    for number, (why, shown_by) in enumerate([
        ("is not inside its picture of 640x480",
         Exemplar(image=whole, box=[things.boxed(600.0, 400.0, 700.0, 470.0)])),
        # NaN.
        ("found nothing as number 1 of 4",
         Exemplar(image=whole, box=[things.boxed(*[float("nan")] * 4)])),
        ("has no pixel", Exemplar(image=whole, box=[things.boxed(50.0, 60.0, 50.0, 90.0)])),
        ("found the JPEG", Exemplar(image=picture(jpeg[: len(jpeg) // 2]))),
        ("65500x65500 pixels", Exemplar(image=picture(giant))),
        ("neither JPEG nor PNG", Exemplar(image=picture(gif.getvalue()))),
        ("neither JPEG nor PNG", Exemplar(image=picture(b""))),
    ]):  # fmt: skip
        name = f"a broken one {number}"
        prompts = [good, Prompt(name=name, exemplars=[shown_by])]
        where = f'prompt 2 ("{name}").exemplars[0]'

        def is_reason(text: str) -> bool:
            return where in text and why in text

        answer = robot.call("/owlet/set_prompts", SetPrompts, SetPrompts.Request(prompts=prompts))
        print(f"   refused: {answer.reasons}")
        expect(not answer.success and answer.version == before.version, answer)
        expect([is_reason(reason) for reason in answer.reasons] == [True], f"{why}: {answer}")
        request = Detect.Request(compressed_image=[whole], prompts=prompts)
        found = robot.call("/owlet/detect", Detect, request)
        expect(not found.success and is_reason(found.message), f"{why}: {found}")
        # Who writes to the topic gets no answer: the log has it.
        told = len(program.said())
        writer.publish(PromptSet(prompts=prompts))
        until(f"{where} in the log", lambda: is_reason(program.said()[told:]))
        expect(in_use() == before, f"{why}: another set is in use")
    robot.camera.destroy_publisher(writer)
    expect(things.hits(robot) >= FRAMES - MOST_MISSED, "it is no longer found by its exemplar")


def pairs(owlet: Owlet, bank: Path, robot: Robot, things: Shown) -> None:
    """Pairs of a bank that is empty at first: found once they are taught, gone once forgotten."""
    from owlet_msgs.srv import GetPrompts, Teach

    def lesson(**fields):
        return robot.call("/owlet/teach", Teach, Teach.Request(**fields))

    def count() -> int:
        told = subprocess.run(
            [*owlet.words, "bank", "info", bank, "--json"], capture_output=True, text=True, check=True
        )
        return json.loads(told.stdout)["pairs"]

    def names() -> set[str]:
        seen = [robot.look(which=which)[1].detections for which in range(0, FRAMES, 3)]
        return {prompt_of(found) for detections in seen for found in detections}

    expect(names() == {"a red bowl"} and count() == 0, "something is found by an empty bank")
    captions = {"my gadget": THING, "my dish": "white plate"}
    for version, (name, caption) in enumerate(captions.items(), start=2):
        box = things.box(0, caption)
        taught = lesson(
            name=name, caption=caption, compressed_image=[things.picture(0)], box=[box]
        )
        expect(taught.success and taught.version == version, taught)
    expect(count() == len(captions), "the bank was not saved")
    prompts = robot.call("/owlet/get_prompts", GetPrompts, GetPrompts.Request()).prompt_set.prompts
    expect([(prompt.name, prompt.texts) for prompt in prompts if prompt.asif]
           == [(name, [caption]) for name, caption in captions.items()], prompts)  # fmt: skip
    found = robot.look(which=0)[1].detections
    for name, caption in captions.items():
        true = corners_of(things.true[caption, things.moments[0].recorded_ns])
        boxes = [corners_of(one) for one in found if prompt_of(one) == name]
        best = max((overlap(box, true) for box in boxes), default=0.0)
        print(f"   {name}: IoU {best:.2f} with the {caption} that was taught")
        expect(best > SAME_THING, f"{name}: {boxes}, not {true}")

    for why, fields in {
        "caption: expected a text that is not blank": {"name": "it", "caption": " "},
        "one that is looked up in the bank (asif)": {"name": "a red bowl", "caption": "a bowl"},
        "has no pair with the caption": {"forget": "a spoon"},
    }.items():
        picture = [] if "forget" in fields else [things.picture(0)]
        refused = lesson(compressed_image=picture, **fields)
        print(f"   refused: {refused.reasons}")
        expect(not refused.success and refused.version == 3, refused)
        expect(any(why in reason for reason in refused.reasons), f"{why!r} in {refused.reasons}")

    # By a bank of one pair all regions and texts are alike: only an empty one finds nothing.
    for left, caption in [(1, THING), (0, "white plate")]:
        forgotten = lesson(forget=caption)
        expect(forgotten.success and forgotten.version == 3, forgotten)
        expect(count() == left, f"{count()} pairs after {caption} was forgotten")
    expect(names() == {"a red bowl"}, f"{names()} after all are forgotten")


def box_of(box) -> list[float]:
    return [box.center.position.x, box.center.position.y, box.size_x, box.size_y]
