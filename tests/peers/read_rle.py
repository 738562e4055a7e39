"""Reads masks and their run-length codes with pycocotools.

    python read_rle.py MASKS.json

The file is a list of {width, height, pixels (row by row), rle}; printed is a list of what
pycocotools makes of each: the code it gives itself, whether the given code has the same pixels,
and the area of the given code.
"""

import json
import sys

import numpy as np
from pycocotools import mask as coco

answers = []
with open(sys.argv[1]) as file:
    for given in json.load(file):
        shape = (given["height"], given["width"])
        pixels = np.asfortranarray(np.array(given["pixels"], np.uint8).reshape(shape))
        rle = {"size": given["rle"]["size"], "counts": given["rle"]["counts"].encode("ascii")}
        answers.append(
            {
                "counts": coco.encode(pixels)["counts"].decode("ascii"),
                "same_pixels": bool((coco.decode(rle) == pixels).all()),
                "area_px": int(coco.area(rle)),
            }
        )
print(json.dumps(answers))
