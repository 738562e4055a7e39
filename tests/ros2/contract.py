"""The contract line by line: types and QoS of every topic, what is latched, services, the clock."""

import re

from harness import PROMPTS, TOPIC, Owlet, Robot
from harness import corners_of, expect, prompt_of, ros2, running, stamp_of

BESIDE = TOPIC.rpartition("/")[0]

# (reliable, transient local, depth)
RELIABLE, LATCHED, SENSOR = (True, False, 10), (True, True, 1), (False, False, 5)
# tf2 listens so.
TF, TF_STATIC = (True, False, 100), (True, True, 100)
# rmw_qos_profile_parameter_events
EVENTS = (True, False, 1000)
# The same in the words of `ros2 topic info -v`.
SAID_OF_LATCHED = ("RELIABLE", "TRANSIENT_LOCAL", "KEEP_LAST (1)")
WRITTEN = {
    "~/detections": ("vision_msgs/msg/Detection2DArray", RELIABLE),
    "~/detections_3d": ("vision_msgs/msg/Detection3DArray", RELIABLE),
    "~/instances": ("sensor_msgs/msg/Image", RELIABLE),
    "~/labels": ("sensor_msgs/msg/Image", RELIABLE),
    "~/labels/info": ("vision_msgs/msg/LabelInfo", LATCHED),
    "~/pick": ("geometry_msgs/msg/PoseStamped", RELIABLE),
    "~/picks": ("vision_msgs/msg/Detection3DArray", RELIABLE),
    "~/heightmap": ("sensor_msgs/msg/Image", RELIABLE),
    "~/heightmap/scores": ("sensor_msgs/msg/Image", RELIABLE),
    "~/heightmap/labels": ("sensor_msgs/msg/Image", RELIABLE),
    "~/heightmap/color": ("sensor_msgs/msg/Image", RELIABLE),
    "~/heightmap/prompts": ("sensor_msgs/msg/Image", RELIABLE),
    "~/cloud": ("sensor_msgs/msg/PointCloud2", SENSOR),
    "~/overlay/compressed": ("sensor_msgs/msg/CompressedImage", SENSOR),
    "~/prompts": ("owlet_msgs/msg/PromptSet", LATCHED),
    "~/vision_info": ("vision_msgs/msg/VisionInfo", LATCHED),
    "~/transition_event": ("lifecycle_msgs/msg/TransitionEvent", RELIABLE),
    "/diagnostics": ("diagnostic_msgs/msg/DiagnosticArray", RELIABLE),
    "/parameter_events": ("rcl_interfaces/msg/ParameterEvent", EVENTS),
}
READ = {
    TOPIC: ("sensor_msgs/msg/Image", SENSOR),
    f"{TOPIC}/compressed": ("sensor_msgs/msg/CompressedImage", SENSOR),
    f"{BESIDE}/camera_info": ("sensor_msgs/msg/CameraInfo", SENSOR),
    f"{BESIDE}/depth": ("sensor_msgs/msg/Image", SENSOR),
    "/tf": ("tf2_msgs/msg/TFMessage", TF),
    "/tf_static": ("tf2_msgs/msg/TFMessage", TF_STATIC),
    "~/prompts": ("owlet_msgs/msg/PromptSet", LATCHED),
}


def contract(owlet: Owlet) -> None:
    """Types, QoS, headers, latched topics and services as README's tables have them."""
    command = owlet.run(
        "--prompts", PROMPTS, "--param", "segmenter=owlet-nano-seg",
        "--param", "target_frame=base_link",
        "--param", "picks=true", "--param", "heightmap=true", "--param", "clouds=true",
        "--ros-args", "-r", "__ns:=/cell", "-r", f"image:={TOPIC}", "-r", f"depth:={BESIDE}/depth",
        "-r", f"camera_info:={BESIDE}/camera_info",
    )  # fmt: skip
    with (
        running(*command, node="/cell/owlet"),
        Robot("/cell/owlet/detections") as robot,
    ):
        qualities(robot)
        latched(robot)
        detect(robot)
        overlay(robot)
        diagnostics(robot)


