"""Scores detections with pycocotools and prints all that came of it as JSON.

    coco_eval.py ANNOTATIONS.json RESULTS.json

`stats` are the twelve numbers. `precision` is pycocotools' array at its largest limit of
detections, [overlap][recall][category][area]; `recall` is [overlap][category][area][limit].
"""

import contextlib
import io
import json
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

annotations, results = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(annotations)
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
print(
    json.dumps(
        {
            "stats": evaluation.stats.tolist(),
            "categories": [int(category) for category in evaluation.params.catIds],
            "overlaps": evaluation.params.iouThrs.tolist(),
            "recalls": evaluation.params.recThrs.tolist(),
            "precision": evaluation.eval["precision"][..., -1].tolist(),
            "recall": evaluation.eval["recall"].tolist(),
        }
    )
)
