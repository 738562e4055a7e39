#!/usr/bin/env python3
"""Owlet's CLIPSeg beside Python transformers: one checkpoint, one picture, one thread count, one run.

As benches/compare.py: the two take turns, round by round; printed are medians over all rounds and
the ratio transformers / Owlet (above 1: Owlet is faster).

    cargo build --release --example text_segments
    owlet random-model clipseg-rd64-refined --out FOLDER
    python3 benches/compare_clipseg.py --model FOLDER --image PICTURE.jpg

transformers asks for the picture once for each prompt and runs the image tower for each of them; as
it is called in its documentation, but with the texts encoded beforehand, as in Owlet
(`conditional_embeddings`). Needs torch, transformers and pillow in the versions of
tools/requirements.txt. The weights may be random: speed does not depend on them.
"""

import argparse
import json
import statistics
import subprocess
import time

PROMPT_COUNTS = (1, 5, 20)
# 20 pictures at once would take most of a minute a call.
REFERENCE_COUNTS = (1, 5)


def owlet_round(args):
    command = [args.owlet, args.model, args.image, "time", args.passes, args.threads]
    command = list(map(str, [*command, *PROMPT_COUNTS]))
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Reference:
    def __init__(self, args):
        import torch
        from PIL import Image
        from transformers import CLIPSegForImageSegmentation, CLIPTokenizer, ViTImageProcessor

        torch.set_num_threads(args.threads)
        self.torch, self.passes = torch, args.passes
        self.image = Image.open(args.image).convert("RGB")
        self.processor = ViTImageProcessor.from_pretrained(args.model)
        self.tokenizer = CLIPTokenizer.from_pretrained(args.model)
        self.model = CLIPSegForImageSegmentation.from_pretrained(args.model).eval()

    def median_ms(self, work):
        with self.torch.inference_mode():
            work()
            spent = []
            for _ in range(self.passes):
                start = time.perf_counter()
                work()
                spent.append(1e3 * (time.perf_counter() - start))
        return statistics.median(spent)

    def round(self):
        rows = {}
        for count in REFERENCE_COUNTS:
            texts = [f"a {index}" for index in range(count)]
            tokens = self.tokenizer(texts, padding=True, return_tensors="pt")
            with self.torch.inference_mode():
                embeds = self.model.clip.get_text_features(**tokens).pooler_output
            pixels = self.processor(self.image, return_tensors="pt").pixel_values
            pixels = pixels.expand(count, -1, -1, -1)

            def picture(count=count, embeds=embeds):
                images = [self.image] * count
                inputs = self.processor(images, return_tensors="pt")
                return self.model(**inputs, conditional_embeddings=embeds)

            rows[f"forward/{count}"] = self.median_ms(
                lambda: self.model(pixel_values=pixels, conditional_embeddings=embeds)
            )
            rows[f"picture/{count}"] = self.median_ms(picture)
        return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--owlet", default="target/release/examples/text_segments")
    parser.add_argument("--model", required=True, help="a checkpoint folder")
    parser.add_argument("--image", required=True, help="the picture to look at")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passes", type=int, default=5, help="timed passes in each round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()

    reference = Reference(args)
    rounds = []
    for _ in range(args.rounds):
        rounds.append({"owlet": owlet_round(args), "transformers": reference.round()})

    print(f"{args.model}, {args.threads} threads, {args.rounds} rounds of {args.passes} passes, ms\n")
    print("| work / prompts | transformers | Owlet | ratio (lowest to highest round) |")
    print("| --- | --- | --- | --- |")
    for row in sorted(rounds[0]["owlet"], key=lambda row: (row.split("/")[0], int(row.split("/")[1]))):
        ours = statistics.median(each["owlet"][row] for each in rounds)
        if row not in rounds[0]["transformers"]:
            print(f"| {row} | – | {ours:.0f} | – |")
            continue
        theirs = statistics.median(each["transformers"][row] for each in rounds)
        ratios = sorted(each["transformers"][row] / each["owlet"][row] for each in rounds)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        print(f"| {row} | {theirs:.0f} | {ours:.0f} | {spread} |")
    cost = [each["owlet"]["picture/20"] / each["owlet"]["picture/1"] for each in rounds]
    print(f"\nOwlet, picture, 20 prompts over 1: {statistics.median(cost):.2f}")


if __name__ == "__main__":
    main()