def qualities(robot: Robot) -> None:
    """Before the first picture: of the two forms of images only the one that comes is kept."""
    from rclpy.qos import DurabilityPolicy, HistoryPolicy, ReliabilityPolicy

    # What DDS says of itself to others does not hold how much is kept. CycloneDDS says it all the
    # same; where a middleware does not, nobody sees it from outside.
    hidden = []

    def endpoints(of, depth: int) -> dict[str, tuple]:
        found = {}
        for seen in of:
            if (seen.node_namespace, seen.node_name) != ("/cell", "owlet"):
                continue
            qos = seen.qos_profile
            if qos.history == HistoryPolicy.UNKNOWN:
                hidden.append(seen.topic_type)
            else:
                expect(qos.history == HistoryPolicy.KEEP_LAST, f"{seen.topic_type}: {qos.history}")
                depth = qos.depth
            found[seen.topic_type] = (
                qos.reliability == ReliabilityPolicy.RELIABLE,
                qos.durability == DurabilityPolicy.TRANSIENT_LOCAL,
                depth,
            )
        return found

    robot.spin(2)
    camera = robot.camera
    for table, look in [
        (WRITTEN, camera.get_publishers_info_by_topic),
        (READ, camera.get_subscriptions_info_by_topic),
    ]:
        for name, (kind, qos) in table.items():
            topic = name.replace("~", "/cell/owlet")
            found = endpoints(look(topic), depth=qos[-1])
            expect(found == {kind: qos}, f"{topic}: expected {kind} {qos}, found {found}")
    said = ", but the depth, which this rmw hides" if hidden else ", depth included"
    print(f"   {len(WRITTEN)} topics out and {len(READ)} in, each with its type and QoS{said}")
    said = ros2("topic", "info", "-v", "/cell/owlet/prompts")
    expect(re.search(r"Type: PUBLISHER|Endpoint type: PUBLISHER", said), said)
    words = SAID_OF_LATCHED[: None if not hidden else 2]
    expect(all(word in said for word in words), said)


def latched(robot: Robot) -> None:
    """Who comes late is told the prompts, and what class numbers and versions mean; a set that is
    published is put into use, and counts the version up."""
    from owlet_msgs.msg import Prompt, PromptSet
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from vision_msgs.msg import LabelInfo, VisionInfo

    late = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    prompts, info, labels = (f"/cell/owlet/{of}" for of in ("prompts", "vision_info", "labels/info"))
    robot.listen(prompts, PromptSet, late)
    robot.listen(info, VisionInfo, late)
    robot.listen(labels, LabelInfo, late)
    first = robot.wait(prompts)
    expect(len(first.prompts) == 11 and first.version >= 1, f"{first.version} {first.prompts}")
    told = robot.wait(info, lambda told: told.database_version == first.version)
    expect(told.method == "owlet-nano + owlet-nano-seg", told.method)
    expect(told.database_location == prompts, told.database_location)

    publisher = robot.camera.create_publisher(PromptSet, prompts, late)
    robot.spin(5, lambda: publisher.get_subscription_count() > 1)
    mine = [Prompt(name="mug", texts=["a yellow mug"]), Prompt(name="dish", texts=["a white plate"])]
    publisher.publish(PromptSet(prompts=mine, default_threshold=[0.3]))
    second = robot.wait(prompts, lambda told: told.version == first.version + 1)
    expect([one.name for one in second.prompts] == ["mug", "dish"], second.prompts)
    robot.wait(info, lambda told: told.database_version == second.version)
    classes = robot.wait(labels, lambda told: len(told.class_map) == 2).class_map
    expect([(1, "mug"), (2, "dish")] == [(c.class_id, c.class_name) for c in classes], classes)
    # It does not come back to itself and count on.
    robot.spin(3)
    expect(robot.newest[prompts].version == second.version, robot.newest[prompts].version)
    robot.camera.destroy_publisher(publisher)

    _, found = robot.look()
    expect({prompt_of(one) for one in found.detections} == {"mug", "dish"}, found.detections)
    for one in found.detections:
        expect(0.3 <= one.results[0].hypothesis.score <= 1.0, one.results)
        left, top, right, bottom = corners_of(one)
        expect(0 <= left < right <= 640 and 0 <= top < bottom <= 480, corners_of(one))


