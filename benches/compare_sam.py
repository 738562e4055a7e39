#!/usr/bin/env python3
"""Owlet's SAM beside Python transformers: one checkpoint, one picture, one thread count, one run.

As benches/compare.py: the two take turns, round by round; printed are medians over all rounds and
the ratio transformers / Owlet (above 1: Owlet is faster).

    cargo build --release --example sam_tensors
    owlet random-model sam-vit-base --out FOLDER
    python3 benches/compare_sam.py --owlet target/release/examples/sam_tensors \\
        --model FOLDER --image PICTURE.jpg
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

def boxes(count, width, height):
    """Boxes all over the picture, a fifth of its sides each."""
    found = []
    for index in range(count):
        x, y = (index * 0.37) % 0.8, (index * 0.23) % 0.8
        found.append([x * width, y * height, (x + 0.2) * width, (y + 0.2) * height])
    return found


class Reference:
    def __init__(self, args):
        import torch
        from PIL import Image
        from transformers import SamImageProcessor, SamModel, SamProcessor

        torch.set_num_threads(args.threads)
        self.torch, self.passes, self.counts = torch, args.passes, args.counts
        self.boxes_per_call = args.boxes_per_call
        self.image = Image.open(args.image).convert("RGB")
        self.processor = SamProcessor(SamImageProcessor.from_pretrained(args.model))
        self.model = SamModel.from_pretrained(args.model).eval()

    def median_ms(self, work):
        with self.torch.inference_mode():
            work()
            spent = []
            for _ in range(self.passes):
                start = time.perf_counter()
                work()
                spent.append(1e3 * (time.perf_counter() - start))
        return statistics.median(spent)

    def given(self, count):
        asked = boxes(count, self.image.width, self.image.height)
        return self.processor(self.image, input_boxes=[asked], return_tensors="pt")

    def round(self):
        rows = {}
        for count in self.counts:
            inputs = self.given(count)
            pixels, asked = inputs["pixel_values"], inputs["input_boxes"]
            with self.torch.inference_mode():
                embeddings = self.model.get_image_embeddings(pixels)

            # All hundred at once would take gigabytes.
            def decode(embeddings=embeddings, asked=asked):
                return [
                    self.model(image_embeddings=embeddings, input_boxes=part)
                    for part in asked.split(self.boxes_per_call, dim=1)
                ]

            def whole(count=count):
                inputs = self.given(count)
                embeddings = self.model.get_image_embeddings(inputs["pixel_values"])
                for outputs in decode(embeddings, inputs["input_boxes"]):
                    self.processor.image_processor.post_process_masks(
                        list(outputs.pred_masks),
                        inputs["original_sizes"],
                        inputs["reshaped_input_sizes"],
                    )

            if count == self.counts[0]:
                rows["image encoder"] = self.median_ms(
                    lambda: self.model.get_image_embeddings(pixels)
                )
            rows[f"decoder/{count}"] = self.median_ms(decode)
            rows[f"whole frame/{count}"] = self.median_ms(whole)
        return rows


def owlet_round(args, size):
    import numpy as np
    from safetensors.numpy import save_file

    with tempfile.TemporaryDirectory() as folder:
        given = Path(folder) / "boxes.safetensors"
        save_file({"boxes": np.float32(boxes(max(args.counts), *size))}, given)
        command = [args.owlet, args.model, args.image, given, args.passes, args.threads]
        command = [str(word) for word in [*command, *args.counts]]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--owlet", default="target/release/examples/sam_tensors")
    parser.add_argument("--model", required=True, help="a checkpoint folder")
    parser.add_argument("--image", required=True, help="the picture to look at")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument(
        "--boxes-per-call",
        type=int,
        default=4,
        help="of transformers; it is fastest with 4 on two cores: 45 ms a box, 64 with 16",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=3, help="timed passes in each round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    reference = Reference(args)
    rounds = []
    for _ in range(args.rounds):
        rounds.append((owlet_round(args, reference.image.size), reference.round()))
    print(f"{args.model}, {args.threads} threads, {args.rounds} rounds of {args.passes} passes, ms\n")
    print("| work / boxes | transformers | Owlet | ratio (lowest to highest round) |")
    print("| --- | --- | --- | --- |")
    for row in rounds[0][0]:
        ours = [owlet[row] for owlet, _ in rounds]
        theirs = [other[row] for _, other in rounds]
        ratios = sorted(their / our for their, our in zip(theirs, ours))
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {row} | {statistics.median(theirs):.0f} | {statistics.median(ours):.0f} | {spread} |")
    print()
    first = args.counts[0]
    for count in args.counts[1:]:
        cost = [owlet[f"whole frame/{count}"] / owlet[f"whole frame/{first}"] for owlet, _ in rounds]
        print(f"Owlet, whole frame, {count} boxes over {first}: {statistics.median(cost):.2f}")


if __name__ == "__main__":
    main()
