#!/usr/bin/env python3
"""Owlet beside Python transformers: one checkpoint, one picture, one thread count, one run.

The two take turns, round by round, so that a machine whose speed drifts slows both. Printed are
medians over all rounds and the ratio transformers / Owlet (above 1: Owlet is faster).

    cargo build --release
    python3 benches/compare.py --owlet target/release/owlet --model FOLDER --image PICTURE.jpg

Needs torch, transformers and pillow in the versions of tools/requirements.txt. The weights may be
random (`owlet random-model`): speed does not depend on them.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import turns

PROMPT_COUNTS = (1, 10, 100)
# The pipeline runs the whole model once for every label: a hundred would take minutes a call.
PIPELINE_COUNTS = (1, 10)


def prompts(count: int) -> list[str]:
    """Short texts, all different, that any CLIP tokenizer fits into 16 tokens."""
    return [f"a {index}" for index in range(count)]


def owlet_round(args: argparse.Namespace) -> dict[str, float]:
    """One run of `owlet check` on the CPU; milliseconds by row."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "check.json"
        command = [args.owlet, "--quiet", "check", "--model", args.model, "--device", "cpu"]
        command += ["--threads", str(args.threads), "--passes", str(args.passes)]
        command += ["--image", args.image, "--json", str(result)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        timings = json.loads(result.read_text())["models"][0]["runs"][0]["timings_ms"]
    rows = {}
    for count in PROMPT_COUNTS:
        rows[f"forward/{count}"] = timings["forward"][str(count)]["p50"]
        rows[f"whole frame/{count}"] = timings["whole_frame"][str(count)]["p50"]
        if count in PIPELINE_COUNTS:
            # A pipeline call is handed the texts each time; Owlet's prompts stay in use.
            rows[f"pipeline/{count}"] = timings["whole_frame"][str(count)]["p50"]
    return rows


class Reference:
    """The same work through transformers."""

    def __init__(self, args: argparse.Namespace) -> None:
        import torch
        from PIL import Image
        from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor, pipeline

        torch.set_num_threads(args.threads)
        self.passes = args.passes
        self.image = Image.open(args.image).convert("RGB")
        self.processor = AutoProcessor.from_pretrained(args.model)
        self.model = AutoModelForZeroShotObjectDetection.from_pretrained(args.model).eval()
        self.pipeline = pipeline(
            "zero-shot-object-detection",
            model=self.model,
            tokenizer=self.processor.tokenizer,
            image_processor=self.processor.image_processor,
        )

    def round(self) -> dict[str, float]:
        rows = {}
        for count in PROMPT_COUNTS:
            texts = prompts(count)
            inputs = self.processor(text=[texts], images=self.image, return_tensors="pt")

            def whole_frame(texts=texts):
                inputs = self.processor(text=[texts], images=self.image, return_tensors="pt")
                outputs = self.model(**inputs)
                size = [(self.image.height, self.image.width)]
                return self.processor.post_process_grounded_object_detection(
                    outputs, threshold=0.1, target_sizes=size
                )

            rows[f"forward/{count}"] = turns.median_ms(lambda: self.model(**inputs), self.passes)
            rows[f"whole frame/{count}"] = turns.median_ms(whole_frame, self.passes)
            if count in PIPELINE_COUNTS:
                rows[f"pipeline/{count}"] = turns.median_ms(
                    lambda: self.pipeline(self.image, candidate_labels=texts, threshold=0.1),
                    self.passes if count == 1 else 1,
                )
        return rows


def main() -> None:
    parser = turns.parser(__doc__, "target/release/owlet", passes=5)
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    args = parser.parse_args()
    rounds = turns.take(args.rounds, lambda: owlet_round(args), Reference(args).round)
    if args.json:
        args.json.write_text(json.dumps({"arguments": vars(args) | {"json": None}, "rounds": rounds}))
    turns.show(args, "prompts", rounds)
    cost = turns.cost(rounds, "whole frame", more=100, few=1)
    print(f"Owlet, whole frame, 100 prompts over 1: {cost:.3f}")


if __name__ == "__main__":
    main()
