"""Compares what Owlet found in the demo's recording with what the reference found.

usage: compare_demo.py DETECTIONS.jsonl REFERENCE.json

Detections of one frame are paired by their boxes: the same network output makes almost the same
box, and two different ones lie a patch apart. A detection within the reference's margin of the
threshold may miss its partner (rounding decides on which side it falls); any other that does is
counted and fails the comparison, as do differences above the limits.

Masks are compared where the reference has them: by their overlap, as their edges are where the
rounding of 1e-5 in a logit decides.
"""

import hashlib
import json
import sys
from pathlib import Path

from pycocotools import mask as coco_mask

# Both sides see the same pixels: libjpeg-turbo decodes the frames here and there. The limits are
# those that the test suite holds final detections to.
SCORE_LIMIT = 1e-3
BOX_LIMIT_PX = 0.5
# A pixel of an edge may fall on either side: of the smallest thing in the recording, 400 pixels
# with 70 on its edge, four of them at most.
MASK_IOU_LIMIT = 0.99
PREDICTED_IOU_LIMIT = 1e-3


def box_distance_px(a: dict, b: dict) -> float:
    """The largest difference of a side, in pixels."""
    return max(abs(p - q) for p, q in zip(a["box_px"], b["box_px"]))


def pair(ours: list[dict], theirs: list[dict]) -> tuple[list, list, list]:
    """(pairs, ours without a partner, theirs without one); nearest boxes first."""
    by_distance = sorted(
        (box_distance_px(a, b), i, j)
        for i, a in enumerate(ours)
        for j, b in enumerate(theirs)
        if a["prompt"] == b["prompt"]
    )
    pairs, used_ours, used_theirs = [], set(), set()
    for distance, i, j in by_distance:
        if distance <= 10 * BOX_LIMIT_PX and i not in used_ours and j not in used_theirs:
            pairs.append((ours[i], theirs[j]))
            used_ours.add(i)
            used_theirs.add(j)
    return (
        pairs,
        [a for i, a in enumerate(ours) if i not in used_ours],
        [b for j, b in enumerate(theirs) if j not in used_theirs],
    )


def compare_masks(pairs: list[tuple[dict, dict]]) -> tuple[list[float], float]:
    """The overlap of each pair that the reference has a mask of, and the largest difference of a
    predicted IoU."""
    overlaps, difference = [], 0.0
    for ours, theirs in pairs:
        if "mask" not in theirs:
            continue
        rle = {name: theirs["mask"][name] for name in ("size", "counts")}
        overlaps.append(float(coco_mask.iou([ours["mask"]["rle"]], [rle], [0])[0][0]))
        predicted = [mask["predicted_iou"] for mask in (ours["mask"], theirs["mask"])]
        difference = max(difference, abs(predicted[0] - predicted[1]))
    return overlaps, difference


def main() -> None:
    detections, reference_file = map(Path, sys.argv[1:])
    reference = json.loads(reference_file.read_text())
    for folder, name in (("owlet-nano", "weights_sha256"), ("owlet-nano-seg", "segmenter_sha256")):
        weights = Path(f"models/{folder}/model.safetensors").read_bytes()
        if hashlib.sha256(weights).hexdigest() != reference[name]:
            sys.exit(f"{reference_file} was made with other weights: run tools/make_demo_reference.py again")
    expected = {(frame["topic"], frame["stamp_ns"]): frame for frame in reference["frames"]}
    ours = [json.loads(line) for line in detections.read_text().splitlines()]
    if {(frame["topic"], frame["stamp_ns"]) for frame in ours} != set(expected):
        sys.exit(f"{detections} has not the frames that {reference_file} has")

    surely = reference["threshold"] + SCORE_LIMIT
    pairs, lost = [], 0
    for frame in ours:
        theirs = expected[frame["topic"], frame["stamp_ns"]]["detections"]
        paired, only_ours, only_theirs = pair(frame["detections"], theirs)
        pairs += paired
        lost += len(only_ours) + sum(found["score"] >= surely for found in only_theirs)
    score_difference = max((abs(a["score"] - b["score"]) for a, b in pairs), default=0.0)
    box_difference_px = max((box_distance_px(a, b) for a, b in pairs), default=0.0)

    overlaps, predicted_difference = compare_masks(pairs)

    version = reference["versions"]["transformers"]
    print(f"Compared with the reference (transformers {version}), same weights, same frames:")
    print(f"  frames            {len(ours)}")
    print(f"  detections        {len(pairs)} agree, {lost} have no partner")
    print(f"  largest difference of score  {score_difference:.1e}  (limit {SCORE_LIMIT:.0e})")
    print(f"  largest difference of a box  {box_difference_px:.3f} px  (limit {BOX_LIMIT_PX} px)")
    print(f"  masks             {len(overlaps)} compared, {sum(overlap == 1 for overlap in overlaps)} to the pixel")
    print(f"  smallest overlap of masks    {min(overlaps):.4f}  (IoU; limit {MASK_IOU_LIMIT})")
    print(f"  largest difference of a predicted IoU  {predicted_difference:.1e}  (limit {PREDICTED_IOU_LIMIT:.0e})")
    if not pairs or lost or score_difference > SCORE_LIMIT or box_difference_px > BOX_LIMIT_PX:
        sys.exit("Owlet and the reference do not agree.")
    if min(overlaps) < MASK_IOU_LIMIT or predicted_difference > PREDICTED_IOU_LIMIT:
        sys.exit("The masks of Owlet and of the reference do not agree.")


if __name__ == "__main__":
    main()
