#!/usr/bin/env python3
"""Makes tests/fixtures/clip_tiny/classify.safetensors: which labels `transformers` sees in boxes.

For each box of a picture the crop that Owlet shows a classifier, cut here by the rule in words (the
square around the box, moved into the picture, a tenth of its side more on each side, whole pixels),
and the softmax over labels that `CLIPModel` gives for it: once over plain texts, once over labels
of several texts in templates, which are averaged as in the ensembles of the CLIP paper.

    pip install -r tools/requirements.txt
    python tools/make_classify_goldens.py

Run twice, it writes the same bytes.
"""

import math

import numpy
import torch
from make_goldens import ROOT, mask_of, save
from PIL import Image
from transformers import CLIPImageProcessor, CLIPModel, CLIPTokenizer

PICTURE = "landscape"
BOXES = [
    [20.0, 30.0, 60.0, 60.0],  # wider than high
    [100.5, 20.25, 120.0, 90.0],  # higher than wide
    [-10.0, -10.0, 30.0, 25.0],  # over the corner
    [150.0, 100.0, 400.0, 400.0],  # over the other one
    [5.0, 60.0, 200.0, 80.0],  # longer than the picture is high
    [70.25, 70.25, 70.5, 70.5],  # less than a pixel
]
PLAIN = ["a cat", "the left hand", "two red cups"]
TEMPLATES = ["a photo of {}", "{} of a dog"]
ENSEMBLE = [["a cat", "the red cat"], ["the left hand"], ["two red cups", "cups", "a blue cup"]]
MARGIN = 0.1


def crop(image, box):
    sizes = image.size
    box = [min(max(box[i], 0.0), float(sizes[i % 2])) for i in range(4)]
    longest = max(box[2] - box[0], box[3] - box[1])
    side = min(longest, *sizes)
    around = [0.0] * 4
    for axis in range(2):
        low, high = box[axis], box[axis + 2]
        length = max(high - low, side)
        start = max(min((low + high - length) / 2, sizes[axis] - length), 0.0)
        low, high = start - MARGIN * length, start + length + MARGIN * length
        low, high = math.floor(max(low, 0.0)), math.ceil(min(high, sizes[axis]))
        around[axis], around[axis + 2] = low, high
    return image.crop(around)


def main():
    # One thread: sums are taken in one order, whatever the machine.
    torch.set_num_threads(1)
    folder = ROOT / "clip_tiny"
    model = CLIPModel.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    processor = CLIPImageProcessor.from_pretrained(folder)
    image = Image.open(ROOT / "owl_images" / f"{PICTURE}.png")
    image.load()
    crops = [crop(image.convert("RGB"), box) for box in BOXES]
    pixels = processor(crops, return_tensors="pt").pixel_values.float()

    def tokens(texts):
        return tokenizer(texts, padding="max_length", max_length=16, return_tensors="pt").input_ids

    def unit(rows):
        return rows / rows.norm(dim=-1, keepdim=True)

    def mean(rows):
        return unit(unit(rows).mean(0))

    with torch.no_grad():
        ids = tokens(PLAIN)
        outputs = model(input_ids=ids, attention_mask=mask_of(ids), pixel_values=pixels)
        plain = outputs.logits_per_image.softmax(-1)

        def features(text):
            ids = tokens([template.replace("{}", text) for template in TEMPLATES])
            return mean(model.get_text_features(ids, attention_mask=mask_of(ids)).pooler_output)

        labels = torch.stack([mean(torch.stack([features(text) for text in label])) for label in ENSEMBLE])
        pictures = unit(model.get_image_features(pixels).pooler_output)
        ensemble = (pictures @ labels.T * model.logit_scale.exp()).softmax(-1)
    print(plain.tolist(), ensemble.tolist(), [crop.size for crop in crops], sep="\n")
    tensors = {f"crop.{n}": torch.from_numpy(numpy.array(crop)) for n, crop in enumerate(crops)}
    tensors |= {"boxes": torch.tensor(BOXES), "plain": plain, "ensemble": ensemble}
    facts = {"picture": PICTURE, "plain": PLAIN, "templates": TEMPLATES, "ensemble": ENSEMBLE}
    save(folder / "classify.safetensors", tensors, **facts)


if __name__ == "__main__":
    main()