def detect(robot: Robot) -> None:
    """One answer for the newest frame, or for a picture that comes along, with prompts of its own
    where it has some."""
    from owlet_msgs.msg import Prompt
    from owlet_msgs.srv import Detect
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import CompressedImage, Image

    def ask(**fields):
        return robot.call("/cell/owlet/detect", Detect, Detect.Request(**fields))

    version = robot.newest["/cell/owlet/prompts"].version
    _, published = robot.look(which=0)
    newest = ask()
    expect(newest.success and newest.prompts_version == version, newest)
    expect(newest.detections.header == published.header, newest.detections.header)
    boxes = [corners_of(one) for one in published.detections]
    expect([corners_of(one) for one in newest.detections.detections] == boxes, boxes)

    picture = deserialize_message(robot.camera.moments[0].image, CompressedImage)
    along = ask(compressed_image=[picture])
    expect(along.success, along.message)
    expect([corners_of(one) for one in along.detections.detections] == boxes, boxes)
    black = Image(width=64, height=48, encoding="rgb8", step=192, data=bytes(64 * 48 * 3))
    nothing = ask(image=[black])
    expect(nothing.success and not nothing.detections.detections, nothing)
    own = ask(prompts=[Prompt(name="bowl", texts=["a red bowl"])], default_threshold=[0.3])
    expect(own.success and own.prompts_version == 0, own)
    expect({prompt_of(one) for one in own.detections.detections} == {"bowl"}, own.detections)
    _, after = robot.look(which=0)
    expect([corners_of(one) for one in after.detections] == boxes, "the set in use did not stay")

    for reason, fields in {
        "expected one of the cameras": {"camera": "/no/camera"},
        "one of each kind": {"image": [black], "compressed_image": [picture]},
        "blank": {"prompts": [Prompt(name=" ")]},
        "/cell/owlet/detect": {"image": [Image(width=64, height=48, encoding="rgb8", step=192)]},
    }.items():
        refused = ask(**fields)
        print(f"   refused: {refused.message}")
        expect(not refused.success and reason in refused.message, refused)


def overlay(robot: Robot) -> None:
    """A picture of the frame, of its size and with its header, once somebody listens."""
    import io

    from PIL import Image as Picture
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CompressedImage

    topic = "/cell/owlet/overlay/compressed"
    robot.listen(topic, CompressedImage, qos_profile_sensor_data)
    _, found, drawn = robot.look(topic)
    expect(drawn.header == found.header and drawn.format == "jpeg", drawn.header)
    expect(Picture.open(io.BytesIO(bytes(drawn.data))).size == (640, 480), "of another size")


def diagnostics(robot: Robot) -> None:
    """Every second, from a timer: also while no image comes, and then it says so."""
    from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus

    robot.listen("/diagnostics", DiagnosticArray)
    robot.spin(1.5)
    robot.found["/diagnostics"].clear()
    robot.spin(5.3)
    count = len(robot.found["/diagnostics"])
    # One a second, and one more for each end of the interval and for what is told at once.
    expect(4 <= count <= 8, f"{count} messages on /diagnostics in 5 s")
    status = robot.newest["/diagnostics"].status[0]
    print(f"   {count} messages in 5 s without an image: {status.name}: {status.message}")
    expect(status.name == "cell/owlet: detection", status.name)
    expect(status.level == DiagnosticStatus.WARN, f"{status.level}: {status.message}")


def clock(owlet: Owlet) -> None:
    """use_sim_time: stamps of the node's own are those of /clock, from the start and while it runs."""
    from diagnostic_msgs.msg import DiagnosticArray
    from rosgraph_msgs.msg import Clock

    command = owlet.run(
        "--prompt", "a mug", "--ros-args", "-r", f"image:={TOPIC}", "-p", "use_sim_time:=true"
    )
    with (
        running(*command, node="/owlet"),
        Robot("/owlet/detections") as robot,
    ):
        publisher = robot.camera.create_publisher(Clock, "/clock", 1)
        robot.listen("/diagnostics", DiagnosticArray)
        time = Clock()
        time.clock.sec = 1_700_000_123

        def tell() -> None:
            publisher.publish(time)

        timer = robot.camera.create_timer(0.1, tell)

        def is_simulated(message) -> bool:
            return stamp_of(message.header) == time.clock.sec * 10**9

        robot.wait("/diagnostics", is_simulated)
        answer = robot.set_parameter("/owlet", "use_sim_time", False)
        expect(answer.successful, answer)
        robot.wait("/diagnostics", lambda told: told.header.stamp.sec > 1_750_000_000)
        answer = robot.set_parameter("/owlet", "use_sim_time", True)
        expect(answer.successful, answer)
        time.clock.sec += 1000
        robot.wait("/diagnostics", is_simulated)
        expect("Boolean value is: True" in ros2("param", "get", "/owlet", "use_sim_time"), "")
        robot.camera.destroy_timer(timer)
