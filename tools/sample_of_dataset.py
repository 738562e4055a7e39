#!/usr/bin/env python3
"""A part of a COCO data set with so many objects, for a bank of so many pairs.

    python tools/sample_of_dataset.py data/novel_show data/show-100 --pairs 100
    owlet bank build data/show-100/annotations.json --images data/novel_show --out banks/show-100 ...

Objects are taken at random by turns from each category, so that few pairs show many of them; which ones
depends on --seed alone.
"""

import argparse
import json
import random
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--pairs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    data = json.loads((args.dataset / "annotations.json").read_text())
    choice = random.Random(args.seed)
    left = {}
    for one in data["annotations"]:
        if not one.get("iscrowd"):
            left.setdefault(one["category_id"], []).append(one)
    for objects in left.values():
        choice.shuffle(objects)
    taken = []
    while left and len(taken) < args.pairs:
        categories = sorted(left)
        choice.shuffle(categories)
        for category in categories[: args.pairs - len(taken)]:
            taken.append(left[category].pop())
            if not left[category]:
                del left[category]
    if len(taken) < args.pairs:
        print(f"the data set has {len(taken)} objects, not {args.pairs}")
    images = {one["image_id"] for one in taken}
    data["annotations"] = sorted(taken, key=lambda one: one["id"])
    data["images"] = [image for image in data["images"] if image["id"] in images]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "annotations.json").write_text(json.dumps(data))


if __name__ == "__main__":
    main()
