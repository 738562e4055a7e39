"""Overlaps of pairs of masks, with pycocotools and NumPy.

    mask_overlaps.py PAIRS.json

PAIRS.json is a list of pairs of run-length codes. Prints a list of [IoU, boundary IoU]. Boundaries
are those of Cheng et al. 2021: what as many erosions by a square of 3x3 take off as are 2 % of the
diagonal, where nothing lies outside of the image.
"""

import json
import sys

import numpy as np
from pycocotools import mask as coco


def eroded(mask):
    padded = np.pad(mask, 1)
    height, width = mask.shape
    result = mask.copy()
    for y in range(3):
        for x in range(3):
            result &= padded[y : y + height, x : x + width]
    return result


def boundary(mask):
    distance = max(1, int(round(0.02 * np.hypot(*mask.shape))))
    inside = mask
    for _ in range(distance):
        inside = eroded(inside)
    return mask & ~inside


def overlap(a, b):
    either = np.logical_or(a, b).sum()
    return float(np.logical_and(a, b).sum() / either) if either else 0.0


with open(sys.argv[1]) as file:
    pairs = json.load(file)
told = []
for a, b in pairs:
    masks = [coco.decode(code).astype(bool) for code in (a, b)]
    iou = float(coco.iou([a], [b], [0])[0][0])
    told.append([iou, overlap(*map(boundary, masks))])
print(json.dumps(told))
