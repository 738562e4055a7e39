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

import json
import subprocess

import turns

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

            rows[f"forward/{count}"] = turns.median_ms(
                lambda: self.model(pixel_values=pixels, conditional_embeddings=embeds), self.passes
            )
            rows[f"picture/{count}"] = turns.median_ms(picture, self.passes)
        return rows


def main():
    args = turns.parser(__doc__, "target/release/examples/text_segments", passes=5).parse_args()
    rounds = turns.take(args.rounds, lambda: owlet_round(args), Reference(args).round)
    turns.show(args, "prompts", rounds)
    cost = turns.cost(rounds, "picture", more=20, few=1)
    print(f"Owlet, picture, 20 prompts over 1: {cost:.2f}")


if __name__ == "__main__":
    main()
