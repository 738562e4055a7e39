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
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

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
        self.torch = torch
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

    def median_ms(self, work, passes: int) -> float:
        with self.torch.inference_mode():
            work()
            spent = []
            for _ in range(passes):
                start = time.perf_counter()
                work()
                spent.append(1e3 * (time.perf_counter() - start))
        return statistics.median(spent)

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

            rows[f"forward/{count}"] = self.median_ms(lambda: self.model(**inputs), self.passes)
            rows[f"whole frame/{count}"] = self.median_ms(whole_frame, self.passes)
            if count in PIPELINE_COUNTS:
                rows[f"pipeline/{count}"] = self.median_ms(
                    lambda: self.pipeline(self.image, candidate_labels=texts, threshold=0.1),
                    self.passes if count == 1 else 1,
                )
        return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--owlet", default="target/release/owlet", help="the binary to measure")
    parser.add_argument("--model", required=True, help="a checkpoint folder")
    parser.add_argument("--image", required=True, help="the picture to look at")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=5, help="timed passes in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write all rounds to this file")
    args = parser.parse_args()

    reference = Reference(args)
    rounds = []
    for _ in range(args.rounds):
        rounds.append({"owlet": owlet_round(args), "transformers": reference.round()})
    if args.json:
        args.json.write_text(json.dumps({"arguments": vars(args) | {"json": None}, "rounds": rounds}))

    print(f"{args.model}, {args.threads} threads, {args.rounds} rounds of {args.passes} passes, ms\n")
    print("| work / prompts | transformers | Owlet | ratio (lowest to highest round) |")
    print("| --- | --- | --- | --- |")
    for row in rounds[0]["owlet"]:
        theirs = [each["transformers"][row] for each in rounds]
        ours = [each["owlet"][row] for each in rounds]
        ratios = sorted(their / our for their, our in zip(theirs, ours))
        middle = statistics.median(ratios)
        spread = f"{middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {row} | {statistics.median(theirs):.0f} | {statistics.median(ours):.0f} | {spread} |")
    cost = [
        each["owlet"]["whole frame/100"] / each["owlet"]["whole frame/1"] for each in rounds
    ]
    print(f"\nOwlet, whole frame, 100 prompts over 1: {statistics.median(cost):.3f}")


if __name__ == "__main__":
    main()
