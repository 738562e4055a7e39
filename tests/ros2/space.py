"""Masks, places in metres, pick points, the scene from above, and ids over time."""

import numpy
from harness import FRAMES, PROMPTS, TOPIC, Owlet, Robot
from harness import corners_of, expect, prompt_of, running

WIDTH, HEIGHT = 640, 480
FRAME = "base_link"
# As the parameters have it where they say nothing else: x, y and z of base_link in metres.
BOUNDS_M, CELL_M = ((0.25, 0.75), (-0.5, 0.5), (0.0, 0.28)), 0.003125

# From masks nine in ten centres are off by less than 29 mm and a median one by 12 mm (README, the
# whole recording); these are other sums over a fifth of it, and a thing mistaken is some more.
MEDIAN_CENTRE_M, MOST_CENTRES_M = 0.02, 0.04
# Pick points lie on what is seen of a thing, in its box as the simulator has it but for what the
# mask spills (nine in ten within 1 mm of its surface).
BESIDE_M = 0.01
# A mask may spill over the box of its detection, which is where SAM was asked and no bound of it. With
# a wrong number most of it would be elsewhere.
LEAST_IN_BOX, MEAN_IN_BOX = 0.5, 0.95


def matrix(translation, rotation) -> numpy.ndarray:
    """The rigid transform of a message, as a matrix."""
    x, y, z, w = rotation.x, rotation.y, rotation.z, rotation.w
    transform = numpy.eye(4)
    transform[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    transform[:3, 3] = translation.x, translation.y, translation.z
    return transform


class Truth:
    """Where things are in base_link, by the frame in which they were seen."""

    def __init__(self, robot: Robot) -> None:
        from camera import moments
        from harness import BAG
        from rclpy.serialization import deserialize_message
        from tf2_msgs.msg import TFMessage
        from vision_msgs.msg import Detection3DArray

        def transforms(raw: bytes) -> dict:
            return {
                one.child_frame_id: matrix(one.transform.translation, one.transform.rotation)
                for one in deserialize_message(raw, TFMessage).transforms
            }

        fixed = transforms(moments(BAG)[1])
        self.boxes = {}
        for moment in robot.camera.moments:
            world_from_camera = transforms(moment.transforms)["camera_link"]
            camera_from_optical = fixed["camera_color_optical_frame"]
            base_from_optical = (
                numpy.linalg.inv(fixed[FRAME]) @ world_from_camera @ camera_from_optical
            )
            raw = moment.truth["/ground_truth/detections_3d"]
            self.boxes[moment.recorded_ns] = {
                # The prompts of the sample say "the blue block", the truth "blue block".
                prompt_of(thing): (
                    base_from_optical @ matrix(thing.bbox.center.position, thing.bbox.center.orientation),
                    numpy.array([thing.bbox.size.x, thing.bbox.size.y, thing.bbox.size.z]),
                )
                for thing in deserialize_message(raw, Detection3DArray).detections
            }

    def of(self, recorded_ns: int, prompt: str) -> tuple[numpy.ndarray, numpy.ndarray] | None:
        """Pose and size of what a prompt means; None where no thing in the frame is called so."""
        return self.boxes[recorded_ns].get(prompt.split(" ", 1)[1])


def score_of(detection) -> float:
    return detection.results[0].hypothesis.score


def point(position) -> numpy.ndarray:
    return numpy.array([position.x, position.y, position.z])


def pixels(image, dtype: str) -> numpy.ndarray:
    data = numpy.frombuffer(bytes(image.data), dtype)
    return data.reshape(image.height, image.step // data.itemsize)[:, : image.width]


def space(owlet: Owlet) -> None:
    """Masks, places, picks, heightmaps and ids of twelve frames against what is true."""
    from geometry_msgs.msg import PoseStamped
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import Image, PointCloud2
    from vision_msgs.msg import Detection3DArray, LabelInfo

    beside = TOPIC.rpartition("/")[0]
    command = owlet.run(
        "--prompts", PROMPTS, "--param", "nms_iou=0.5",
        "--param", "segmenter=owlet-nano-seg", "--param", f"target_frame={FRAME}",
        "--param", "picks=true", "--param", "heightmap=true", "--param", "clouds=true",
        "--ros-args", "-r", f"image:={TOPIC}", "-r", f"depth:={beside}/depth",
        "-r", f"camera_info:={beside}/camera_info",
    )  # fmt: skip
    topics = {
        "detections_3d": Detection3DArray, "instances": Image, "labels": Image,
        "pick": PoseStamped, "picks": Detection3DArray, "heightmap": Image, "heightmap/scores": Image,
        "heightmap/labels": Image, "heightmap/color": Image,
    }  # fmt: skip
    with (
        running(*command, node="/owlet"),
        Robot("/owlet/detections", has_depth=True) as robot,
    ):
        for name, kind in topics.items():
            robot.listen(f"/owlet/{name}", kind)
        robot.listen("/owlet/cloud", PointCloud2, qos_profile_sensor_data)
        late = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        robot.listen("/owlet/labels/info", LabelInfo, late)
        info = robot.wait("/owlet/labels/info")
        names = {entry.class_id: entry.class_name for entry in info.class_map}
        expect(sorted(names) == list(range(1, 12)) and names[1] == "a red bowl", names)
        truth = Truth(robot)

        frames = []
        for _ in range(FRAMES):
            recorded_ns, *messages = robot.look(*(f"/owlet/{name}" for name in topics))
            frames.append((recorded_ns, dict(zip(["detections", *topics], messages))))
        masks(frames, names)
        places(frames, truth)
        picks(frames, truth)
        heightmaps(frames, truth, names)
        ids(frames)
        cloud = robot.wait("/owlet/cloud")
        expect(cloud.header.frame_id == FRAME and cloud.width * cloud.height > 1000, cloud.header)
        chosen(robot)


def masks(frames: list, names: dict) -> None:
    """Instance and class images: size and header of the picture, numbers of the detections."""
    shares, agreeing = [], []
    number_of = {name: number for number, name in names.items()}
    for _, found in frames:
        detections = found["detections"]
        for name, encoding in (("instances", "16UC1"), ("labels", "mono8")):
            image = found[name]
            expect(image.header == detections.header, image.header)
            shape = (image.width, image.height, image.encoding)
            expect(shape == (WIDTH, HEIGHT, encoding), shape)
        instances, labels = pixels(found["instances"], "<u2"), pixels(found["labels"], "u1")
        by_id = {int(one.id): one for one in detections.detections if one.id}
        numbers = set(numpy.unique(instances).tolist()) - {0}
        expect(numbers <= set(by_id), f"instances {numbers}, ids {set(by_id)}")
        seen = {names[label] for label in numpy.unique(labels).tolist() if label}
        expect(seen <= {prompt_of(one) for one in detections.detections}, seen)
        for number in numbers:
            rows, columns = numpy.nonzero(instances == number)
            left, top, right, bottom = corners_of(by_id[number])
            # A pixel is the square from its number to the next one.
            inside = (columns + 1 > left) & (columns < right) & (rows + 1 > top) & (rows < bottom)
            shares.append(inside.mean())
            agreeing.append((labels[rows, columns] == number_of[prompt_of(by_id[number])]).mean())
    least, mean = min(shares), numpy.mean(shares)
    print(
        f"   {len(shares)} instance masks lie in the boxes of the detections of their ids to "
        f"{100 * mean:.1f} % (mean), {100 * least:.1f} % (least)"
    )
    expect(len(shares) >= 5 * len(frames), f"only {len(shares)} masks in {len(frames)} frames")
    expect(least > LEAST_IN_BOX and mean > MEAN_IN_BOX, f"{least} {mean}")
    mean = numpy.mean(agreeing)
    print(f"   {100 * mean:.1f} % of their pixels have the label of their prompt")
    # Where two masks overlap each image has its own rule for who is on top.
    expect(mean > MEAN_IN_BOX, mean)


def places(frames: list, truth: Truth) -> None:
    """Boxes in metres, in base_link, at the stamp of the image."""
    off_m, count = [], 0
    for recorded_ns, found in frames:
        ids = {(one.id, prompt_of(one)) for one in found["detections"].detections}
        message = found["detections_3d"]
        expect(message.header.stamp == found["detections"].header.stamp, message.header)
        expect(message.header.frame_id == FRAME, message.header)
        for thing in message.detections:
            expect((thing.id, prompt_of(thing)) in ids, f"{thing.id} of {ids}")
            count += 1
            true = truth.of(recorded_ns, prompt_of(thing))
            if true is not None:
                off_m.append(numpy.linalg.norm(point(thing.bbox.center.position) - true[0][:3, 3]))
    median, most = numpy.median(off_m), numpy.quantile(off_m, 0.9)
    print(f"   {count} places; centres off by {1000 * median:.1f} mm (median), {1000 * most:.1f} (90 %)")
    expect(len(off_m) >= 5 * len(frames), f"only {len(off_m)} places in {len(frames)} frames")
    expect(median < MEDIAN_CENTRE_M and most < MOST_CENTRES_M, f"{median} {most}")


def picks(frames: list, truth: Truth) -> None:
    """Where a gripper takes hold: on the thing, from above, and the best of them alone."""
    on, count = 0, 0
    for recorded_ns, found in frames:
        message, best = found["picks"], found["pick"]
        expect(message.header == best.header == found["detections_3d"].header, message.header)
        scores = {(one.id, prompt_of(one)): score_of(one) for one in found["detections"].detections}
        products, positions = [], []
        for pick in message.detections:
            expect(0.0 <= score_of(pick) <= 1.0, score_of(pick))
            products.append(score_of(pick) * scores[pick.id, prompt_of(pick)])
            positions.append(point(pick.bbox.center.position))
            way_in = matrix(pick.bbox.center.position, pick.bbox.center.orientation)[:3, 2]
            # The camera looks down on the table, so surfaces that it sees do not face down.
            expect(way_in[2] < 0.5, f"{prompt_of(pick)}: the way in points up: {way_in}")
            true = truth.of(recorded_ns, prompt_of(pick))
            if true is not None:
                count += 1
                pose, size = true
                in_thing = (numpy.linalg.inv(pose) @ numpy.append(positions[-1], 1.0))[:3]
                on += bool((abs(in_thing) < size / 2 + BESIDE_M).all())
        expected = positions[int(numpy.argmax(products))]
        expect(numpy.allclose(point(best.pose.position), expected), f"{best} of {positions}")
    print(f"   {on} of {count} pick points lie in the true box of their thing")
    # README: of 590 picks three are on no thing of that name; these are fewer.
    expect(count >= 5 * len(frames) and on >= 0.9 * count, f"{on} of {count}")


def heightmaps(frames: list, truth: Truth, names: dict) -> None:
    """The scene from above: cells of base_link, their heights, and which prompt lies there."""
    (x0, x1), (y0, y1), _ = BOUNDS_M
    columns, rows = round((x1 - x0) / CELL_M), round((y1 - y0) / CELL_M)
    right, count, off_m = 0, 0, []
    for recorded_ns, found in frames:
        for name, encoding in [
            ("heightmap", "32FC1"), ("heightmap/scores", "32FC1"),
            ("heightmap/labels", "mono8"), ("heightmap/color", "rgb8"),
        ]:  # fmt: skip
            image = found[name]
            expect(image.header == found["detections_3d"].header, image.header)
            shape = (image.width, image.height, image.encoding)
            expect(shape == (columns, rows, encoding), f"{name}: {shape}")
        heights = pixels(found["heightmap"], "<f4")
        scores = pixels(found["heightmap/scores"], "<f4")
        labels = pixels(found["heightmap/labels"], "u1")
        expect(((scores > 0) == (labels > 0)).all(), "scores and labels say where things are")
        seen = heights[~numpy.isnan(heights)]
        expect(len(seen) > 1000 and seen.min() >= 0.0 and seen.max() <= 0.28, seen)
        for thing in found["detections_3d"].detections:
            true = truth.of(recorded_ns, prompt_of(thing))
            # A block's top is flat and seen from all around.
            if true is None or "block" not in prompt_of(thing):
                continue
            pose, size = true
            column, row = int((pose[0, 3] - x0) / CELL_M), int((pose[1, 3] - y0) / CELL_M)
            if 0 <= column < columns and 0 <= row < rows and not numpy.isnan(heights[row, column]):
                count += 1
                right += names.get(int(labels[row, column])) == prompt_of(thing)
                top = pose[2, 3] + 0.5 * (abs(pose[2, :3]) * size).sum()
                off_m.append(abs(heights[row, column] - top))
    print(
        f"   {right} of {count} middles of blocks have their prompt in the heightmap; tops off by "
        f"{1000 * numpy.median(off_m):.1f} mm (median)"
    )
    # README: 0.2 mm; depth is in whole millimetres.
    expect(count >= len(frames) and right >= 0.9 * count, f"{right} of {count}")
    expect(numpy.median(off_m) < 0.001, f"{numpy.median(off_m)} m")


def ids(frames: list) -> None:
    """From the second frame on an object has an id, which stays."""
    seen, switches, count = {}, 0, 0
    for _, found in frames:
        detections = found["detections"].detections
        given = [one.id for one in detections if one.id]
        expect(len(given) == len(set(given)), f"an id twice in one frame: {given}")
        prompts = [prompt_of(one) for one in detections]
        for one in detections:
            prompt = prompt_of(one)
            if one.id and prompts.count(prompt) == 1:
                count += 1
                switches += seen.setdefault(prompt, one.id) != one.id
                seen[prompt] = one.id
    expect(not any(one.id for one in frames[0][1]["detections"].detections), "ids at first sight")
    print(f"   {count} detections with an id, {switches} changes of the id of a prompt's only thing")
    # README: 9 switches in 594 boxes; two of these 98 were, and rounding may make others of them.
    expect(count >= 5 * len(frames) and switches <= 4, f"{switches} of {count}")


def chosen(robot: Robot) -> None:
    """The prompt to be picked is chosen while the node runs."""
    answer = robot.set_parameter("/owlet", "pick_prompt", "a yellow mug")
    expect(answer.successful, answer)

    _, _, all_picks, pose = robot.look("/owlet/picks", "/owlet/pick")
    mugs = [one for one in all_picks.detections if prompt_of(one) == "a yellow mug"]
    positions = [point(one.bbox.center.position) for one in mugs]
    hit = any(numpy.allclose(point(pose.pose.position), position) for position in positions)
    expect(hit, f"~/pick is {pose}, the mug's are {positions}")
