#!/usr/bin/env python3
"""Owlet's SAM beside Python transformers: one checkpoint, one picture, one thread count, one run.

As benches/compare.py: the two take turns, round by round; printed are medians over all rounds and
the ratio transformers / Owlet (above 1: Owlet is faster).

    cargo build --release --example sam_tensors
    owlet random-model sam-vit-base --out FOLDER
    python3 benches/compare_sam.py --owlet target/release/examples/sam_tensors \\
        --model FOLDER --image PICTURE.jpg
"""

import json
import subprocess
import tempfile
from pathlib import Path

import turns


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
                rows["image encoder"] = turns.median_ms(
                    lambda: self.model.get_image_embeddings(pixels), self.passes
                )
            rows[f"decoder/{count}"] = turns.median_ms(decode, self.passes)
            rows[f"whole frame/{count}"] = turns.median_ms(whole, self.passes)
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
    parser = turns.parser(__doc__, "target/release/examples/sam_tensors", passes=3)
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 20, 100])
    parser.add_argument(
        "--boxes-per-call",
        type=int,
        default=4,
        help="of transformers; it is fastest with 4 on two cores: 45 ms a box, 64 with 16",
    )
    args = parser.parse_args()
    reference = Reference(args)
    size = reference.image.size
    rounds = turns.take(args.rounds, lambda: owlet_round(args, size), reference.round)
    turns.show(args, "boxes", rounds)
    first = args.counts[0]
    for count in args.counts[1:]:
        cost = turns.cost(rounds, "whole frame", more=count, few=first)
        print(f"Owlet, whole frame, {count} boxes over {first}: {cost:.2f}")


if __name__ == "__main__":
    main()
