#!/usr/bin/env python3
"""Compares Owlet with `transformers` at full size, tensor by tensor, and prints a Markdown table.

The released checkpoints cannot be part of a test suite, so their configurations are run with
random weights: Owlet writes a checkpoint, both sides load the same file, and every tensor of both
is compared on the same pixels and the same texts.

    pip install -r tools/requirements.txt
    python tools/parity_full_size.py IMAGE… [--model NAME]… [--scratch FOLDER]

Needs about 6 GB of memory and 2 GB of disk for one model at a time. Run by hand; the table in the
README says when it was last run.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    CLIPTokenizer,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    OwlViTForObjectDetection,
    OwlViTImageProcessorPil,
)

ROOT = Path(__file__).resolve().parent.parent
MODELS = [
    "owlvit-base-patch32",
    "owlvit-base-patch16",
    "owlvit-large-patch14",
    "owlv2-base-patch16-ensemble",
]
TEXTS = ["a cat", "a remote control", "a photo of a pink couch", "the left eye of a black cat"]
THRESHOLD = 0.1


def owlet(*arguments):
    command = ["cargo", "run", "--quiet", "--example", "owl_tensors", "--", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"owlet failed:\n{done.stderr}")
    return done.stderr.strip().splitlines()[-1:] or [""]


def reference(folder, is_v2, pixels):
    """What `transformers` gives, and how long the forward pass took."""
    model_class = Owlv2ForObjectDetection if is_v2 else OwlViTForObjectDetection
    model, info = model_class.from_pretrained(folder, output_loading_info=True)
    odd = {key: value for key, value in info.items() if value}
    if odd:
        sys.exit(f"transformers does not take the checkpoint as it is: {odd}")
    model.eval()
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    tokens = tokenizer(TEXTS, padding="max_length", return_tensors="pt")
    results = []
    with torch.inference_mode():
        for pixel_values in pixels:
            start = time.perf_counter()
            outputs = model(**tokens, pixel_values=pixel_values)
            seconds = time.perf_counter() - start
            base = model.owlv2 if is_v2 else model.owlvit
            pooled = outputs.vision_model_output.pooler_output
            clip = base.visual_projection(pooled)
            results.append(
                (
                    {
                        "input_ids": tokens.input_ids,
                        "text_embeds": outputs.text_embeds[0],
                        "clip_image_embeds": clip / clip.norm(dim=-1, keepdim=True),
                        "image_embeds": outputs.image_embeds,
                        "logits": outputs.logits,
                        "pred_boxes": outputs.pred_boxes,
                        **({"objectness_logits": outputs.objectness_logits} if is_v2 else {}),
                    },
                    seconds,
                )
            )
    return results


class Outputs(dict):
    __getattr__ = dict.__getitem__


def detections(processor, tensors, image):
    size = [(image.height, image.width)]
    return processor.post_process_object_detection(Outputs(tensors), THRESHOLD, size)[0]


def compare_detections(processor, ours, theirs, image):
    """Counts, and the largest differences in pixels and score over detections of both."""
    found, expected = (detections(processor, tensors, image) for tensors in [ours, theirs])
    kept = [tensors["logits"].amax(-1)[0].sigmoid() > THRESHOLD for tensors in [ours, theirs]]
    both = kept[0] & kept[1]
    boxes = (found["boxes"][both[kept[0]]] - expected["boxes"][both[kept[1]]]).abs()
    scores = (found["scores"][both[kept[0]]] - expected["scores"][both[kept[1]]]).abs()
    labels = (found["labels"][both[kept[0]]] != expected["labels"][both[kept[1]]]).sum()
    only_one = int((kept[0] ^ kept[1]).sum())
    largest = lambda values: float(values.max()) if values.numel() else 0.0
    return len(expected["scores"]), only_one, int(labels), largest(boxes), largest(scores)


def spread(tensors):
    """How far the reference's own values are apart: a difference means something beside it."""
    logits, boxes = tensors["logits"], tensors["pred_boxes"]
    best = logits.amax(-1)
    labels = torch.bincount(logits[0].argmax(-1), minlength=len(TEXTS)).tolist()
    return (
        f"logits {logits.mean():.2f} ± {logits.std():.2f}, best {best.max():.2f}, best texts"
        f" {labels}, box sides {boxes[..., 2:].mean():.3f} ± {boxes[..., 2:].std():.3f}"
    )


def compare(name, images, scratch):
    is_v2 = name.startswith("owlv2")
    folder = scratch / name
    owlet("write", name, folder, 1)
    processor_class = Owlv2ImageProcessorPil if is_v2 else OwlViTImageProcessorPil
    processor = processor_class.from_pretrained(folder)
    pixels = [processor(image, return_tensors="pt").pixel_values.float() for image in images]
    results = reference(folder, is_v2, pixels)
    worst = {}
    total = only_one = labels = 0
    box_px = score = 0.0
    for image, pixel_values, (theirs, seconds) in zip(images, pixels, results):
        save_file({"pixel_values": pixel_values}, scratch / "inputs.safetensors")
        (times,) = owlet(
            "run", folder, scratch / "inputs.safetensors", scratch / "outputs.safetensors", *TEXTS
        )
        ours = load_file(scratch / "outputs.safetensors")
        if not torch.equal(ours["input_ids"], theirs["input_ids"]):
            sys.exit(f"{name}: token ids differ")
        for key, tensor in theirs.items():
            if ours[key].shape != tensor.shape:
                sys.exit(f"{name}: {key} is {ours[key].shape}, expected {tensor.shape}")
            worst[key] = max(worst.get(key, 0.0), float((ours[key] - tensor).abs().max()))
        found = compare_detections(processor, ours, theirs, image)
        total, only_one, labels = total + found[0], only_one + found[1], labels + found[2]
        box_px, score = max(box_px, found[3]), max(score, found[4])
        print(f"{name}: {spread(theirs)}; {times}; reference {seconds:.3f} s", file=sys.stderr)
    shutil.rmtree(folder)
    cells = [
        *(worst[key] for key in ["text_embeds", "clip_image_embeds", "image_embeds", "logits"]),
        worst["pred_boxes"],
        worst.get("objectness_logits"),
    ]
    cells = ["–" if cell is None else f"{cell:.1e}" for cell in cells]
    agreement = f"{total}, {only_one} in one only, {labels} with another label"
    return f"| {name} | {' | '.join(cells)} | {agreement} | {box_px:.1e} px | {score:.1e} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--model", action="append", choices=MODELS, help="default: all")
    parser.add_argument("--scratch", type=Path, help="where checkpoints are written for a while")
    arguments = parser.parse_args()
    images = [Image.open(path).convert("RGB") for path in arguments.images]
    columns = ["model", "text embeds", "image embeds", "feature map", "logits", "boxes"]
    columns += ["objectness", f"detections at {THRESHOLD}", "box difference", "score difference"]
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        for name in arguments.model or MODELS:
            rows.append(compare(name, images, Path(scratch)))
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
