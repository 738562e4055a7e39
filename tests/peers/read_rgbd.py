"""Unpacks an RGB-D frame with labelled objects, so that a program without numpy can read it.

    read_rgbd.py DATA.npz OUT_FOLDER

Written are `depth.f32` (metres, row by row, little-endian) and `instances.u16` (0 for none, or the
number of an object counted from 1). Printed is a JSON object with the size, and for each object its
label, the box `[x0, y0, x1, y1]` around what is visible of it, and the median of the depths under
its mask as numpy has it.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main():
    data, out = np.load(sys.argv[1]), Path(sys.argv[2])
    depth = data["depth"].astype("<f4")
    instances = np.zeros(depth.shape, "<u2")
    objects = []
    for number, (mask, label) in enumerate(zip(data["masks"], data["labels"]), 1):
        # 2 is the part that other objects hide.
        visible = mask == 1
        instances[visible] = number
        rows, columns = np.nonzero(visible)
        objects.append(
            {
                "label": int(label),
                "box": [float(v) for v in (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)],
                "median_depth_m": float(np.nanmedian(depth[visible])),
            }
        )
    depth.tofile(out / "depth.f32")
    instances.tofile(out / "instances.u16")
    height, width = depth.shape
    print(json.dumps({"width": width, "height": height, "objects": objects}))


main()
