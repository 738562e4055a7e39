"""Compares what Owlet found in the demo's recording with what the reference found.

usage: compare_demo.py DETECTIONS.jsonl REFERENCE.json

Detections of one frame are paired by their boxes: the same network output makes almost the same
box, and two different ones lie a patch apart. A detection within the reference's margin of the
threshold may miss its partner (rounding decides on which side it falls); any other that does is
counted and fails the comparison, as do differences above the limits.
"""

import hashlib
import json
import sys
from pathlib import Path

# Both sides see the same pixels: libjpeg-turbo decodes the frames here and there. The limits are
# those that the test suite holds final detections to.
SCORE_LIMIT = 1e-3
BOX_LIMIT_PX = 0.5


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


def main() -> None:
    detections, reference_file = map(Path, sys.argv[1:])
    reference = json.loads(reference_file.read_text())
    weights = Path("models/owlet-nano/model.safetensors").read_bytes()
    if hashlib.sha256(weights).hexdigest() != reference["weights_sha256"]:
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

    version = reference["versions"]["transformers"]
    print(f"Compared with the reference (transformers {version}), same weights, same frames:")
    print(f"  frames            {len(ours)}")
    print(f"  detections        {len(pairs)} agree, {lost} have no partner")
    print(f"  largest difference of score  {score_difference:.1e}  (limit {SCORE_LIMIT:.0e})")
    print(f"  largest difference of a box  {box_difference_px:.3f} px  (limit {BOX_LIMIT_PX} px)")
    if not pairs or lost or score_difference > SCORE_LIMIT or box_difference_px > BOX_LIMIT_PX:
        sys.exit("Owlet and the reference do not agree.")


if __name__ == "__main__":
    main()
