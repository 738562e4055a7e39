#!/usr/bin/env python3
"""A prompts file that shows each category of a COCO data set instead of naming it.

    python tools/exemplars_of_dataset.py data/novel_show prompts-3.yaml --count 3
    owlet eval data/novel --prompts prompts-3.yaml --out out/novel-3

Of each category the largest objects are taken, each from another picture where there are enough.
Pictures are named relative to the prompts file. With --texts each prompt has the category's texts, too;
with --average one query is made of its exemplars.
"""

import argparse
import json
import os
from pathlib import Path


def exemplars(annotations, count):
    """The largest objects, first those of pictures that show none yet."""
    left = sorted(annotations, key=lambda one: (-one["area"], one["id"]))
    chosen, pictures = [], set()
    for again in (False, True):
        for one in left:
            if len(chosen) < count and one not in chosen and (again or one["image_id"] not in pictures):
                chosen.append(one)
                pictures.add(one["image_id"])
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--texts", action="store_true")
    parser.add_argument("--average", action="store_true")
    args = parser.parse_args()

    data = json.loads((args.dataset / "annotations.json").read_text())
    images = {image["id"]: image for image in data["images"]}
    prompts = []
    for category in data["categories"]:
        mine = [
            one
            for one in data["annotations"]
            if one["category_id"] == category["id"] and not one.get("iscrowd")
        ]
        shown = []
        for one in exemplars(mine, args.count):
            image = images[one["image_id"]]
            x, y, w, h = one["bbox"]
            path = args.dataset / image["file_name"]
            if not path.exists():
                path = args.dataset / "images" / image["file_name"]
            corners = [max(x, 0), max(y, 0), min(x + w, image["width"]), min(y + h, image["height"])]
            shown.append({"image": os.path.relpath(path, args.out.parent), "box": corners})
        if len(shown) < args.count:
            print(f"{category['name']}: {len(shown)} exemplars, not {args.count}")
        prompt = {"name": category["name"], "exemplars": shown, "average": args.average}
        if args.texts or not shown:
            prompt["texts"] = category.get("texts") or [category["name"]]
        if not shown:
            del prompt["exemplars"]
        prompts.append(prompt)
    args.out.write_text(json.dumps({"prompts": prompts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
