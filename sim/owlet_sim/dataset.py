"""Writes random scenes as a COCO data set: pictures, boxes, masks (RLE), and who is who.

    OUT/annotations.json
    OUT/images/000000.jpg
    OUT/depth/000000.png      16 bit, millimetres; only where asked for

Categories are combinations of colour and kind; their `supercategory` is `seen` or `unseen` in
training, or `novel`. Each annotation also has `attributes` (kind, colour, size, material). What is
hardly visible is marked `iscrowd`: to find it is neither right nor wrong.
"""

import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from . import truth, vocabulary
from .sampling import random_scene, random_views
from .scene import Observation

JPEG_QUALITY = 92

SCENES_IN_PART = 20


def categories() -> list[dict]:
    """All combinations, in an order that never changes."""
    named = []
    for unseen in (False, True):
        for kind, colour in vocabulary.combinations(unseen):
            named.append((kind, colour, "unseen" if unseen else "seen"))
    for kind in vocabulary.NOVEL_KINDS:
        named += [(kind, colour, "novel") for colour in vocabulary.COLOURS]
    return [
        {
            "id": i + 1,
            "name": vocabulary.category_name(kind, colour),
            "supercategory": group,
            "texts": [vocabulary.with_article(vocabulary.category_name(kind, colour))],
        }
        for i, (kind, colour, group) in enumerate(named)
    ]


_CATEGORY_IDS = {category["name"]: category["id"] for category in categories()}


def annotate(observation: Observation) -> list[dict]:
    """The annotations of one picture, without ids."""
    found = []
    for seen in observation.seen:
        mask = np.asfortranarray(observation.instances == seen.object.number).astype(np.uint8)
        rle = coco_mask.encode(mask)
        x0, y0, x1, y1 = seen.box_px
        found.append(
            {
                "category_id": _CATEGORY_IDS[seen.object.name],
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": seen.visible_px,
                "iscrowd": int(truth.is_hardly_visible(seen, observation.camera)),
                "segmentation": {"size": list(mask.shape), "counts": rle["counts"].decode()},
                "attributes": {
                    "kind": seen.object.kind,
                    "colour": seen.object.colour,
                    "size": seen.object.size,
                    "material": seen.object.material,
                },
            }
        )
    return found


def _write_part(job: tuple) -> None:
    """Scenes `first` to `last` and their annotations; a part that is there is left alone."""
    out, part, first, last, views, seed, combinations, size_px, depth = job
    if part.exists():
        return
    images = []
    for index in range(first, last):
        scene = random_scene(seed, index, combinations, size_px)
        for view, seen in enumerate(random_views(scene, views, combinations)):
            number = index * views + view
            name = f"images/{number:06}.jpg"
            Image.fromarray(seen.rgb).save(out / name, quality=JPEG_QUALITY)
            if depth:
                Image.fromarray(truth.depth_in_mm(seen)).save(out / f"depth/{number:06}.png")
            cx, cy = seen.camera.centre_px
            images.append(
                {
                    "id": number,
                    "file_name": name,
                    "width": size_px[0],
                    "height": size_px[1],
                    "scene": index,
                    "camera": {"focal_px": seen.camera.focal_px, "cx_px": cx, "cy_px": cy},
                    "annotations": annotate(seen),
                }
            )
        scene.close()
    partial = part.with_suffix(".partial")
    partial.write_text(json.dumps(images))
    partial.rename(part)


def write(
    out: Path,
    scenes: int,
    views: int,
    seed: int,
    combinations: str,
    size_px: tuple[int, int] = (320, 240),
    depth: bool = False,
    workers: int = 0,
) -> None:
    """Writes `scenes` scenes with `views` pictures each. What an interrupted run has finished is
    kept; the same arguments give the same data set with any number of workers. `workers` 0: one for
    each core."""
    parts = out / "parts"
    for folder in ("images", "parts", *(["depth"] if depth else [])):
        (out / folder).mkdir(parents=True, exist_ok=True)
    jobs = []
    for first in range(0, scenes, SCENES_IN_PART):
        last = min(first + SCENES_IN_PART, scenes)
        # All that a part's content depends on, so that one of another run is not taken for it.
        size = f"{size_px[0]}x{size_px[1]}{'-depth' if depth else ''}"
        part = parts / f"{seed}-{combinations}-{views}-{size}-{first:06}-{last:06}.json"
        jobs.append((out, part, first, last, views, seed, combinations, size_px, depth))
    # A process for each part: a renderer that is closed does not give back all it took.
    context = multiprocessing.get_context("spawn")
    with context.Pool(workers or os.cpu_count(), maxtasksperchild=5) as pool:
        for done, _ in enumerate(pool.imap_unordered(_write_part, jobs), 1):
            print(f"\r{out}: {min(done * SCENES_IN_PART, scenes)} of {scenes} scenes", end="", flush=True)
    print()

    images, annotations = [], []
    for job in jobs:
        for image in json.loads(job[1].read_text()):
            for annotation in image.pop("annotations"):
                annotations.append({"id": len(annotations) + 1, "image_id": image["id"], **annotation})
            images.append(image)
    present = {"seen": ["seen"], "unseen": ["unseen"], "novel": ["novel"], "all": ["seen", "unseen"]}[combinations]
    content = {
        "info": {
            "description": f"Simulated table and bin scenes, {combinations} combinations of colour and kind",
            "seed": seed,
            "scenes": scenes,
            "views": views,
        },
        "licenses": [{"id": 1, "name": "Apache-2.0"}],
        "categories": [c for c in categories() if c["supercategory"] in present],
        "images": images,
        "annotations": annotations,
    }
    (out / "annotations.json").write_text(json.dumps(content))
