"""Writes recordings with independent tools (rosbags, mcap) for Owlet to read.

    write_bags.py FOLDER

FOLDER gets one bag for each way of keeping the same messages, some special bags, the pixels that
the pictures show (`pixels/NAME.bin`), and `expected.json`, which says what a reader must find.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import mcap.writer
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML

from pictures import HEIGHT, WIDTH, all_pictures

START = 1_700_000_000_000_000_000
ROUNDS = 3
FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "images"

store = get_typestore(Stores.ROS2_JAZZY)
types = store.types
QOS = Qos(
    QosHistory.KEEP_LAST, 5, QosReliability.BEST_EFFORT, QosDurability.VOLATILE,
    QosTime(9223372036, 854775807), QosTime(9223372036, 854775807), QosLiveliness.AUTOMATIC,
    QosTime(9223372036, 854775807), False,
)  # fmt: skip


def header(nanos: int, frame: str):
    stamp = types["builtin_interfaces/msg/Time"](nanos // 10**9, nanos % 10**9)
    return types["std_msgs/msg/Header"](stamp, frame)


def image_messages():
    """(topic, type, log time, CDR): every picture in every round; every second round big-endian."""
    import numpy as np

    compressed = {
        "/cam/jpeg/compressed": ("bgr8; jpeg compressed bgr8", "color.jpg"),
        "/cam/png/compressed": ("png", "alpha.png"),
        "/cam/depth/compressedDepth": ("16UC1; compressedDepth png", "depth_16uc1.compressed_depth"),
    }
    image, compressed_image = types["sensor_msgs/msg/Image"], types["sensor_msgs/msg/CompressedImage"]
    string, info = types["std_msgs/msg/String"], types["sensor_msgs/msg/CameraInfo"]
    roi = types["sensor_msgs/msg/RegionOfInterest"]
    k = np.array([500.0, 0, 6, 0, 500, 4, 0, 0, 1])
    time = START
    for number in range(ROUNDS):

        def taken():
            """The next message's header: the camera was a little ahead of the recorder."""
            return header(time + 1_000_003 - 500, "cam_optical")

        def message(topic, content):
            nonlocal time
            time += 1_000_003
            name = content.__msgtype__
            data = store.serialize_cdr(content, name, little_endian=number % 2 == 0)
            return topic, name, time, bytes(data)

        for picture in all_pictures():
            step, data = picture.step_and_data()
            order = int(picture.big_endian)
            content = image(taken(), HEIGHT, WIDTH, picture.encoding, order, step, data)
            yield message(f"/cam/{picture.name}", content)
        for topic, (form, name) in compressed.items():
            data = np.fromfile(FIXTURES / name, np.uint8)
            yield message(topic, compressed_image(taken(), form, data))
        yield message("/chatter", string(f"round {number}"))
        yield message(
            "/cam/camera_info",
            info(
                taken(), HEIGHT, WIDTH, "plumb_bob",
                np.array([0.1, -0.2, 0.0, 0.0, 0.0]), k, np.eye(3).reshape(-1),
                np.zeros(12), 0, 0, roi(0, 0, 0, 0, False),
            ),  # fmt: skip
        )


def described(messages) -> list:
    return [
        {"topic": topic, "type": name, "log_time": time, "sha256": hashlib.sha256(data).hexdigest()}
        for topic, name, time, data in messages
    ]


def write_rosbags(folder: Path, messages, version, plugin, mode=CompressionMode.NONE):
    writer = Writer(folder, version=version, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for topic, name, time, data in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, name, typestore=store, offered_qos_profiles=[QOS]
                )
            writer.write(connections[topic], time, data)


def write_split(folder: Path, messages, plugin, ending: str, mode=CompressionMode.NONE):
    """Two files under one metadata.yaml, as `ros2 bag record --max-bag-size` leaves them."""
    middle = len(messages) // 2
    yaml = YAML(typ="safe")
    parts = []
    folder.mkdir()
    for number, part in enumerate((messages[:middle], messages[middle:])):
        alone = folder.with_name(f"{folder.name}_{number}")
        write_rosbags(alone, part, 8, plugin, mode)
        parts.append(yaml.load(alone / "metadata.yaml")["rosbag2_bagfile_information"])
        shutil.move(alone / f"{alone.name}.{ending}", folder / f"{folder.name}_{number}.{ending}")
        shutil.rmtree(alone)
    whole = parts[0]
    whole["relative_file_paths"] += parts[1]["relative_file_paths"]
    whole["files"] += parts[1]["files"]
    whole["message_count"] += parts[1]["message_count"]
    whole["duration"]["nanoseconds"] = messages[-1][2] - messages[0][2]
    topics = {t["topic_metadata"]["name"]: t for t in whole["topics_with_message_count"]}
    for topic in parts[1]["topics_with_message_count"]:
        name = topic["topic_metadata"]["name"]
        if name in topics:
            topics[name]["message_count"] += topic["message_count"]
        else:
            whole["topics_with_message_count"].append(topic)
    with (folder / "metadata.yaml").open("w") as out:
        yaml.dump({"rosbag2_bagfile_information": whole}, out)


