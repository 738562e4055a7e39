#!/usr/bin/env python3
"""Owlet's finer labels beside Python transformers: one CLIP, one picture, one thread count, one run.

As benches/compare.py: the two take turns, round by round; printed are medians over all rounds and
the ratio transformers / Owlet (above 1: Owlet is faster).

    cargo build --release --example finer_labels
    owlet random-model clip-vit-base-patch32 --out FOLDER
    python3 benches/compare_finer.py --model FOLDER --image PICTURE.jpg

Both have the texts encoded beforehand. transformers is given all crops of a picture at once, cut
with Pillow by the rule of `tools/make_classify_goldens.py`; Owlet cuts them itself and takes eight
at a time. Needs torch, transformers and pillow in the versions of tools/requirements.txt. The
weights may be random: speed does not depend on them.
"""

import json
import subprocess
import sys
from pathlib import Path

import turns

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))

COUNTS = (1, 10, 50)
LABELS = 5


def boxes(count, image):
    """Those of examples/finer_labels.rs."""
    width, height = image.size
    found = []
    for number in range(count):
        w, h = (
            side * (1 + number * step % 100 / 100) / 6 for side, step in ((width, 37), (height, 53))
        )
        x, y = number * 29 % 100 / 100 * (width - w), number * 71 % 100 / 100 * (height - h)
        found.append([x, y, x + w, y + h])
    return found


def owlet_round(args):
    command = [args.owlet, args.model, args.image, args.passes, args.threads, LABELS, *COUNTS]
    command = list(map(str, command))
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Reference:
    def __init__(self, args):
        import torch
        from make_classify_goldens import crop
        from PIL import Image
        from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

        torch.set_num_threads(args.threads)
        self.torch, self.passes, self.crop = torch, args.passes, crop
        self.image = Image.open(args.image).convert("RGB")
        self.processor = CLIPImageProcessor.from_pretrained(args.model)
        self.model = CLIPModel.from_pretrained(args.model).eval()
        tokenizer = CLIPTokenizer.from_pretrained(args.model)
        texts = [f"a {label}" for label in range(LABELS)]
        with torch.inference_mode():
            tokens = tokenizer(texts, padding=True, return_tensors="pt")
            labels = self.model.get_text_features(**tokens).pooler_output
            self.labels = labels / labels.norm(dim=-1, keepdim=True)

    def scores(self, crops):
        pixels = self.processor(crops, return_tensors="pt").pixel_values
        pictures = self.model.get_image_features(pixels).pooler_output
        pictures = pictures / pictures.norm(dim=-1, keepdim=True)
        return (pictures @ self.labels.T * self.model.logit_scale.exp()).softmax(-1).tolist()

    def round(self):
        rows = {}
        for count in COUNTS:
            around = boxes(count, self.image)
            rows[f"boxes/{count}"] = turns.median_ms(
                lambda around=around: self.scores([self.crop(self.image, box) for box in around]),
                self.passes,
            )
        return rows


def main():
    args = turns.parser(__doc__, "target/release/examples/finer_labels", passes=3).parse_args()
    rounds = turns.take(args.rounds, lambda: owlet_round(args), Reference(args).round)
    turns.show(args, "detections", rounds)


if __name__ == "__main__":
    main()
