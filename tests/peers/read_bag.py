"""Reads a recording that Owlet wrote with two independent tools and prints what they see as JSON.

    read_bag.py BAG_FOLDER

`rosbags` reads the folder as `ros2 bag` does, by its metadata; `mcap` reads each file by itself and
decodes the messages by the definitions in it, as Foxglove does.
"""

import json
import sys
from pathlib import Path

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore


def plain(value):
    """A decoded message of either tool as JSON."""
    if isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (bytes, memoryview)):
        return list(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    names = getattr(value, "__slots__", None) or vars(value)
    # Fields are lower case; upper case are constants, which are no part of a message.
    fields = [name for name in names if not name.startswith("__") and not name.isupper()]
    return {name: plain(getattr(value, name)) for name in fields}


def by_rosbags(folder: Path):
    with Reader(folder) as reader:
        counts = {c.topic: c.msgcount for c in reader.connections}
        qos = {c.topic: [q.reliability.name for q in c.ext.offered_qos_profiles] for c in reader.connections}
        hashes = {c.topic: c.digest for c in reader.connections}
        about = {
            "start": reader.start_time,
            "duration": reader.duration,
            "message_count": reader.message_count,
        }
    with AnyReader([folder]) as reader:
        # What rosbags writes for what it has read: the same, but for padding at the end.
        again = [
            (bytes(raw), bytes(reader.typestore.serialize_cdr(message, connection.msgtype)))
            for connection, _, raw in reader.messages()
            for message in [reader.deserialize(raw, connection.msgtype)]
        ]
        messages = [
            {
                "topic": connection.topic,
                "type": connection.msgtype,
                "log_time": time,
                "message": plain(reader.deserialize(raw, connection.msgtype)),
            }
            for connection, time, raw in reader.messages()
        ]
    same_bytes = [raw == written[: len(raw)] and not any(written[len(raw) :]) for raw, written in again]
    return {
        "counts": counts,
        "qos": qos,
        "hashes": hashes,
        "messages": messages,
        "same_bytes": same_bytes,
        **about,
    }


def by_mcap(path: Path):
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True, decoder_factories=[DecoderFactory()])
        summary = reader.get_summary()
        messages = [
            {
                "topic": channel.topic,
                "type": schema.name,
                "log_time": message.log_time,
                "message": plain(decoded),
            }
            for schema, channel, message, decoded in reader.iter_decoded_messages()
        ]
        store = get_typestore(Stores.EMPTY)
        hashes = {}
        for schema in summary.schemas.values():
            store.register(get_types_from_msg(schema.data.decode(), schema.name))
            hashes[schema.name] = store.hash_rihs01(schema.name)
        return {
            "profile": reader.get_header().profile,
            "compression": sorted({chunk.compression for chunk in summary.chunk_indexes}),
            "hashes_of_definitions": hashes,
            "metadata": [record.name for record in reader.iter_metadata()],
            "messages": messages,
        }


def main():
    folder = Path(sys.argv[1])
    files = {path.name: by_mcap(path) for path in sorted(folder.glob("*.mcap"))}
    print(json.dumps({"rosbags": by_rosbags(folder), "files": files}))


main()
