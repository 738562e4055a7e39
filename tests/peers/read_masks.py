"""Holds the masks of a replay against each other and prints how many there are.

    read_masks.py OUT_FOLDER

Of each frame: the instance mask and the class mask of the bag (read by rosbags), the run-length codes
of `detections.jsonl` and `coco.json` (decoded by pycocotools). Exits with a message where they do not
agree.
"""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from rosbags.highlevel import AnyReader


def main(out: Path) -> None:
    frames = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    pictures = {"instances": {}, "labels": {}}
    names = {}
    ids = {}
    with AnyReader([out / "detections.mcap"]) as reader:
        for connection, _, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            topic = connection.topic.removeprefix("/owlet/")
            if topic in pictures:
                kind = {"16UC1": np.uint16, "mono8": np.uint8}[message.encoding]
                pixels = np.frombuffer(message.data, kind).reshape(message.height, message.width)
                pictures[topic][stamp] = pixels
            elif topic == "labels/info":
                names = {entry.class_id: entry.class_name for entry in message.class_map}
            elif topic == "detections":
                ids[stamp] = [detection.id for detection in message.detections]
    with contextlib.redirect_stdout(sys.stderr):  # it talks
        coco = COCO(out / "coco.json")
    by_stamp = {image["stamp_ns"]: image["id"] for image in coco.loadImgs(coco.getImgIds())}
    masks = pixels_of_masks = numbered = 0
    for frame in frames:
        stamp = frame["stamp_ns"]
        instances = np.zeros((frame["height"], frame["width"]), np.uint16)
        labels = np.zeros_like(instances)
        annotations = coco.loadAnns(coco.getAnnIds(imgIds=[by_stamp[stamp]]))
        assert len(annotations) == len(frame["detections"]) == len(ids[stamp]), stamp
        for found, annotation, number in reversed(
            list(zip(frame["detections"], annotations, ids[stamp], strict=True))
        ):
            mask = coco_mask.decode(found["mask"]["rle"]) > 0
            assert (coco.annToMask(annotation) > 0).tobytes() == mask.tobytes(), stamp
            assert mask.sum() == found["mask"]["area_px"] == annotation["area"], stamp
            labels[mask] = next(key for key, name in names.items() if name == found["prompt"])
            masks += 1
            pixels_of_masks += int(mask.sum())
            if number:
                instances[mask] = int(number)
                numbered += 1
        assert (instances == pictures["instances"][stamp]).all(), f"instances at {stamp}"
        assert (labels == pictures["labels"][stamp]).all(), f"labels at {stamp}"
    print(json.dumps({"masks": masks, "pixels": pixels_of_masks, "numbered": numbered}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
