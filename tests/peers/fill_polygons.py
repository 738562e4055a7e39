"""Fills polygons with pycocotools.

    python fill_polygons.py POLYGONS.json

The file is a list of {width, height, polygons, rle}; printed is a list of what pycocotools makes of
each: the area of its own mask, and the number of pixels in which that of the given code differs.
"""

import json
import sys

from pycocotools import mask as coco

answers = []
with open(sys.argv[1]) as file:
    for given in json.load(file):
        codes = coco.frPyObjects(given["polygons"], given["height"], given["width"])
        expected = coco.decode(coco.merge(codes))
        found = coco.decode(given["rle"])
        answers.append([int(expected.sum()), int((expected != found).sum())])
print(json.dumps(answers))