def write_mcap(path: Path, messages, encoding="cdr", order=None, **options):
    """One MCAP file by the reference writer; `order` changes the order of writing, not the times."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as stream:
        writer = mcap.writer.Writer(stream, chunk_size=4096, **options)
        writer.start("ros2", "owlet tests")
        schemas, channels = {}, {}
        for topic, name, time, data in order(messages) if order else messages:
            if name not in schemas:
                text, _ = store.generate_msgdef(name, ros_version=2)
                schemas[name] = writer.register_schema(name, "ros2msg", text.encode())
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, encoding, schemas[name])
            writer.add_message(channels[topic], time, data, time)
        writer.finish()


def by_topic(messages):
    """Topic after topic, as converters write: every chunk overlaps the others in time."""
    return sorted(messages, key=lambda message: message[0])


def main():
    folder = Path(sys.argv[1])
    pixels = folder / "pixels"
    pixels.mkdir(parents=True)
    pictures = {}
    for picture in all_pictures():
        (pixels / f"{picture.name}.bin").write_bytes(picture.expected.tobytes())
        pictures[f"/cam/{picture.name}"] = {
            "kind": "color" if picture.expected.ndim == 3 else "depth",
            "file": f"pixels/{picture.name}.bin",
            "width": WIDTH,
            "height": HEIGHT,
            "encoding": picture.encoding,
            "tolerance": picture.tolerance,
        }

    messages = list(image_messages())
    sqlite, chunks = StoragePlugin.SQLITE3, StoragePlugin.MCAP
    modes = CompressionMode
    write_rosbags(folder / "sqlite3_v8", messages, 8, sqlite)
    write_rosbags(folder / "sqlite3_file_v9", messages, 9, sqlite, modes.FILE)
    write_rosbags(folder / "sqlite3_message_v9", messages, 9, sqlite, modes.MESSAGE)
    write_rosbags(folder / "mcap_v8", messages, 8, chunks)
    write_rosbags(folder / "mcap_chunks_v9", messages, 9, chunks, modes.STORAGE)
    write_rosbags(folder / "mcap_file_v9", messages, 9, chunks, modes.FILE)
    write_rosbags(folder / "mcap_message_v9", messages, 9, chunks, modes.MESSAGE)
    write_split(folder / "sqlite3_split", messages, sqlite, "db3")
    write_split(folder / "mcap_split", messages, chunks, "mcap")
    write_split(folder / "mcap_split_file", messages, chunks, "mcap.zstd", modes.FILE)

    compression = mcap.writer.CompressionType
    index = mcap.writer.IndexType
    write_mcap(folder / "lz4.mcap", messages, compression=compression.LZ4)
    write_mcap(folder / "zstd.mcap", messages, compression=compression.ZSTD)
    write_mcap(folder / "by_topic.mcap", messages, order=by_topic)
    write_mcap(folder / "no_chunks.mcap", messages, use_chunking=False)
    write_mcap(
        folder / "no_summary.mcap", messages, index_types=index.NONE, repeat_channels=False,
        repeat_schemas=False, use_statistics=False, use_summary_offsets=False,
    )  # fmt: skip
    write_mcap(folder / "no_indexes.mcap", messages, index_types=index.NONE)
    write_mcap(folder / "json.mcap", messages[-2:], encoding="json")

    # Folders with no metadata.yaml.
    for name in ("mcap_split", "sqlite3_split"):
        bare = folder / f"{name}_bare"
        shutil.copytree(folder / name, bare)
        (bare / "metadata.yaml").unlink()

    same = sorted(path.name for path in folder.iterdir() if path.name not in ("pixels", "json.mcap"))
    expected = {"messages": described(messages), "bags": same, "pictures": pictures}
    (folder / "expected.json").write_text(json.dumps(expected))


main()
